"""The charts of all runs with real clicks on 100,000 of them; answers are checked with bare SQL and brute force."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QAction, QMouseEvent, QUndoStack
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.history.store import HistoryStore, open_history
from studio import theme
from studio.controllers.history import HistoryController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.history_page import HistoryPage
from studio.views.pareto_points import ParetoPoints

from ..databases.many_runs import RUNS, fill

LEFT, NONE, SHIFT = (
    Qt.MouseButton.LeftButton,
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 runs; only the newest five have rows of measurements."""
    path = tmp_path_factory.mktemp("explore") / "history.db"
    fill(path, RUNS, detailed=5, measured=False)
    return path


class Bench:
    """The history on the real store, with its charts in front."""

    def __init__(self, qtbot: QtBot, state: AppState, background: Background, store: HistoryStore) -> None:
        self.qtbot, self.state, self.background = qtbot, state, background
        self.page = HistoryPage()
        qtbot.addWidget(self.page)
        self.controller = HistoryController(state, background, store, self.page, QUndoStack())
        self.explore, self.panel = self.page.explore, self.page.explore.pareto
        self.page.resize(1300, 700)
        self.page.show()
        self.controller.refresh()
        self.settle()
        self.tab("Explore")

    def settle(self) -> None:
        charts = self.controller.explore
        self.qtbot.waitUntil(lambda: self.background.idle and charts.is_settled, timeout=20_000)

    def tab(self, title: str) -> None:
        bar = self.page.tabs.tabBar()
        (at,) = [n for n in range(bar.count()) if bar.tabText(n) == title]
        self.qtbot.mouseClick(bar, LEFT, NONE, bar.tabRect(at).center())
        self.settle()

    @property
    def points(self) -> ParetoPoints:
        points = self.panel.plot.points
        assert points is not None
        return points

    def choose_axis(self, box_name: str, quantity: str) -> None:
        box = getattr(self.panel, box_name)
        box.setFocus()
        self.qtbot.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.findData(quantity)):
            self.qtbot.keyClick(box, Qt.Key.Key_Down)
        self.settle()

    def pixel(self, position: QPointF) -> QPoint:
        plot = self.panel.plot.plot
        return plot.mapFromScene(plot.getPlotItem().getViewBox().mapViewToScene(position))

    def chart(self, title: str) -> None:
        bar = self.explore.tabs.tabBar()
        (at,) = [n for n in range(bar.count()) if bar.tabText(n) == title]
        self.qtbot.mouseClick(bar, LEFT, NONE, bar.tabRect(at).center())
        self.settle()

    def drag(
        self, start: QPoint, end: QPoint, modifier: Qt.KeyboardModifier, on: QWidget | None = None
    ) -> None:
        viewport = on or self.panel.plot.plot.viewport()
        kinds, none = QEvent.Type, Qt.MouseButton.NoButton
        steps = [start + (end - start) * n / 6 for n in range(1, 7)]
        for kind, button, held, place in [
            (kinds.MouseMove, none, none, start),
            (kinds.MouseButtonPress, LEFT, LEFT, start),
            *((kinds.MouseMove, none, LEFT, place) for place in steps),
            (kinds.MouseButtonRelease, LEFT, none, end),
        ]:
            spot = QPointF(place)
            event = QMouseEvent(kind, spot, QPointF(viewport.mapToGlobal(place)), button, held, modifier)
            QApplication.sendEvent(viewport, event)
            self.qtbot.wait(2)


@pytest.fixture
def bench(qtbot: QtBot, state: AppState, background: Background, many: Path) -> Iterator[Bench]:
    with open_history(many) as store:
        made = Bench(qtbot, state, background, store)
        yield made
        made.controller.close()
        made.settle()
        theme.use(theme.LIGHT)


def ask(many: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(many)) as connection:
        return connection.execute(sql).fetchall()


FIGURES = "accuracy_after IS NOT NULL AND packed_bytes IS NOT NULL AND NOT archived AND status = 'finished'"


