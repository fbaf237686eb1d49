"""The charts of all runs that the search finds: asks for columns, makes the points in the background."""

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.tables.runs import RunTable
from studio.views.explore_page import ExplorePage
from studio.views.pareto_points import ParetoPoints, column_points

_TOPIC = "explore-pareto"
_DELAY_MS = 100
"""A search that is being typed, and a run that writes, change the list several times a second."""
_NO_RUNS = "There are no runs yet: run a recipe, and its result is a point here."
_NO_POINTS = "None of these runs has both figures: choose other axes, or change the search."


class ExploreController(QObject):
    """Follows the run table, but only while the page is seen."""

    fields_wanted = Signal(object)  # list of columns to load; the table tells when they are there

    def __init__(
        self, background: Background, table: RunTable, page: ExplorePage, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._table = table
        self._page = page
        self._stale = True
        self._emphasised: str | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_DELAY_MS)
        self._later.timeout.connect(self._update_if_seen)
        table.modelReset.connect(self._changed)
        table.dataChanged.connect(self._changed)
        page.shown.connect(self._update_if_seen)
        page.pareto.axes_changed.connect(self.update)
        page.notice.retry.connect(self.update)

    @property
    def is_settled(self) -> bool:
        """Whether the page shows what the list holds, or is not seen."""
        return not self._later.isActive() and not (self._stale and self._page.isVisible())

    @Slot()
    def update(self) -> None:
        """Draw the runs that the search finds now."""
        self._stale = False
        columns = self._table.columns
        if not len(columns):
            self._background.drop(_TOPIC)
            self._page.notice.show_empty(_NO_RUNS)
            return
        x, y = self._page.pareto.x, self._page.pareto.y
        self._page.show_source(self._table.found, self._table.query.text)
        missing = [each.column for each in (x, y) if not columns.holds(each.column)]
        if missing:
            # The table changes when they are there, and so this is called again.
            self._page.notice.show_busy()
            self.fields_wanted.emit(missing)
            return
        rows = self._table.found_rows()

        def work(ticket: Ticket) -> ParetoPoints:
            ticket.check()
            return column_points(columns, rows, x, y)

        self._page.notice.show_busy()
        self._background.ask(_TOPIC, work, self._show, self._failed)

    def close(self) -> None:
        """Follow no longer."""
        self._later.stop()
        self._background.drop(_TOPIC)

    @Slot()
    def _changed(self) -> None:
        self._stale = True
        if self._page.isVisible() and not self._later.isActive():
            self._later.start()

    @Slot()
    def _update_if_seen(self) -> None:
        if self._stale and self._page.isVisible():
            self.update()

    @Slot(object)
    def emphasise(self, run_ids: tuple[str, ...]) -> None:
        """Mark the run that was selected last."""
        self._emphasised = run_ids[-1] if run_ids else None
        self._page.pareto.emphasise(self._emphasised)

    def _show(self, points: ParetoPoints) -> None:
        self._page.notice.clear()
        self._page.pareto.show_points(points, _NO_POINTS)
        self._page.pareto.emphasise(self._emphasised)

    def _failed(self, problem: Problem) -> None:
        self._page.notice.show_problem(problem, retry=True)
