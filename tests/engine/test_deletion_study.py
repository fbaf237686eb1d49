"""The step that studies deletions: its finding says what deleting by hand gives, and the model is as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import StudioError
from core.events import Finding
from core.findings import Line, Lines, read_finding
from core.pruning.deletion_study import lowest_removed, study_deletions, study_deletions_work
from core.pruning.study_settings import StudyDeletionsSettings
from core.run_state import RunState
from core.steps import FineTuneSettings
from core.training.step import fine_tune

from .toys import Watcher, toy_state

TRAINING = FineTuneSettings(epochs=30, learning_rate=0.02)


def studied(
    folder: Path, watcher: Watcher | None = None, **chosen: object
) -> tuple[RunState, dict[str, Line]]:
    settings = StudyDeletionsSettings(points=4, most=0.8, examples=64, **chosen)
    state = toy_state(settings)
    fine_tune(TRAINING, state, Watcher(folder))
    before = {name: tensor.clone() for name, tensor in state.module.state_dict().items()}
    context = watcher or Watcher(folder)
    study_deletions(settings, state, context)
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not state.masks.tensors()
    (finding,) = [event for event in context.events if isinstance(event, Finding)]
    form = read_finding(finding.data)
    assert isinstance(form, Lines)
    return state, {line.name: line for line in form.lines}


def test_curves_begin_at_the_loss_and_saliencies_cost_less_than_magnitudes(tmp_path: Path) -> None:
    _, lines = studied(tmp_path)
    assert list(lines) == [
        "foretold by the saliencies",
        "lowest saliency deleted",
        "lowest magnitude deleted",
    ]
    foretold, saliency, magnitude = lines.values()
    assert foretold.x == saliency.x == pytest.approx((0, 20, 40, 60, 80), abs=0.2)
    assert foretold.y[0] == saliency.y[0] == magnitude.y[0]
    assert list(foretold.y) == sorted(foretold.y)
    assert saliency.y[1] - saliency.y[0] < magnitude.y[1] - magnitude.y[0]


def test_retraining_brings_the_loss_back_down(tmp_path: Path) -> None:
    _, lines = studied(tmp_path, retrain=60, learning_rate=0.01)
    retrained = lines["after retraining"]
    assert retrained.x == lines["lowest saliency deleted"].x
    assert retrained.y[0] == pytest.approx(lines["lowest saliency deleted"].y[0])
    for after, without in zip(retrained.y[2:], lines["lowest saliency deleted"].y[2:], strict=True):
        assert after < without
    assert len(lines["after retraining, test split"].y) == 5


def test_work_foretold_is_the_work_reported(tmp_path: Path) -> None:
    settings = StudyDeletionsSettings(points=3, examples=50, retrain=5)
    state = toy_state(settings)
    watcher = Watcher(tmp_path)
    done = []
    watcher.advance = lambda work, _: done.append(work)  # type: ignore[method-assign]
    study_deletions(settings, state, watcher)
    assert sum(done) == pytest.approx(study_deletions_work(settings, state), rel=0.1)


def test_a_stop_while_retraining_keeps_the_points_so_far(tmp_path: Path) -> None:
    class Stopper(Watcher):
        def advance(self, work: float, doing: str = "") -> None:
            if "retraining" in doing:
                self.request_stop()
            super().advance(work, doing)

    _, lines = studied(tmp_path, Stopper(tmp_path), retrain=5)
    assert len(lines["after retraining"].x) == 2


def test_the_lowest_of_all_layers_together_go() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = {"a": torch.rand(3, 4, generator=generator), "b": torch.rand(7, generator=generator)}
    masks = lowest_removed(scores, 8)
    flat = np.concatenate([scores[name].numpy().ravel() for name in scores])
    expected = np.ones(19, bool)
    expected[np.argsort(flat)[:8]] = False
    assert np.array_equal(np.concatenate([masks[name].numpy().ravel() for name in masks]), expected)


def test_without_data_it_says_so(tmp_path: Path) -> None:
    settings = StudyDeletionsSettings()
    with pytest.raises(StudioError, match="data"):
        study_deletions(settings, toy_state(settings, task=False), Watcher(tmp_path))
