"""The last line of defence: whatever no panel could say is told in the notice bar, and nothing ends the program."""

import sys
import threading
from types import TracebackType
from typing import Any

from PySide6.QtCore import QObject

from studio.jobs.mailbox import Mailbox
from studio.problem import Problem, problem_from
from studio.state import AppState
from studio.views.notice_bar import NoticeBar


class ProblemsController(QObject):
    """Shows problems in the notice bar, and takes over Python's hooks for exceptions that nobody caught."""

    def __init__(
        self, state: AppState, mailbox: Mailbox, bar: NoticeBar, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._mailbox = mailbox
        self._bar = bar
        self._hooks: tuple[Any, Any, Any] | None = None
        state.problem.connect(self.show_problem)

    def show_problem(self, problem: object) -> None:
        """Tell of a problem."""
        assert isinstance(problem, Problem)
        self._bar.show_problem(problem)

    def remark(self, text: str) -> None:
        """Tell of something that is no failure."""
        self._bar.show_remark(text)

    def watch(self) -> None:
        """Take over the hooks for exceptions that nobody caught."""
        self._hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        sys.excepthook = self._uncaught
        threading.excepthook = self._uncaught_in_thread
        sys.unraisablehook = self._unraisable

    def stop_watching(self) -> None:
        """Give the hooks back."""
        if self._hooks is not None:
            sys.excepthook, threading.excepthook, sys.unraisablehook = self._hooks
            self._hooks = None

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            return
        self._tell(error)

    def _uncaught_in_thread(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            self._tell(arguments.exc_value)

    def _unraisable(self, arguments: "sys.UnraisableHookArgs") -> None:
        if arguments.exc_value is not None:
            self._tell(arguments.exc_value)

    def _tell(self, error: BaseException) -> None:
        # From any thread; the report is made here, where the traceback is still alive.
        problem = problem_from(error)
        print(problem.details or problem.message, file=sys.stderr)
        self._mailbox.post(lambda: self._bar.show_problem(problem))
