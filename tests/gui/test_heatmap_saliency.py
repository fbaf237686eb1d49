"""Saliencies on the heatmap: what is missing, computing them from the task's examples, giving up, forgetting."""

import threading
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from core.data.spec import TaskSpec
from core.errors import StudioError
from core.measurement import saliencies
from core.models.opening import open_model
from core.models.source import SAMPLE
from studio.controllers.inspect import InspectController
from studio.controllers.saliency import COMPUTE, STOP
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.heatmap_view import HeatmapView
from studio.views.inspector import HEATMAP, Inspector

from .settling import settle
from .small_models import small_model

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
DIGITS = TaskSpec("digits")

INSPECTOR_SIZE = (760, 560)


@pytest.fixture
def heatmap(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> HeatmapView:
    state.set_model(open_model(SAMPLE))
    bar = inspector.tabs.tabBar()
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(HEATMAP).center())
    settle(qtbot, background)
    assert inspector.heatmap is not None
    inspector.heatmap.controls.choose("saliency")
    settle(qtbot, background)
    return inspector.heatmap


def button(heatmap: HeatmapView) -> QPushButton:
    found = heatmap.notice.findChild(QPushButton, "noticeAction")
    assert found is not None
    return found


def test_it_says_what_is_missing(
    qtbot: QtBot, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    assert "Choose a task in the tool bar" in heatmap.notice.text
    assert not button(heatmap).isVisible()
    state.set_task(DIGITS)
    assert "computed from training examples" in heatmap.notice.text
    assert button(heatmap).text() == COMPUTE
    state.set_model(small_model())
    settle(qtbot, background)
    assert "its architecture is not known" in heatmap.notice.text
    heatmap.controls.choose("square")
    settle(qtbot, background)
    assert heatmap.notice.state == "ready"


def test_one_click_shows_what_the_engine_computes(
    qtbot: QtBot, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    state.set_task(DIGITS)
    QTest.mouseClick(button(heatmap), CLICK)
    qtbot.waitUntil(lambda: heatmap.notice.state == "ready", timeout=60_000)
    expected = saliencies.saliencies_of(SAMPLE, DIGITS)
    layer, shown = heatmap.layer, heatmap._shown
    assert layer is not None
    assert shown is not None
    np.testing.assert_allclose(
        shown.tile.values, expected.values[layer.name].reshape(shown.tile.values.shape), rtol=1e-6
    )
    assert "saliency" in heatmap.read_out_of(0, 0)
    assert "on 256 training examples of " in heatmap.legend.text()
    other = next(one.name for one in state.model.description.layers if one.name != layer.name)  # type: ignore[union-attr]
    state.set_layers((other,))
    settle(qtbot, background)
    assert heatmap._shown is not None
    assert heatmap._shown.layer == other
    assert heatmap.notice.state == "ready"
    state.set_task(None)
    settle(qtbot, background)
    assert "Choose a task" in heatmap.notice.text


def test_computing_can_be_given_up(
    qtbot: QtBot,
    heatmap: HeatmapView,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, over = threading.Event(), threading.Event()

    def endless(*_: Any, check: Any, **__: Any) -> None:
        begun.set()
        try:
            while True:
                check()
        finally:
            over.set()

    monkeypatch.setattr(saliencies, "saliencies_of", endless)
    state.set_task(DIGITS)
    QTest.mouseClick(button(heatmap), CLICK)
    qtbot.waitUntil(begun.is_set)
    assert button(heatmap).text() == STOP
    QTest.mouseClick(button(heatmap), CLICK)
    qtbot.waitUntil(over.is_set)
    assert button(heatmap).text() == COMPUTE


def test_what_fails_is_said_in_the_heatmap(
    qtbot: QtBot, heatmap: HeatmapView, state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise StudioError("No training examples.")

    monkeypatch.setattr(saliencies, "saliencies_of", broken)
    state.set_task(DIGITS)
    QTest.mouseClick(button(heatmap), CLICK)
    qtbot.waitUntil(lambda: heatmap.notice.state == "failed")
    assert "No training examples." in heatmap.notice.text
