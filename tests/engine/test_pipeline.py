"""Whole runs on the built-in sample: events in their order, one end event, honest figures, results that reopen."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from core import pipeline
from core.data.spec import TaskSpec, parse_task
from core.events import (
    ArtifactWritten,
    Cancelled,
    Failed,
    Finished,
    Interrupted,
    LayersMeasured,
    Measured,
    Notice,
    Progress,
    RunStarted,
    StepStarted,
)
from core.job import JobContext
from core.measurement.records import Measurement
from core.models.opening import open_model
from core.models.source import SAMPLE, ModelSource
from core.recipe import Recipe, load_recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings, StepSettings

DIGITS = TaskSpec("digits")
PRUNE = PruneSettings(sparsity=0.8)
TUNE = FineTuneSettings(epochs=1)
ENDS = (Finished, Failed, Cancelled, Interrupted)


def request_of(*steps: StepSettings, **more: object) -> RunRequest:
    request = RunRequest(Recipe(steps=steps), SAMPLE, DIGITS, threads=1, device="cpu", measure_latency=False)
    return replace(request, **more)  # type: ignore[arg-type]


class Session(JobContext):
    """Collects events; asks for something when an event of a kind comes."""

    def __init__(self, folder: Path, *, on: type | None = None, act: str = "", resume: bool = False) -> None:
        self.events: list[object] = []
        self._on = on
        self._act = act
        super().__init__("run", self._note, folder, resume=resume)

    def _note(self, event: object) -> None:
        self.events.append(event)
        if self._on is not None and isinstance(event, self._on):
            getattr(self, f"request_{self._act}")()

    def run(self, request: RunRequest) -> "Session":
        pipeline.run(request, self)
        ends = [event for event in self.events if isinstance(event, ENDS)]
        assert len(ends) == 1
        assert self.events[-1] is ends[0]
        return self

    def measured(self, stage: str) -> Measurement:
        return [e for e in self.events if isinstance(e, Measured) and e.stage == stage][-1].measurement

    @property
    def end(self) -> object:
        return self.events[-1]


def arrays(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping


def test_a_whole_run_tells_its_story_in_order(tmp_path: Path) -> None:
    session = Session(tmp_path).run(request_of(PRUNE, TUNE, measure_latency=True))
    kinds = [type(e) for e in session.events if not isinstance(e, Progress)]
    for first, second in pairwise(
        (RunStarted, Measured, LayersMeasured, StepStarted, Notice, ArtifactWritten, Finished)
    ):
        assert kinds.index(first) < kinds.index(second)
    assert [e.title for e in session.events if isinstance(e, StepStarted)] == ["Prune", "Fine-tune"]
    assert [e.fraction for e in session.events if isinstance(e, Progress)][-1] == 1
    before, after = session.measured("before"), session.measured("after")
    assert before.sparsity == 0
    assert after.weights - after.nonzero_weights == round(0.8 * after.weights)
    assert after.packed_bytes < before.packed_bytes
    assert after.dense_bytes == (tmp_path / "model.safetensors").stat().st_size == before.dense_bytes
    assert before.accuracy is not None
    assert after.accuracy is not None
    assert (before.accuracy.split, before.accuracy.count) == ("test", after.accuracy.count)
    assert before.latency is not None
    assert after.latency is not None
    assert before.latency.threads == 1


def test_the_saved_result_reopens_with_the_same_accuracy_and_really_has_its_zeros(tmp_path: Path) -> None:
    first = Session(tmp_path).run(request_of(PRUNE, TUNE))
    path = tmp_path / "model.safetensors"
    weights = arrays(path)
    opened = open_model(ModelSource("file", str(path)))
    zeros = sum(int((weights[layer.weight_name] == 0).sum()) for layer in opened.description.layers)
    assert zeros == first.measured("after").weights - first.measured("after").nonzero_weights
    assert opened.description.architecture == "zoo:digits-cnn"
    again = Session(tmp_path).run(request_of(source=ModelSource("file", str(path))))
    assert again.measured("before").accuracy == first.measured("after").accuracy
    assert load_recipe(tmp_path / "recipe.json").steps == (PRUNE, TUNE)


def test_zeros_give_a_packed_file_as_well_that_runs_to_the_same_figures(tmp_path: Path) -> None:
    first = Session(tmp_path).run(request_of(PRUNE, TUNE))
    written = {e.kind: e for e in first.events if isinstance(e, ArtifactWritten)}
    after = first.measured("after")
    assert any("neither model.safetensors" in e.text for e in first.events if isinstance(e, Notice))
    assert written["packed"].size == after.packed_bytes < after.dense_bytes / 3
    path = Path(written["packed"].path)
    weights = arrays(tmp_path / "model.safetensors")
    opened = open_model(ModelSource("file", str(path)))
    assert set(opened.tensor_names) == set(weights)
    assert all(np.array_equal(opened.tensor(name), weights[name]) for name in weights)
    again = Session(tmp_path / "again").run(request_of(source=ModelSource("file", str(path))))
    assert again.measured("before").accuracy == after.accuracy


def test_without_zeros_there_is_nothing_to_pack(tmp_path: Path) -> None:
    session = Session(tmp_path).run(request_of(TUNE))
    assert {e.kind for e in session.events if isinstance(e, ArtifactWritten)} == {
        "model",
        "predictions",
        "recipe",
    }
    assert not any("Zeros" in e.text for e in session.events if isinstance(e, Notice))


def test_excluded_layers_are_untouched_and_overrides_are_exact(tmp_path: Path) -> None:
    prune = PruneSettings(
        sparsity=0.5, scope="layer", exclude=("conv1",), overrides={"fc*": 0.9, "fc2": 0.25}
    )
    Session(tmp_path).run(request_of(prune))
    opened = open_model(SAMPLE)
    result = arrays(tmp_path / "model.safetensors")
    expected = {"conv1": 0.0, "conv2": 0.5, "conv3": 0.5, "fc1": 0.9, "fc2": 0.25}
    for layer in opened.description.layers:
        before, after = opened.weight(layer.name), result[layer.weight_name]
        gone = after == 0
        assert gone.sum() == round(expected[layer.name] * layer.weights)
        assert np.array_equal(after[~gone], before[~gone])
        if gone.any():
            assert np.abs(before[gone]).max() <= np.abs(before[~gone]).min()


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        session = Session(tmp_path / name).run(request_of(PRUNE, TUNE, seed=3))
        digests |= {e.sha256 for e in session.events if isinstance(e, ArtifactWritten) and e.kind == "model"}
    assert len(digests) == 1


def test_an_interrupted_run_resumes_to_the_same_file(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    request = request_of(PRUNE, TUNE.model_copy(update={"epochs": 2}))
    Session(tmp_path / "whole").run(request)
    first = Session(tmp_path / "parts", on=StepStarted, act="interrupt").run(request)
    assert isinstance(first.end, Interrupted)
    for _ in range(3):  # killed again and again, each time a little later
        session = Session(tmp_path / "parts", on=Progress, act="interrupt", resume=True).run(request)
        if isinstance(session.end, Finished):
            break
    last = Session(tmp_path / "parts", resume=True).run(request)
    assert isinstance(last.end, Finished)
    assert isinstance(last.events[0], RunStarted)
    whole, parts = (arrays(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_stop_keeps_a_result_that_is_pruned(tmp_path: Path) -> None:
    session = Session(tmp_path, on=StepStarted, act="stop").run(request_of(PRUNE, TUNE))
    assert isinstance(session.end, Finished)
    assert session.end.stopped_early
    assert session.measured("after").sparsity == pytest.approx(0.8, abs=1e-4)


def test_cancel_keeps_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path, on=StepStarted, act="cancel").run(request_of(PRUNE, TUNE))
    assert isinstance(session.end, Cancelled)
    assert list(tmp_path.iterdir()) == []


def test_measuring_alone_changes_nothing_and_writes_only_the_predictions(tmp_path: Path) -> None:
    session = Session(tmp_path).run(request_of())
    assert isinstance(session.end, Finished)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.safetensors"]
    accuracy = session.measured("before").accuracy
    assert accuracy is not None
    assert accuracy.value > 0.95
    assert accuracy.low < accuracy.value < accuracy.high


def test_without_a_task_pruning_still_works_and_accuracy_is_unmeasured(tmp_path: Path) -> None:
    session = Session(tmp_path).run(request_of(PRUNE, task=None))
    assert session.measured("after").accuracy is None
    assert session.measured("after").macs == session.measured("before").macs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": None}, "needs data"),
        ({"device": "cuda:99"}, "not on this machine"),
        ({"device": "abacus"}, "no device “abacus”"),
        ({"threads": 0}, "at least 1"),
        ({"recipe": Recipe(steps=(PruneSettings(exclude=("conv9",)),))}, "no prunable layer “conv9”"),
        ({"recipe": Recipe(steps=(PruneSettings(overrides={"fc2": 0.9999}),))}, "fc2.*lose all weights"),
        ({"source": ModelSource("zoo", "resnet20")}, "channel"),
        ({"source": ModelSource("zoo", "lenet-300-100")}, "8 × 8 pixels.*28 × 28"),
        ({"source": ModelSource("file", "/nowhere/model.pt")}, "does not exist"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    session = Session(tmp_path).run(request_of(PRUNE, TUNE, **change))
    assert isinstance(session.end, Failed)
    assert not session.end.bug
    import re

    assert re.search(message, session.end.message), session.end.message
    assert "\n" not in session.end.message
    assert not (tmp_path / "model.safetensors").exists()


def test_weights_with_nan_are_named_with_their_layer(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from resources import RESOURCES

    tensors = load_file(RESOURCES / "sample.safetensors")
    tensors["conv2.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, tmp_path / "nan.safetensors")
    source = ModelSource("file", str(tmp_path / "nan.safetensors"))
    for task in (None, DIGITS):
        session = Session(tmp_path).run(request_of(PRUNE, source=source, task=task))
        assert isinstance(session.end, Failed)
        assert "conv2" in session.end.message
        assert "NaN" in session.end.message


def test_a_defect_ends_as_one_with_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(pipeline, "measure_model", broken)
    session = Session(tmp_path).run(request_of(PRUNE))
    assert isinstance(session.end, Failed)
    assert session.end.bug
    assert "a defect" in session.end.details


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    session = Session(blocked).run(request_of(PRUNE))
    assert isinstance(session.end, Failed)
    assert "was not written" in session.end.message


def test_the_real_resnet20_is_judged_as_published(
    real_data: Path, cifar10_jpeg_test: Path, tmp_path: Path
) -> None:
    """81.03 % on the JPEG test images, 41 M multiply-accumulates, 0.27 M parameters."""
    source = ModelSource("file", str(real_data / "checkpoints" / "resnet20-12fca82f.th"))
    task = parse_task(f"folder:{cifar10_jpeg_test}")
    session = Session(tmp_path).run(request_of(source=source, task=task, threads=None))
    found = session.measured("before")
    assert found.accuracy is not None
    assert (found.accuracy.correct, found.accuracy.count) == (8103, 10_000)
    assert found.macs is not None
    assert round(found.macs / 1e6) == 41
    assert found.parameters == 269_722
    started = session.events[0]
    assert isinstance(started, RunStarted)
    assert started.source_sha256 is not None
    assert started.source_sha256.startswith("12fca82f")
    assert dict(started.environment)["torch"] == torch.__version__
    assert json.dumps(dict(started.environment))
