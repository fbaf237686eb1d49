"""HistoryOpening: from a place that waits to the open history, with the runs as they were last known in between."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QWidget

from studio.jobs.background import Background, Ticket
from studio.jobs.coming import Coming
from studio.jobs.mailbox import Mailbox
from studio.problem import Problem
from studio.settings import DATABASE, Settings
from studio.state import AppState
from studio.views.history_placeholder import HistoryPlaceholder

if TYPE_CHECKING:
    from core.history.columns import RunColumns
    from core.history.store import HistoryStore
    from studio.controllers.history import HistoryController
    from studio.views.history_page import HistoryPage

GLIMPSE_MS = 200
"""So long the runs that were last known may be looked at before anything else takes the thread."""


class PageWindow(Protocol):
    """What is needed of the main window."""

    def set_page(self, name: str, page: QWidget) -> None: ...


class HistoryOpening(QObject):
    """Owns the history's page and controller, and the thread on which the database is opened.

    Attributes:
        history, page, store: None until they are there; history and page may be there before the store.
        asked: whether the database was asked for.

    Args:
        database: the history's file or URL, or None for its own place.
    """

    made = Signal(object)  # HistoryController: there is one, to be connected
    opened = Signal(object)  # HistoryStore
    failed = Signal(object)  # Problem
    loaded = Signal()  # all runs have been read, or could not be

    def __init__(
        self,
        state: AppState,
        background: Background,
        mailbox: Mailbox,
        settings: Settings,
        window: PageWindow,
        undo_stack: QUndoStack,
        database: str | None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._settings = settings
        self._window = window
        self._undo_stack = undo_stack
        self._database = database
        # A thread of its own: all others may be waiting for what it opens.
        self._thread = Background(mailbox, threads=1)
        self._coming: Coming | None = None
        self.asked = False
        self.store: HistoryStore | None = None
        self.history: HistoryController | None = None
        self.page: HistoryPage | None = None
        self.placeholder = self._wait()

    def close(self) -> None:
        """Wait for what is being opened; the store itself stays open."""
        self._thread.close()

    def glimpse(self, then: Callable[[], None]) -> None:
        """Show the runs as they were last known, before anything that can open a database is even imported.

        Args:
            then: what comes next, once they were looked at or where there are none.
        """
        where = self._place

        def work(_: Ticket) -> "RunColumns | None":
            from core.history.snapshot_file import last_known

            return last_known(where)

        def done(columns: "RunColumns | None") -> None:
            if columns is None:
                then()
                return
            self._coming = Coming()
            self._make(self._coming).list.show_last_known(columns)
            QTimer.singleShot(GLIMPSE_MS, self, after)

        def after() -> None:
            self.open()
            then()

        self._background.ask("glimpse", work, done, lambda _: then())
        # Meanwhile, what will show them.
        import studio.controllers.history
        import studio.views.history_page  # noqa: F401

    def open(self) -> None:
        """Open the database."""
        self.asked = True
        if self.history is None:
            self.placeholder.show_opening()
        where, coming = self._place, self._coming

        def work(_: Ticket) -> "HistoryStore":
            try:
                # SQLAlchemy comes along here, off the GUI thread.
                from core.history.store import open_history

                store = open_history(where)
            except Exception as error:
                if coming is not None:
                    coming.fail(error)
                raise
            if coming is not None:
                coming.arrive(store)
            return store

        self._thread.ask("history", work, self._opened, self._failed)

    # -- inside ---------------------------------------------------------------------------------------------

    @property
    def _place(self) -> Any:
        return self._database or self._settings.database

    def _wait(self) -> HistoryPlaceholder:
        placeholder = HistoryPlaceholder()
        placeholder.notice.retry.connect(self.open)
        placeholder.other_chosen.connect(self._use)
        self._window.set_page("history", placeholder)
        return placeholder

    def _use(self, path: object) -> None:
        self._database = str(path)
        self._settings.set(DATABASE, self._database)
        self.open()

    def _make(self, store: Any) -> "HistoryController":
        """The page and its controller, on a history that is open or still coming."""
        from studio.controllers.history import HistoryController
        from studio.controllers.run_layout import RunLayout
        from studio.views.history_page import HistoryPage

        self.page = page = HistoryPage()
        self.history = history = HistoryController(
            self._state, self._background, store, page, self._undo_stack, self
        )
        RunLayout(self._settings, page, history.list, history)
        self._window.set_page("history", page)
        history.list.loaded.connect(self._loaded)
        history.list.not_loaded.connect(self._loaded)
        self.made.emit(history)
        return history

    def _opened(self, store: "HistoryStore") -> None:
        self.store = store
        history = self.history or self._make(store)
        history.refresh()
        self.opened.emit(store)

    def _loaded(self, _: object = None) -> None:
        history = self.history
        if history is not None:
            history.list.loaded.disconnect(self._loaded)
            history.list.not_loaded.disconnect(self._loaded)
            self.loaded.emit()

    def _failed(self, problem: Problem) -> None:
        if self.history is not None:
            # What was shown meanwhile is no history that could be used.
            self.history.list.close()
            self.history.deleteLater()
            self.history = self.page = self._coming = None
            self.placeholder = self._wait()
        self.placeholder.show_problem(problem)
        self.failed.emit(problem)
