"""The heatmap of what rounding to few bits costs each weight."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.controllers.inspect import InspectController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.heatmap_view import HeatmapView
from studio.views.heatmap_words import legend_text, read_out
from studio.views.inspector import HEATMAP, Inspector

from .settling import settle
from .small_models import model_of, weights

INSPECTOR_SIZE = (760, 560)


@pytest.fixture
def heatmap(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> HeatmapView:
    state.set_model(model_of({"fc": weights(12, 20)}))
    state.set_layers(("fc",))
    bar = inspector.tabs.tabBar()
    QTest.mouseClick(
        bar,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        bar.tabRect(HEATMAP).center(),
    )
    settle(qtbot, background)
    assert inspector.heatmap is not None
    return inspector.heatmap


def by_hand(weight: np.ndarray, bits: int, axis: bool) -> np.ndarray:
    steps = 2 ** (bits - 1) - 1
    largest = np.abs(weight).max(axis=1, keepdims=True) if axis else np.abs(weight).max()
    scale = (largest / steps).astype(np.float32)
    return np.clip(np.round(weight / scale), -steps, steps).astype(np.float32) * scale


def test_each_weight_shows_what_it_loses(
    qtbot: QtBot, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    controls = heatmap.controls
    assert not controls.bits.isVisible()
    controls.choose("rounding")
    settle(qtbot, background)
    assert controls.bits.isVisible()
    assert controls.scales.isVisible()
    model = state.model
    assert model is not None
    weight = np.array(model.weight("fc"), dtype=np.float32)
    layer = model.description.layer("fc")
    for bits, by_channel in ((4, True), (4, False), (2, False), (8, True)):
        controls.bits.setValue(bits)
        controls.scales.setCurrentIndex(controls.scales.findData("channel" if by_channel else "tensor"))
        settle(qtbot, background)
        shown = heatmap._shown
        assert shown is not None
        expected = weight - by_hand(weight, bits, by_channel)
        assert shown.single
        np.testing.assert_allclose(shown.tile.values, expected, atol=1e-6)
        assert "lie on the grid" in legend_text(layer, shown)
        assert f"in {bits} bits" in read_out(layer, shown, 3, 4)
    # Another model under the same name is rounded anew.
    state.set_model(model_of({"fc": weights(12, 20)}))
    state.set_layers(("fc",))
    settle(qtbot, background)
    shown = heatmap._shown
    assert shown is not None
    assert state.model is not None
    other = np.array(state.model.weight("fc"), dtype=np.float32)
    np.testing.assert_allclose(shown.tile.values, other - by_hand(other, 8, True), atol=1e-6)
