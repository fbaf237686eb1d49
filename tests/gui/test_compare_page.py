"""The comparison: colours that stay, a baseline that can be changed, and plots that can be clicked."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.history.compare import compare_table
from core.history.quantities import BY_NAME, QUANTITIES
from core.history.smoothing import smoothed
from core.measurement.records import LayerStatistics
from studio import theme
from studio.controllers.compare import RunColors
from studio.controllers.history import HistoryController
from studio.jobs.background import Background
from studio.jobs.curves import RunCurves
from studio.state import AppState
from studio.views.compare_rows import Comparison, table_rows
from studio.views.history_page import HistoryPage
from studio.views.layer_figures import heat
from studio.views.pareto_points import BEFORE, ParetoPoints, compared_points

from .fake_runs import FakeStore, metrics, record
from .fake_runs import layers as made_layers

FIRST = record(1, sparsity=0.8, accuracy=0.96)
SECOND = record(2, sparsity=0.9, accuracy=0.93)
THIRD = record(3, sparsity=0.85, accuracy=0.92)


class Bench:
    """A history page with a comparison."""

    def __init__(self, qtbot: QtBot, state: AppState, background: Background, folder: Path) -> None:
        self.qtbot, self.state, self.background = qtbot, state, background
        self.store = FakeStore((FIRST, SECOND, THIRD), folder)
        self.page = HistoryPage()
        qtbot.addWidget(self.page)
        self.controller = HistoryController(state, background, self.store, self.page)
        self.compare = self.page.compare
        self.page.resize(1300, 700)
        self.page.show()
        self.controller.refresh()
        self.settle()

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.background.idle)

    def start(self, *runs: str) -> None:
        self.state.set_runs(runs)
        button = self.page.findChild(QPushButton, "compareRuns")
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        self.settle()

    @property
    def points(self) -> ParetoPoints:
        points = self.compare.pareto.plot.points
        assert points is not None
        return points

    def tab(self, title: str) -> None:
        bar = self.compare.tabs.tabBar()
        (at,) = [n for n in range(bar.count()) if bar.tabText(n) == title]
        self.qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(at).center())
        self.settle()

    def pixel(self, position: QPointF) -> QPoint:
        plot = self.compare.pareto.plot.plot
        return plot.mapFromScene(plot.getPlotItem().getViewBox().mapViewToScene(position))

    def drag(self, start: QPoint, end: QPoint, modifier: Qt.KeyboardModifier) -> None:
        viewport = self.compare.pareto.plot.plot.viewport()
        kinds = QEvent.Type
        steps = [start + (end - start) * n / 6 for n in range(7)]
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        moves = [(kinds.MouseMove, none, left, place) for place in steps[1:]]
        for kind, button, held, place in [
            (kinds.MouseMove, none, none, start),
            (kinds.MouseButtonPress, left, left, start),
            *moves,
            (kinds.MouseButtonRelease, left, none, end),
        ]:
            spot = QPointF(place)
            event = QMouseEvent(kind, spot, QPointF(viewport.mapToGlobal(place)), button, held, modifier)
            QApplication.sendEvent(viewport, event)
            self.qtbot.wait(2)

    def labels(self) -> list[str]:
        table = self.compare.table.table
        return [table.cell(row, 0).text.strip() for row in range(table.rowCount())]

    def cells(self, label: str) -> list[str]:
        table = self.compare.table.table
        row = self.labels().index(label)
        return [table.cell(row, column).text for column in range(1, table.columnCount())]


@pytest.fixture
def bench(qtbot: QtBot, state: AppState, background: Background, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(qtbot, state, background, tmp_path)
    yield made
    made.controller.close()
    theme.use(theme.LIGHT)


def test_nothing_to_compare_yet(bench: Bench) -> None:
    assert not bench.page.findChild(QPushButton, "compareRuns").isEnabled()
    bench.page.show_compare()
    assert bench.compare.notice.text.startswith("Nothing to compare yet")
    button = bench.compare.notice.findChild(QPushButton, "noticeAction")
    bench.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert bench.page.tabs.currentIndex() == 0


def test_only_what_differs_is_shown_until_all_is_wanted(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    assert bench.page.tabs.currentWidget() is bench.compare
    assert bench.cells("Accuracy after") == ["96.00 %", "92.89 %   ▼ −3.11 pp"]
    assert bench.cells("95 % interval")[0].endswith("n = 450")
    assert "Task" not in bench.labels()
    bench.qtbot.mouseClick(bench.compare.only_differences, Qt.MouseButton.LeftButton)
    assert "Task" in bench.labels()
    assert [label for label in bench.labels() if label in ("Measurements", "Settings", "Origin")] == [
        "Measurements",
        "Settings",
        "Origin",
    ]


def test_the_first_selected_is_the_baseline_and_another_can_be_chosen(bench: Bench) -> None:
    bench.start(SECOND.run_id, FIRST.run_id)
    assert bench.cells("Accuracy after")[0] == "92.89 %"
    box = bench.compare.baseline
    box.setFocus()
    bench.qtbot.keyClick(box, Qt.Key.Key_Down)
    bench.settle()
    assert bench.compare.comparison.table.baseline == 1  # type: ignore[union-attr]
    assert bench.cells("Accuracy after")[1] == "96.00 %"
    assert "−3.11 pp" in bench.cells("Accuracy after")[0]


def test_a_run_keeps_its_colour_everywhere_and_for_as_long_as_it_is_compared(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.start(SECOND.run_id, THIRD.run_id)
    comparison = bench.compare.comparison
    assert comparison is not None
    assert comparison.colors == (1, 0)
    bench.tab("Curves")
    assert [line.color for line in bench.compare.curves.plot.lines] == [1, 0]
    colors = {
        bench.points.run_ids[n]: color for n, color in enumerate(bench.points.colors) if color != BEFORE
    }
    assert colors == {SECOND.run_id: 1, THIRD.run_id: 0}


def test_colours_are_unique_among_the_compared_runs() -> None:
    colors = RunColors()
    assert colors.assign("abc") == (0, 1, 2)
    assert colors.assign("cda") == (2, 1, 0)
    assert colors.assign("efg") == (0, 1, 2)


def test_the_front_and_the_models_before(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id, THIRD.run_id)
    on_front = dict(zip(bench.points.marks, bench.points.front.tolist(), strict=True))
    assert on_front == {"before": True, "#1": True, "#2": True, "#3": False}
    assert bench.compare.pareto.note.text() == "4 models, 3 of them on the front."
    QApplication.processEvents()
    titles = [bench.compare.pareto.plot.plot.getAxis(side).labelString() for side in ("left", "bottom")]
    assert "accuracy, % (more is better) </span>" in titles[0]
    assert "packed size (less is better) </span>" in titles[1]


def test_any_two_quantities_can_be_axes(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    panel = bench.compare.pareto
    panel.x_axis.setFocus()
    for quantity in QUANTITIES:
        panel.y_axis.setCurrentIndex(0 if quantity.name != "accuracy" else 1)
        bench.qtbot.keyClick(panel.x_axis, Qt.Key.Key_Home)
        for _ in range(QUANTITIES.index(quantity)):
            bench.qtbot.keyClick(panel.x_axis, Qt.Key.Key_Down)
        assert panel.x.name == quantity.name
        points = bench.points
        assert (points.x.name, points.y.name) == (panel.x.name, panel.y.name)
        assert len(points) == 2 + (quantity.name not in ("duration", "change"))
        assert quantity.title in panel.plot.csv().partition("\n")[0]
    assert panel.y.name != panel.x.name


def test_a_model_without_zeros_has_no_place_on_a_logarithmic_axis_of_sparsity(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    panel = bench.compare.pareto
    panel.x_axis.setCurrentIndex(panel.x_axis.findData("sparsity"))
    panel.x_axis.activated.emit(panel.x_axis.currentIndex())
    assert panel.plot.left_out == 0
    bench.qtbot.mouseClick(panel.log_x, Qt.MouseButton.LeftButton, pos=QPoint(8, panel.log_x.height() // 2))
    assert panel.log_x.isChecked()
    assert panel.plot.left_out == 1
    assert panel.note.text().endswith("1 at zero or below have no place on a logarithmic axis.")


def test_the_same_quantity_never_stands_on_both_axes(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    panel = bench.compare.pareto
    panel.x_axis.setFocus()
    bench.qtbot.keyClick(panel.x_axis, Qt.Key.Key_Home)
    assert (panel.x.name, panel.y.name) == ("accuracy", "packed")


def test_more_sparsity_is_better_and_less_of_anything_else() -> None:
    comparison = Comparison(compare_table([SECOND, THIRD]), (0, 1))
    by_sparsity = compared_points(comparison, BY_NAME["sparsity"], BY_NAME["accuracy"])
    assert by_sparsity.front[by_sparsity.colors != BEFORE].tolist() == [True, False]


def test_what_lacks_a_figure_has_no_point_and_a_blank_cell() -> None:
    unmeasured = record(4, accuracy=None, after=None, before=None, status="failed")
    table = compare_table([FIRST, unmeasured])
    points = compared_points(Comparison(table, (0, 1)), BY_NAME["latency"], BY_NAME["accuracy"])
    assert set(points.run_ids) == {FIRST.run_id}
    assert points.missing == 1
    cells = {row[0].text.strip(): row for row in table_rows(table, True)}
    assert cells["Accuracy after"][2].text == "–"
    assert cells["95 % interval"][2].text == ""


def test_a_click_on_a_point_opens_the_run(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    plot = bench.compare.pareto.plot
    QApplication.processEvents()
    point = list(bench.points.marks).index("#2")
    place = bench.pixel(plot.place_of(point))
    bench.qtbot.mouseMove(plot.plot.viewport(), place)
    plot.hover(plot.place_of(point))
    assert plot.read_out.text().startswith(
        "#2 prune 90 %: accuracy 92.89 % (90.64 – 95.36 %), packed size 32.0 kB"
    )
    with bench.qtbot.waitSignal(bench.compare.run_chosen) as chosen:
        bench.qtbot.mouseClick(plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen.args == [SECOND.run_id]
    assert bench.page.tabs.currentIndex() == 0
    assert bench.state.runs == (SECOND.run_id,)


@pytest.mark.parametrize("with_shift", [True, False])
def test_a_box_chooses_runs_and_compares_only_them(bench: Bench, with_shift: bool) -> None:
    bench.start(FIRST.run_id, SECOND.run_id, THIRD.run_id)
    panel = bench.compare.pareto
    QApplication.processEvents()
    if not with_shift:
        bench.qtbot.mouseClick(panel.box, Qt.MouseButton.LeftButton)
        assert panel.plot.box_mode
    before = panel.plot.plot.getPlotItem().getViewBox().viewRect()
    marks = list(bench.points.marks)
    corners = [bench.pixel(panel.plot.place_of(marks.index(mark))) for mark in ("#2", "#3")]
    start = QPoint(min(c.x() for c in corners) - 12, min(c.y() for c in corners) - 12)
    end = QPoint(max(c.x() for c in corners) + 12, max(c.y() for c in corners) + 12)
    modifier = Qt.KeyboardModifier.ShiftModifier if with_shift else Qt.KeyboardModifier.NoModifier
    bench.drag(start, end, modifier)
    assert panel.plot.plot.getPlotItem().getViewBox().viewRect() == before
    assert panel.row.text.text() == "2 runs chosen, 1 of them on the front"
    bench.qtbot.mouseClick(panel.row.compare, Qt.MouseButton.LeftButton)
    bench.settle()
    assert [record.number for record in bench.compare.comparison.records] == [2, 3]  # type: ignore[union-attr]
    assert not panel.row.isVisible()


def test_the_front_is_chosen_by_a_button_and_let_go(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id, THIRD.run_id)
    panel = bench.compare.pareto
    bench.qtbot.mouseClick(panel.front, Qt.MouseButton.LeftButton)
    assert panel.row.text.text() == "2 runs chosen, 2 of them on the front"
    bench.qtbot.mouseClick(panel.row.clear, Qt.MouseButton.LeftButton)
    assert panel.row.run_ids == ()


def test_the_comparison_begins_with_its_finding(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    sentence = bench.compare.verdict
    assert sentence.isVisible()
    assert sentence.text().startswith(
        "“prune 90 %” is 1.7× smaller than “prune 80 %” at 3.11 pp less accuracy (95 % interval of the difference −"
    )
    assert "418 of 450 against 432 of 450" in sentence.toolTip()
    bench.compare.baseline.setFocus()
    bench.qtbot.keyClick(bench.compare.baseline, Qt.Key.Key_Down)
    bench.settle()
    assert sentence.text().startswith(
        "“prune 80 %” is 1.7× larger than “prune 90 %” at 3.11 pp more accuracy"
    )


def test_curves_by_metric_split_and_axis(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.tab("Curves")
    curves = bench.compare.curves
    assert [len(line.x) for line in curves.plot.lines] == [3, 3]
    for box, key in ((curves.split, Qt.Key.Key_Down), (curves.axis, Qt.Key.Key_End)):
        box.setFocus()
        bench.qtbot.keyClick(box, key)
    assert [len(line.x) for line in curves.plot.lines] == [60, 60]
    assert curves.plot.lines[0].x[-1] == pytest.approx(5.9)
    curves.plot.hover(QPointF(3.0, 0.1))
    assert curves.plot.read_out.text().startswith("training time 3.00: #1 prune 80 %")


def test_smoothed_curves_keep_the_raw_ones_faint_behind(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.tab("Curves")
    curves = bench.compare.curves
    curves.split.setFocus()
    bench.qtbot.keyClick(curves.split, Qt.Key.Key_Down)
    raw = curves.plot.lines[0].y
    curves.smoothing.setFocus()
    for _ in range(6):
        bench.qtbot.keyClick(curves.smoothing, Qt.Key.Key_PageUp)
    assert curves.weight.text() == "smooth 0.6"
    assert [line.faint for line in curves.plot.lines] == [True, False, True, False]
    np.testing.assert_array_equal(curves.plot.lines[0].y, raw)
    np.testing.assert_allclose(curves.plot.lines[1].y, smoothed(raw, 0.6))
    assert curves.plot.legend.text().count("━") == 2
    assert "smoothed 0.6" in curves.plot.csv().partition("\n")[0]
    bench.qtbot.keyClick(curves.smoothing, Qt.Key.Key_Home)
    assert [line.faint for line in curves.plot.lines] == [False, False]


def test_compared_runs_as_lines_over_the_settings_that_differ(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id, THIRD.run_id)
    bench.tab("Parallel")
    bench.settle()
    panel = bench.compare.parallel
    data = panel.view.data
    assert [axis.column for axis in data.axes] == [
        "prune.sparsity",
        "sparsity",
        "packed",
        "latency",
        "accuracy",
    ]
    assert data.colors == (0, 1, 2)
    assert panel.color.currentText() == "Run"
    assert data.told(1).startswith("#2 prune 90 %: prune: sparsity ")
    panel.view.brush(4, (0.0, 0.5))
    assert panel.row.text.text() == "2 of 3 runs chosen"
    assert not panel.row.show_list.isVisible()
    bench.qtbot.mouseClick(panel.row.compare, Qt.MouseButton.LeftButton)
    bench.settle()
    assert [record.number for record in bench.compare.comparison.records] == [2, 3]  # type: ignore[union-attr]
    assert len(panel.view.data) == 2


def test_layers_as_table_heatmap_and_bars(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.tab("Layers")
    layers = bench.compare.layers
    assert layers.table.isVisible()
    cell = layers.table.table.cell(0, 2)
    assert (cell.text, cell.background) == ("54.2 %", heat(0.542)[0])
    layers.figure.setCurrentIndex(layers.figure.findData("nonzero"))
    layers.figure.activated.emit(0)
    cell = layers.table.table.cell(0, 2)
    assert (cell.text, cell.background) == ("66", heat(66 / 75)[0])
    layers.form.setFocus()
    bench.qtbot.keyClick(layers.form, Qt.Key.Key_Down)
    assert layers.picture.isVisible()
    assert not layers.table.isVisible()
    assert layers.picture.csv().startswith("layer,#1 prune 80 %,#2 prune 90 %\nconv1,75.0,66.0\n")
    layers.picture.hover(QPointF(1.2, 0.3))
    assert layers.picture.read_out.text() == "conv1 · #2 prune 90 %: 66"
    QApplication.processEvents()
    plot = layers.picture.plot
    place = plot.mapFromScene(plot.getPlotItem().getViewBox().mapViewToScene(QPointF(1.0, 2.0)))
    color = plot.grab().toImage().pixelColor(place).name()
    values = layers.picture.values
    assert color == heat(values[2, 1] / values[2].max())[0].lower()
    with bench.qtbot.waitSignal(bench.compare.run_chosen) as chosen:
        bench.qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen.args == [SECOND.run_id]
    bench.qtbot.keyClick(layers.form, Qt.Key.Key_Down)
    assert layers.bars.isVisible()
    assert not layers.picture.isVisible()
    layers.bars.hover(QPointF(0.1, 10.0))
    assert layers.bars.read_out.text() == "conv1: #1 prune 80 % 75 · #2 prune 90 % 66"
    assert layers.bars.csv().startswith("layer,#1 prune 80 %,#2 prune 90 %\nconv1,75.0,66.0\n")


def test_precision_is_shown_where_it_was_recorded(bench: Bench) -> None:
    def with_bits(run_id: str, stage: str) -> tuple[LayerStatistics, ...]:
        bits = 4 if run_id == SECOND.run_id else None
        return tuple(replace(layer, weight_bits=bits) for layer in made_layers(0.5))

    bench.store.layers = with_bits  # type: ignore[method-assign]
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.tab("Layers")
    layers = bench.compare.layers
    layers.figure.setFocus()
    bench.qtbot.keyClick(layers.figure, Qt.Key.Key_Down)
    assert [layers.table.table.cell(0, column).text for column in (1, 2)] == ["–", "4 bits"]
    assert layers.table.table.cell(0, 2).background == heat(4 / 32)[0]
    layers.form.setCurrentIndex(1)
    layers.form.activated.emit(1)
    layers.picture.hover(QPointF(0.0, 0.0))
    assert layers.picture.read_out.text() == "conv1 · #1 prune 80 %: not recorded"
    bench.qtbot.keyClick(layers.figure, Qt.Key.Key_Down)
    assert not layers.picture.isVisible()
    assert layers.note.text().startswith("None of these runs recorded this figure")


@pytest.mark.parametrize("what", ["runs_named", "metrics", "layers"])
def test_a_failure_is_told_in_place_and_can_be_tried_again(bench: Bench, what: str) -> None:
    def broken(*_arguments: object) -> tuple[()]:
        raise StudioError("runs.db cannot be read.")

    good = getattr(bench.store, what)
    setattr(bench.store, what, broken)
    bench.start(FIRST.run_id, SECOND.run_id)
    if what != "runs_named":
        assert bench.compare.notice.state == "ready"
        bench.tab("Curves" if what == "metrics" else "Layers")
    assert bench.compare.notice.text == "runs.db cannot be read."
    setattr(bench.store, what, good)
    bench.qtbot.mouseClick(
        bench.compare.notice.findChild(QPushButton, "noticeRetry"), Qt.MouseButton.LeftButton
    )
    bench.settle()
    assert bench.compare.notice.state == "ready"
    if what == "metrics":
        assert len(bench.compare.curves.plot.lines) == 2


def test_another_baseline_reads_no_curves_again(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    bench.tab("Curves")
    curves = bench.compare.comparison.curves  # type: ignore[union-attr]
    assert curves is not None
    bench.compare.baseline.setFocus()
    bench.qtbot.keyClick(bench.compare.baseline, Qt.Key.Key_Down)
    bench.settle()
    assert bench.compare.comparison.table.baseline == 1  # type: ignore[union-attr]
    assert bench.compare.comparison.curves is curves  # type: ignore[union-attr]


def test_deleted_runs_leave_the_comparison(bench: Bench) -> None:
    bench.start(FIRST.run_id, SECOND.run_id, THIRD.run_id)
    bench.controller.compare.forget((THIRD.run_id,))
    bench.settle()
    assert len(bench.compare.comparison.records) == 2  # type: ignore[union-attr]
    bench.controller.compare.forget((SECOND.run_id,))
    assert bench.compare.notice.state == "empty"


def test_plots_follow_the_colour_scheme_and_are_saved(bench: Bench, tmp_path: Path) -> None:
    bench.start(FIRST.run_id, SECOND.run_id)
    theme.use(theme.DARK)
    bench.tab("Layers")
    assert bench.compare.layers.table.table.cell(0, 1).background
    bench.tab("Pareto front")
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".csv", b"run,")):
        path = tmp_path / f"plot{ending}"
        bench.compare.pareto.plot.save(path)
        assert path.read_bytes().startswith(start)
    with pytest.raises(StudioError, match="end the name"):
        bench.compare.pareto.plot.save(tmp_path / "plot.txt")
    bench.compare.pareto.plot.copy_data()
    assert "#1 prune 80 %" in QApplication.clipboard().text()


def test_steps_of_one_run_follow_each_other() -> None:
    first = metrics("a", epochs=2, per_epoch=4)
    second = [type(p)(**{**p.__dict__, "step": 3, "iteration": p.iteration + 8}) for p in first]
    curve = RunCurves((*first, *second)).curve("accuracy", "validation")
    assert curve is not None
    assert curve.x.tolist() == [1, 2, 3, 4]
    by_update = RunCurves((*first, *second)).curve("accuracy", "validation", "iteration")
    assert by_update is not None
    assert by_update.x.tolist() == [4, 8, 12, 16]
