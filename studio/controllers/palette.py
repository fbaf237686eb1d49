"""The command palette: gathers what can be found, and acts on what was chosen."""

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QKeySequence

from core.formatting import count
from core.history.records import RunRecord
from studio.actions import Actions, plain
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.palette import CommandPalette, Entry

RUN_LIMIT = 500
"""The newest runs are offered; older ones are found in the history."""


class RunSource:
    """Where the palette gets runs from, until the history is open: nowhere."""

    def latest(self, limit: int) -> list[RunRecord]:
        """Newest first."""
        return []


class PaletteController(QObject):
    """Fills the palette from actions, the open model and the history."""

    layer_chosen = Signal(object)  # str
    run_chosen = Signal(object)  # run id

    def __init__(
        self,
        state: AppState,
        background: Background,
        actions: Actions,
        palette: CommandPalette,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._actions = actions
        self._palette = palette
        self._store: RunSource | None = None
        self._runs: tuple[Entry, ...] = ()
        palette.chosen.connect(self._act)

    def set_store(self, store: RunSource) -> None:
        """The history is open: runs can be found."""
        self._store = store

    def open(self) -> None:
        """Show the palette; runs join when they have been read."""
        self._palette.open(self._entries())
        store = self._store
        if store is not None:

            def work(_: Ticket) -> tuple[Entry, ...]:
                return tuple(_run_entry(run) for run in store.latest(RUN_LIMIT))

            self._background.ask("palette", work, self._take_runs, self._no_runs)

    def _entries(self) -> list[Entry]:
        entries = []
        for spec in self._actions.enabled():
            if spec.id != "palette":
                keys = QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText)
                entries.append(Entry("Action", plain(spec.text), keys or spec.menu, spec.id))
        if self._state.model is not None:
            for layer in self._state.model.description.layers:
                shape = " × ".join(str(size) for size in layer.shape)
                detail = f"{layer.kind}  {shape}  {count(layer.weights)} weights"
                entries.append(Entry("Layer", layer.name, detail, layer.name))
        return [*entries, *self._runs]

    def _take_runs(self, runs: tuple[Entry, ...]) -> None:
        if runs != self._runs:
            self._runs = runs
            if not self._palette.isHidden():
                self._palette.set_entries(self._entries())

    def _no_runs(self, problem: Problem) -> None:
        self._state.message.emit(problem.message)

    def _act(self, entry: object) -> None:
        assert isinstance(entry, Entry)
        if entry.kind == "Action":
            self._actions[entry.key].trigger()
        elif entry.kind == "Layer":
            self._state.set_layers((entry.key,))
            self.layer_chosen.emit(entry.key)
        else:
            self._state.set_runs((entry.key,))
            self.run_chosen.emit(entry.key)


def _run_entry(run: RunRecord) -> Entry:
    return Entry("Run", f"{run.number} · {run.name}", f"{run.source_title} · {run.status}", run.run_id)
