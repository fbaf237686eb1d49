"""The wall: every layer's histogram from the table's figures, in its order; clicks and keys select."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from core.analysis.summary import LayerSummary
from studio import theme
from studio.controllers.inspect import InspectController
from studio.controllers.layers import LayersController
from studio.controllers.wall import WallController
from studio.jobs.background import Background
from studio.state import AppState
from studio.tables.layer_wall import densities
from studio.views.inspector import HISTOGRAM, Inspector
from studio.views.layer_panel import LayerPanel
from studio.views.wall_view import WallView

from .small_models import model_of, small_model, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


@dataclass
class Desk:
    """Table and inspector side by side, the wall in front."""

    qtbot: QtBot
    state: AppState
    panel: LayerPanel
    inspector: Inspector
    layers: LayersController

    @property
    def wall(self) -> WallView:
        return self.inspector.wall

    def names(self) -> list[str]:
        model = self.wall.model
        assert model is not None
        return [model.index(row).data() for row in range(model.rowCount())]

    def place(self, row: int) -> QPoint:
        assert self.wall.model is not None
        return self.wall.list.visualRect(self.wall.model.index(row)).center()

    def click(self, row: int, keys: Qt.KeyboardModifier = PLAIN) -> None:
        QTest.mouseClick(self.wall.list.viewport(), CLICK, keys, self.place(row))

    def counted(self) -> None:
        self.qtbot.waitUntil(lambda: not self.panel.model.missing())


@pytest.fixture
def desk(qtbot: QtBot, state: AppState, background: Background) -> Iterator[Desk]:
    panel, inspector = LayerPanel(), Inspector()
    for widget in (panel, inspector):
        qtbot.addWidget(widget)
    panel.resize(300, 500)
    inspector.resize(560, 600)
    layers = LayersController(state, background, panel, panel)
    inspect = InspectController(state, background, inspector, inspector)
    wall = WallController(state, layers, inspector.wall, inspector)
    wall.histogram_requested.connect(inspect.show_histogram)
    panel.show()
    inspector.show()
    inspector.build_plots()
    inspect.show_all_layers()
    state.set_model(small_model())
    made = Desk(qtbot, state, panel, inspector, layers)
    made.counted()
    yield made
    theme.use(theme.LIGHT)


def test_it_shows_the_tables_layers_in_the_tables_order(desk: Desk) -> None:
    assert desk.names() == ["conv1", "conv10", "conv2", "fc"]
    desk.panel.filter.setText("conv")
    assert desk.names() == ["conv1", "conv10", "conv2"]
    assert "3 of 4 layers pass the filter" in desk.wall.remark.text()
    desk.panel.table.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert desk.names() == ["conv2", "conv10", "conv1"]


def test_clicks_and_keys_select(desk: Desk) -> None:
    desk.click(2)
    assert desk.state.layers == ("conv2",)
    desk.click(0, Qt.KeyboardModifier.ControlModifier)
    assert desk.state.layers == ("conv1", "conv2")
    desk.click(1)
    desk.qtbot.keyClick(desk.wall.list, Qt.Key.Key_Left)
    assert desk.state.layers == ("conv1",)
    desk.state.set_layers(("fc",))
    assert [index.row() for index in desk.wall.list.selectionModel().selectedIndexes()] == [3]
    assert desk.inspector.heading.text() == "4 layers · 4,312 weights"
    desk.state.set_layers(())
    assert desk.inspector.notice.state == "ready"


def test_a_double_click_and_return_look_closer(desk: Desk) -> None:
    desk.click(1)
    QTest.mouseDClick(desk.wall.list.viewport(), CLICK, PLAIN, desk.place(1))
    assert desk.state.layers == ("conv10",)
    assert desk.inspector.tab == HISTOGRAM
    desk.inspector.show_view(desk.wall)
    desk.click(3)
    desk.qtbot.keyClick(desk.wall.list, Qt.Key.Key_Return)
    assert (desk.state.layers, desk.inspector.tab) == (("fc",), HISTOGRAM)


def test_a_filter_keeps_the_selection(desk: Desk) -> None:
    desk.click(3)
    desk.panel.filter.setText("fc")
    assert [index.row() for index in desk.wall.list.selectionModel().selectedIndexes()] == [0]
    assert desk.state.layers == ("fc",)


def test_common_axes_span_all_layers_and_densities_have_the_area_of_what_is_drawn(desk: Desk) -> None:
    model = desk.wall.model
    assert model is not None
    axes = model.common_axes()
    assert axes is not None
    every = np.concatenate([desk.state.model.weight(name).ravel() for name in desk.names()])
    assert axes[:2] == (float(every.min()), float(every.max()))
    for layer in range(4):
        summary = desk.panel.model.summary(layer)
        assert isinstance(summary, LayerSummary)
        width = float(summary.thumbnail.edges[1] - summary.thumbnail.edges[0])
        assert densities(summary).sum() * width == pytest.approx(1 - summary.statistics.sparsity, rel=1e-5)
    before = desk.wall.list.viewport().grab().toImage()
    QTest.mouseClick(desk.wall.common, CLICK, PLAIN, QPoint(8, desk.wall.common.height() // 2))
    common = desk.wall.list.viewport().grab().toImage()
    assert common != before
    QTest.mouseClick(desk.wall.logarithmic, CLICK, PLAIN, QPoint(8, desk.wall.logarithmic.height() // 2))
    assert desk.wall.list.viewport().grab().toImage() != common


def test_odd_layers_and_problems_spoil_no_other(desk: Desk) -> None:
    broken = weights(4, 5)
    broken[0, :3] = [np.nan, np.inf, -np.inf]
    desk.state.set_model(
        model_of(
            {
                "broken": broken,
                "nan": np.full((2, 2), np.nan, np.float32),
                "empty": np.zeros((3, 0), np.float32),
                "constant": np.full((3, 3), 0.5, np.float32),
                "zero": np.zeros((3, 3), np.float32),
                "wide": np.array([[-3e38, 3e38]], np.float32),
                "good": weights(5, 6),
            }
        )
    )
    desk.counted()
    for common in (False, True):
        desk.wall.common.setChecked(common)
        for log in (False, True):
            desk.wall.logarithmic.setChecked(log)
            assert not desk.wall.grab().isNull()


def test_what_the_wall_shows_is_counted_first(desk: Desk) -> None:
    desk.state.set_model(model_of({f"fc{n}": weights(3, 4) for n in range(400)}))
    seen = desk.wall.visible_layers()
    assert seen[0] == 0
    assert 8 <= len(seen) < 40
    desk.counted()
    desk.wall.list.verticalScrollBar().setValue(desk.wall.list.verticalScrollBar().maximum())
    assert desk.wall.visible_layers()[-1] == 399
    desk.inspector.show_tab(HISTOGRAM)
    assert desk.wall.visible_layers() == []


@pytest.mark.parametrize("scheme", [theme.LIGHT, theme.DARK])
def test_cells_take_the_layers_colour(desk: Desk, scheme: theme.Tokens) -> None:
    theme.use(scheme)
    picture = desk.wall.list.viewport().grab().toImage()
    first = desk.wall.list.visualRect(desk.wall.model.index(0))  # type: ignore[union-attr]
    colors = {
        picture.pixelColor(x, y).name()
        for x in range(first.left(), first.right(), 2)
        for y in range(first.top() + 40, first.bottom(), 3)
    }
    assert scheme.series_color(0).lower() in colors
