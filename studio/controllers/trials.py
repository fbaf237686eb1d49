"""TrialsController: lays the selected runs over each other as trials of one recipe with different seeds."""

from collections.abc import Sequence

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from core.events import Finding
from core.history.trials import Store, trial_findings
from studio.jobs.background import Background, Ticket
from studio.state import AppState

TOPIC = "trial figures"


class TrialsController(QObject):
    """Takes the runs that are selected in the history."""

    def __init__(self, state: AppState, background: Background, store: Store, window: QWidget) -> None:
        super().__init__(window)
        self._state = state
        self._background = background
        self._store = store
        self._window = window

    def show_figures(self) -> None:
        """Open a window with the figures of the selected runs."""
        store, runs = self._store, self._state.runs
        if not runs:
            return

        def work(_: Ticket) -> Sequence[Finding]:
            return trial_findings(store, runs)

        def done(findings: Sequence[Finding]) -> None:
            from studio.views.trials_window import TrialsWindow

            window = TrialsWindow(
                f"{len(runs)} {'trial' if len(runs) == 1 else 'trials'}", findings, self._window
            )
            window.findings.problem.connect(self._state.problem)
            window.show()

        self._background.ask(TOPIC, work, done, self._state.problem.emit)