def test_all_runs_and_their_front(bench: Bench, many: Path) -> None:
    rows = ask(many, f"SELECT number, packed_bytes, accuracy_after FROM runs WHERE {FIGURES}")
    assert len(bench.points) == len(rows) > 80_000
    best, front = 0.0, set()
    for number, _size, accuracy in sorted(rows, key=lambda row: (row[1], -float(str(row[2])))):
        if float(str(accuracy)) > best:
            best = float(str(accuracy))
            front.add(number)
    assert set(bench.points.numbers[bench.points.front].tolist()) == front
    assert bench.panel.note.text().startswith(f"{len(rows):,} runs, {len(front)} of them on the front")
    assert bench.explore.source.text().startswith("All 99,")


def test_the_search_decides_which_runs(bench: Bench, many: Path) -> None:
    bench.qtbot.mouseClick(bench.explore.search, LEFT)
    assert bench.page.tabs.currentIndex() == 0
    bench.qtbot.keyClicks(bench.page.filter, "model:resnet18 accuracy > 60 %")
    bench.settle()
    bench.tab("Explore")
    ((found,),) = ask(
        many,
        f"SELECT count(*) FROM runs WHERE {FIGURES} AND source_title LIKE '%resnet18%' AND accuracy_after > 0.6",
    )
    assert len(bench.points) == found
    assert bench.explore.source.text() == f"{found:,} runs found by “model:resnet18 accuracy > 60 %”"
    bench.page.filter.setText("no such run")
    bench.settle()
    assert bench.panel.empty.isVisible()
    assert "change the search" in bench.panel.empty.text()


def test_a_box_narrows_the_search_to_exactly_its_runs(bench: Bench) -> None:
    bench.qtbot.mouseClick(bench.panel.log_x, LEFT, pos=QPoint(8, bench.panel.log_x.height() // 2))
    bench.settle()
    start, end = bench.pixel(QPointF(5.0, 0.94)), bench.pixel(QPointF(5.5, 0.9))
    bench.drag(start, end, SHIFT)
    chosen = bench.panel.row.count
    assert bench.panel.row.text.text().startswith(f"{chosen:,} runs chosen")
    assert chosen > 1_000
    assert not bench.panel.row.compare.isEnabled()
    bench.qtbot.mouseClick(bench.panel.row.show_list, LEFT)
    bench.settle()
    assert bench.page.tabs.currentIndex() == 0
    assert bench.page.table.found == chosen
    assert bench.page.filter.text().startswith("size >= ")


def test_a_click_opens_a_run_and_a_box_compares_runs(bench: Bench) -> None:
    best = int(np.argmax(bench.points.ys))
    place = bench.panel.plot.place_of(best)
    bench.panel.plot.hover(place)
    assert f"accuracy {100 * bench.points.ys[best]:.2f} %" in bench.panel.plot.read_out.text()
    bench.qtbot.mouseClick(bench.panel.plot.plot.viewport(), LEFT, NONE, bench.pixel(place))
    bench.settle()
    assert bench.page.tabs.currentIndex() == 0
    (run_id,) = bench.state.runs
    opened = bench.points.find(run_id)
    assert opened is not None
    assert bench.points.ys[opened] == pytest.approx(bench.points.ys[best], abs=0.01)
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.settle()
    bench.tab("Explore")
    count = len(bench.points)
    assert 2 <= count <= 50
    viewport = bench.panel.plot.plot.viewport()
    bench.drag(QPoint(75, 3), QPoint(viewport.width() - 3, viewport.height() - 40), SHIFT)
    bench.qtbot.mouseClick(bench.panel.row.compare, LEFT)
    bench.settle()
    assert bench.page.tabs.currentWidget() is bench.page.compare
    assert len(bench.page.compare.comparison.records) == count  # type: ignore[union-attr]


def test_a_run_that_changes_leaves_zoom_and_choice_alone(bench: Bench) -> None:
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.settle()
    bench.qtbot.mouseClick(bench.panel.front, LEFT)
    chosen = bench.panel.row.text.text()
    box = bench.panel.plot.plot.getPlotItem().getViewBox()
    box.scaleBy((0.5, 0.5))
    seen, points = box.viewRect(), bench.points
    run_id = points.run_ids[0]
    bench.page.table.merge(
        bench.page.table.columns.taken(np.array([bench.page.table.columns.position[run_id]]))
    )
    bench.settle()
    assert bench.points is not points
    assert box.viewRect() == seen
    assert bench.panel.row.text.text() == chosen
    bench.page.filter.setText("model:resnet18 accuracy > 70 %")
    bench.settle()
    assert box.viewRect() != seen
    assert not bench.panel.row.isVisible()


def test_figures_that_are_not_loaded_are_fetched_for_an_axis(bench: Bench, many: Path) -> None:
    bench.choose_axis("x_axis", "latency")
    ((both,),) = ask(many, f"SELECT count(*) FROM runs WHERE {FIGURES} AND latency_ms IS NOT NULL")
    assert len(bench.points) == both
    bench.choose_axis("x_axis", "loss")
    assert bench.page.table.columns.holds("loss")
    assert len(bench.points) == np.isfinite(bench.page.table.columns.figure("loss")).sum() > 0
    assert bench.explore.notice.state == "ready"


def test_a_front_is_searched_by_number_where_no_box_holds_it(bench: Bench) -> None:
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.settle()
    bench.qtbot.mouseClick(bench.panel.front, LEFT)
    numbers = set(bench.points.numbers[bench.points.front].tolist())
    assert len(numbers) < len(bench.points)
    bench.qtbot.mouseClick(bench.panel.row.show_list, LEFT)
    bench.settle()
    assert {bench.page.table.record_at(n).number for n in range(bench.page.table.rowCount())} == numbers


def test_the_cloud_is_painted_in_both_schemes(bench: Bench) -> None:
    for scheme in (theme.LIGHT, theme.DARK):
        theme.use(scheme)
        QApplication.processEvents()
        place = bench.pixel(bench.panel.plot.place_of(int(np.argmin(bench.points.ys))))
        image = bench.panel.plot.plot.grab().toImage()
        assert image.pixelColor(place).name() != scheme.panel
        assert image.pixelColor(image.width() - 30, image.height() // 2).name() == scheme.panel


def test_lines_of_all_runs_are_brushed_on_two_axes_and_listed(bench: Bench) -> None:
    bench.chart("Parallel coordinates")
    panel = bench.explore.parallel
    view = panel.view
    columns = [axis.column for axis in view.data.axes]
    assert columns == ["method", "sparsity", "packed", "macs", "latency", "accuracy"]
    assert len(view.data) == bench.page.table.found
    plain = view.grab().toImage()
    spans = {}
    for name, low, high in (("packed", 0.1, 0.5), ("accuracy", 0.6, 0.9)):
        axis = columns.index(name)
        x = round(view.axis_x(axis))
        start, end = QPoint(x, round(view.place_y(high))), QPoint(x, round(view.place_y(low)))
        bench.drag(start, end, NONE, view)
        spans[name] = view.brushes[axis]
        assert view.brushes[axis] == pytest.approx((low, high), abs=0.01)
    bench.settle()
    table = bench.page.table.columns
    expected = np.ones(len(view.data), dtype=bool)
    for name, (low, high) in spans.items():
        places = view.data.axes[columns.index(name)].places
        expected &= (places >= low) & (places <= high)
    assert panel.row.count == expected.sum() > 1_000
    assert panel.row.text.text().startswith(f"{expected.sum():,} of {len(view.data):,} runs chosen")
    assert view.grab().toImage() != plain
    bench.qtbot.mouseClick(panel.row.show_list, LEFT)
    bench.settle()
    assert bench.page.table.found == expected.sum()
    found = bench.page.table.found_rows()
    assert set(table.numbers[found].tolist()) == set(view.data.numbers[expected].tolist())


def test_axes_are_chosen_and_brushes_go_with_a_click(bench: Bench) -> None:
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.chart("Parallel coordinates")
    panel, view = bench.explore.parallel, bench.explore.parallel.view
    action = next(each for each in panel.menu.findChildren(QAction) if each.data() == "prune.sparsity")
    action.trigger()
    bench.settle()
    columns = [axis.column for axis in view.data.axes]
    assert columns[-2:] == ["prune.sparsity", "accuracy"]
    np.testing.assert_array_equal(
        view.data.axes[-2].values,
        bench.page.table.columns.figure("prune.sparsity")[bench.page.table.found_rows()],
    )
    x = round(view.axis_x(len(columns) - 1))
    bench.drag(QPoint(x, round(view.place_y(1.0))), QPoint(x, round(view.place_y(0.5))), NONE, view)
    assert 0 < panel.row.count < len(view.data)
    bench.qtbot.mouseClick(view, LEFT, NONE, QPoint(x, round(view.place_y(0.2))))
    assert view.brushes == {}
    assert not panel.row.isVisible()
    view.setFocus()
    for _ in range(4):
        bench.qtbot.keyClick(view, Qt.Key.Key_Up)
    assert view.brushes[len(columns) - 1] == pytest.approx((0.2, 1.0))
    bench.qtbot.keyClick(view, Qt.Key.Key_Delete)
    assert view.brushes == {}
    panel.color.setFocus()
    bench.qtbot.keyClick(panel.color, Qt.Key.Key_Home)
    assert panel.color.currentText() == "Method"
    bench.qtbot.mouseClick(bench.explore.search, LEFT)
    assert bench.page.tabs.currentIndex() == 0


def test_a_click_on_a_line_opens_its_run(bench: Bench) -> None:
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.chart("Parallel coordinates")
    view = bench.explore.parallel.view
    best = int(np.argmax(view.data.axes[-1].values))
    last, before = len(view.data.axes) - 1, len(view.data.axes) - 2
    x = 0.3 * view.axis_x(before) + 0.7 * view.axis_x(last)
    y = 0.3 * view.place_y(view.data.axes[before].places[best])
    y += 0.7 * view.place_y(view.data.axes[last].places[best])
    place = QPoint(round(x), round(y))
    bench.qtbot.mouseMove(view, place)
    assert bench.explore.parallel.read_out.text().startswith(f"{view.data.labels[best]}: method ")
    bench.qtbot.mouseClick(view, LEFT, NONE, place)
    bench.settle()
    assert bench.page.tabs.currentIndex() == 0
    assert bench.state.runs == (view.data.run_ids[best],)


def test_the_values_of_lines_are_copied_and_saved(bench: Bench, tmp_path: Path) -> None:
    bench.page.filter.setText("model:resnet18 accuracy > 71 %")
    bench.chart("Parallel coordinates")
    panel = bench.explore.parallel
    panel.copy_data()
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0] == "run,method,sparsity,packed size,multiply-accumulates,latency,accuracy"
    assert len(lines) == 1 + len(panel.view.data)
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".csv", b"run,")):
        panel.save(tmp_path / f"lines{ending}")
        assert (tmp_path / f"lines{ending}").read_bytes().startswith(start)
    with pytest.raises(StudioError, match="end the name"):
        panel.save(tmp_path / "lines.txt")


def test_without_runs_the_page_says_what_will_be_here_and_how(
    qtbot: QtBot, state: AppState, background: Background, tmp_path: Path
) -> None:
    with open_history(tmp_path / "empty.db") as store:
        bench = Bench(qtbot, state, background, store)
        assert bench.explore.notice.text.startswith("There are no runs yet")
        button = bench.explore.notice.findChild(QPushButton, "noticeAction")
        qtbot.waitUntil(lambda: button.height() > 0)  # laid out
        with qtbot.waitSignal(bench.controller.run_requested):
            qtbot.mouseClick(button, LEFT)
        bench.controller.close()
        bench.settle()
