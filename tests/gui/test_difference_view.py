"""The Difference tab: figures are numpy's, unmatched layers are named, and each row leads to what changed."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.models.opened import OpenedModel
from studio.controllers import difference
from studio.controllers.inspect import InspectController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.difference_view import DifferenceView
from studio.views.inspector import HEATMAP, HISTOGRAM, Inspector

from .settling import settle
from .small_models import model_of, small_model, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


INSPECTOR_SIZE = (900, 640)


@pytest.fixture
def model(state: AppState, controller: InspectController) -> OpenedModel:
    opened = small_model()
    state.set_model(opened)
    return opened


@pytest.fixture
def other(model: OpenedModel) -> OpenedModel:
    """The model before: conv2 was larger, fc had no zeros, conv1 is the same, `old` is gone."""
    fc = model.weight("fc").copy()
    fc[fc == 0] = 0.01
    return model_of(
        {
            "conv1": model.weight("conv1").copy(),
            "conv10": model.weight("conv10") * np.float32(2),
            "conv2": weights(16, 18, 3, 3),
            "fc": fc,
            "old": weights(3, 3),
        }
    )


@pytest.fixture
def view(qtbot: QtBot, inspector: Inspector, model: OpenedModel, background: Background) -> DifferenceView:
    bar = inspector.tabs.tabBar()
    place = inspector.tabs.indexOf(inspector.difference)
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(place).center())
    qtbot.waitUntil(lambda: inspector.difference.view is not None)
    settle(qtbot, background)
    found = inspector.difference.view
    assert isinstance(found, DifferenceView)
    return found


def cells(view: DifferenceView) -> list[list[str]]:
    table = view.table_model
    return [
        [table.index(row, column).data() for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


def test_without_a_second_model_it_offers_to_choose_one(view: DifferenceView, qtbot: QtBot) -> None:
    assert "Compare the open model with another one" in view.notice.text
    assert not view.heatmap.isEnabled()
    with qtbot.waitSignal(view.compare_menu_wanted):
        view.notice.action.emit()
    menu = QGuiApplication.topLevelWindows() and view.menu
    assert isinstance(menu, QMenu)
    assert any("Model file…" in action.text() for action in menu.actions())
    menu.close()


def test_every_figure_is_numpys(
    qtbot: QtBot,
    view: DifferenceView,
    model: OpenedModel,
    other: OpenedModel,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(difference, "_BATCH_SECONDS", 0.0)
    state.set_comparison(other)
    settle(qtbot, background)
    assert view.notice.state == "ready"
    rows = {row.name: row.difference for row in view.table_model.rows}
    assert list(rows) == ["conv1", "conv10", "fc"]
    assert rows["conv1"].changed == 0
    after, before = model.weight("conv10").astype(np.float64), other.weight("conv10").astype(np.float64)
    assert rows["conv10"].changed == np.count_nonzero(after != before)
    assert rows["conv10"].largest == pytest.approx(np.abs(after - before).max())
    assert rows["conv10"].relative == pytest.approx(0.5)
    assert rows["conv10"].cosine == pytest.approx(1)
    assert (rows["fc"].zeros_before, rows["fc"].zeros_after) == (0, 576)
    changed = rows["conv10"].changed + 576
    total = 216 + 1152 + 640
    share = f"{100 * changed / total:.1f} %"
    assert view.summary.text() == f"{changed:,} of {total:,} weights changed ({share}), in 2 of 3 layers."
    assert "conv2: 16 × 16 × 3 × 3 here, 16 × 18 × 3 × 3 in the other model" in view.unmatched.text()
    assert "old: only in the other model" in view.unmatched.text()
    assert cells(view)[2][:4] == ["fc", "640", "576", "90.0 %"]


def test_clicking_a_head_sorts_and_undefined_figures_come_last(
    qtbot: QtBot, view: DifferenceView, model: OpenedModel, state: AppState, background: Background
) -> None:
    state.set_comparison(model_of({"conv1": model.weight("conv1") + 1, "fc": np.zeros((10, 64), np.float32)}))
    settle(qtbot, background)
    header = view.table.horizontalHeader()
    relative = 6

    def click() -> list[str]:
        place = header.sectionViewportPosition(relative) + 10
        QTest.mouseClick(header.viewport(), CLICK, PLAIN, QPoint(place, 10))
        return [row.name for row in view.table_model.rows]

    assert click() == ["conv1", "fc"]
    assert click() == ["conv1", "fc"]
    assert cells(view)[1][relative] == "–"
    changed = [row.difference.changed for row in view.table_model.rows]
    view.table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    assert [row.difference.changed for row in view.table_model.rows] == sorted(changed)


def test_a_row_leads_to_the_heatmap_and_to_the_histogram(
    qtbot: QtBot,
    view: DifferenceView,
    inspector: Inspector,
    other: OpenedModel,
    model: OpenedModel,
    state: AppState,
    background: Background,
) -> None:
    state.set_comparison(other)
    settle(qtbot, background)
    view.table.selectRow(1)
    qtbot.mouseClick(view.heatmap, CLICK)
    settle(qtbot, background)
    assert inspector.tab == HEATMAP
    assert state.layers == ("conv10",)
    assert inspector.heatmap is not None
    shown = inspector.heatmap._shown
    assert shown is not None
    expected = (model.weight("conv10") - other.weight("conv10")).reshape(16, 72)
    np.testing.assert_array_equal(shown.tile.values, expected)
    inspector.show_view(inspector.difference)
    view.table.selectRow(2)
    qtbot.mouseClick(view.histogram, CLICK)
    settle(qtbot, background)
    assert inspector.tab == HISTOGRAM
    assert state.layers == ("fc",)
    inspector.show_view(inspector.difference)
    QTest.mouseClick(view.table.viewport(), CLICK, PLAIN, QPoint(20, 10))
    qtbot.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == view.table_model.as_text()


def test_models_without_a_common_layer_are_told(
    qtbot: QtBot, view: DifferenceView, state: AppState, background: Background
) -> None:
    state.set_comparison(model_of({"encoder": weights(3, 4)}))
    settle(qtbot, background)
    assert "No layer of Digits sample has the name and shape" in view.notice.text


def test_a_file_that_went_away_is_told_and_can_be_tried_again(
    qtbot: QtBot, view: DifferenceView, other: OpenedModel, state: AppState, background: Background
) -> None:
    gone = [True]

    def read(name: str) -> np.ndarray:
        if gone[0]:
            raise StudioError("net.pt can no longer be read: put it back.")
        return other.tensor(name)

    state.set_comparison(OpenedModel(other.description, read))
    settle(qtbot, background)
    assert view.notice.text == "net.pt can no longer be read: put it back."
    gone[0] = False
    view.notice.retry.emit()
    settle(qtbot, background)
    assert len(view.table_model.rows) == 3


def test_the_model_chosen_for_the_histogram_is_compared_with(
    qtbot: QtBot,
    view: DifferenceView,
    controller: InspectController,
    inspector: Inspector,
    other: OpenedModel,
    state: AppState,
    background: Background,
) -> None:
    from studio.controllers.comparison import Candidate

    controller.comparison._opener = lambda source, check: other
    controller.comparison.compare_with(Candidate("before", "", other.description.source))
    settle(qtbot, background)
    assert state.comparison is other
    assert len(view.table_model.rows) == 3
    controller.comparison.stop_comparing()
    settle(qtbot, background)
    assert state.comparison is None
    assert view.notice.state == "empty"
