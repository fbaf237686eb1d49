"""The history page with real clicks and keys, on a history that lives in a dict."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.events import Finished, Progress
from core.history.columns import RunColumns
from core.history.records import RunRecord
from core.models.source import ModelSource
from core.recipe import Recipe
from core.request import RunRequest
from studio.controllers.history import HistoryController
from studio.jobs.background import Background
from studio.jobs.bridge import Bridge
from studio.jobs.mailbox import Mailbox
from studio.problem import Problem
from studio.state import AppState
from studio.tables.run_columns import COLUMN_INDEX
from studio.views.history_page import HistoryPage

from .fake_runs import FakeStore, recipe, record

NONE, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


class Bench:
    """Page, controller and store, with short ways to click."""

    def __init__(self, qtbot: QtBot, state: AppState, background: Background, store: FakeStore) -> None:
        self.qtbot, self.state, self.background, self.store = qtbot, state, background, store
        self.page = HistoryPage()
        qtbot.addWidget(self.page)
        self.undo = QUndoStack()
        self.controller = HistoryController(state, background, store, self.page, self.undo)
        self.problems: list[Problem] = []
        state.problem.connect(self.problems.append)
        self.page.resize(1400, 700)
        self.page.show()
        self.controller.refresh()
        self.settle()

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.background.idle)

    def click_row(self, run_id: str, keys: Qt.KeyboardModifier = NONE, column: str = "name") -> None:
        row = self.page.table.row_of(run_id)
        assert row is not None
        view = self.page.runs
        place = view.visualRect(self.page.table.index(row, COLUMN_INDEX[column])).center()
        self.qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, keys, place)
        self.settle()

    def press(self, name: str) -> None:
        (button,) = [button for button in self.page.findChildren(QPushButton, name) if button.isVisible()]
        assert button.isEnabled()
        assert button.accessibleName()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        self.settle()

    def shown(self) -> list[int]:
        return [self.page.table.record_at(row).number for row in range(self.page.table.rowCount())]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition)
        self.settle()


Maker = Callable[..., Bench]


@pytest.fixture
def make(qtbot: QtBot, state: AppState, background: Background, tmp_path: Path) -> Iterator[Maker]:
    made: list[Bench] = []

    def maker(*records: RunRecord) -> Bench:
        made.append(Bench(qtbot, state, background, FakeStore(records, tmp_path)))
        return made[-1]

    yield maker
    for bench in made:
        bench.controller.close()


RUNS = tuple(record(n, sparsity=0.9 - n / 20, accuracy=0.93 + n / 100) for n in (3, 2, 1))
IDS = {each.number: each.run_id for each in RUNS}


def test_the_empty_history_offers_a_run(make: Maker) -> None:
    bench = make()
    assert bench.page.notice.text.startswith("No runs yet")
    with bench.qtbot.waitSignal(bench.controller.run_requested):
        bench.press("noticeAction")


def test_a_history_that_cannot_be_read_says_so_and_tries_again(make: Maker) -> None:
    bench = make()

    def broken(*_: object, **__: object) -> RunColumns:
        raise StudioError("runs.db is not a database: choose another one.")

    good, bench.store.columns = bench.store.columns, broken  # type: ignore[method-assign]
    bench.controller.list._count = None
    bench.controller.refresh()
    bench.settle()
    assert bench.page.notice.text == "runs.db is not a database: choose another one."
    bench.store.columns = good  # type: ignore[method-assign]
    bench.store.records = {each.run_id: each for each in RUNS}
    bench.press("noticeRetry")
    assert bench.shown() == [3, 2, 1]


def test_a_click_on_a_head_sorts_and_typing_filters(make: Maker) -> None:
    bench = make(*RUNS)
    header = bench.page.runs.horizontalHeader()
    column = COLUMN_INDEX["sparsity"]
    place = QPoint(header.sectionViewportPosition(column) + 8, 8)
    bench.qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NONE, place)
    assert bench.shown() == [1, 2, 3]
    bench.qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NONE, place)
    assert bench.shown() == [3, 2, 1]
    bench.controller.focus_filter()
    bench.qtbot.keyClicks(bench.page.filter, "prune 80")
    assert bench.shown() == [2]
    assert bench.page.count.text() == "1 of 3"


def test_selection_keeps_its_order_and_survives_sorting(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[1])
    bench.click_row(IDS[3], CTRL)
    assert bench.state.runs == (IDS[1], IDS[3])
    bench.page.table.sort(COLUMN_INDEX["accuracy"], Qt.SortOrder.DescendingOrder)
    assert bench.state.runs == bench.page.runs.chosen == (IDS[1], IDS[3])
    assert len(bench.page.runs.selectionModel().selectedRows()) == 2
    bench.qtbot.keyClicks(bench.page.filter, "#3")
    assert bench.state.runs == (IDS[3],)


def test_the_selected_run_is_told_completely(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[2])
    details = bench.page.details
    assert details.name.text() == RUNS[1].name
    assert "run 2 · finished · Digits sample" in details.about.text()
    assert details.summary.table.rowCount() > 8
    assert "450 examples" in details.protocol.text()
    details.tabs.setCurrentWidget(details.curves)
    assert "accuracy/validation" in details.curves.drawn
    details.tabs.setCurrentWidget(details.findings)
    assert details.findings.chooser.currentText() == "Accuracy by class · Step 2"
    assert details.findings.numbers.table.cell(1, 1).text == "97"
    assert details.layers.table.rowCount() == 6
    assert details.files.table.cell(0, 2).text == "cd" * 32


def test_a_failed_run_shows_its_error_with_a_report(make: Maker) -> None:
    failed = record(4, status="failed", after=None, error="The disk is full.", error_details="errno 28")
    bench = make(failed)
    bench.click_row(failed.run_id)
    assert bench.page.details.error_text.text() == "The disk is full."
    bench.press("runErrorDetails")
    report = bench.page.findChild(QWidget, "reportWindow")
    assert report.report == "The disk is full.\n\nerrno 28"  # type: ignore[attr-defined]
    report.close()


def test_star_by_click_and_undo(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[1], column="star")
    bench.wait_for(lambda: bench.page.table.record(IDS[1]).starred)  # type: ignore[union-attr]
    assert bench.state.runs == ()
    bench.undo.undo()
    bench.wait_for(lambda: not bench.page.table.record(IDS[1]).starred)  # type: ignore[union-attr]


def test_name_tags_and_note_are_saved_once_typing_rests(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[2])
    details = bench.page.details
    details.name.selectAll()
    bench.qtbot.keyClicks(details.name, "best so far")
    bench.qtbot.keyClicks(details.tags, "thesis, digits")
    bench.qtbot.keyClicks(details.note, "Keep.")
    assert bench.store.updates == []
    bench.wait_for(lambda: bool(bench.store.updates))
    assert bench.store.updates == [
        (IDS[2], {"name": "best so far", "tags": ("thesis", "digits"), "note": "Keep."})
    ]
    bench.wait_for(lambda: bench.page.table.record(IDS[2]).name == "best so far")  # type: ignore[union-attr]


def test_what_was_typed_is_saved_when_another_run_is_selected_and_at_the_end(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[2])
    bench.qtbot.keyClicks(bench.page.details.note, "a")
    bench.click_row(IDS[1])
    bench.wait_for(lambda: bench.store.updates == [(IDS[2], {"note": "a"})])
    assert bench.page.details.note.toPlainText() == ""
    bench.qtbot.keyClicks(bench.page.details.note, "b")
    bench.controller.close()
    assert bench.store.updates[-1] == (IDS[1], {"note": "b"})


def test_an_empty_name_is_not_saved(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[2])
    bench.page.details.name.selectAll()
    bench.qtbot.keyClick(bench.page.details.name, Qt.Key.Key_Backspace)
    bench.controller.save_edits()
    bench.settle()
    assert bench.store.updates == []


def test_delete_by_key_and_undo(make: Maker) -> None:
    bench = make(*RUNS)
    bench.click_row(IDS[1])
    bench.click_row(IDS[2], CTRL)
    bench.store.run = lambda run_id: (  # type: ignore[method-assign]
        record(int(run_id, 16), deleted_at=1.0 if run_id in bench.store.deleted else None)
    )
    bench.qtbot.keyClick(bench.page.runs, Qt.Key.Key_Delete)
    bench.wait_for(lambda: bench.shown() == [3])
    assert bench.store.deleted == {IDS[1], IDS[2]}
    assert bench.state.runs == ()
    assert bench.undo.undoText() == "Delete 2 runs"
    bench.undo.undo()
    bench.wait_for(lambda: bench.shown() == [3, 2, 1])


def test_a_run_that_is_under_way_is_not_deleted(make: Maker) -> None:
    running = record(4, status="running", after=None, ended=None)
    bench = make(running)
    bench.click_row(running.run_id)
    bench.press("deleteRuns")
    assert bench.problems[-1].message == "Run 4 is running: cancel it before you delete it."
    assert bench.store.deleted == set()


def test_open_model_use_recipe_run_again_and_resume(make: Maker) -> None:
    interrupted = record(4, status="interrupted", after=None)
    bench = make(*RUNS, interrupted)
    bench.click_row(IDS[2])
    model = bench.store.folder / IDS[2] / "model.safetensors"
    bench.press("openRunModel")
    assert "no longer there" in bench.problems[-1].message
    model.parent.mkdir()
    model.write_bytes(b"")
    opened: list[ModelSource] = []
    bench.controller.open_model_requested.connect(opened.append)
    bench.press("openRunModel")
    assert opened == [ModelSource("file", str(model))]
    recipes: list[Recipe] = []
    bench.controller.recipe_requested.connect(recipes.append)
    bench.press("useRunRecipe")
    assert recipes == [recipe(0.8)]
    asked: list[RunRequest] = []
    bench.controller.rerun_requested.connect(asked.append)
    bench.controller.resume_requested.connect(asked.append)
    bench.press("runAgain")
    assert asked[0].run_id != IDS[2]
    assert not bench.page.details.resume.isVisible()
    bench.click_row(interrupted.run_id)
    bench.press("resumeRun")
    assert asked[1].run_id == interrupted.run_id


def test_a_live_run_is_followed(make: Maker, mailbox: Mailbox) -> None:
    bench = make(*RUNS)
    live = record(9, status="running", after=None, ended=None)
    bench.store.records[live.run_id] = live
    bridge = Bridge(mailbox)
    bench.controller.follow(bridge)
    bridge.tell_recorded(live.run_id)
    bench.wait_for(lambda: bench.shown() == [9, 3, 2, 1])
    bridge.put(Progress(live.run_id, 0.4, "", None))
    bridge.drain()
    status = bench.page.table.index(0, COLUMN_INDEX["status"])
    assert status.data() == "running 40 %"
    bench.click_row(live.run_id)
    bench.store.records[live.run_id] = record(9)
    bridge.put(Finished(live.run_id, 1.0))
    bridge.close()
    bench.controller.runs_written(frozenset({live.run_id}))
    bench.wait_for(lambda: bench.page.details.about.text().startswith("run 9 · finished"))
    assert bench.page.table.index(0, COLUMN_INDEX["status"]).data() == "finished"


def test_a_run_shown_from_elsewhere_is_found_behind_a_filter(make: Maker) -> None:
    bench = make(*RUNS)
    bench.qtbot.keyClicks(bench.page.filter, "#3")
    bench.controller.show_run(IDS[1])
    bench.settle()
    assert bench.state.runs == (IDS[1],)
    assert bench.page.details.record is not None
    assert bench.page.details.record.number == 1


def test_the_keyboard_goes_along_into_the_comparison(make: Maker) -> None:
    bench = make(*RUNS)
    bench.page.runs.setFocus()
    bench.state.set_runs((IDS[3], IDS[2]))
    bench.controller.compare_selected()
    bench.settle()
    assert bench.page.compare.baseline.hasFocus()
