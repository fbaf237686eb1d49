"""The inspector: what it draws and says is numpy's answer; it follows selection, zoom and preview."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.formatting import significant
from core.models.opened import OpenedModel
from studio import theme
from studio.controllers.inspect import InspectController
from studio.controllers.layers import LayersController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.heatmap_view import HeatmapView
from studio.views.histogram_view import MOST_DRAWN, HistogramView
from studio.views.inspector import HEATMAP, HISTOGRAM, Inspector
from studio.views.layer_panel import LayerPanel
from studio.views.matrix_canvas import MatrixCanvas

from .small_models import model_of, small_model, weights

CLICK = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def inspector(qtbot: QtBot) -> Iterator[Inspector]:
    shown = Inspector()
    qtbot.addWidget(shown)
    shown.resize(760, 560)
    shown.show()
    shown.build_plots()
    yield shown
    theme.use(theme.LIGHT)


@pytest.fixture
def controller(state: AppState, background: Background, inspector: Inspector) -> InspectController:
    return InspectController(state, background, inspector)


@pytest.fixture
def model(state: AppState, controller: InspectController) -> OpenedModel:
    opened = small_model()
    state.set_model(opened)
    return opened


def settle(qtbot: QtBot, background: Background) -> None:
    """Wait until nothing is asked and nothing is about to be asked."""
    qtbot.wait(1)
    qtbot.waitUntil(lambda: background.idle)
    qtbot.wait(1)
    qtbot.waitUntil(lambda: background.idle)


def histogram_of(inspector: Inspector) -> HistogramView:
    assert inspector.histogram is not None
    return inspector.histogram


def heatmap_of(inspector: Inspector) -> HeatmapView:
    assert inspector.heatmap is not None
    return inspector.heatmap


def click_tab(inspector: Inspector, tab: int) -> None:
    bar = inspector.tabs.tabBar()
    QTest.mouseClick(bar, CLICK, PLAIN, bar.tabRect(tab).center())


# -- states -------------------------------------------------------------------------------------------------


def test_without_a_model_it_offers_to_open_one(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> None:
    assert inspector.notice.state == "empty"
    with qtbot.waitSignal(inspector.open_requested):
        inspector.notice.action.emit()
    state.set_model(small_model())
    settle(qtbot, background)
    assert inspector.notice.state == "ready"
    state.set_layers(())
    assert "Select one or more layers" in inspector.notice.text


def test_plots_are_built_after_the_first_paint(qtbot: QtBot, state: AppState, background: Background) -> None:
    lazy = Inspector()
    qtbot.addWidget(lazy)
    InspectController(state, background, lazy, lazy)
    state.set_model(small_model())
    assert lazy.histogram is None
    with qtbot.waitSignal(lazy.ready):
        lazy.show()
    settle(qtbot, background)
    assert [one.name for one in histogram_of(lazy).plot.layers] == ["conv1"]


def test_a_file_that_went_away_is_told_and_can_be_tried_again(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> None:
    good, gone = small_model(), [True]

    def read(name: str) -> np.ndarray:
        if gone[0]:
            raise StudioError("net.pt can no longer be read: put it back.")
        return good.tensor(name)

    state.set_model(OpenedModel(good.description, read))
    settle(qtbot, background)
    assert inspector.notice.text == "net.pt can no longer be read: put it back."
    gone[0] = False
    inspector.notice.retry.emit()
    settle(qtbot, background)
    assert inspector.notice.state == "ready"
    assert histogram_of(inspector).plot.layers


# -- histogram ----------------------------------------------------------------------------------------------


def test_the_histogram_is_numpys(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, background: Background
) -> None:
    view = histogram_of(inspector)
    view.bins_box.setCurrentIndex(view.bins_box.findText("64"))
    settle(qtbot, background)
    (one,) = view.plot.layers
    counts, edges = np.histogram(model.weight("conv1"), 64)
    np.testing.assert_array_equal(one.histogram.counts, counts)
    np.testing.assert_array_equal(one.histogram.edges, edges)
    np.testing.assert_array_equal(view.plot.heights(one), counts)
    ends = f"{significant(edges[20], 4)} to {significant(edges[21], 4)}".replace("-", "−")
    assert view.plot.read_out_of(20).startswith(f"{ends}: {counts[20]} weight")


def test_clicking_rows_changes_the_histogram(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, state: AppState, background: Background
) -> None:
    panel = LayerPanel()
    qtbot.addWidget(panel)
    panel.resize(300, 400)
    panel.show()
    LayersController(state, background, panel, panel)
    settle(qtbot, background)

    def click(row: int, keys: Qt.KeyboardModifier = PLAIN) -> list[str]:
        place = panel.table.visualRect(panel.model.index(row, 0)).center()
        QTest.mouseClick(panel.table.viewport(), CLICK, keys, place)
        settle(qtbot, background)
        return [one.name for one in histogram_of(inspector).plot.layers]

    assert click(3) == ["fc"]
    assert inspector.heading.text() == "fc · linear 10 × 64 · 640 weights"
    assert click(0, Qt.KeyboardModifier.ControlModifier) == ["conv1", "fc"]
    assert inspector.heading.text() == "2 layers · 856 weights"
    first, second = histogram_of(inspector).plot.layers
    np.testing.assert_array_equal(first.histogram.edges, second.histogram.edges)
    expected, _ = np.histogram(
        model.weight("fc"),
        second.histogram.bins,
        range=(float(second.histogram.edges[0]), float(second.histogram.edges[-1])),
    )
    np.testing.assert_array_equal(second.histogram.counts, expected)
    assert [entry[1] for entry in histogram_of(inspector).plot._legend_entries] == [
        theme.LIGHT.series_color(0),
        theme.LIGHT.series_color(3),
    ]


def test_zeros_are_counted_apart_and_drawn_on_demand(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, state: AppState, background: Background
) -> None:
    state.set_layers(("fc",))
    settle(qtbot, background)
    view = histogram_of(inspector)
    assert "576 exact zeros (90.0 %) are not drawn" in view.remark.text()
    (one,) = view.plot.layers
    assert view.plot.heights(one).sum() == 64
    QTest.mouseClick(view.with_zeros, CLICK, PLAIN, QPoint(8, view.with_zeros.height() // 2))
    assert view.with_zeros.isChecked()
    assert view.plot.heights(one).sum() == 640
    assert "not drawn" not in view.remark.text()


def test_logarithmic_and_relative_heights(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, background: Background
) -> None:
    settle(qtbot, background)
    view = histogram_of(inspector)
    (one,) = view.plot.layers
    counts = one.histogram.counts
    view.as_share.setChecked(True)
    np.testing.assert_allclose(view.plot.heights(one), 100 * counts / counts.sum())
    view.as_share.setChecked(False)
    view.logarithmic.setChecked(True)
    filled = counts > 0
    np.testing.assert_allclose(view.plot.heights(one)[filled], np.log10(counts[filled]))
    assert view.plot.heights(one)[~filled].max(initial=-1) < 0
    assert not view.plot.grab().isNull()


def test_statistics_are_written_short_and_copied_whole(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, background: Background
) -> None:
    settle(qtbot, background)
    view = histogram_of(inspector)
    heading, row = view.table_model.as_text().strip().split("\n")
    figures = dict(zip(heading.split("\t"), row.split("\t")))
    exact = model.weight("conv1").astype(np.float64)
    assert float(figures["Mean"]) == pytest.approx(exact.mean(), rel=1e-12)
    assert float(figures["L2"]) == pytest.approx(np.sqrt((exact**2).sum()), rel=1e-12)
    assert view.table_model.index(0, 2).data() == significant(float(exact.min()))
    QTest.mouseClick(view.table.viewport(), CLICK, PLAIN, QPoint(20, 10))
    qtbot.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == view.table_model.as_text()


def test_nan_and_infinities_are_told_and_drawn_nowhere(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> None:
    broken = weights(6, 7)
    broken[0, :3] = [np.nan, np.inf, -np.inf]
    state.set_model(model_of({"a": broken, "b": np.full((3, 3), np.nan, np.float32)}))
    state.set_layers(("a", "b"))
    settle(qtbot, background)
    view = histogram_of(inspector)
    assert "12 weights are NaN or infinite" in view.remark.text()
    assert view.plot.layers[0].histogram.counts.sum() == 39
    assert not inspector.grab().isNull()
    for mode in range(3):
        click_tab(inspector, HEATMAP)
        heatmap_of(inspector).mode_box.setCurrentIndex(mode)
        settle(qtbot, background)
        assert inspector.notice.state == "ready"
        assert not inspector.grab().isNull()


@pytest.mark.parametrize(
    "weight",
    [
        np.zeros((3, 0), np.float32),
        np.full((4, 4), 0.5, np.float32),
        np.zeros((4, 4), np.float32),
        np.array([1.0], np.float32),
        np.array([[-3e38, 3e38]], np.float32),
    ],
    ids=["empty", "constant", "all zero", "one weight", "widest range"],
)
def test_odd_layers_are_drawn_too(
    qtbot: QtBot,
    inspector: Inspector,
    controller: InspectController,
    state: AppState,
    background: Background,
    weight: np.ndarray,
) -> None:
    state.set_model(model_of({"odd": weight}))
    for tab in (HISTOGRAM, HEATMAP):
        click_tab(inspector, tab)
        histogram_of(inspector).logarithmic.setChecked(tab == HISTOGRAM)
        settle(qtbot, background)
        assert inspector.notice.state == "ready"
        assert not inspector.grab().isNull()


def test_only_so_many_layers_are_drawn_and_it_says_so(
    qtbot: QtBot, inspector: Inspector, controller: InspectController, state: AppState, background: Background
) -> None:
    model = model_of({f"fc{n}": weights(3, 4) for n in range(20)})
    state.set_model(model)
    state.set_layers(tuple(layer.name for layer in model.description.layers))
    settle(qtbot, background)
    view = histogram_of(inspector)
    assert len(view.plot.layers) == MOST_DRAWN
    assert f"The first {MOST_DRAWN} of 20 selected layers are drawn." in view.remark.text()


@pytest.mark.parametrize("ending", ["png", "svg", "csv"])
def test_the_histogram_is_saved(
    qtbot: QtBot,
    inspector: Inspector,
    model: OpenedModel,
    background: Background,
    tmp_path: Path,
    ending: str,
) -> None:
    settle(qtbot, background)
    plot = histogram_of(inspector).plot
    path = tmp_path / f"plot.{ending}"
    plot.save(path)
    if ending == "png":
        assert not QImage(str(path)).isNull()
    elif ending == "svg":
        assert "<svg" in path.read_text(encoding="utf-8")
    else:
        lines = path.read_text(encoding="utf-8").strip().split("\n")
        assert sum(int(line.split(",")[2]) for line in lines[1:]) == 216


# -- preview ------------------------------------------------------------------------------------------------


def test_a_preview_counts_what_would_go(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, state: AppState, background: Background
) -> None:
    settle(qtbot, background)
    inspector.set_preview({"conv1": 0.5, "fc": 0.25})
    settle(qtbot, background)
    gone = np.count_nonzero(np.abs(model.weight("conv1")) <= np.float32(0.5))
    assert inspector.preview_text.text() == f"would remove {gone} of 216 weights ({100 * gone / 216:.1f} %)"
    state.set_layers(("fc",))
    settle(qtbot, background)
    assert "of 640 weights" in inspector.preview_text.text()
    assert "576 are zero already" in inspector.preview_text.text()
    state.set_layers(("conv2",))
    assert not inspector.preview_text.isVisible()
    inspector.set_preview(None)
    state.set_layers(("conv1",))
    settle(qtbot, background)
    assert not inspector.preview_text.isVisible()


def test_a_preview_tints_the_heatmap(
    qtbot: QtBot,
    inspector: Inspector,
    controller: InspectController,
    model: OpenedModel,
    background: Background,
) -> None:
    controller.show_heatmap()
    settle(qtbot, background)
    view = heatmap_of(inspector)
    assert view._shown is not None
    assert view._shown.tile.going is None
    inspector.set_preview({"conv1": 0.5})
    settle(qtbot, background)
    np.testing.assert_array_equal(
        view._shown.tile.going, (np.abs(model.weight("conv1").reshape(8, 27)) <= 0.5).astype(np.float32)
    )


# -- heatmap ------------------------------------------------------------------------------------------------


@pytest.fixture
def heatmap(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, state: AppState, background: Background
) -> HeatmapView:
    state.set_layers(("conv10",))
    settle(qtbot, background)
    click_tab(inspector, HEATMAP)
    settle(qtbot, background)
    return heatmap_of(inspector)


def turn_wheel(canvas: MatrixCanvas, place: QPointF, steps: int) -> None:
    event = QWheelEvent(
        place,
        QPointF(canvas.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, 120 * steps),
        Qt.MouseButton.NoButton,
        PLAIN,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def test_the_read_out_names_the_weight_under_the_cursor(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel
) -> None:
    weight = model.weight("conv10")
    for index in [(0, 0, 0, 0), (3, 5, 1, 2), (15, 7, 2, 2)]:
        column = index[1] * 9 + index[2] * 3 + index[3]
        QTest.mouseMove(heatmap.canvas, heatmap.canvas.place_of(index[0], column).toPoint())
        out, into, ky, kx = index
        value = significant(float(weight[index]), 4).replace("-", "−")
        assert heatmap.read_out.text() == f"out {out}, in {into}, ky {ky}, kx {kx}: w = {value}"
    QTest.mouseMove(heatmap.canvas, QPoint(2, 2))
    assert heatmap.read_out.text() == ""


def test_the_picture_shows_every_weight(heatmap: HeatmapView, model: OpenedModel) -> None:
    matrix = model.weight("conv10").reshape(16, 72)
    assert heatmap._shown is not None
    np.testing.assert_array_equal(heatmap._shown.tile.values, np.abs(matrix))
    picture = heatmap.canvas.grab().toImage()
    hole, ratio = theme.tokens().hole, picture.devicePixelRatio()
    for row, column in [(0, 0), (4, 31), (9, 60), (15, 71)]:
        place = heatmap.canvas.place_of(row, column) * ratio
        shown = picture.pixelColor(int(place.x()), int(place.y())).name()
        assert (shown == hole) == (matrix[row, column] == 0)
    assert heatmap.legend.text().startswith("1 pixel = 1 weight")


def test_the_wheel_zooms_around_the_cursor(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, background: Background
) -> None:
    canvas = heatmap.canvas
    assert (canvas.view_rows, canvas.view_columns) == ((0, 16), (0, 72))
    place = canvas.place_of(6, 50)
    turn_wheel(canvas, place, 6)
    assert canvas.cell_at(place) == (6, 50)
    (top, bottom), (left, right) = canvas.view_rows, canvas.view_columns
    assert right - left < 30
    settle(qtbot, background)
    assert heatmap._shown is not None
    assert heatmap._shown.tile.rows == (top, bottom)
    matrix = model.weight("conv10").reshape(16, 72)
    np.testing.assert_array_equal(heatmap._shown.tile.values, np.abs(matrix[top:bottom, left:right]))
    qtbot.mouseDClick(canvas, CLICK, PLAIN, place.toPoint())
    assert (canvas.view_rows, canvas.view_columns) == ((0, 16), (0, 72))


def test_zoom_ends_at_a_few_weights_and_at_the_whole(heatmap: HeatmapView) -> None:
    canvas = heatmap.canvas
    turn_wheel(canvas, canvas.place_of(6, 50), 60)
    (top, bottom), (left, right) = canvas.view_rows, canvas.view_columns
    assert bottom - top <= 5
    assert right - left <= 5
    assert not canvas.grab().isNull()
    turn_wheel(canvas, canvas.place_of(6, 50), -60)
    assert (canvas.view_rows, canvas.view_columns) == ((0, 16), (0, 72))


def test_dragging_and_keys_move_the_view(qtbot: QtBot, heatmap: HeatmapView) -> None:
    canvas = heatmap.canvas
    for _ in range(4):
        qtbot.keyClick(canvas, Qt.Key.Key_Plus)
    before = canvas.view_columns
    qtbot.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.view_columns > before
    qtbot.keyClick(canvas, Qt.Key.Key_Left)
    assert canvas.view_columns == before
    rows = canvas.view_rows
    qtbot.keyClick(canvas, Qt.Key.Key_Down)
    qtbot.keyClick(canvas, Qt.Key.Key_Down)
    assert canvas.view_rows > rows
    place = canvas.picture_area().center().toPoint()
    held = canvas.cell_at(QPointF(place))
    QTest.mousePress(canvas, CLICK, PLAIN, place)
    QTest.mouseMove(canvas, place + QPoint(60, 0))
    QTest.mouseRelease(canvas, CLICK, PLAIN, place + QPoint(60, 0))
    assert canvas.cell_at(QPointF(place + QPoint(60, 0))) == held
    qtbot.keyClick(canvas, Qt.Key.Key_Minus)
    qtbot.keyClick(canvas, Qt.Key.Key_0)
    assert (canvas.view_rows, canvas.view_columns) == ((0, 16), (0, 72))


def test_many_weights_share_a_pixel_and_the_legend_says_so(
    qtbot: QtBot, inspector: Inspector, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    matrix = weights(1500, 2600, zeros=0.3)
    state.set_model(model_of({"big": matrix}))
    settle(qtbot, background)
    shown = heatmap._shown
    assert shown is not None
    rows, columns = shown.tile.block
    assert rows > 1
    assert columns > 1
    assert heatmap.legend.text().startswith(f"1 pixel = mean |w| of {rows} × {columns} weights")
    block = matrix[:rows, :columns]
    text = heatmap.read_out_of(0, 0)
    place = f"{rows} × {columns} weights (out 0 to {rows - 1}, in 0 to {columns - 1})"
    assert f"{place}: mean |w| {significant(float(np.abs(block).mean()))}" in text
    assert f"{100 * np.mean(block == 0):.1f} % zeros" in text
    assert "out 0, in 0: w = " in text


def test_a_large_layer_is_previewed_then_shown_exactly(
    qtbot: QtBot,
    heatmap: HeatmapView,
    state: AppState,
    background: Background,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("studio.controllers.heatmap_work.PREVIEW_FROM", 100_000)
    seen: list[bool] = []
    show = heatmap.show_tile
    monkeypatch.setattr(
        heatmap, "show_tile", lambda painted: (seen.append(painted.tile.exact), show(painted))
    )
    state.set_model(model_of({"big": weights(1200, 1400)}))
    settle(qtbot, background)
    assert seen == [False, True]


def test_of_several_layers_one_is_chosen(
    qtbot: QtBot, inspector: Inspector, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    assert not heatmap.layer_box.isVisible()
    state.set_layers(("conv10", "conv2", "fc"))
    settle(qtbot, background)
    assert heatmap.layer_box.isVisible()
    assert heatmap.layer is not None
    assert heatmap.layer.name == "conv10"
    qtbot.keyClick(heatmap.layer_box, Qt.Key.Key_Down)
    settle(qtbot, background)
    assert heatmap._shown is not None
    assert heatmap._shown.layer == "conv2"


def test_what_is_on_show_is_copied_and_saved(
    qtbot: QtBot, heatmap: HeatmapView, model: OpenedModel, tmp_path: Path
) -> None:
    heatmap.copy_data()
    rows = [line.split("\t") for line in QGuiApplication.clipboard().text().strip().split("\n")]
    copied = np.array([[float(value) for value in row[1:]] for row in rows[1:]], np.float32)
    np.testing.assert_array_equal(copied, model.weight("conv10").reshape(16, 72))
    for name in ("map.png", "map.svg", "map.csv"):
        heatmap.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    with pytest.raises(StudioError, match="end the name with"):
        heatmap.save(tmp_path / "map.doc")


def test_colours_follow_the_scheme(
    qtbot: QtBot, inspector: Inspector, heatmap: HeatmapView, background: Background
) -> None:
    for scheme in (theme.DARK, theme.LIGHT):
        theme.use(scheme)
        settle(qtbot, background)
        assert heatmap._shown is not None
        hole = int(heatmap._shown.pixels[heatmap._shown.tile.zeros == 1][0]) & 0xFFFFFF
        assert f"#{hole:06x}" == scheme.hole
        assert not inspector.grab().isNull()


def test_an_answer_for_another_model_is_never_shown(
    qtbot: QtBot, inspector: Inspector, heatmap: HeatmapView, state: AppState, background: Background
) -> None:
    heatmap.ask()
    state.set_model(model_of({"other": weights(5, 6)}))
    settle(qtbot, background)
    assert heatmap._shown is not None
    assert heatmap._shown.matrix.shape == (5, 6)
    state.set_model(None)
    assert inspector.notice.state == "empty"


# -- another model ------------------------------------------------------------------------------------------


def test_another_model_s_layer_of_the_same_name_is_seen_whole(
    qtbot: QtBot, controller: InspectController, inspector: Inspector, state: AppState, background: Background
) -> None:
    state.set_model(model_of({"conv1": weights(4, 1, 3, 3)}))
    settle(qtbot, background)
    state.set_model(model_of({"conv1": weights(64, 16, 3, 3)}))
    settle(qtbot, background)
    assert_bars_are_whole(inspector)


def test_fewer_bins_are_seen_whole_unless_the_user_has_zoomed(
    qtbot: QtBot, inspector: Inspector, model: OpenedModel, background: Background
) -> None:
    settle(qtbot, background)
    view = histogram_of(inspector)
    view.bins_box.setCurrentIndex(view.bins_box.count() - 1)
    settle(qtbot, background)
    assert_bars_are_whole(inspector)
    box = view.plot.plot.getPlotItem().getViewBox()
    box.setYRange(0, 3, padding=0)
    view.bins_box.setCurrentIndex(0)
    settle(qtbot, background)
    assert box.viewRange()[1] == pytest.approx([0, 3])


def assert_bars_are_whole(inspector: Inspector) -> None:
    plot = histogram_of(inspector).plot
    low, high = plot.plot.getPlotItem().getViewBox().viewRange()[1]
    tallest = max(plot.heights(one).max() for one in plot.layers)
    assert low <= 0
    assert tallest <= high <= 1.2 * tallest


def test_another_model_s_layer_of_the_same_name_is_selected_in_the_table(
    qtbot: QtBot, state: AppState, background: Background
) -> None:
    panel = LayerPanel()
    qtbot.addWidget(panel)
    panel.show()
    LayersController(state, background, panel, panel)
    for _ in range(2):
        state.set_model(small_model())
        settle(qtbot, background)
        assert state.layers == ("conv1",)
        assert panel.selected == ("conv1",)
        assert [index.row() for index in panel.table.selectionModel().selectedRows()] == [0]
