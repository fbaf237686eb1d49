"""The Activations tab: what it needs, what it measures on the sample, its progress and its giving up."""

import threading
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core.data.spec import TaskSpec
from core.measurement import activations
from core.models.opened import OpenedModel
from core.models.opening import open_model
from core.models.source import SAMPLE
from studio import theme
from studio.controllers.inspect import InspectController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.activations_view import ActivationsView
from studio.views.inspector import Inspector

from .settling import settle
from .small_models import small_model

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


INSPECTOR_SIZE = (900, 640)


@pytest.fixture
def sample() -> OpenedModel:
    return open_model(SAMPLE)


@pytest.fixture
def view(
    qtbot: QtBot,
    inspector: Inspector,
    controller: InspectController,
    sample: OpenedModel,
    state: AppState,
    background: Background,
) -> ActivationsView:
    state.set_model(sample)
    bar = inspector.tabs.tabBar()
    place = inspector.tabs.indexOf(inspector.activations)
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(place).center())
    qtbot.waitUntil(lambda: inspector.activations.view is not None)
    settle(qtbot, background)
    found = inspector.activations.view
    assert isinstance(found, ActivationsView)
    return found


def test_it_says_what_is_missing(
    qtbot: QtBot, view: ActivationsView, state: AppState, background: Background
) -> None:
    assert "Choose a task in the tool bar" in view.notice.text
    assert not view.measure.isEnabled()
    state.set_task(TaskSpec("digits"))
    assert "Run examples of Digits" in view.notice.text
    assert view.measure.isEnabled()
    state.set_model(small_model())
    settle(qtbot, background)
    assert "its architecture is not known" in view.notice.text
    assert not view.measure.isEnabled()


def test_a_task_that_does_not_fit_is_told_in_a_sentence(
    qtbot: QtBot,
    view: ActivationsView,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state.set_task(TaskSpec("digits", mean=(0.1, 0.2), std=(1.0, 1.0)))
    qtbot.mouseClick(view.measure, CLICK)
    settle(qtbot, background)
    assert view.notice.state == "failed"
    assert "channel" in view.notice.text
    assert view.measure.isVisible()


def test_the_sample_is_measured_and_layers_are_followed(
    qtbot: QtBot, view: ActivationsView, inspector: Inspector, state: AppState, background: Background
) -> None:
    state.set_task(TaskSpec("digits"))
    view.part_box.setFocus()
    qtbot.keyClick(view.part_box, Qt.Key.Key_Down)
    view.examples.setValue(32)
    qtbot.mouseClick(view.measure, CLICK)
    assert view.cancel.isVisible()
    settle(qtbot, background)
    assert not view.cancel.isVisible()
    assert view.notice.state == "ready"
    assert view.summary.text().startswith("32 training examples of Digits")
    titles = [row.title for row in view.table_model.rows]
    assert titles[:3] == ["conv1", "conv1 → ReLU", "conv2"]
    expected = activations.activations_of(SAMPLE, TaskSpec("digits"), "train", 32).rows
    for row, other in zip(view.table_model.rows, expected):
        assert row.seen.zeros == other.zeros
        assert row.seen.always_zero.tolist() == other.always_zero.tolist()
        assert row.seen.mean == pytest.approx(other.mean)
    state.set_layers(("fc1",))
    assert view.table.row is not None
    assert view.table.row.title == "fc1"
    assert view.chosen.text().startswith("fc1: 128 per example")
    view.table.selectRow(titles.index("fc1 → ReLU"))
    seen = view.table.row.seen
    np.testing.assert_array_equal(view.plot.heights, seen.histogram.counts_without_zeros)
    assert view.plot.heights.sum() == seen.values - seen.zeros
    assert len(view.plot.csv().splitlines()) == seen.histogram.bins + 1
    theme.use(theme.DARK)
    assert not inspector.grab().isNull()
    state.set_task(None)
    assert "Choose a task" in view.notice.text


def test_measuring_can_be_cancelled(
    qtbot: QtBot,
    view: ActivationsView,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up = threading.Event()

    def slow(*_: Any, check: Any, progress: Any, **__: Any) -> None:
        progress(3, 10)
        try:
            while True:
                check()
                threading.Event().wait(0.005)
        finally:
            given_up.set()

    monkeypatch.setattr(activations, "activations_of", slow)
    state.set_task(TaskSpec("digits"))
    qtbot.mouseClick(view.measure, CLICK)
    qtbot.waitUntil(lambda: (view.progress.value(), view.progress.maximum()) == (3, 10))
    qtbot.mouseClick(view.cancel, CLICK)
    assert given_up.wait(5)
    assert view.measure.isVisible()
    assert "Run examples of Digits" in view.notice.text
