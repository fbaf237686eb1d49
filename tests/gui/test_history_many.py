"""The history page with real clicks on a database of 100,000 runs; answers are checked with bare SQL."""

import contextlib
import csv
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QAbstractItemView, QDialogButtonBox, QLineEdit, QListWidget
from pytestqt.qtbot import QtBot

from core.history.store import HistoryStore, open_history
from studio.controllers.history import HistoryController
from studio.controllers.run_files import RunFiles
from studio.jobs.background import Background
from studio.settings import Settings
from studio.state import AppState
from studio.tables.run_columns import COLUMN_INDEX
from studio.views.history_page import HistoryPage

from ..databases.many_runs import RUNS, fill, run_id_of

NONE, LEFT = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 runs; only the newest twenty have curves, layers and rows of measurements."""
    path = tmp_path_factory.mktemp("many") / "history.db"
    fill(path, RUNS, detailed=20, measured=False)
    return path


class Bench:
    """The page on the real store, with short ways to click."""

    def __init__(
        self, qtbot: QtBot, state: AppState, background: Background, store: HistoryStore, settings: Settings
    ) -> None:
        self.qtbot, self.state, self.background, self.store = qtbot, state, background, store
        self.page = HistoryPage()
        qtbot.addWidget(self.page)
        self.undo = QUndoStack()
        self.controller = HistoryController(state, background, store, self.page, self.undo)
        self.files = RunFiles(state, background, settings, store, self.page)
        self.files.imported.connect(self._imported)
        self.page.resize(1400, 700)
        self.page.show()
        self.controller.refresh()
        self.settle()

    def _imported(self, run_id: object) -> None:
        self.controller.runs_written((str(run_id),))

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: self.background.idle, timeout=20_000)

    def head(self, column: str) -> None:
        header = self.page.runs.horizontalHeader()
        index = COLUMN_INDEX[column]
        self.page.runs.scrollTo(self.page.table.index(0, index))
        place = QPoint(header.sectionViewportPosition(index) + 8, 8)
        self.qtbot.mouseClick(header.viewport(), LEFT, NONE, place)

    def click(self, row: int, column: str = "name") -> None:
        view = self.page.runs
        index = self.page.table.index(row, COLUMN_INDEX[column])
        view.scrollTo(index)
        self.qtbot.mouseClick(view.viewport(), LEFT, NONE, view.visualRect(index).center())
        self.settle()

    def text(self, row: int, column: str) -> str:
        return str(self.page.table.index(row, COLUMN_INDEX[column]).data())

    def search(self, text: str) -> None:
        self.page.filter.clear()
        self.page.filter.setFocus()
        self.qtbot.keyClicks(self.page.filter, text)
        self.settle()

    def menu(self, name: str) -> None:
        (action,) = [each for each in self.page.more.menu().actions() if each.objectName() == name]
        assert action.toolTip()
        action.trigger()
        self.settle()


@pytest.fixture
def bench(
    qtbot: QtBot, state: AppState, background: Background, many: Path, tmp_path: Path
) -> Iterator[Bench]:
    with open_history(many) as store:
        made = Bench(qtbot, state, background, store, Settings(tmp_path / "profile"))
        yield made
        made.controller.close()
        made.settle()


def ask(many: Path, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(many)) as connection:
        return connection.execute(sql).fetchall()


def test_heads_sort_and_typing_searches(bench: Bench, many: Path) -> None:
    ((shown,),) = ask(many, "SELECT count(*) FROM runs WHERE NOT archived")
    assert bench.page.count.text() == f"{shown:,} runs"
    bench.head("accuracy")
    ((best,),) = ask(many, "SELECT max(accuracy_after) FROM runs WHERE NOT archived AND status = 'finished'")
    assert bench.text(0, "accuracy") == f"{100 * float(str(best)):.2f} %"
    bench.head("accuracy")
    ((worst,),) = ask(many, "SELECT min(accuracy_after) FROM runs WHERE NOT archived AND status = 'finished'")
    assert bench.text(0, "accuracy") == f"{100 * float(str(worst)):.2f} %"
    bench.search("accuracy > 97 % and size < 100 kB tag:paper")
    ((found,),) = ask(
        many,
        "SELECT count(*) FROM runs WHERE NOT archived AND accuracy_after > 0.97 AND packed_bytes < 100000 "
        "AND status = 'finished' AND tags LIKE '%paper%'",
    )
    assert bench.page.table.rowCount() == found > 0
    assert bench.page.count.text() == f"{found:,} of {shown:,}"


def test_any_setting_can_be_searched_and_shown_as_a_column(bench: Bench, many: Path) -> None:
    bench.search("prune.sparsity > 90 % status:finished")
    ((found,),) = ask(
        many,
        "SELECT count(*) FROM runs JOIN run_documents ON run_number = number WHERE NOT archived AND "
        "status = 'finished' AND json_extract(recipe, '$.steps[0].sparsity') > 0.9",
    )
    assert bench.page.table.rowCount() == found > 0
    bench.menu("chooseColumns")
    chooser = bench.page.findChild(QAbstractItemView, "columnFields").parent()
    (find,) = chooser.findChildren(QLineEdit, "columnFind")
    bench.qtbot.keyClicks(find, "fine-tune.epochs")
    fields: QListWidget = chooser.fields
    (row,) = [n for n in range(fields.count()) if fields.item(n).text().startswith("fine-tune.epochs ")]
    fields.item(row).setCheckState(Qt.CheckState.Checked)
    accept = chooser.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
    bench.qtbot.mouseClick(accept, LEFT)
    bench.settle()
    last = bench.page.table.columnCount() - 1
    assert bench.page.table.headerData(last, Qt.Orientation.Horizontal) == "fine-tune.epochs"
    bench.page.table.sort(last, Qt.SortOrder.DescendingOrder)
    run_id = bench.page.table.run_id_at(0)
    steps = bench.store.run(run_id).recipe["steps"]
    assert bench.page.table.index(0, last).data() == f"{steps[-1]['epochs']}"


def test_a_mistake_is_told_and_the_list_stays(bench: Bench) -> None:
    bench.search("status:failed")
    rows = bench.page.table.rowCount()
    bench.qtbot.keyClicks(bench.page.filter, " acuracy > 3")
    assert bench.page.search_problem.isVisible()
    assert "There is no field “acuracy”: did you mean accuracy" in bench.page.search_problem.text()
    assert bench.page.table.rowCount() <= rows
    bench.search("")
    assert not bench.page.search_problem.isVisible()


def test_fields_are_completed_by_the_keyboard(bench: Bench) -> None:
    bench.search("status")
    bench.qtbot.keyClicks(bench.page.filter, ":fin")
    assert bench.page.filter.offers == ["finished"]
    bench.qtbot.keyClick(bench.page.filter, Qt.Key.Key_Return)
    assert bench.page.filter.text() == "status:finished"
    bench.search("spars")
    bench.qtbot.keyClick(bench.page.filter, Qt.Key.Key_Space, Qt.KeyboardModifier.ControlModifier)
    assert bench.page.filter.offers[0] == "sparsity"
    bench.qtbot.keyClick(bench.page.filter, Qt.Key.Key_Return)
    assert bench.page.filter.text() == "sparsity"


def test_groups_tell_how_many_and_their_best(bench: Bench, many: Path) -> None:
    bench.page.grouping.setCurrentIndex(bench.page.grouping.findData("model"))
    bench.settle()
    table = bench.page.table
    wanted = {
        str(model): (count, best)
        for model, count, best in ask(
            many,
            "SELECT source_title, count(*), max(CASE WHEN status = 'finished' THEN accuracy_after END) FROM runs "
            "WHERE NOT archived GROUP BY source_title",
        )
    }
    assert table.rowCount() == len(wanted)
    for row in range(table.rowCount()):
        assert table.is_heading(row)
        title, _, count = bench.text(row, "name").removeprefix("▸ ").rpartition(" · ")
        members, best = wanted[title]
        assert count == f"{members:,} runs"
        assert bench.text(row, "accuracy") == f"{100 * float(str(best)):.2f} %"
    bench.click(1)
    first = bench.text(1, "name")
    assert first.startswith("▾")
    assert table.rowCount() == len(wanted) + int(str(wanted[first[2:].rpartition(" · ")[0]][0]))
    assert not table.is_heading(2)
    bench.qtbot.keyClick(bench.page.runs, Qt.Key.Key_Left)
    assert table.rowCount() == len(wanted)
    bench.qtbot.keyClick(bench.page.runs, Qt.Key.Key_Return)
    assert table.rowCount() > len(wanted)
    bench.page.grouping.setCurrentIndex(bench.page.grouping.findData("recipe_sha256"))
    bench.settle()
    ((recipes,),) = ask(many, "SELECT count(DISTINCT recipe_sha256) FROM runs WHERE NOT archived")
    assert table.rowCount() == recipes
    assert bench.text(0, "name").startswith("▸ Prune ")


def test_runs_are_archived_and_come_back(bench: Bench) -> None:
    bench.click(0)
    run_id = bench.state.runs[0]
    before = bench.page.table.rowCount()
    bench.menu("archiveRuns")
    bench.qtbot.waitUntil(lambda: bench.page.table.rowCount() == before - 1)
    assert bench.store.run(run_id).archived
    bench.undo.undo()
    bench.qtbot.waitUntil(lambda: bench.page.table.rowCount() == before)
    bench.search("is:archived")
    assert 0 < bench.page.table.rowCount() < before


def test_the_family_is_a_tree_and_a_click_goes_there(bench: Bench, many: Path) -> None:
    ((number, parent),) = ask(
        many, "SELECT number, parent_run_id FROM runs WHERE parent_run_id IS NOT NULL AND NOT archived "
        "AND number > 50000 ORDER BY number LIMIT 1",
    )  # fmt: skip
    bench.controller.show_run(run_id_of(int(str(number))))
    bench.settle()
    details = bench.page.details
    assert details.record is not None
    assert details.record.number == number
    details.tabs.setCurrentWidget(details.lineage)
    own = details.lineage.currentItem()
    assert own.text(0).startswith(f"{number} ")
    above = own.parent()
    assert above.data(0, Qt.ItemDataRole.UserRole) == parent
    place = details.lineage.visualItemRect(above).center()
    bench.qtbot.mouseClick(details.lineage.viewport(), LEFT, NONE, place)
    bench.settle()
    assert bench.state.runs == (parent,)
    assert details.record.run_id == parent


def test_what_another_program_does_appears_by_itself(bench: Bench, many: Path) -> None:
    program = (
        "import sys; from core.events import Cancelled; from core.history.store import open_history\n"
        "from core.models.source import SAMPLE; from core.recipe import Recipe; from core.request import RunRequest\n"
        "with open_history(sys.argv[1]) as store:\n"
        "    store.update(sys.argv[2], name='renamed elsewhere')\n"
        "    store.delete([sys.argv[3]])\n"
        "    store.add_run(RunRequest(Recipe(name='New elsewhere'), SAMPLE, None, run_id='e' * 32))\n"
        "    store.record([Cancelled('e' * 32, 1.0)])\n"
    )
    renamed, gone = (bench.page.table.run_id_at(row) for row in (3, 4))
    subprocess.run([sys.executable, "-c", program, str(many), renamed, gone], check=True)
    bench.qtbot.waitUntil(lambda: bench.page.table.row_of("e" * 32) is not None, timeout=10_000)
    assert bench.page.table.row_of(gone) is None
    assert bench.text(bench.page.table.row_of(renamed) or 0, "name") == "renamed elsewhere"
    bench.store.restore([gone])
    bench.store.delete(["e" * 32])
    bench.store.purge(["e" * 32])
    bench.qtbot.waitUntil(lambda: bench.page.table.row_of("e" * 32) is None, timeout=10_000)
    bench.qtbot.waitUntil(lambda: bench.page.table.row_of(gone) is not None, timeout=10_000)


def test_a_note_is_read_as_markdown(bench: Bench) -> None:
    bench.search("#99501")
    bench.click(0)
    note = bench.page.details.note_editor
    assert "**table**" in note.edit.toPlainText()
    assert note.reader.isVisible()
    assert "See the table of the thesis." in note.reader.toPlainText()
    bench.qtbot.mouseClick(note.switch, LEFT)
    assert note.edit.isVisible()


def test_the_list_and_whole_runs_go_out_and_in(bench: Bench, tmp_path: Path) -> None:
    bench.search("status:failed model:lenet-5 tag:paper")
    shown = bench.page.table.run_ids()
    bench.files.write_list(tmp_path / "runs.csv")
    bench.settle()
    with (tmp_path / "runs.csv").open(newline="") as stream:
        assert [row["run_id"] for row in csv.DictReader(stream)] == shown
    bench.files.write_list(tmp_path / "runs.json")
    bench.settle()
    assert [run["run_id"] for run in json.loads((tmp_path / "runs.json").read_text())] == shown
    bench.search("#100000")
    bench.click(0)
    bench.files.write_run(bench.state.runs[-1], tmp_path / "run.zip")
    bench.settle()
    problems: list[object] = []
    bench.state.problem.connect(problems.append)
    bench.files.read_run(tmp_path / "run.zip")
    bench.settle()
    assert "is there already" in str(problems)
    bench.store.purge([run_id_of(100_000)])
    bench.files.read_run(tmp_path / "run.zip")
    bench.settle()
    bench.search("")
    bench.qtbot.waitUntil(lambda: bench.page.table.row_of(run_id_of(100_000)) is not None, timeout=10_000)
    assert len(bench.store.metrics(run_id_of(100_000))) == 1_000
