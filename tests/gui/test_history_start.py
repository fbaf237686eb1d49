"""A start that shows the history: its runs are there before a database can be opened."""

import threading
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import core.history.snapshot as snapshot
import core.history.store as history_store
from core.errors import StudioError
from core.history.store import HistoryStore, open_history
from studio import app as studio_app
from studio.app import Application, StartOptions

from ..databases.many_runs import fill

RUNS = 300


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history that keeps a snapshot of its columns."""
    path = tmp_path / "history.db"
    fill(path, RUNS, detailed=2)
    monkeypatch.setattr(snapshot, "WORTH_KEEPING", 1)
    with open_history(path) as store:
        store.columns()
    return path


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Holds back every opening of a history until it is set."""
    opened = threading.Event()
    open_it = history_store.open_history

    def late(location: str | Path | None = None) -> HistoryStore:
        assert opened.wait(30)
        return open_it(location)

    monkeypatch.setattr(history_store, "open_history", late)
    return opened


def started(qtbot: QtBot, qapp: QApplication, profile: Path, database: Path) -> Application:
    studio = studio_app.build(StartOptions(profile=str(profile), db=str(database), workspace="history"), qapp)
    qtbot.addWidget(studio.window)
    studio.start()
    return studio


def shown(studio: Application) -> int:
    history = studio.parts.history
    return 0 if history is None else len(history.list._table.columns)


def test_runs_are_shown_searched_and_chosen_before_the_database_is_open(
    qtbot: QtBot, qapp: QApplication, profile: Path, database: Path, gate: threading.Event
) -> None:
    with open_history(database) as store:
        expected = len(store.columns())
        store.update(store.columns().run_ids[-1], name="renamed since")
    studio = started(qtbot, qapp, profile, database)
    try:
        with qtbot.waitSignal(studio.assembled, timeout=20_000):
            pass
        qtbot.waitUntil(lambda: shown(studio) == expected, timeout=20_000)
        assert studio.store is None
        history = studio.parts.history
        assert history is not None
        page = history._page
        page.filter.setText("accuracy > 90 %")
        assert 0 < page.table.rowCount() < expected
        page.filter.setText("")
        chosen = page.table.run_ids()[3]
        studio.state.set_runs((chosen,))
        # As many more questions as there are threads: none of them may keep the database from being opened.
        page.filter.setText("seed = 1")
        page.filter.setText("loss < 1")
        page.filter.setText("prune.sparsity > 10 %")
        page.filter.setText("")
        assert page.details.record is None  # it is in the database, which is not open
        with qtbot.waitSignal(studio.ready, timeout=20_000):
            gate.set()
        qtbot.waitUntil(lambda: history.list.is_loaded, timeout=20_000)
        qtbot.waitUntil(lambda: page.details.record is not None, timeout=20_000)
        assert page.details.record.run_id == chosen
        assert studio.jobs is not None
        # What changed since the snapshot was written comes with the database.
        names = history.list._table.columns.texts["name"]
        assert "renamed since" in {names[row] for row in range(len(names))}
    finally:
        gate.set()
        studio.close()


def test_a_history_that_cannot_be_opened_after_all_says_so(
    qtbot: QtBot, qapp: QApplication, profile: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(location: object = None) -> HistoryStore:
        raise StudioError("The history is on strike.")

    monkeypatch.setattr(history_store, "open_history", refuse)
    studio = started(qtbot, qapp, profile, database)
    try:
        with qtbot.waitSignal(studio.ready, timeout=20_000):
            pass
        assert studio.parts.history is None
        assert "on strike" in studio.parts.opening.placeholder.notice.text
        monkeypatch.undo()
        studio.parts.opening.open()
        qtbot.waitUntil(lambda: shown(studio) > 0, timeout=20_000)
    finally:
        studio.close()


def test_without_a_snapshot_the_model_comes_first_and_the_history_after_it(
    qtbot: QtBot, qapp: QApplication, profile: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.db"
    fill(path, 20, detailed=2)
    studio = started(qtbot, qapp, profile, path)
    try:
        with qtbot.waitSignal(studio.ready, timeout=20_000):
            pass
        assert studio.workspaces.current == "history"
        qtbot.waitUntil(lambda: shown(studio) > 0, timeout=20_000)
    finally:
        studio.close()


def test_columns_and_grouping_are_as_they_were_left(
    qtbot: QtBot, qapp: QApplication, profile: Path, database: Path
) -> None:
    for session in range(2):
        studio = started(qtbot, qapp, profile, database)
        try:
            with qtbot.waitSignal(studio.ready, timeout=20_000):
                pass
            history = studio.parts.history
            assert history is not None
            page = history._page
            shown = [column.name for column in page.table.shown_columns]
            if session == 0:
                assert "seed" not in shown
                assert page.grouping.currentData() == ""
                page.runs.columns_chosen.emit(["seed", "prune.sparsity"])
                page.grouping.setCurrentIndex(1)
                left = page.grouping.currentData()
            else:
                assert shown[-2:] == ["seed", "prune.sparsity"]
                assert page.grouping.currentData() == left
                table = page.table
                qtbot.waitUntil(lambda t=table: t.columns.holds("seed"), timeout=20_000)  # type: ignore[misc]
        finally:
            studio.close()
