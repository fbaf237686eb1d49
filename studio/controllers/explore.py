"""The charts of all runs that the search finds: asks for columns, makes the points in the background."""

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from studio.controllers.parallel import ParallelController
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
        self._stale: set[QWidget] = {page.pareto, page.parallel}
        self._emphasised: str | None = None
        self.parallel = ParallelController(background, "explore-parallel", page.parallel, self)
        self.parallel.failed.connect(self._failed)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_DELAY_MS)
        self._later.timeout.connect(self._update_if_seen)
        table.modelReset.connect(self._changed)
        table.dataChanged.connect(self._changed)
        page.shown.connect(self._update_if_seen)
        page.tabs.currentChanged.connect(self._update_if_seen)
        for panel in (page.pareto, page.parallel):
            panel.axes_changed.connect(self.update)
        page.notice.retry.connect(self.update)

    @property
    def is_settled(self) -> bool:
        """Whether the chart in front shows what the list holds, or is not seen."""
        return not self._later.isActive() and not (self._is_behind and self._page.isVisible())

    @property
    def _is_behind(self) -> bool:
        return self._page.tabs.currentWidget() in self._stale

    @Slot()
    def update(self) -> None:
        """Draw the runs that the search finds now in the chart in front."""
        panel = self._page.tabs.currentWidget()
        self._stale.discard(panel)
        columns = self._table.columns
        if not len(columns):
            self._background.drop(_TOPIC)
            self._page.notice.show_empty(_NO_RUNS, "Run the recipe")
            return
        pareto = panel is self._page.pareto
        x, y = self._page.pareto.x, self._page.pareto.y
        self._page.show_source(self._table.found, self._table.query.text)
        wanted = (x.column, y.column) if pareto else self._page.parallel.columns
        missing = [name for name in wanted if not columns.holds(name)]
        if missing:
            # The table changes when they are there, and so this is called again.
            self._page.notice.show_busy()
            self.fields_wanted.emit(missing)
            return
        rows = self._table.found_rows()
        if not pareto:
            self._page.notice.clear()
            self.parallel.show(columns, rows)
            return

        def work(ticket: Ticket) -> ParetoPoints:
            ticket.check()
            return column_points(columns, rows, x, y)

        self._page.notice.show_busy()
        self._background.ask(_TOPIC, work, self._show, self._failed)

    def close(self) -> None:
        """Follow no longer."""
        self._later.stop()
        self._background.drop(_TOPIC)
        self.parallel.close()

    @Slot()
    def _changed(self) -> None:
        self._stale = {self._page.pareto, self._page.parallel}
        if self._page.isVisible() and not self._later.isActive():
            self._later.start()

    @Slot()
    def _update_if_seen(self) -> None:
        if self._is_behind and self._page.isVisible():
            self.update()

    @Slot(object)
    def emphasise(self, run_ids: tuple[str, ...]) -> None:
        """Mark the run that was selected last."""
        self._emphasised = run_ids[-1] if run_ids else None
        for panel in (self._page.pareto, self._page.parallel):
            panel.emphasise(self._emphasised)

    def _show(self, points: ParetoPoints) -> None:
        self._page.notice.clear()
        self._page.pareto.show_points(points, _NO_POINTS)
        self._page.pareto.emphasise(self._emphasised)

    def _failed(self, problem: Problem) -> None:
        self._page.notice.show_problem(problem, retry=True)
