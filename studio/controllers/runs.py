"""Starting runs: requests wait until the history is open, because a run that is not recorded does not exist."""

from typing import Protocol

from PySide6.QtCore import QObject, Signal

from core.recipe import Recipe
from core.request import RunRequest
from studio.problem import Problem
from studio.state import AppState

MEASURE = Recipe(name="Measure", description="Measures the model as it is.")


class Jobs(Protocol):
    """What is needed of the jobs' controller."""

    def submit(self, request: RunRequest) -> None: ...


class Comparison(Protocol):
    """What is needed of the history's controller."""

    def compare_selected(self) -> None: ...
    def show_explore(self) -> None: ...


class Preferred(Protocol):
    """Who knows the device and the threads."""

    def prepared(self, request: RunRequest) -> RunRequest: ...


class RunsController(QObject):
    """Takes requests from the whole window and hands them to the jobs."""

    show_history_requested = Signal()

    def __init__(self, state: AppState, preferred: Preferred, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self._preferred = preferred
        self._jobs: Jobs | None = None
        self._comparison: Comparison | None = None
        self._waiting: list[RunRequest] = []
        self._unavailable: Problem | None = None

    def set_jobs(self, jobs: Jobs, comparison: Comparison) -> None:
        """The history is open: start what waits."""
        self._jobs = jobs
        self._comparison = comparison
        self._unavailable = None
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            jobs.submit(request)

    def set_unavailable(self, problem: Problem) -> None:
        """The history cannot be opened: say so to whoever starts a run."""
        self._unavailable = problem
        if self._waiting:
            self._waiting.clear()
            self._refuse(problem)

    def submit(self, request: object) -> None:
        """Queue a run, with the preferred device and threads."""
        assert isinstance(request, RunRequest)
        prepared = self._preferred.prepared(request)
        if self._jobs is not None:
            self._jobs.submit(prepared)
        elif self._unavailable is not None:
            self._refuse(self._unavailable)
        else:
            self._waiting.append(prepared)

    def measure(self) -> None:
        """Measure the open model on the chosen task."""
        model, task = self._state.model, self._state.task
        if model is not None and task is not None:
            name = f"Measure {model.description.source.title}"
            self.submit(RunRequest(MEASURE, model.description.source, task, name=name))

    def compare(self) -> None:
        """Set the selected runs side by side; where fewer than two are selected, show where to select them."""
        self.show_history_requested.emit()
        if self._comparison is None:
            return
        if len(self._state.runs) < 2:
            self._state.message.emit(
                "Select two or more runs in the list (Ctrl or Shift), then compare them."
            )
        else:
            self._comparison.compare_selected()

    def explore(self) -> None:
        """Show all runs that the search finds as charts."""
        self.show_history_requested.emit()
        if self._comparison is not None:
            self._comparison.show_explore()

    def _refuse(self, problem: Problem) -> None:
        self._state.problem.emit(
            Problem(
                f"The run was not started, because it could not be recorded. {problem.message}",
                problem.details,
            )
        )
