"""The layer table: filled in the background, sorted, filtered, selected, copied and exported by a user's hand."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from core.analysis.summary import THUMBNAIL_BINS, LayerSummary, summarize
from core.errors import StudioError
from core.models.opened import OpenedModel
from studio import theme
from studio.controllers.layers import LayersController
from studio.jobs.background import Background
from studio.state import AppState
from studio.tables.layer_columns import COLUMNS, DISTRIBUTION, NAME, WEIGHTS, ZEROS
from studio.tables.layer_tree import ModuleTree
from studio.tables.layers import LayerTable
from studio.views.layer_panel import LayerPanel

from .small_models import model_of, small_model, weights

CLICK = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(qtbot: QtBot) -> LayerPanel:
    shown = LayerPanel()
    qtbot.addWidget(shown)
    shown.resize(300, 500)
    shown.show()
    return shown


@pytest.fixture
def controller(state: AppState, background: Background, panel: LayerPanel) -> LayersController:
    return LayersController(state, background, panel)


@pytest.fixture
def opened(qtbot: QtBot, state: AppState, controller: LayersController, panel: LayerPanel) -> OpenedModel:
    model = small_model()
    state.set_model(model)
    qtbot.waitUntil(lambda: not panel.model.missing())
    return model


def names(panel: LayerPanel) -> list[str]:
    return [panel.model.index(row, NAME).data() for row in range(panel.model.rowCount())]


def click_row(
    panel: LayerPanel, row: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    place = panel.table.visualRect(panel.model.index(row, NAME)).center()
    QTest.mouseClick(panel.table.viewport(), CLICK, keys, place)


def click_header(panel: LayerPanel, column: int) -> None:
    header = panel.table.horizontalHeader()
    place = QPoint(
        header.sectionViewportPosition(column) + header.sectionSize(column) // 2, header.height() // 2
    )
    QTest.mouseClick(header.viewport(), CLICK, Qt.KeyboardModifier.NoModifier, place)


def test_an_empty_panel_offers_to_open_a_model(qtbot: QtBot, panel: LayerPanel) -> None:
    assert panel.notice.state == "empty"
    with qtbot.waitSignal(panel.open_requested):
        panel.notice.action.emit()


def test_every_figure_is_numpys(panel: LayerPanel, opened: OpenedModel) -> None:
    assert names(panel) == ["conv1", "conv10", "conv2", "fc"]
    for row, layer in enumerate(opened.description.layers):
        weight = opened.weight(layer.name)
        summary = panel.model.summary(row)
        assert isinstance(summary, LayerSummary)
        assert summary.statistics.zeros == np.count_nonzero(weight == 0)
        counts, _ = np.histogram(weight, THUMBNAIL_BINS, range=(float(weight.min()), float(weight.max())))
        np.testing.assert_array_equal(summary.thumbnail.counts, counts)
        shown = panel.model.index(row, ZEROS).data()
        assert shown == f"{100 * np.mean(weight == 0):.1f} %"
    assert panel.model.index(1, WEIGHTS).data() == "1,152"
    figures = dict(zip(*panel.model.rows_as_text([0])))
    assert float(figures["Mean"]) == pytest.approx(opened.weight("conv1").mean(dtype=np.float64))
    assert float(figures["Std"]) == pytest.approx(opened.weight("conv1").std(dtype=np.float64))


def test_totals_say_how_much_is_shown(qtbot: QtBot, panel: LayerPanel, opened: OpenedModel) -> None:
    assert panel.totals.text().startswith("Σ 4,312 weights · 4 layers")
    qtbot.keyClicks(panel.filter, "conv1")
    assert "Σ 1,368 weights · 2 of 4 shown" in panel.totals.text()
    qtbot.keyClick(panel.filter, Qt.Key.Key_Escape)
    assert names(panel) == ["conv1", "conv10", "conv2", "fc"]


def test_a_click_selects_in_the_state_and_back(
    panel: LayerPanel, state: AppState, opened: OpenedModel
) -> None:
    assert state.layers == ("conv1",)
    click_row(panel, 2)
    assert state.layers == ("conv2",)
    click_row(panel, 0, Qt.KeyboardModifier.ControlModifier)
    assert state.layers == ("conv1", "conv2")
    click_row(panel, 3, Qt.KeyboardModifier.ShiftModifier)
    assert panel.selected == state.layers

    state.set_layers(("fc",))
    rows = {index.row() for index in panel.table.selectionModel().selectedRows()}
    assert rows == {3}


def test_keys_move_the_selection(
    qtbot: QtBot, panel: LayerPanel, state: AppState, opened: OpenedModel
) -> None:
    qtbot.keyClick(panel.filter, Qt.Key.Key_Down)
    qtbot.keyClick(panel.table, Qt.Key.Key_Down)
    assert state.layers == ("conv10",)
    qtbot.keyClick(panel.table, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert state.layers == ("conv10", "conv2")


def test_sorting_keeps_the_selection_and_a_third_click_restores_the_order(
    panel: LayerPanel, state: AppState, opened: OpenedModel
) -> None:
    click_row(panel, 1)
    click_header(panel, WEIGHTS)
    assert names(panel) == ["conv1", "fc", "conv10", "conv2"]
    assert state.layers == ("conv10",)
    assert [index.row() for index in panel.table.selectionModel().selectedRows()] == [2]
    click_header(panel, WEIGHTS)
    assert names(panel) == ["conv2", "conv10", "fc", "conv1"]
    click_header(panel, WEIGHTS)
    assert names(panel) == ["conv1", "conv10", "conv2", "fc"]


def test_names_sort_as_people_count(panel: LayerPanel, opened: OpenedModel) -> None:
    click_header(panel, NAME)
    assert names(panel) == ["conv1", "conv2", "conv10", "fc"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CONV", ["conv1", "conv10", "conv2"]),
        ("linear", ["fc"]),
        ("conv >1000", ["conv10", "conv2"]),
        ("<1k", ["conv1", "fc"]),
        ("zeros>=50%", ["conv10", "fc"]),
        ("macs>0.1M", ["conv2"]),
        ("nonsense>3", []),
        ("", ["conv1", "conv10", "conv2", "fc"]),
    ],
)
def test_filter(qtbot: QtBot, panel: LayerPanel, opened: OpenedModel, text: str, left: list[str]) -> None:
    qtbot.keyClicks(panel.filter, text)
    assert names(panel) == left


def test_a_filter_hides_but_does_not_deselect(
    qtbot: QtBot, panel: LayerPanel, state: AppState, opened: OpenedModel
) -> None:
    click_row(panel, 3)
    qtbot.keyClicks(panel.filter, "conv")
    assert state.layers == ("fc",)
    assert not panel.table.selectionModel().hasSelection()
    panel.filter.clear()
    assert [index.row() for index in panel.table.selectionModel().selectedRows()] == [3]


def test_copy_takes_the_selected_rows_with_full_precision(
    qtbot: QtBot, panel: LayerPanel, controller: LayersController, opened: OpenedModel
) -> None:
    click_row(panel, 1)
    qtbot.keyClick(panel.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    heading, row = QGuiApplication.clipboard().text().strip().split("\n")
    figures = dict(zip(heading.split("\t"), row.split("\t")))
    assert figures["Layer"] == "conv10"
    assert float(figures["Zeros"]) == np.mean(opened.weight("conv10") == 0)
    assert figures["Min"] == repr(float(opened.weight("conv10").min()))


def test_csv_holds_the_rows_that_are_shown(
    qtbot: QtBot, panel: LayerPanel, controller: LayersController, opened: OpenedModel, tmp_path: Path
) -> None:
    qtbot.keyClicks(panel.filter, "conv")
    click_header(panel, NAME)
    controller.export_csv(tmp_path / "layers.csv")
    with (tmp_path / "layers.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Layer"] for row in rows] == ["conv1", "conv2", "conv10"]
    assert rows[1]["Weights"] == "2304"


def test_a_folder_that_cannot_be_written_is_told(
    qtbot: QtBot, state: AppState, controller: LayersController, opened: OpenedModel, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with qtbot.waitSignal(state.problem) as told:
        controller.export_csv(tmp_path / "file" / "layers.csv")
    assert "layers.csv was not written" in told.args[0].message


def test_the_menu_asks_for_exceptions(qtbot: QtBot, panel: LayerPanel, opened: OpenedModel) -> None:
    click_row(panel, 1)
    click_row(panel, 3, Qt.KeyboardModifier.ControlModifier)
    panel.table.customContextMenuRequested.emit(QPoint(5, 5))
    menu = panel.findChild(QMenu, "layerMenu")
    texts = {action.text(): action for action in menu.actions() if action.text()}
    with qtbot.waitSignal(panel.exclude_requested) as excluded:
        texts["Leave these layers alone"].trigger()
    with qtbot.waitSignal(panel.override_requested) as overridden:
        texts["Own sparsity…"].trigger()
    assert excluded.args == [("conv10", "fc")]
    assert overridden.args == [("conv10", "fc")]
    menu.close()


def test_columns_are_chosen_from_the_header(panel: LayerPanel, opened: OpenedModel) -> None:
    kurtosis = next(place for place, column in enumerate(COLUMNS) if column.key == "kurtosis")
    assert panel.table.isColumnHidden(kurtosis)
    panel.table.horizontalHeader().customContextMenuRequested.emit(QPoint(5, 5))
    menu = panel.findChild(QMenu, "columnsMenu")
    next(action for action in menu.actions() if action.text() == "Kurtosis").trigger()
    menu.close()
    assert not panel.table.isColumnHidden(kurtosis)


def test_the_first_columns_fit_a_narrow_panel(panel: LayerPanel, opened: OpenedModel) -> None:
    header = panel.table.horizontalHeader()
    assert sum(header.sectionSize(place) for place in (NAME, DISTRIBUTION, WEIGHTS, ZEROS)) <= 300


def test_tooltips_have_every_digit(panel: LayerPanel, opened: OpenedModel) -> None:
    tip = panel.model.index(3, ZEROS).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "576 of 640 weights are exactly zero (90.0000 %)"
    for row in range(4):
        for column in range(len(COLUMNS)):
            index = panel.model.index(row, column)
            assert index.data(Qt.ItemDataRole.ToolTipRole)
            assert index.data(Qt.ItemDataRole.AccessibleTextRole)


def test_what_is_not_finite_is_counted(
    qtbot: QtBot, state: AppState, panel: LayerPanel, controller: object
) -> None:
    broken = weights(4, 5)
    broken[0, :3] = [np.nan, np.inf, -np.inf]
    state.set_model(model_of({"a": broken, "b": np.full((2, 2), np.nan, np.float32)}))
    qtbot.waitUntil(lambda: not panel.model.missing())
    place = next(n for n, column in enumerate(COLUMNS) if column.key == "not_finite")
    assert [panel.model.index(row, place).data() for row in (0, 1)] == ["3", "4"]
    assert not panel.grab().isNull()


def test_a_layer_that_cannot_be_read_spoils_no_other(
    qtbot: QtBot, state: AppState, panel: LayerPanel, controller: object
) -> None:
    model = small_model()

    def read(name: str) -> np.ndarray:
        if name.startswith("conv1."):
            raise StudioError("weights.pt ends too early: get the file again.")
        return model.tensor(name)

    with qtbot.waitSignal(state.problem) as told:
        state.set_model(OpenedModel(model.description, read))
        qtbot.waitUntil(lambda: not panel.model.missing())
    assert "ends too early" in told.args[0].message
    assert panel.model.index(0, ZEROS).data(Qt.ItemDataRole.ToolTipRole) == told.args[0].message
    assert isinstance(panel.model.summary(1), LayerSummary)
    assert not panel.grab().isNull()


def test_another_model_takes_the_place_of_the_first(
    qtbot: QtBot, state: AppState, panel: LayerPanel, opened: OpenedModel
) -> None:
    qtbot.keyClicks(panel.filter, "conv")
    state.set_model(model_of({"only": weights(3, 4)}))
    assert names(panel) == ["only"]
    assert state.layers == ("only",)
    state.set_model(None)
    assert panel.notice.state == "empty"
    assert panel.model.rowCount() == 0


def test_a_model_without_layers_says_so(state: AppState, panel: LayerPanel, controller: object) -> None:
    state.set_model(model_of({}))
    assert "no layer" in panel.notice.text


def test_ten_thousand_layers_sort_filter_and_select(panel: LayerPanel, state: AppState) -> None:
    shared = weights(2, 3)
    model = model_of({f"block{n}.fc": shared for n in range(10_000)})
    panel.show_layers(model.description.layers)
    panel.add_summaries([(place, summarize(shared)) for place in range(3)])
    click_header(panel, NAME)
    click_header(panel, NAME)
    assert names(panel)[:2] == ["block9999.fc", "block9998.fc"]
    panel.filter.setText("block99 fc")
    assert panel.model.rowCount() == 111
    panel.table.selectAll()
    assert len(panel.selected) == 111
    panel.filter.clear()
    assert len(panel.table.selectionModel().selectedRows()) == 111


@pytest.mark.parametrize("scheme", [theme.LIGHT, theme.DARK])
def test_panel_paints_in_both_schemes(panel: LayerPanel, opened: OpenedModel, scheme: theme.Tokens) -> None:
    before = theme.tokens()
    try:
        theme.use(scheme)
        picture = panel.grab().toImage()
    finally:
        theme.use(before)
    mark = panel.table.visualRect(panel.model.index(0, NAME))
    x = panel.table.viewport().mapTo(panel, mark.topLeft()).x() + 5
    y = panel.table.viewport().mapTo(panel, mark.center()).y()
    assert picture.pixelColor(x, y).name() == scheme.series_color(0).lower()


def test_statistics_that_arrive_late_do_not_move_rows_until_all_are_there(qtbot: QtBot) -> None:
    table = LayerTable()
    model = model_of({"a": weights(4, 4, zeros=0.5), "b": weights(4, 4), "c": weights(4, 4, zeros=0.9)})
    table.set_layers(model.description.layers)
    table.sort(ZEROS, Qt.SortOrder.DescendingOrder)
    resets: list[bool] = []
    table.modelReset.connect(lambda: resets.append(True))
    table.set_summaries([(n, summarize(model.tensor(f"{name}.weight"))) for n, name in enumerate("abc")])
    assert not resets
    table.refresh_order()
    assert [table.node_at(row) for row in range(3)] == [2, 0, 1]


def test_help_of_the_filter_names_bounds(panel: LayerPanel) -> None:
    assert re.search(r">1000.*zeros>50%", panel.filter.toolTip())


def test_thousands_of_layers_are_prepared_by_a_worker(
    state: AppState, background: Background, qtbot: QtBot
) -> None:
    panel = LayerPanel()
    qtbot.addWidget(panel)
    controller = LayersController(state, background, panel)
    shared = weights(2, 3)
    model = model_of({f"block{n % 40}.part{n}.fc": shared for n in range(1_200)})
    state.set_model(model)
    qtbot.waitUntil(lambda: background.idle and not controller.table.missing())
    table = panel.model
    with pytest.MonkeyPatch.context() as patch:
        # Whoever ranks texts or grows a tree now would do it on the window's thread.
        patch.setattr("studio.tables.layers.text_ranks", None)
        patch.setattr("studio.tables.layers.ModuleTree", None)
        table.sort(NAME)
        shown = [table.layers[place].name for place in table.shown()]
        table.sort(-1)
        table.set_tree(True)
    assert shown[:3] == ["block0.part0.fc", "block0.part40.fc", "block0.part80.fc"]
    assert table.rowCount() > 1_200


def test_what_was_prepared_for_another_model_is_dropped(panel: LayerPanel) -> None:
    first, second = model_of({"b": weights(2, 2), "a": weights(2, 2)}), model_of({"c": weights(2, 2)})
    panel.show_layers(second.description.layers)
    layers = first.description.layers
    panel.model.offer(layers, ModuleTree(layers), {NAME: np.array([1, 0])})
    panel.model.sort(NAME)
    panel.model.set_tree(True)
    assert panel.model.rowCount() == 1
