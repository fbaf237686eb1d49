"""Predictions in the window: sentence, counts, filters and the images of what flipped, in a run and between two."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QComboBox, QPushButton
from pytestqt.qtbot import QtBot

from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.data.task import TEST, Task
from core.history.records import Artifact, RunRecord
from core.measurement.keeping import keep_answers
from core.measurement.predictions import AFTER, BEFORE, FILE_NAME, KIND, TEACHER, Answers
from studio import theme
from studio.controllers.flips import _small_enough
from studio.controllers.history import HistoryController
from studio.jobs.background import Background
from studio.state import AppState
from studio.tables.flipped import CAPTION_ROLE
from studio.views.flips_view import FlipsView
from studio.views.grid_view import GridView
from studio.views.history_page import HistoryPage
from studio.views.lazy_tab import LazyTab

from .fake_runs import FakeStore, record

FIRST = record(1, sparsity=0.5, accuracy=0.96)
SECOND = record(2, sparsity=0.9, accuracy=0.93)
OLD = record(3, sparsity=0.85, accuracy=0.92)
WRONG_BEFORE, WRONG_AFTER = range(6), range(4, 44)
"""Examples 0 to 3 become right, 4 and 5 stay wrong with another answer, 6 to 43 become wrong."""


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task(TaskSpec("digits"), parts=frozenset({TEST}))


class Store(FakeStore):
    """Runs 1 and 2 kept predictions."""

    def __init__(self, records: Iterable[RunRecord], folder: Path) -> None:
        super().__init__(records, folder)
        self.kept = {FIRST.run_id, SECOND.run_id}

    def artifacts(self, run_id: str) -> tuple[Artifact, ...]:
        path = self.folder / run_id / FILE_NAME
        kept = (Artifact(KIND, str(path), 1, run_id),) if run_id in self.kept else ()
        return (*super().artifacts(run_id), *kept)


def answered(task: Task, wrong: range, shift: int = 1) -> Answers:
    """All right but some; the later the example, the surer."""
    assert task.test is not None
    labels = task.test.labels.numpy().astype(np.int32)
    predicted = labels.copy()
    predicted[list(wrong)] = (labels[list(wrong)] + shift) % 10
    return Answers(predicted, np.linspace(0.1, 0.9, len(labels), dtype=np.float32))


class Bench:
    """A history page whose runs kept predictions."""

    def __init__(
        self, qtbot: QtBot, state: AppState, background: Background, folder: Path, task: Task
    ) -> None:
        self.qtbot, self.state, self.background = qtbot, state, background
        self.task, self.store = task, Store((FIRST, SECOND, OLD), folder)
        self.keep(FIRST.run_id, range(6))
        self.keep(SECOND.run_id, WRONG_AFTER)
        self.page = HistoryPage()
        qtbot.addWidget(self.page)
        self.controller = HistoryController(state, background, self.store, self.page)
        self.page.resize(1300, 760)
        self.page.show()
        self.controller.refresh()
        self.settle()

    def keep(self, run_id: str, wrong_after: range) -> None:
        """Write the predictions of a run."""
        assert self.task.test is not None
        where = self.store.folder / run_id
        where.mkdir()
        keep_answers(where, self.task, self.task.test, BEFORE, answered(self.task, WRONG_BEFORE))
        keep_answers(where, self.task, self.task.test, AFTER, answered(self.task, wrong_after, shift=2))

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.background.idle)

    def look_at(self, run_id: str) -> FlipsView:
        """Select a run and click the tab of its predictions."""
        self.state.set_runs((run_id,))
        self.settle()
        details = self.page.details
        self.click_tab(details.tabs, "Predictions")
        return self.shown(details.predictions)

    def compare(self, *run_ids: str) -> FlipsView:
        """Compare runs by the button, and click the tab of their predictions."""
        self.state.set_runs(run_ids)
        self.settle()
        button = self.page.findChild(QPushButton, "compareRuns")
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        self.settle()
        page = self.page.compare
        self.click_tab(page.tabs, "Predictions")
        return self.shown(page.predictions)

    def shown(self, tab: LazyTab) -> FlipsView:
        self.qtbot.waitUntil(lambda: tab.view is not None and tab.view.isVisible())
        self.settle()
        assert isinstance(tab.view, FlipsView)
        return tab.view

    def click_tab(self, tabs, title: str) -> None:
        place = next(n for n in range(tabs.count()) if tabs.tabText(n) == title)
        bar = tabs.tabBar()
        self.qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(place).center())
        assert tabs.currentIndex() == place

    def choose(self, box: QComboBox, text: str) -> None:
        """Choose by the keyboard, as a user does who types the first letters."""
        box.setFocus()
        place = next(n for n in range(box.count()) if box.itemText(n).startswith(text))
        while box.currentIndex() != place:
            key = Qt.Key.Key_Down if box.currentIndex() < place else Qt.Key.Key_Up
            self.qtbot.keyClick(box, key)

    def have_images(self, view: FlipsView) -> None:
        """Wait until no image on the screen is missing."""
        grid = view.images.grid
        self.qtbot.waitUntil(lambda: bool(grid.visible_rows()))
        self.qtbot.waitUntil(lambda: not grid.flipped.without_picture(grid.visible_rows()))


@pytest.fixture
def bench(
    qtbot: QtBot, state: AppState, background: Background, tmp_path: Path, task: Task
) -> Iterator[Bench]:
    made = Bench(qtbot, state, background, tmp_path, task)
    yield made
    made.controller.close()
    theme.use(theme.LIGHT)


def examples(view: FlipsView) -> list[int]:
    return [view.images.grid.flipped.example(row) for row in range(view.images.grid.flipped.rowCount())]


def said(view: FlipsView) -> str:
    return view.sentence.text().replace("\u00a0", " ")


def test_a_run_shows_what_flipped_with_the_images(bench: Bench, task: Task) -> None:
    view = bench.look_at(SECOND.run_id)
    assert view.notice.state == "ready"
    assert said(view).startswith(
        "On 450 test examples the model before is right on 98.67 %, the model after on 91.11 % "
        "(38 became wrong and 4 became right): the model after is worse by 7.56 pp"
    )
    assert view.images.kind.currentText() == "Newly wrong (38)"
    # The surest mistakes first.
    assert examples(view) == list(range(43, 5, -1))
    bench.have_images(view)
    picture = view.images.grid.flipped.data(view.images.grid.flipped.index(0), Qt.ItemDataRole.DecorationRole)
    assert task.test is not None
    expected = task.test.images[43, 0]
    shown = picture.toImage()
    grey = [[shown.pixelColor(x, y).red() for x in range(8)] for y in range(8)]
    scale = 1 if expected.dtype.is_floating_point is False else 255
    assert np.abs(np.array(grey) - expected.numpy() * scale).max() <= 1


def test_only_images_that_can_be_seen_are_read(bench: Bench) -> None:
    view = bench.look_at(SECOND.run_id)
    bench.have_images(view)
    grid = view.images.grid
    missing = grid.flipped.without_picture(range(grid.flipped.rowCount()))
    assert missing
    grid.setFocus()
    bench.qtbot.keyClick(grid, Qt.Key.Key_End)
    bench.have_images(view)
    assert len(grid.flipped.without_picture(range(grid.flipped.rowCount()))) < len(missing)


def test_filters_by_kind_and_class(bench: Bench, task: Task) -> None:
    view = bench.look_at(SECOND.run_id)
    bench.choose(view.images.kind, "Newly right")
    assert examples(view) == [3, 2, 1, 0]
    bench.choose(view.images.kind, "Changed, both wrong")
    assert examples(view) == [5, 4]
    bench.choose(view.images.kind, "All that changed")
    assert len(examples(view)) == 44
    assert task.test is not None
    wanted = [n for n in range(43, -1, -1) if int(task.test.labels[n]) == 3]
    bench.choose(view.images.class_filter, "3")
    assert examples(view) == wanted
    bench.choose(view.images.kind, "Same wrong answer")
    assert examples(view) == []
    assert view.images.notice.text == "No example is of this kind: choose another one above."


def test_choosing_an_example_tells_it_in_words(bench: Bench, task: Task) -> None:
    view = bench.look_at(SECOND.run_id)
    bench.have_images(view)
    grid = view.images.grid
    assert view.images.readout.text() == "38 shown. Under each image: true class, before, after."
    spy = QSignalSpy(grid.example_chosen)
    place = grid.visualRect(grid.flipped.index(1)).center()
    bench.qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert spy.at(spy.count() - 1)[0] == 42
    assert task.test is not None
    label = int(task.test.labels[42])
    assert view.images.readout.text() == (
        f"Example 42: {label}; before: {label} · 17 % (right); after: {(label + 2) % 10} · 17 % (wrong); newly wrong"
    )
    assert grid.flipped.data(grid.flipped.index(1), CAPTION_ROLE)[0] == "▼"
    assert (
        grid.flipped.data(grid.flipped.index(1), Qt.ItemDataRole.AccessibleTextRole)
        == view.images.readout.text()
    )


def test_the_list_can_be_copied(bench: Bench) -> None:
    view = bench.look_at(SECOND.run_id)
    bench.choose(view.images.kind, "Newly right")
    view.images.grid.setFocus()
    bench.qtbot.keyClick(view.images.grid, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:4] == ["example", "kind", "true class", "before"]
    assert [line.split("\t")[0] for line in lines[1:]] == ["3", "2", "1", "0"]


def test_a_run_that_ends_while_it_is_looked_at_is_shown(bench: Bench) -> None:
    bench.store.records[OLD.run_id] = replace(OLD, status="running", ended=None, after=None)
    bench.controller.runs_written((OLD.run_id,))
    bench.settle()
    view = bench.look_at(OLD.run_id)
    assert view.notice.text == "Run 3 is running: its predictions are here once it is finished."
    bench.store.records[OLD.run_id] = OLD
    bench.store.kept.add(OLD.run_id)
    bench.keep(OLD.run_id, range(1))
    bench.controller.runs_written((OLD.run_id,))
    bench.qtbot.waitUntil(lambda: view.notice.state == "ready")
    bench.settle()
    assert "the model after on 99.78 %" in said(view)


def test_large_images_come_small() -> None:
    wide = np.zeros((300, 600, 3), np.uint8)
    assert _small_enough(wide).shape == (96, 192, 3)
    assert _small_enough(wide[:, :, :1]).shape == (96, 192, 1)
    assert _small_enough(wide[:30, :30]).shape == (30, 30, 3)


def test_counts_classes_and_confusions(bench: Bench) -> None:
    view = bench.look_at(SECOND.run_id)
    bench.click_tab(view.tabs, "Counts")
    square = view.square.table
    assert [[square.cell(row, column).text for column in range(1, 4)] for row in range(3)] == [
        ["406", "▼ 38", "444"],
        ["▲ 4", "2", "6"],
        ["410", "40", "450"],
    ]
    facts = {
        view.facts.table.cell(row, 0).text: view.facts.table.cell(row, 1).text
        for row in range(view.facts.table.rowCount())
    }
    assert facts["Difference"] == "▼ −7.56 pp"
    assert facts["McNemar’s exact p"] == "< 0.0001"
    assert "Newcombe" in view.facts.table.cell(3, 0).tip
    bench.click_tab(view.tabs, "Classes")
    rows = view.classes.table
    assert rows.rowCount() == 10
    assert sum(int(rows.cell(row, 4).text) for row in range(10)) == 38
    assert sum(int(rows.cell(row, 5).text) for row in range(10)) == 4
    bench.click_tab(view.tabs, "Confusions")
    assert view.confusions.front.currentWidget() is view.confusions.list
    assert view.confusions.list.table.rowCount() > 0
    bench.choose(view.confusions.kind, "Change, as a picture")
    assert view.confusions.picture.drawn
    theme.use(theme.DARK)
    assert view.confusions.picture.drawn


def test_classes_and_confusions_lead_to_their_images(bench: Bench, task: Task) -> None:
    assert task.test is not None
    labels = task.test.labels.numpy()
    view = bench.look_at(SECOND.run_id)
    bench.click_tab(view.tabs, "Classes")
    double_click(bench, view.classes, 4)
    assert view.tabs.currentWidget() is view.images
    assert view.images.kind.currentText() == "All that changed (44)"
    assert examples(view) == [n for n in range(43, -1, -1) if labels[n] == 4]
    assert view.images.answer.isHidden()
    bench.click_tab(view.tabs, "Confusions")
    label, given = view.pair.flips.confused[0, :2].tolist()
    double_click(bench, view.confusions.list, 0)
    assert view.images.answer.text() == f"as {given}"
    of_class = [n for n in range(43, -1, -1) if labels[n] == label]
    found = examples(view)
    assert 0 < len(found) <= len(of_class)
    predicted = (view.pair.first_answers.predicted, view.pair.second_answers.predicted)
    assert found == [n for n in of_class if given in (predicted[0][n], predicted[1][n])]
    bench.qtbot.mouseClick(view.images.answer, Qt.MouseButton.LeftButton)
    assert examples(view) == of_class
    assert view.images.answer.isHidden()


def double_click(bench: Bench, table: GridView, row: int) -> None:
    place = table.visualRect(table.table.index(row, 0)).center()
    bench.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    bench.qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_teacher_is_set_against_its_student(bench: Bench, task: Task) -> None:
    assert task.test is not None
    where = bench.store.folder / SECOND.run_id
    keep_answers(where, task, task.test, TEACHER, answered(task, range(3)))
    view = bench.look_at(SECOND.run_id)
    assert [view.chooser.itemText(n) for n in range(view.chooser.count())] == [
        "before → after",
        "teacher → student",
    ]
    bench.choose(view.chooser, "teacher")
    assert "the teacher is right on 99.33 %, the student on 91.11 %" in said(view)
    assert view.images.readout.text().endswith("true class, teacher, student.")


def test_a_run_of_an_older_version_says_what_to_do(bench: Bench) -> None:
    view = bench.look_at(OLD.run_id)
    assert view.notice.text == "Run 3 was measured by a version that kept no predictions: run it again."
    bench.look_at(SECOND.run_id)
    assert view.notice.state == "ready"
    assert len(examples(view)) == 38


def test_data_that_are_gone_are_told_once(bench: Bench, task: Task, tmp_path: Path) -> None:
    assert task.test is not None
    gone = replace(task, spec=TaskSpec("folder", folder=str(tmp_path / "gone")))
    where = bench.store.folder / SECOND.run_id
    keep_answers(where, gone, task.test, BEFORE, answered(task, WRONG_BEFORE))
    keep_answers(where, gone, task.test, AFTER, answered(task, WRONG_AFTER, shift=2))
    view = bench.look_at(SECOND.run_id)
    bench.qtbot.waitUntil(lambda: view.images.notice.state == "failed")
    assert "gone is not a folder" in view.images.notice.text
    # Everything else is there.
    bench.click_tab(view.tabs, "Counts")
    assert view.square.table.cell(0, 2).text == "▼ 38"


def test_the_baseline_against_the_run_that_is_chosen(bench: Bench) -> None:
    view = bench.compare(FIRST.run_id, SECOND.run_id, OLD.run_id)
    assert [view.chooser.itemText(n) for n in range(view.chooser.count())] == [
        "#1 → #2 prune 90 %",
        "#1 → #3 prune 85 %",
    ]
    assert "run 1 is right on 98.67 %, run 2 on 91.11 %" in said(view)
    bench.click_tab(view.tabs, "Counts")
    assert view.square.table.cell(0, 0).text == "#1: right"
    bench.click_tab(view.tabs, "Images")
    bench.choose(view.chooser, "#1 → #3")
    assert view.pair_notice.text == "Run 3 was measured by a version that kept no predictions: run it again."
    bench.choose(view.chooser, "#1 → #2")
    assert view.pair_notice.state == "ready"
    bench.have_images(view)
    bench.click_tab(view.tabs, "All")
    rows = [[view.overview.table.cell(row, column).text for column in range(7)] for row in range(2)]
    # Runs 1 and 2 answer differently where either is wrong; run 3 kept nothing.
    assert rows[0][0] == "#1 → #2 prune 90 %"
    assert rows[0][1] == "▼ −7.56 pp"
    assert rows[0][3:5] == ["< 0.0001", "< 0.0001"]
    assert rows[1][1:] == ["–"] * 6
    assert "kept no predictions" in view.overview.table.cell(1, 1).tip
    baseline = bench.page.compare.baseline
    baseline.setFocus()
    bench.qtbot.keyClick(baseline, Qt.Key.Key_Down)
    bench.settle()
    assert view.chooser.itemText(0) == "#2 → #1 prune 50 %"
    assert "(4 became wrong and 38 became right): run 1 is better by 7.56 pp" in said(view)


def test_the_finding_of_a_comparison_rests_on_the_predictions(bench: Bench) -> None:
    bench.compare(FIRST.run_id, SECOND.run_id)
    page = bench.page.compare
    assert "more than noise" in page.verdict.text()
    assert "McNemar's exact test: p < 0.0001" in page.verdict.toolTip()
    bench.compare(FIRST.run_id, OLD.run_id)
    assert "McNemar's exact test" not in page.verdict.toolTip()


def test_where_there_is_little_room_the_finding_is_short_and_images_small(bench: Bench) -> None:
    view = bench.look_at(SECOND.run_id)
    assert said(view) == view.pair.sentence
    tall = view.images.grid.gridSize().height()
    bench.page.resize(1024, 470)
    bench.qtbot.waitUntil(lambda: view.images.grid.gridSize().height() < tall)
    assert said(view) == "After: worse by 7.56 pp, beyond noise (p < 0.0001)."
    assert view.sentence.toolTip().startswith(view.pair.sentence)
    assert view.images.grid.visible_rows()


def test_nothing_is_read_before_the_tab_is_looked_at(bench: Bench) -> None:
    bench.state.set_runs((SECOND.run_id,))
    bench.settle()
    assert bench.page.details.predictions.view is None
