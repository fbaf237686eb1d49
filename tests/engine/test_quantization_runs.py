"""Whole runs that quantize: their files reopen as what was measured, and bad input ends them in a sentence."""

import re
from pathlib import Path

import pytest

from core.data.spec import TaskSpec
from core.events import ArtifactWritten, Cancelled, Failed, Finished, Measured
from core.job import JobContext
from core.measurement.records import Measurement
from core.models.source import SAMPLE, ModelSource
from core.pipeline import PACKED, RESULT, run
from core.quantization.settings import CodebookSettings, QuantizeAwareSettings, QuantizeSettings
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import PruneSettings, StepSettings

from .toys import Watcher

DIGITS = TaskSpec("digits")


def events_of(
    folder: Path, source: ModelSource, *steps: StepSettings, task: TaskSpec | None = DIGITS
) -> list:
    folder.mkdir(exist_ok=True)
    events: list = []
    request = RunRequest(Recipe(steps=steps), source, task, threads=1, device="cpu", measure_latency=False)
    run(request, JobContext(request.run_id, events.append, folder))
    return events


def measured(events: list, stage: str) -> Measurement:
    assert isinstance(events[-1], Finished), events[-1]
    return next(e.measurement for e in events if isinstance(e, Measured) and e.stage == stage)


@pytest.mark.parametrize(
    "steps",
    [
        (QuantizeSettings(examples=128, activation_bits=4),),
        (QuantizeSettings(what="weights", bits=4, granularity="group", symmetric_weights=False),),
        (QuantizeSettings(what="bfloat16"),),
        (PruneSettings(sparsity=0.7), CodebookSettings(bits=3, convolution_bits=4)),
        (PruneSettings(sparsity=0.5), QuantizeSettings(examples=64, overrides={"fc*": 16, "conv1": 32})),
        (QuantizeAwareSettings(bits=3, epochs=1, examples=64),),
    ],
    ids=["int8", "int4-groups", "bf16", "codebook", "mixed", "aware"],
)
def test_both_files_reopen_as_what_was_measured(tmp_path: Path, steps: tuple[StepSettings, ...]):
    events = events_of(tmp_path / "run", SAMPLE, *steps)
    after = measured(events, "after")
    written = {e.kind: e for e in events if isinstance(e, ArtifactWritten)}
    assert written["model"].size == after.dense_bytes
    assert written["packed"].size == after.packed_bytes
    for name in (RESULT, PACKED):
        opened = ModelSource("file", str(tmp_path / "run" / name))
        again = measured(events_of(tmp_path / "again", opened), "before")
        assert again.accuracy == after.accuracy
        assert again.nonzero_weights == after.nonzero_weights
        assert again.packed_bytes == pytest.approx(after.packed_bytes, abs=200)


def test_int8_is_a_quarter_and_loses_little(tmp_path: Path):
    events = events_of(tmp_path / "run", SAMPLE, QuantizeSettings())
    before, after = measured(events, "before"), measured(events, "after")
    assert after.packed_bytes < 0.27 * before.dense_bytes
    assert before.accuracy is not None
    assert after.accuracy is not None
    assert after.accuracy.correct >= before.accuracy.correct - 3


def test_fewer_bits_are_fewer_bytes(tmp_path: Path):
    sizes = [
        measured(
            events_of(tmp_path / "run", SAMPLE, QuantizeSettings(what="weights", bits=bits), task=None),
            "after",
        ).packed_bytes
        for bits in (8, 4, 3, 2)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize(
    ("steps", "task", "message"),
    [
        ((QuantizeSettings(),), None, "needs calibration examples"),
        ((QuantizeSettings(exclude=("*",)),), DIGITS, "leaves no layer"),
        ((QuantizeSettings(overrides={"fc9": 16}),), DIGITS, "no prunable layer “fc9”"),
        ((QuantizeSettings(),), TaskSpec("mnist"), "28|MNIST|COMPRESSION"),
    ],
    ids=["no data", "nothing left", "no such layer", "wrong shape"],
)
def test_bad_input_ends_the_run_in_a_sentence(
    tmp_path: Path, steps: tuple[StepSettings, ...], task: TaskSpec | None, message: str, real_data: Path
):
    end = events_of(tmp_path / "run", SAMPLE, *steps, task=task)[-1]
    assert isinstance(end, Failed)
    assert not end.bug
    assert re.search(message, end.message)
    assert not (tmp_path / "run" / RESULT).exists()


def test_calibration_can_be_cancelled(tmp_path: Path):
    request = RunRequest(
        Recipe(steps=(QuantizeSettings(),)), SAMPLE, DIGITS, threads=1, device="cpu", measure_latency=False
    )
    watcher = Watcher(tmp_path, at=9, act="cancel")
    run(request, watcher)
    assert isinstance(watcher.events[-1], Cancelled)


def test_channels_of_a_quantized_model_are_not_removed(tmp_path: Path):
    from core.pruning.structured_settings import PruneChannelsSettings

    end = events_of(tmp_path / "run", SAMPLE, QuantizeSettings(), PruneChannelsSettings())[-1]
    assert isinstance(end, Failed)
    assert "put it before the quantization" in end.message
