"""Changes that the user makes to runs: saved one after another in the background, and undoable."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from core.history.records import RunRecord
from studio.jobs.background import Background, Ticket
from studio.problem import Problem

_TOPIC = "history-write"


class EditableStore(Protocol):
    """What is needed of the history; called from background threads only."""

    def run(self, name: str) -> RunRecord: ...
    def update(self, run_id: str, **changes: Any) -> None: ...
    def delete(self, run_ids: Iterable[str]) -> None: ...
    def restore(self, run_ids: Iterable[str]) -> None: ...


Runs = tuple[tuple[str, int], ...]
"""Ids and numbers of runs."""

Write = tuple[Callable[[], None], tuple[str, ...]]


class RunEdits(QObject):
    """Writes to the store in the order of the user's clicks, never two at once and never on the GUI thread."""

    written = Signal(object)  # tuple[str, ...]: ids of the runs that changed
    failed = Signal(object)  # Problem

    def __init__(
        self,
        background: Background,
        store: EditableStore,
        undo_stack: QUndoStack | None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._store = store
        self._undo = undo_stack
        self._queue: deque[Write] = deque()
        self._busy: Write | None = None

    def change(self, record: RunRecord, changes: Mapping[str, Any]) -> None:
        """Change fields of a run (name, note, tags, starred)."""
        before = {name: getattr(record, name) for name in changes}
        if before != dict(changes):
            self._do(_Change(self, record.run_id, record.number, before, dict(changes)))

    def star(self, run_id: str, number: int, on: bool) -> None:
        """Star a run, or take its star away."""
        self._do(_Change(self, run_id, number, {"starred": not on}, {"starred": on}))

    def delete(self, runs: Runs) -> None:
        """Take runs out of the history; undo brings them back."""
        if runs:
            self._do(_ForMany(self, "Delete", runs, self.set_deleted))

    def archive(self, runs: Runs, on: bool) -> None:
        """Put runs out of sight or back; undo does the opposite."""
        if runs:
            self._do(_ForMany(self, "Archive" if on else "Show", runs, self.set_archived, on))

    def close(self) -> None:
        """Finish what is waiting. The window is about to go, so the GUI thread may wait for it, in another thread."""
        waiting = [*([self._busy] if self._busy else []), *self._queue]
        self._background.drop(_TOPIC)
        self._queue.clear()
        self._busy = None
        if waiting:
            thread = threading.Thread(target=_carry_out_all, args=(waiting,), name="history-last-edits")
            thread.start()
            thread.join()

    def update(self, run_id: str, changes: Mapping[str, Any]) -> None:
        """Queue one change, without undo."""
        store = self._store
        self._put(lambda: store.update(run_id, **changes), (run_id,))

    def set_deleted(self, run_ids: tuple[str, ...], deleted: bool) -> None:
        """Queue a deletion or its undoing."""
        method = self._store.delete if deleted else self._store.restore
        self._put(lambda: method(run_ids), run_ids)

    def set_archived(self, run_ids: tuple[str, ...], archived: bool) -> None:
        """Queue putting runs out of sight, or back."""
        store = self._store

        def write() -> None:
            for run_id in run_ids:
                store.update(run_id, archived=archived)

        self._put(write, run_ids)

    def _do(self, command: QUndoCommand) -> None:
        if self._undo is not None:
            self._undo.push(command)
        else:
            command.redo()

    def _put(self, write: Callable[[], None], run_ids: tuple[str, ...]) -> None:
        self._queue.append((write, run_ids))
        self._next()

    def _next(self) -> None:
        # All writes share a topic and wait for each other, because a newer request drops an older one.
        if self._busy is not None or not self._queue:
            return
        self._busy = write, run_ids = self._queue.popleft()

        def carry_out(_ticket: Ticket) -> tuple[str, ...]:
            write()
            return run_ids

        self._background.ask(_TOPIC, carry_out, self._done, self._failed)

    def _done(self, run_ids: tuple[str, ...]) -> None:
        self._busy = None
        self.written.emit(run_ids)
        self._next()

    def _failed(self, problem: Problem) -> None:
        # What could not be saved must not stay on the screen as if it were: show the stored state again.
        run_ids = self._busy[1] if self._busy else ()
        self._busy = None
        self.failed.emit(problem)
        self.written.emit(run_ids)
        self._next()


def _carry_out_all(writes: Iterable[Write]) -> None:
    for write, _run_ids in writes:
        write()


class _Change(QUndoCommand):
    def __init__(
        self, edits: RunEdits, run_id: str, number: int, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        what = {"starred": "Star", "name": "Rename", "note": "Edit note of", "tags": "Tag"}
        verb = what.get(next(iter(after)), "Change") if len(after) == 1 else "Change"
        super().__init__(f"{verb} run {number}")
        self._edits, self._run_id = edits, run_id
        self._before, self._after = before, after

    def redo(self) -> None:
        self._edits.update(self._run_id, self._after)

    def undo(self) -> None:
        self._edits.update(self._run_id, self._before)


class _ForMany(QUndoCommand):
    """Does one thing to several runs, or its opposite."""

    def __init__(
        self,
        edits: RunEdits,
        verb: str,
        runs: Runs,
        write: Callable[[tuple[str, ...], bool], None],
        on: bool = True,
    ) -> None:
        super().__init__(f"{verb} run {runs[0][1]}" if len(runs) == 1 else f"{verb} {len(runs)} runs")
        self._write, self._on = write, on
        self._run_ids = tuple(run_id for run_id, _number in runs)

    def redo(self) -> None:
        self._write(self._run_ids, self._on)

    def undo(self) -> None:
        self._write(self._run_ids, not self._on)
