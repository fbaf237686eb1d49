"""Keeps the run table up to date: loads the columns, what searches and groups need, and what other programs change."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core.history.columns import RunColumns
from core.history.query import parse_query
from core.history.query_fields import QueryError, all_fields
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.tables.run_columns import DETAILS, further_column
from studio.views.history_page import HistoryPage

POLL_MS = 1_000
"""How often other programs' changes are looked for: one indexed query that mostly finds nothing."""

OVERLAP_SECONDS = 5.0
"""A transaction may commit after another one that began later; so far back is looked each time."""


class ColumnStore(Protocol):
    """What is needed of `core.history.store.HistoryStore`; called from background threads only."""

    def columns(
        self,
        run_ids: Iterable[str] | None = None,
        *,
        changed_since: float | None = None,
        include_deleted: bool = False,
    ) -> RunColumns: ...
    def with_fields(self, columns: RunColumns, names: Iterable[str]) -> RunColumns: ...
    def count(self) -> int: ...


class RunList(QObject):
    """Between the store and the table of the page."""

    glimpsed = Signal()
    loaded = Signal()
    not_loaded = Signal(object)  # Problem
    merged = Signal(object)  # RunColumns: what changed
    problem = Signal(object)  # Problem

    def __init__(
        self, background: Background, store: ColumnStore, page: HistoryPage, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._store = store
        self._page = page
        self._table = page.table
        self._count: int | None = None
        self._wanted: set[str] = set()
        self._changed: set[str] = set()
        self._poll = QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(self.look_for_changes)
        page.filter_changed.connect(self.search)
        page.grouping_changed.connect(self.group)
        page.archived_wanted.connect(self._table.show_archived)
        page.runs.columns_chosen.connect(self.show_columns)

    @property
    def is_loaded(self) -> bool:
        """Whether the table shows what the history holds."""
        return self._count is not None

    def close(self) -> None:
        """Look for changes no longer, and take no answer any more: the page may be gone when it comes."""
        self._poll.stop()
        for topic in ("history-runs", "history-fields", "history-changed", "history-poll"):
            self._background.drop(topic)

    # -- loading -----------------------------------------------------------------------------------------------

    def show_last_known(self, columns: RunColumns) -> None:
        """Show runs until the history itself has been read; nothing else happens yet."""
        if not self.is_loaded:
            self._table.set_columns(columns)
            self.glimpsed.emit()

    def load(self) -> None:
        """Read all runs (again)."""
        store = self._store

        def work(ticket: Ticket) -> tuple[RunColumns, int]:
            count = store.count()
            columns = store.columns()
            ticket.check()
            return columns, count

        self._background.ask("history-runs", work, self._take_all, self.not_loaded.emit)

    def _take_all(self, found: tuple[RunColumns, int]) -> None:
        columns, self._count = found
        if not _same_runs(self._table.columns, columns):
            self._table.set_columns(columns)
        self._poll.start()
        self.loaded.emit()
        self.want(DETAILS)
        if self._changed:
            self.reload(())

    @Slot(object)
    def want(self, names: Iterable[str]) -> None:
        """Have further columns loaded, and the search and the groups that waited for them carried out."""
        self._wanted.update(names)
        columns, store = self._table.columns, self._store
        missing = [name for name in self._wanted if not columns.holds(name)]
        if not missing:
            self._page.show_searching(False)
            return

        def work(ticket: Ticket) -> RunColumns:
            found = columns
            # Sorting texts for the first time takes longest; done here, hardly a click ever waits for it.
            for column in columns.texts.values():
                column.ranks  # noqa: B018
            for name in missing:
                found = store.with_fields(found, [name])
                ticket.check()
            return found

        self._background.ask("history-fields", work, self._take_fields, self._no_fields)

    def _take_fields(self, columns: RunColumns) -> None:
        self._table.add_fields(columns)
        if any(not self._table.columns.holds(name) and columns.holds(name) for name in self._wanted):
            # The list changed while they were read: read them again, for the runs that there are now.
            self.want(())
        else:
            self._page.show_searching(False)

    def _no_fields(self, problem: Problem) -> None:
        self._page.show_searching(False)
        self.problem.emit(problem)

    # -- what the user asks for --------------------------------------------------------------------------------

    @Slot(object)
    def search(self, text: str) -> None:
        """Show the runs that meet a search; of one that cannot be understood say why, and leave the list alone."""
        try:
            query = parse_query(text)
        except QueryError as error:
            self._page.show_query_problem(error.message, error.start, error.end)
            return
        self._page.show_query_problem("")
        waits = not all(map(self._table.columns.holds, query.fields))
        self._page.show_searching(waits)
        self._table.set_query(query)
        if waits:
            self.want(query.fields)

    @Slot(object)
    def group(self, column: str) -> None:
        """Group the runs by a column; "" for not at all."""
        self._table.set_grouping(column)
        if column:
            self.want([column])

    @Slot(object)
    def show_columns(self, names: list[str]) -> None:
        """Show these fields as further columns."""
        fields = [all_fields()[name] for name in names]
        self._table.show_columns([further_column(field) for field in fields])
        self.want(field.column for field in fields)

    # -- following ---------------------------------------------------------------------------------------------

    def reload(self, run_ids: Iterable[str]) -> None:
        """Read runs again that changed in the store."""
        self._changed.update(run_ids)
        if not self.is_loaded or not self._changed:
            return
        store, wanted, further = self._store, tuple(self._changed), self._further()

        def work(_ticket: Ticket) -> tuple[RunColumns, tuple[str, ...]]:
            changes = store.columns(wanted, include_deleted=True)
            return store.with_fields(changes, further), wanted

        self._background.ask("history-changed", work, self._take_reloaded, self.problem.emit)

    def _take_reloaded(self, found: tuple[RunColumns, tuple[str, ...]]) -> None:
        changes, wanted = found
        # Removed for good by another window in the meantime: the next look finds fewer runs, and reads all.
        self._changed.difference_update(wanted)
        self._merge(changes)

    @Slot()
    def look_for_changes(self) -> None:
        """Take over what other programs did to the history since it was last looked at."""
        if not self.is_loaded:
            return
        store, known, further = self._store, self._table.columns, self._further()

        def work(_ticket: Ticket) -> tuple[RunColumns, int]:
            updated = known.figures["updated"]
            since = float(updated.max()) - OVERLAP_SECONDS if len(known) else 0.0
            changes = store.columns(changed_since=since)
            changes = changes.taken(_really_changed(known, changes))
            return store.with_fields(changes, further) if len(changes) else changes, store.count()

        self._background.ask("history-poll", work, self._take_changes, self._poll_failed)

    def _take_changes(self, found: tuple[RunColumns, int]) -> None:
        changes, count = found
        fewer = self._count is not None and count < self._count
        self._count = count
        if fewer:
            self.load()
        elif len(changes):
            self._merge(changes)

    def _poll_failed(self, _problem: Problem) -> None:
        # Whatever the user does next with the history says what is wrong with it; once a second would be too often.
        return

    def _merge(self, changes: RunColumns) -> None:
        self._table.merge(changes)
        self.merged.emit(changes)

    def _further(self) -> list[str]:
        columns = self._table.columns
        return [name for name in self._wanted if columns.holds(name)]


def _same_runs(shown: RunColumns, read: RunColumns) -> bool:
    """Whether the table, which may hold further fields, shows these runs as they are now."""
    return (
        len(shown) == len(read) > 0
        and shown.run_ids == read.run_ids
        and np.array_equal(shown.figures["updated"], read.figures["updated"])
    )


def _really_changed(known: RunColumns, changes: RunColumns) -> np.ndarray:
    """Which of the changes the list does not hold already."""
    kept = np.ones(len(changes), dtype=np.bool_)
    for row, run_id in enumerate(changes.run_ids):
        at = known.position.get(run_id)
        if at is None:
            kept[row] = changes.figures["deleted"][row] == 0
        else:
            kept[row] = changes.figures["updated"][row] != known.figures["updated"][at]
    return kept
