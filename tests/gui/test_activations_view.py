"""The Activations tab: what it needs, what it measures on the sample, its progress and its giving up."""

import threading
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core.data.spec import TaskSpec
from core.measurement import activations
from core.models.opened import OpenedModel
from core.models.opening import open_model
from core.models.source import SAMPLE
from core.quantization.activation_preview import ActivationChoice, preview_activations
from studio import theme
from studio.controllers.grid import decibels
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


def drag(qtbot: QtBot, view: ActivationsView, start: float, stop: float) -> None:
    """Drag what stands at one output value to another."""
    box = view.plot.plot.getPlotItem().getViewBox()
    low, high = box.viewRange()[1]

    def pixel(value: float) -> QPoint:
        return view.plot.plot.mapFromScene(box.mapViewToScene(QPointF(value, low + 0.4 * (high - low))))

    viewport = view.plot.plot.viewport()
    first, last = pixel(start), pixel(stop)
    QTest.mouseMove(viewport, first)
    QTest.mousePress(viewport, CLICK, PLAIN, first)
    for step in range(1, 11):
        QTest.mouseMove(viewport, first + (last - first) * step / 10)
        qtbot.wait(12)  # the plot library takes a hundred moves a second at most
    QTest.mouseRelease(viewport, CLICK, PLAIN, last)


def test_a_grid_is_laid_over_an_output_and_dragged(
    qtbot: QtBot, view: ActivationsView, state: AppState, background: Background
) -> None:
    state.set_task(TaskSpec("digits"))
    view.examples.setValue(32)
    qtbot.mouseClick(view.measure, CLICK)
    settle(qtbot, background)
    titles = [row.title for row in view.table_model.rows]
    view.table.selectRow(titles.index("conv1 → ReLU"))
    marks, bar = view.plot.grid, view.grid_bar
    assert not marks.shown
    QTest.mouseClick(view.grid_box, CLICK, PLAIN, QPoint(8, view.grid_box.height() // 2))
    settle(qtbot, background)
    assert marks.shown
    assert bar.isVisible()
    assert not bar.use.isVisible()
    assert view.table.row is not None
    seen = view.table.row.seen
    whole = preview_activations(seen.histogram, seen.minimum, seen.maximum, ActivationChoice())
    assert bar.told.text().startswith(f"SQNR about {decibels(whole.sqnr)} · nothing clipped")
    assert marks.ends == pytest.approx((0.0, seen.maximum), rel=1e-5)

    drag(qtbot, view, seen.maximum, seen.maximum / 2)
    settle(qtbot, background)
    assert bar.method == "own"
    low, high = marks.ends
    assert low == 0
    assert high == pytest.approx(seen.maximum / 2, rel=0.1)
    dragged = preview_activations(
        seen.histogram, seen.minimum, seen.maximum, ActivationChoice(ends=(low, high))
    )
    assert dragged.clipped > 1
    assert f"about {round(dragged.clipped):,} of {dragged.count:,} clipped" in bar.told.text()

    # Fewer bits keep the ends; another output finds its own; a range that is searched for clips by itself.
    bar.bits.setValue(3)
    settle(qtbot, background)
    assert marks.drawn == 8
    assert marks.ends[1] == pytest.approx(high, rel=1e-5)
    view.table.selectRow(titles.index("conv1"))
    settle(qtbot, background)
    assert bar.method == "min-max"
    assert marks.ends[0] < 0
    bar.ranges.setFocus()
    for _ in range(3):
        qtbot.keyClick(bar.ranges, Qt.Key.Key_Down)
        settle(qtbot, background)
    assert bar.method == "mse"
    assert "clipped (" in bar.told.text()
    QTest.mouseClick(view.grid_box, CLICK, PLAIN, QPoint(8, view.grid_box.height() // 2))
    settle(qtbot, background)
    assert not marks.shown
    assert not bar.isVisible()


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
