"""The history's decisions: loads runs, follows those that run, edits, deletes, compares, starts them again."""

import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QUndoStack

from core.errors import StudioError
from core.events import Event, MetricPoint, Progress
from core.history.columns import RunColumns
from core.history.lineage import lineage
from core.history.records import Artifact, RunRecord
from core.history.rounds import round_findings, rounds_of
from core.measurement.records import LayerStatistics
from core.models.source import ModelSource, source_from_json
from core.recipe import recipe_from_data
from core.request import RunRequest
from studio.controllers.compare import CompareController
from studio.controllers.explore import ExploreController
from studio.controllers.flips import FlipsController, Galleries
from studio.controllers.run_edits import RunEdits
from studio.controllers.run_list import ColumnStore, RunList
from studio.jobs.background import Background, Ticket
from studio.jobs.bridge import END_EVENTS, Bridge
from studio.jobs.curves import RunCurves
from studio.problem import Problem, problem_from
from studio.state import AppState
from studio.views.history_page import HistoryPage
from studio.views.run_summary import RunDetail, model_artifact

SAVE_DELAY_MS = 600
FOLLOW_DELAY_MS = 1000
"""A running run's details are fetched again at most this often."""

_NO_RUNS = (
    "No runs yet: every run of a recipe is kept here with its curves, measurements and files. "
    "Run one, for example the preset that prunes the open model to 80 %."
)


class Store(ColumnStore, Protocol):
    """What is needed of `core.history.store.HistoryStore`; called from background threads only."""

    def runs(self) -> list[RunRecord]: ...
    def run(self, name: str) -> RunRecord: ...
    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]: ...
    def layers(self, run_id: str, stage: str) -> tuple[LayerStatistics, ...]: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...
    def request_of(self, run_id: str) -> RunRequest: ...
    def update(self, run_id: str, **changes: Any) -> None: ...
    def delete(self, run_ids: Iterable[str]) -> None: ...
    def restore(self, run_ids: Iterable[str]) -> None: ...


