"""The charts of all runs with real clicks on 100,000 of them; answers are checked with bare SQL and brute force."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QUndoStack
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

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

    def drag(self, start: QPoint, end: QPoint, modifier: Qt.KeyboardModifier) -> None:
        viewport = self.panel.plot.plot.viewport()
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
    chosen = bench.panel.chosen_count
    assert bench.panel.boxed.text().startswith(f"{chosen:,} runs chosen")
    assert chosen > 1_000
    assert not bench.panel.compare.isEnabled()
    bench.qtbot.mouseClick(bench.panel.show_list, LEFT)
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
    bench.qtbot.mouseClick(bench.panel.compare, LEFT)
    bench.settle()
    assert bench.page.tabs.currentWidget() is bench.page.compare
    assert len(bench.page.compare.comparison.records) == count  # type: ignore[union-attr]


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
    bench.qtbot.mouseClick(bench.panel.show_list, LEFT)
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
