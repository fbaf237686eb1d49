"""Make the stored history of the newest schema: `python tests/databases/make_history.py`.

Run it once when a schema is released and keep the file for ever: a test upgrades every stored file to the newest
schema and looks at what is in it. What that test expects is written down in `tests/engine/test_history_opening.py`.
"""

import contextlib
import math
import sqlite3
import sys
from pathlib import Path

import core.history.recording
from core.data.spec import TaskSpec
from core.events import (
    ArtifactWritten,
    Failed,
    Finding,
    Finished,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
    RunStarted,
)
from core.history.opening import schema_versions
from core.history.processes import ProcessIdentity
from core.history.store import open_history
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement
from core.models.source import SAMPLE, ModelSource
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings

BEFORE = Measurement(
    parameters=56_938,
    weights=56_720,
    nonzero_weights=56_720,
    dense_bytes=229_000,
    packed_bytes=229_500,
    packing="bitmask + fp32",
    macs=330_000,
    input_shape=(1, 8, 8),
    accuracy=Accuracy(350, 360, 0.949, 0.985, 0.09, "test", "digits"),
    latency=Latency(0.5, 0.45, 0.55, 0.4, 1, 2, 5, 50, "torch 2.14 eager", "cpu"),
)
AFTER = Measurement(
    parameters=56_938,
    weights=56_720,
    nonzero_weights=11_344,
    dense_bytes=229_000,
    packed_bytes=53_000,
    packing="bitmask + fp32",
    macs=330_000,
    input_shape=(1, 8, 8),
    accuracy=Accuracy(348, 360, 0.942, 0.981, math.nan, "test", "digits"),
)
LAYER = LayerStatistics("conv1", "conv2d", (16, 1, 3, 3), 144, 100, 9_216)


def make(path: Path) -> None:
    """Write four runs: a finished one, one that started from its result and failed, a deleted and an archived one."""
    # The stored file must not name the machine that made it.
    core.history.recording.this_process = lambda: ProcessIdentity("workstation", 1, "")
    recipe = Recipe(
        name="Prune 80 % and fine-tune",
        steps=(PruneSettings(sparsity=0.8, overrides={"conv*": 0.5}), FineTuneSettings(epochs=1)),
    )
    first, second, third, fourth = (f"{digit}" * 32 for digit in "1234")
    with open_history(path) as store:
        store.add_run(RunRequest(recipe, SAMPLE, TaskSpec("digits"), seed=3, threads=2, run_id=first))
        store.record(
            [
                RunStarted(first, 1_000.0, (("torch", "2.14"), ("device", "cpu")), "5" * 64),
                Measured(first, "before", BEFORE),
                LayersMeasured(first, "before", (LAYER,)),
                *(MetricPoint(first, 1, n / 8, n, "train", "loss", 1 / (n + 1), n / 2) for n in range(1, 9)),
                MetricPoint(first, 1, 1.0, 8, "validation", "loss", math.nan, 4.5),
                Notice(first, "Zeros do not shrink a dense file."),
                Measured(first, "after", AFTER),
                LayersMeasured(first, "after", (LAYER,)),
                Finding(first, "export-check", "onnx", "Exported file", {"largest_difference": 0.5}),
                ArtifactWritten(first, "model", "/results/model.safetensors", 229_000, "a" * 64),
                Finished(first, 1_010.0),
            ]
        )
        store.update(first, name="Best", note="Small *and* good.", tags=["paper", "final"], starred=True)
        result = ModelSource("file", "/results/model.safetensors")
        store.add_run(RunRequest(recipe, result, TaskSpec("folder", folder="/images"), run_id=second))
        store.record(
            [
                RunStarted(second, 2_000.0, (("torch", "2.14"),), "a" * 64),
                Failed(second, 2_001.0, "/images holds no images.", "Traceback", False),
            ]
        )
        store.add_run(RunRequest(Recipe(name="Measure"), SAMPLE, None, run_id=third))
        store.delete([third])
        store.add_run(RunRequest(Recipe(name="Measure"), SAMPLE, None, run_id=fourth))
        store.update(fourth, archived=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")


if __name__ == "__main__":
    target = Path(__file__).with_name(f"history_{schema_versions()[-1]}.db")
    if target.exists():
        sys.exit(f"{target.name} exists already and is kept: a stored history is never made anew.")
    make(target)
    print(f"Wrote {target.name}.")