class HistoryController(QObject):
    """Between the store, the page and the state. Call `refresh` once the window is painted."""

    open_model_requested = Signal(object)  # ModelSource
    recipe_requested = Signal(object)  # Recipe
    rerun_requested = Signal(object)  # RunRequest with an id of its own
    resume_requested = Signal(object)  # RunRequest with the id of the interrupted run
    run_requested = Signal()  # the empty history's button

    def __init__(
        self,
        state: AppState,
        background: Background,
        store: Store,
        page: HistoryPage,
        undo_stack: QUndoStack | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._store = store
        self._page = page
        self._detail: RunDetail | None = None
        self._coming: str | None = None
        self._unsaved: dict[str, Any] = {}
        self._unsaved_of: RunRecord | None = None
        self._save = self._timer(SAVE_DELAY_MS, self.save_edits)
        self._follow = self._timer(FOLLOW_DELAY_MS, self._load_detail)
        self.compare = CompareController(background, store, page.compare, self)
        self.compare.run_opened.connect(self.show_run)
        self.compare.runs_wanted.connect(page.show_runs)
        galleries = Galleries()
        self.flips = FlipsController(background, store, galleries, page.details.predictions, "run", self)
        self.flips_between = FlipsController(
            background, store, galleries, page.compare.predictions, "between", self
        )
        page.compare.comparison_shown.connect(self.flips_between.show_comparison)
        self.list = RunList(background, store, page, self)
        self.list.glimpsed.connect(self._show_state)
        self.list.loaded.connect(self._show_all)
        self.list.not_loaded.connect(self._not_loaded)
        self.list.merged.connect(self._merged)
        self.list.problem.connect(state.problem)
        self.explore = ExploreController(background, page.table, page.explore, self)
        self.explore.fields_wanted.connect(self.list.want)
        page.explore.run_opened.connect(self.show_run)
        page.explore.compare_wanted.connect(self.compare_these)
        page.explore.list_wanted.connect(page.narrow_search)
        page.explore.search_wanted.connect(page.focus_filter)
        page.explore.problem.connect(state.problem)
        page.explore.notice.action.connect(self.run_requested)
        state.run_selection_changed.connect(self.explore.emphasise)
        self.edits = RunEdits(background, store, undo_stack, self)
        self.edits.written.connect(self.runs_written)
        self.edits.failed.connect(state.problem)
        state.run_selection_changed.connect(self._selection_changed)
        page.archive_wanted.connect(self.archive_selected)
        page.compare_wanted.connect(self.compare_selected)
        page.delete_wanted.connect(self.delete_selected)
        page.notice.action.connect(self.run_requested)
        page.notice.retry.connect(self.refresh)
        page.runs.runs_selected.connect(state.set_runs)
        page.runs.star_clicked.connect(self._toggle_star)
        page.table.modelReset.connect(self._count)
        page.compare.problem.connect(state.problem)
        details = page.details
        details.edited.connect(self._edited)
        details.starred.connect(self._star)
        details.open_wanted.connect(self.open_model)
        details.recipe_wanted.connect(self.use_recipe)
        details.again_wanted.connect(self.run_again)
        details.resume_wanted.connect(self.resume)
        details.problem.connect(state.problem)
        details.continue_wanted.connect(self.continue_from_result)
        details.duplicate_wanted.connect(self.duplicate)
        details.run_wanted.connect(self.show_run)
        details.notice.retry.connect(self._load_detail)
        details.show_nothing("Select a run to see what it did.")
        page.notice.show_empty("The runs are being read …")

    # -- what the window can ask for ---------------------------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Read all runs again."""
        if len(self._page.table.columns) == 0:
            self._page.notice.show_busy()
        self.list.load()

    @Slot()
    def compare_selected(self) -> None:
        """Lay the selected runs side by side (two or more)."""
        if len(self._state.runs) >= 2:
            self.compare.compare(self._state.runs)
            self._page.show_compare()

    @Slot()
    def show_explore(self) -> None:
        """Bring the charts of all runs to the front."""
        self._page.show_explore()

    @Slot(object)
    def compare_these(self, run_ids: tuple[str, ...]) -> None:
        """Lay these runs side by side."""
        self.compare.compare(run_ids)
        self._page.show_compare()

    @Slot()
    def delete_selected(self) -> None:
        """Delete the selected runs; those that run or wait must be cancelled first. Undo brings them back."""
        records = [record for run_id in self._state.runs if (record := self._page.table.record(run_id))]
        busy = [record for record in records if not record.is_over]
        if busy:
            self._state.problem.emit(
                Problem(f"Run {busy[0].number} is {busy[0].status}: cancel it before you delete it.")
            )
            return
        self.edits.delete(tuple((record.run_id, record.number) for record in records))
        if records:
            what = f"Run {records[0].number}" if len(records) == 1 else f"{len(records)} runs"
            self._state.message.emit(f"{what} deleted; Undo (Ctrl+Z) brings it back.")

    @Slot()
    def archive_selected(self) -> None:
        """Put the selected runs out of sight, or back if all of them are; undo does the opposite."""
        records = [record for run_id in self._state.runs if (record := self._page.table.record(run_id))]
        if not records:
            return
        on = not all(record.archived for record in records)
        self.edits.archive(tuple((record.run_id, record.number) for record in records), on)
        what = f"Run {records[0].number}" if len(records) == 1 else f"{len(records)} runs"
        self._state.message.emit(
            f"{what} archived; Undo (Ctrl+Z) brings it back." if on else f"{what} shown again."
        )

    @Slot(object)
    def show_run(self, run_id: str) -> None:
        """Select a run and bring it to the front."""
        if self._page.table.row_of(run_id) is None:
            self._page.show_everything()
        self._page.show_runs()
        self._state.set_runs((run_id,))

    def focus_filter(self) -> None:
        """Put the cursor into the filter."""
        self._page.focus_filter()

    @Slot()
    def open_model(self) -> None:
        """Open the model that the selected run saved."""
        result = model_artifact(self._detail.artifacts) if self._detail is not None else None
        if result is None:
            return
        if not Path(result.path).exists():
            self._state.problem.emit(
                Problem(f"{result.path} is no longer there: run the recipe again to get the model back.")
            )
            return
        self.open_model_requested.emit(ModelSource("file", result.path))

    @Slot()
    def use_recipe(self) -> None:
        """Take the selected run's recipe over for editing."""
        record = self._page.details.record
        if record is None:
            return
        try:
            recipe = recipe_from_data(record.recipe, f"The recipe of run {record.number}")
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        self.recipe_requested.emit(recipe)

    @Slot()
    def continue_from_result(self) -> None:
        """Open what the selected run saved, with its recipe for editing: what runs next is the run's child."""
        if self._detail is not None and model_artifact(self._detail.artifacts) is not None:
            self.open_model()
            self.use_recipe()

    @Slot()
    def duplicate(self) -> None:
        """Open the model that the selected run started from, with its recipe for changes."""
        record = self._page.details.record
        if record is None:
            return
        try:
            source = source_from_json(record.source)
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        self.open_model_requested.emit(source)
        self.use_recipe()

    @Slot()
    def run_again(self) -> None:
        """Queue the selected run once more as a new run."""
        self._ask_request(self._rerun)

    @Slot()
    def resume(self) -> None:
        """Go on with the selected interrupted run."""
        self._ask_request(self.resume_requested.emit)

    def close(self) -> None:
        """Save what was typed and finish what is being written. Before the background threads and the store close."""
        self.list.close()
        self.explore.close()
        self.save_edits()
        self.edits.close()

    # -- from the jobs -----------------------------------------------------------------------------------------

    def follow(self, bridge: Bridge) -> None:
        """Show what the runs of this window do. The history writer's `on_written` goes to `runs_written`."""
        bridge.events.connect(self.take_events)
        bridge.recorded.connect(self._recorded)

    @Slot(object)
    def _recorded(self, run_id: str) -> None:
        self.runs_written((run_id,))

    @Slot(object)
    def take_events(self, events: Iterable[Event]) -> None:
        """Take progress from a batch of events; everything else is read from the store once it is written."""
        progress: dict[str, float | None] = {}
        for event in events:
            if isinstance(event, Progress):
                progress[event.run_id] = event.fraction
            elif isinstance(event, END_EVENTS):
                progress[event.run_id] = None
        if progress:
            self._page.table.set_progress(progress)

    @Slot(object)
    def runs_written(self, run_ids: Iterable[str]) -> None:
        """These runs changed in the store (from the history writer's `on_written`, on the GUI thread)."""
        self.list.reload(run_ids)

    # -- showing -----------------------------------------------------------------------------------------------

    @Slot()
    def _show_all(self) -> None:
        self._show_state()
        self._selection_changed(self._state.runs)

    @Slot(object)
    def _not_loaded(self, problem: Problem) -> None:
        if self.list.is_loaded:
            self._page.notice.clear()
            self._state.problem.emit(problem)
        else:
            self._page.notice.show_problem(problem, retry=True)

    @Slot(object)
    def _merged(self, changes: RunColumns) -> None:
        self._show_state()
        gone = [run_id for n, run_id in enumerate(changes.run_ids) if changes.figures["deleted"][n]]
        self.compare.forget(gone)
        shown = self._page.details.record
        if shown is None or shown.run_id not in changes.position or shown.run_id in gone:
            return
        if changes.texts["status"][changes.position[shown.run_id]] in ("queued", "running"):
            self._load_record()
            if not self._follow.isActive():
                self._follow.start()
        else:
            self._load_detail()

    def _show_state(self) -> None:
        if len(self._page.table.columns) == 0:
            self._page.notice.show_empty(_NO_RUNS, "Run the recipe")
        else:
            self._page.notice.clear()
        self._count()

    @Slot()
    def _count(self) -> None:
        self._page.show_selection(len(self._state.runs))

    @Slot(object)
    def _selection_changed(self, run_ids: tuple[str, ...]) -> None:
        self._page.runs.choose(run_ids)
        self._count()
        # The details follow the run that was selected last: that is the one that was just clicked.
        record = self._page.table.record(run_ids[-1]) if run_ids else None
        shown = self._page.details.record
        if record is None:
            self.save_edits()
            self._detail = self._coming = None
            self._page.details.show_nothing("Select a run to see what it did.")
        elif shown is None or shown.run_id != record.run_id:
            self.save_edits()
            self._detail = None
            self._load_detail(record.run_id)

    def _load_record(self) -> None:
        """Fetch what the list of the details tells, without the curves: a live run changes several times a second."""
        record, store = self._page.details.record, self._store
        if record is not None:
            run_id = record.run_id
            self._background.ask(
                "history-record",
                lambda _ticket: store.run(run_id),
                self._show_record,
                self._state.problem.emit,
            )

    def _show_record(self, record: RunRecord) -> None:
        shown = self._page.details.record
        if shown is not None and shown.run_id == record.run_id:
            self._page.details.show_record(record, frozenset(self._unsaved))

    @Slot()
    def _load_detail(self, run_id: str | None = None) -> None:
        shown = self._page.details.record
        if run_id is None:
            # What was asked for and is on its way counts before what is on show.
            run_id = self._coming or (None if shown is None else shown.run_id)
        if run_id is None:
            return
        store, wanted = self._store, run_id
        self._coming = run_id

        def load(ticket: Ticket) -> RunDetail:
            found = store.run(wanted)
            points = store.metrics(wanted)
            curves = RunCurves(points)
            ticket.check()
            derived = round_findings(wanted, [rounds_of(found.recipe, points)])
            return RunDetail(
                found,
                curves,
                store.layers(wanted, "before"),
                store.layers(wanted, "after"),
                store.artifacts(wanted),
                (*store.findings(wanted), *derived),
            )

        self._page.details.notice.show_busy()
        self._background.ask("history-detail", load, self._show_detail, self._no_detail)

    def _show_detail(self, detail: RunDetail) -> None:
        self._coming = None
        record = detail.record
        if record.run_id not in self._state.runs[-1:]:
            return
        self._detail = detail
        self._page.details.show_record(record, frozenset(self._unsaved))
        self._page.details.show_detail(detail)
        self.flips.show_run(record, detail.artifacts)
        columns = self._page.table.columns
        if columns.holds("parent"):
            self._page.details.show_family(columns, lineage(columns, record.run_id))

    def _no_detail(self, problem: Problem) -> None:
        self._page.details.notice.show_problem(problem, retry=True)

    # -- editing -----------------------------------------------------------------------------------------------

    @Slot(object, object)
    def _edited(self, field: str, value: Any) -> None:
        self._unsaved_of = self._page.details.record
        self._unsaved[field] = value
        self._save.start()

    @Slot()
    def save_edits(self) -> None:
        """Save what was typed now."""
        self._save.stop()
        record, changes = self._unsaved_of, dict(self._unsaved)
        self._unsaved.clear()
        self._unsaved_of = None
        if record is None:
            return
        if "name" in changes and not changes["name"].strip():
            # An empty name is a name that is being replaced: keep the old one.
            del changes["name"]
        if changes:
            self.edits.change(record, changes)

    @Slot(object)
    def _star(self, on: bool) -> None:
        if (record := self._page.details.record) is not None:
            self.edits.change(record, {"starred": on})

    @Slot(object)
    def _toggle_star(self, run_id: str) -> None:
        if (record := self._page.table.record(run_id)) is not None:
            self.edits.star(record.run_id, record.number, not record.starred)

    # -- inside ------------------------------------------------------------------------------------------------

    def _ask_request(self, then: Any) -> None:
        record = self._page.details.record
        if record is not None:
            store, run_id = self._store, record.run_id
            self._background.ask(
                "history-request", lambda _ticket: store.request_of(run_id), then, self._state.problem.emit
            )

    def _rerun(self, request: RunRequest) -> None:
        self.rerun_requested.emit(replace(request, run_id=uuid.uuid4().hex))

    def _timer(self, milliseconds: int, slot: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer
