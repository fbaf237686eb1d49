"""Runs, events and measurements for the history's tests."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.data.spec import TaskSpec
from core.events import (
    ArtifactWritten,
    Event,
    Finding,
    Finished,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
    PausedChanged,
    Progress,
    RunStarted,
    StepStarted,
)
from core.history.records import RunRecord
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings

RECIPE = Recipe(
    name="Prune and fine-tune",
    steps=(
        PruneSettings(sparsity=0.8, overrides={"conv*": 0.5}, exclude=("fc2",)),
        FineTuneSettings(epochs=2),
    ),
)
MEASUREMENT = Measurement(
    parameters=1_000,
    weights=900,
    nonzero_weights=900,
    dense_bytes=4_200,
    packed_bytes=4_100,
    packing="bitmask + fp32 + deflate",
    macs=12_345_678_901,
    input_shape=(1, 8, 8),
    accuracy=Accuracy(950, 1_000, 0.934, 0.962, 0.21, "test", "digits"),
    latency=Latency(1.5, 1.25, 1.75, 1.125, 1, 2, 3, 20, "torch 2.14 eager", "cpu"),
)
PRUNED = replace(
    MEASUREMENT,
    nonzero_weights=180,
    packed_bytes=900,
    accuracy=Accuracy(940, 1_000, 0.9235, 0.953, 0.25, "test", "digits"),
)
LAYERS = (
    LayerStatistics("conv1", "conv2d", (16, 1, 3, 3), 144, 144, 9_216),
    LayerStatistics("fc2", "linear", (10, 128), 1_280, 1_000, None),
)
SHA256 = "5" * 64


def finding(run_id: str) -> Finding:
    """What a run found out, with figures that JSON has no words for."""
    data = {"x": [1, 2.5, math.nan], "inner": {"most": math.inf, "text": "größer"}, "none": None}
    return Finding(run_id, "deletion-curve", "step 2", "Loss over deletions", data)


def request(**changes: object) -> RunRequest:
    """A request with a new `run_id`."""
    base = RunRequest(
        recipe=RECIPE,
        source=SAMPLE,
        task=TaskSpec("digits", image_size=(8, 8), mean=(0.5,), std=(0.25,)),
        seed=7,
        device="cpu",
        threads=2,
        measure_latency=False,
    )
    return replace(base, **changes)


def started(run_id: str, *, resumed: bool = False, sha256: str | None = None) -> RunStarted:
    """The first event of a run."""
    return RunStarted(run_id, 1_000.0, (("torch", "2.14"), ("device", "cpu")), sha256, resumed)


def points(run_id: str, count: int, *, first: int = 0, step: int = 1) -> list[MetricPoint]:
    """`count` points of one curve."""
    return [
        MetricPoint(run_id, step, n / 10, n, "train", "loss", 1 / (n + 1), n / 4)
        for n in range(first, first + count)
    ]


def whole_run(run_id: str) -> list[Event]:
    """All kinds of events of a run that goes well, in the pipeline's order."""
    return [
        started(run_id, sha256=SHA256),
        Measured(run_id, "before", MEASUREMENT),
        LayersMeasured(run_id, "before", LAYERS),
        StepStarted(run_id, 1, 2, "Fine-tune"),
        *points(run_id, 5),
        MetricPoint(run_id, 1, 0.5, 5, "train", "loss", math.nan, 2.0),
        Progress(run_id, 0.5, "Fine-tune: epoch 1 of 2", 3.0),
        PausedChanged(run_id, True),
        PausedChanged(run_id, False),
        Notice(run_id, "The test split is small."),
        finding(run_id),
        Measured(run_id, "after", PRUNED),
        LayersMeasured(run_id, "after", LAYERS[:1]),
        ArtifactWritten(run_id, "model", f"/results/{run_id}/model.safetensors", 4_200, "a" * 64),
        ArtifactWritten(run_id, "recipe", f"/results/{run_id}/recipe.json", 300, "b" * 64),
        Finished(run_id, 1_060.0),
    ]


def without_clock(record: RunRecord) -> RunRecord:
    """The record but for the time of its last change."""
    return replace(record, updated=0.0)


class FakeStore:
    """Keeps batches in memory; `fail` is called before each and may raise."""

    def __init__(self, fail: Callable[[Sequence[Event]], None] | None = None) -> None:
        self.batches: list[tuple[Event, ...]] = []
        self.fail = fail

    def record(self, events: Sequence[Event]) -> None:
        if self.fail is not None:
            self.fail(events)
        self.batches.append(tuple(events))

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]
