"""The layer table as a tree, its columns between sessions, near zeros, dead channels and the filter's examples."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QInputDialog, QMenu
from pytestqt.qtbot import QtBot

from core.analysis.summary import dead_channels, summarize
from core.models.description import Layer, ModelDescription
from core.models.opened import OpenedModel, from_arrays
from core.models.source import SAMPLE
from studio import theme
from studio.controllers.layers import LayersController
from studio.jobs.background import Background
from studio.settings import LAYER_COLUMNS, NEAR_ZERO, Settings
from studio.state import AppState
from studio.tables.layer_columns import COLUMNS, NAME, WEIGHTS, ZEROS
from studio.tables.layer_filter import EXAMPLES, matching
from studio.tables.layer_tree import ModuleTree
from studio.tables.layers import FilterColumns
from studio.views.layer_delegate import INDENT
from studio.views.layer_panel import LayerPanel

from .small_models import model_of, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
PLACES = {column.key: place for place, column in enumerate(COLUMNS)}


def nested_model() -> OpenedModel:
    """A stem, two stages of blocks, and a head; the second stage has two dead output channels."""
    dead = weights(6, 4, 3, 3)
    dead[[1, 4]] = 0
    return model_of(
        {
            "stem": weights(4, 3, 3, 3),
            "stage1.0.conv1": weights(4, 4, 3, 3),
            "stage1.0.conv2": weights(4, 4, 3, 3, zeros=0.5),
            "stage1.1.conv1": weights(4, 4, 3, 3),
            "stage2.inner.conv": dead,
            "stage2.inner.fc": 5 + weights(7, 6),
            "head": weights(10, 6),
        }
    )


@pytest.fixture
def settings(profile: Path) -> Settings:
    return Settings(profile)


@pytest.fixture
def panel(qtbot: QtBot, state: AppState, background: Background, settings: Settings) -> LayerPanel:
    shown = LayerPanel()
    qtbot.addWidget(shown)
    shown.resize(340, 560)
    LayersController(state, background, shown, shown, settings)
    shown.show()
    state.set_model(nested_model())
    qtbot.waitUntil(lambda: not shown.model.missing())
    return shown


@pytest.fixture
def tree(panel: LayerPanel) -> LayerPanel:
    QTest.mouseClick(panel.tree, CLICK)
    return panel


def names(panel: LayerPanel) -> list[str]:
    return [panel.model.index(row, NAME).data() for row in range(panel.model.rowCount())]


def cell(panel: LayerPanel, name: str, key: str) -> str:
    return str(panel.model.index(names(panel).index(name), PLACES[key]).data())


def click_row(panel: LayerPanel, row: int, keys: Qt.KeyboardModifier = PLAIN, column: int = WEIGHTS) -> None:
    place = panel.table.visualRect(panel.model.index(row, column)).center()
    QTest.mouseClick(panel.table.viewport(), CLICK, keys, place)


def click_arrow(panel: LayerPanel, row: int, depth: int = 0) -> None:
    cell = panel.table.visualRect(panel.model.index(row, NAME))
    place = QPoint(cell.left() + INDENT * depth + 8, cell.center().y())
    QTest.mouseClick(panel.table.viewport(), CLICK, PLAIN, place)


ALL = ["stem", "stage1", "0", "conv1", "conv2", "1", "conv1", "stage2.inner", "conv", "fc", "head"]


def test_layers_stand_below_their_modules(tree: LayerPanel) -> None:
    assert names(tree) == ALL
    QTest.mouseClick(tree.tree, CLICK)
    assert names(tree)[:2] == ["stem", "stage1.0.conv1"]


def test_branches_have_the_figures_of_all_their_weights(tree: LayerPanel, state: AppState) -> None:
    model = state.model
    assert model is not None
    for row, members in (
        (1, ("stage1.0.conv1", "stage1.0.conv2", "stage1.1.conv1")),
        (7, ("stage2.inner.conv", "stage2.inner.fc")),
    ):
        every = np.concatenate([model.weight(name).ravel() for name in members]).astype(np.float64)
        figures = tree.model.figures(tree.model.node_at(row))
        assert figures is not None
        assert figures.count == every.size
        assert figures.zeros == np.count_nonzero(every == 0)
        assert (figures.minimum, figures.maximum) == (every.min(), every.max())
        assert figures.mean == pytest.approx(every.mean(), rel=1e-9)
        assert figures.std == pytest.approx(every.std(), rel=1e-9)
        assert figures.near_zeros == np.count_nonzero((np.abs(every) < 1e-3) & (every != 0))
        assert figures.kurtosis is None
    assert cell(tree, "stage1", "weights") == "432"
    assert cell(tree, "stage1", "kind") == "3 layers"
    assert cell(tree, "stage1", "macs") == "27.6 kMACs"
    assert cell(tree, "stage2.inner", "dead_channels") == "2"
    for row in range(tree.model.rowCount()):
        for column in range(len(COLUMNS)):
            index = tree.model.index(row, column)
            assert index.data(Qt.ItemDataRole.ToolTipRole)
            assert index.data(Qt.ItemDataRole.AccessibleTextRole)


def test_clicks_fold_and_open(tree: LayerPanel) -> None:
    click_arrow(tree, 1)
    assert names(tree) == ["stem", "stage1", "stage2.inner", "conv", "fc", "head"]
    assert "7 layers" in tree.totals.text()  # folded ones are counted too
    click_arrow(tree, 1)
    click_arrow(tree, 2, depth=1)
    assert names(tree) == [one for place, one in enumerate(ALL) if place not in (3, 4)]
    place = tree.table.visualRect(tree.model.index(1, NAME)).center()
    QTest.mouseClick(tree.table.viewport(), CLICK, PLAIN, place)
    QTest.mouseDClick(tree.table.viewport(), CLICK, PLAIN, place)
    assert names(tree) == ["stem", "stage1", "stage2.inner", "conv", "fc", "head"]


def test_keys_fold_and_open_and_go_to_the_branch(qtbot: QtBot, tree: LayerPanel, state: AppState) -> None:
    click_row(tree, 4)
    assert state.layers == ("stage1.0.conv2",)
    qtbot.keyClick(tree.table, Qt.Key.Key_Left)
    assert state.layers == ("stage1.0.conv1", "stage1.0.conv2")
    qtbot.keyClick(tree.table, Qt.Key.Key_Left)
    assert names(tree)[2:4] == ["0", "1"]
    assert state.layers == ("stage1.0.conv1", "stage1.0.conv2")
    qtbot.keyClick(tree.table, Qt.Key.Key_Right)
    assert names(tree) == ALL
    qtbot.keyClick(tree.table, Qt.Key.Key_Down)
    assert state.layers == ("stage1.0.conv1",)


def test_a_branch_stands_for_its_layers(tree: LayerPanel, state: AppState) -> None:
    click_row(tree, 1)
    assert state.layers == ("stage1.0.conv1", "stage1.0.conv2", "stage1.1.conv1")
    click_row(tree, 0, Qt.KeyboardModifier.ControlModifier)
    assert state.layers[0] == "stem"
    click_arrow(tree, 1)
    assert {index.row() for index in tree.table.selectionModel().selectedRows()} == {0, 1}
    assert tree.selected == state.layers


def test_a_layer_chosen_elsewhere_is_unfolded(tree: LayerPanel, state: AppState) -> None:
    tree.model.fold_all(True)
    assert names(tree) == ["stem", "stage1", "stage2.inner", "head"]
    state.set_layers(("stage2.inner.fc",))
    assert names(tree) == ["stem", "stage1", "stage2.inner", "conv", "fc", "head"]
    assert [index.row() for index in tree.table.selectionModel().selectedRows()] == [4]


def test_sorting_keeps_layers_in_their_branches(tree: LayerPanel) -> None:
    tree.table.sortByColumn(WEIGHTS, Qt.SortOrder.DescendingOrder)
    assert names(tree) == [
        "stage1",
        "0",
        "conv1",
        "conv2",
        "1",
        "conv1",
        "stage2.inner",
        "conv",
        "fc",
        "stem",
        "head",
    ]
    tree.table.sortByColumn(ZEROS, Qt.SortOrder.DescendingOrder)
    assert names(tree)[0] == "stage2.inner"
    tree.table.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
    assert names(tree)[0] == "head"


def test_a_filter_opens_what_it_finds(qtbot: QtBot, tree: LayerPanel, state: AppState) -> None:
    tree.model.fold_all(True)
    qtbot.keyClicks(tree.filter, "conv1")
    assert names(tree) == ["stage1", "0", "conv1", "1", "conv1"]
    assert "2 of 7 shown" in tree.totals.text()
    click_row(tree, 0)
    assert state.layers == ("stage1.0.conv1", "stage1.1.conv1")
    qtbot.keyClick(tree.filter, Qt.Key.Key_Escape)
    assert names(tree) == ["stem", "stage1", "stage2.inner", "head"]


def test_export_has_the_layers_with_their_whole_names(tree: LayerPanel) -> None:
    tree.model.fold_all(True)
    rows = tree.model.rows_as_text(tree.layers_to_export(selected_only=False))
    assert [row[0] for row in rows[1:]] == [layer.name for layer in tree.model.layers]


def test_odd_names_make_a_tree_too() -> None:
    odd = ["", "a", "a.b", "a.b.c", ".x", "y.", "a..b", "z"]
    layers = [Layer(name, "linear", name, (2, 2), 0, None) for name in odd]
    found = ModuleTree(layers).arrange(None, None, set())
    assert sorted(found.layers.tolist()) == list(range(len(odd)))
    assert ModuleTree([]).arrange(None, None, set()).nodes.size == 0


def test_figures_of_a_branch_with_odd_layers(qtbot: QtBot, tree: LayerPanel, state: AppState) -> None:
    state.set_model(
        model_of(
            {
                "a.nan": np.full((2, 2), np.nan, np.float32),
                "a.empty": np.zeros((0, 3), np.float32),
                "b.good": weights(3, 3),
                "b.nan": np.full((2, 2), np.inf, np.float32),
            }
        )
    )
    qtbot.waitUntil(lambda: not tree.model.missing())
    assert cell(tree, "a", "minimum") == "–"
    assert cell(tree, "a", "not_finite") == "4"
    good = state.model.weight("b.good") if state.model is not None else np.zeros(1)
    figures = tree.model.figures(tree.model.node_at(names(tree).index("b")))
    assert figures is not None
    assert figures.maximum == float(good.max())
    assert figures.mean == pytest.approx(float(good.mean(dtype=np.float64)), rel=1e-9)
    assert not tree.grab().isNull()


@pytest.mark.parametrize("scheme", [theme.LIGHT, theme.DARK])
def test_the_tree_paints_in_both_schemes(tree: LayerPanel, scheme: theme.Tokens) -> None:
    try:
        theme.use(scheme)
        assert not tree.grab().isNull()
    finally:
        theme.use(theme.LIGHT)


# -- dead channels and near zeros -----------------------------------------------------------------------------


def test_dead_channels_are_those_whose_weights_are_all_zero(panel: LayerPanel, qtbot: QtBot) -> None:
    assert cell(panel, "stage2.inner.conv", "dead_channels") == "2"
    assert cell(panel, "stem", "dead_channels") == "0"
    qtbot.keyClicks(panel.filter, "dead>0")
    assert names(panel) == ["stage2.inner.conv"]


def test_channels_of_transposed_convolutions_lie_along_the_second_axis() -> None:
    weight = weights(4, 6, 3, 3)
    weight[:, 2] = 0
    assert dead_channels(weight, 1) == 1
    assert summarize(weight, output_axis=1).dead_channels == 1
    assert summarize(weight).dead_channels == 0
    weight[0, 2, 0, 0] = np.nan
    assert dead_channels(weight, 1) == 0
    assert summarize(np.zeros(5, np.float32)).dead_channels is None


def test_a_transposed_convolution_in_the_table(qtbot: QtBot, panel: LayerPanel, state: AppState) -> None:
    weight = weights(4, 6, 3, 3)
    weight[:, [2, 3]] = 0
    layer = Layer("up", "conv_transpose2d", "up.weight", weight.shape, 0, None)
    state.set_model(from_arrays(ModelDescription(SAMPLE, None, "", (layer,), 216), {"up.weight": weight}))
    qtbot.waitUntil(lambda: not panel.model.missing())
    assert cell(panel, "up", "dead_channels") == "2"


def menu_action(panel: LayerPanel, text: str):  # type: ignore[no-untyped-def]
    panel.table.horizontalHeader().customContextMenuRequested.emit(QPoint(5, 5))
    menu = panel.findChildren(QMenu, "columnsMenu")[-1]
    near = menu.findChild(QMenu, "nearZeroMenu")
    return next(action for action in (*menu.actions(), *near.actions()) if action.text() == text)


def test_the_limit_of_near_zeros_is_chosen_in_the_head(
    qtbot: QtBot, panel: LayerPanel, state: AppState, settings: Settings
) -> None:
    weight = np.abs(state.model.weight("stem"))  # type: ignore[union-attr]
    menu_action(panel, "0.01").trigger()
    qtbot.waitUntil(lambda: not panel.model.missing())
    assert cell(panel, "stem", "near_zeros") == str(np.count_nonzero(weight < 0.01))
    assert settings.get(NEAR_ZERO) == 0.01
    tip = panel.model.headerData(PLACES["near_zeros"], Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
    assert "The limit is 0.01." in tip
    menu_action(panel, "Other…").trigger()
    dialog = panel.findChild(QInputDialog, "nearZeroDialog")
    dialog.setDoubleValue(0.25)
    dialog.accept()
    qtbot.waitUntil(lambda: not panel.model.missing())
    assert cell(panel, "stem", "near_zeros") == str(np.count_nonzero(weight < 0.25))


# -- columns and filter ---------------------------------------------------------------------------------------


def test_columns_come_back_in_the_next_session(
    qtbot: QtBot, panel: LayerPanel, state: AppState, background: Background, settings: Settings
) -> None:
    header = panel.table.horizontalHeader()
    menu_action(panel, "Kurtosis").trigger()
    menu_action(panel, "Values").trigger()
    header.moveSection(header.visualIndex(PLACES["kurtosis"]), 1)
    header.resizeSection(PLACES["zeros"], 91)
    QTest.mouseClick(panel.tree, CLICK)
    qtbot.waitUntil(lambda: settings.get(LAYER_COLUMNS).get("widths", {}).get("zeros") == 91)
    again = LayerPanel()
    qtbot.addWidget(again)
    LayersController(state, background, again, again, settings)
    header = again.table.horizontalHeader()
    assert header.visualIndex(PLACES["kurtosis"]) == 1
    assert not header.isSectionHidden(PLACES["kurtosis"])
    assert header.isSectionHidden(PLACES["distribution"])
    assert header.sectionSize(PLACES["zeros"]) == 91
    assert again.tree.isChecked()
    menu_action(again, "Reset columns").trigger()
    assert header.visualIndex(PLACES["kurtosis"]) == PLACES["kurtosis"]
    assert header.isSectionHidden(PLACES["kurtosis"])
    background.drop("layer summaries")


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"order": "abc", "hidden": 3, "widths": [1]},
        {"order": ["zeros", "gone", "zeros"], "hidden": ["name", "gone"], "widths": {"zeros": -5, "gone": 7}},
    ],
)
def test_a_layout_that_makes_no_sense_does_no_harm(panel: LayerPanel, nonsense: dict[str, object]) -> None:
    panel.header.restore(nonsense)
    header = panel.table.horizontalHeader()
    assert not header.isSectionHidden(NAME)
    assert header.sectionSize(ZEROS) >= 20
    assert sorted(header.visualIndex(place) for place in range(len(COLUMNS))) == list(range(len(COLUMNS)))


def test_examples_of_the_filter_can_be_chosen(qtbot: QtBot, panel: LayerPanel) -> None:
    panel.show_examples()
    menu = panel.findChild(QMenu, "filterExamples")
    action = next(action for action in menu.actions() if action.data() == "linear")
    QTest.mouseClick(menu, CLICK, PLAIN, menu.actionGeometry(action).center())
    assert panel.filter.text() == "linear"
    assert names(panel) == ["stage2.inner.fc", "head"]


def test_every_example_is_understood(panel: LayerPanel) -> None:
    figures = FilterColumns(panel.model)
    for text, _meaning in EXAMPLES:
        for term in text.split():
            if any(sign in term for sign in "<>="):
                # A term that is no bound would be looked for in the names, which hold none of these signs.
                found = matching(term, ["x"] * 7, figures) | matching(
                    term.replace(">", "<"), ["x"] * 7, figures
                )
                assert found.any() or "nan" in term or "zeros=0" in term


def test_ten_thousand_layers_fold_sort_and_filter(panel: LayerPanel) -> None:
    shared = weights(2, 3)
    model = model_of({f"stage{n % 7}.block{n // 9}.fc{n}": shared for n in range(10_000)})
    panel.show_layers(model.description.layers)
    panel.tree.setChecked(True)
    rows = panel.model.rowCount()
    assert rows > 10_000
    panel.model.fold_all(True)
    assert panel.model.rowCount() == 7
    panel.filter.setText("stage3. fc99")
    assert 0 < panel.model.rowCount() < 200
    panel.table.selectAll()
    assert set(panel.selected) == {
        layer.name for layer in model.description.layers if "stage3." in layer.name and "fc99" in layer.name
    }
