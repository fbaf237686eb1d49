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
from core.history.records import Artifact, RunRecord
from core.measurement.records import LayerStatistics
from core.models.source import ModelSource
from core.recipe import recipe_from_data
from core.request import RunRequest
from studio.controllers.compare import CompareController
from studio.controllers.run_edits import RunEdits
from studio.jobs.background import Background, Ticket
from studio.jobs.bridge import END_EVENTS, Bridge
from studio.jobs.curves import RunCurves
from studio.problem import Problem, problem_from
from studio.state import AppState
from studio.tables.run_columns import search_text
from studio.views.history_page import HistoryPage
from studio.views.run_summary import RunDetail, model_artifact

SAVE_DELAY_MS = 600
FOLLOW_DELAY_MS = 1000
"""A running run's details are fetched again at most this often."""

_NO_RUNS = (
    "No runs yet: every run of a recipe is kept here with its curves, measurements and files. "
    "Run one, for example the preset that prunes the open model to 80 %."
)


class Store(Protocol):
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
        self._loaded = False
        self._detail: RunDetail | None = None
        self._changed: set[str] = set()
        self._unsaved: dict[str, Any] = {}
        self._unsaved_of: RunRecord | None = None
        self._save = self._timer(SAVE_DELAY_MS, self.save_edits)
        self._follow = self._timer(FOLLOW_DELAY_MS, self._load_detail)
        self.compare = CompareController(background, store, page.compare, self)
        self.compare.run_opened.connect(self.show_run)
        self.compare.runs_wanted.connect(page.show_runs)
        self.edits = RunEdits(background, store, undo_stack, self)
        self.edits.written.connect(self.runs_written)
        self.edits.failed.connect(state.problem)
        state.run_selection_changed.connect(self._selection_changed)
        page.filter_changed.connect(self._filter)
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
        details.notice.retry.connect(self._load_detail)
        details.show_nothing("Select a run to see what it did.")
        page.notice.show_empty("The runs are being read …")

    # -- what the window can ask for ---------------------------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Read all runs again."""
        store = self._store

        def load(ticket: Ticket) -> tuple[list[RunRecord], list[str]]:
            records = store.runs()
            ticket.check()
            return records, [search_text(record) for record in records]

        self._page.notice.show_busy()
        self._background.ask("history-runs", load, self._show_all, self._not_loaded)

    @Slot()
    def compare_selected(self) -> None:
        """Lay the selected runs side by side (two or more)."""
        if len(self._state.runs) >= 2:
            self.compare.compare(self._state.runs)
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
        self.edits.delete(tuple(records))
        if records:
            what = f"Run {records[0].number}" if len(records) == 1 else f"{len(records)} runs"
            self._state.message.emit(f"{what} deleted; Undo (Ctrl+Z) brings it back.")

    @Slot(object)
    def show_run(self, run_id: str) -> None:
        """Select a run and bring it to the front."""
        if self._page.table.row_of(run_id) is None:
            self._page.filter.clear()
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
    def run_again(self) -> None:
        """Queue the selected run once more as a new run."""
        self._ask_request(self._rerun)

    @Slot()
    def resume(self) -> None:
        """Go on with the selected interrupted run."""
        self._ask_request(self.resume_requested.emit)

    def close(self) -> None:
        """Save what was typed and finish what is being written. Before the background threads and the store close."""
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
        self._changed.update(run_ids)
        if not self._loaded or not self._changed:
            return
        store, wanted = self._store, tuple(self._changed)

        def load(ticket: Ticket) -> list[RunRecord]:
            found = []
            for run_id in wanted:
                ticket.check()
                try:
                    found.append(store.run(run_id))
                except StudioError:
                    # Removed for good by another window in the meantime: the next refresh drops it.
                    continue
            return found

        self._background.ask("history-changed", load, self._merge, self._state.problem.emit)

    # -- showing -----------------------------------------------------------------------------------------------

    def _show_all(self, loaded: tuple[list[RunRecord], list[str]]) -> None:
        records, search = loaded
        self._loaded = True
        self._page.table.set_records(records, search)
        self._show_state()
        self._selection_changed(self._state.runs)
        if self._changed:
            self.runs_written(())

    def _not_loaded(self, problem: Problem) -> None:
        if self._loaded:
            self._page.notice.clear()
            self._state.problem.emit(problem)
        else:
            self._page.notice.show_problem(problem, retry=True)

    def _merge(self, records: list[RunRecord]) -> None:
        self._changed -= {record.run_id for record in records}
        if not records:
            self._changed.clear()
            return
        self._page.table.merge(records)
        self._show_state()
        self.compare.forget(record.run_id for record in records if record.deleted_at is not None)
        shown = self._page.details.record
        for record in records:
            if shown is not None and record.run_id == shown.run_id and record.deleted_at is None:
                self._page.details.show_record(record, frozenset(self._unsaved))
                if not record.is_over:
                    if not self._follow.isActive():
                        self._follow.start()
                elif self._detail is None or self._detail.record.status != record.status:
                    self._load_detail()

    def _show_state(self) -> None:
        if self._page.table.total == 0:
            self._page.notice.show_empty(_NO_RUNS, "Run the recipe")
        else:
            self._page.notice.clear()
        self._count()

    @Slot()
    def _count(self) -> None:
        self._page.show_selection(len(self._state.runs))

    @Slot(object)
    def _filter(self, text: str) -> None:
        self._page.table.set_filter(text)

    @Slot(object)
    def _selection_changed(self, run_ids: tuple[str, ...]) -> None:
        self._page.runs.choose(run_ids)
        self._count()
        # The details follow the run that was selected last: that is the one that was just clicked.
        record = self._page.table.record(run_ids[-1]) if run_ids else None
        shown = self._page.details.record
        if record is None:
            self.save_edits()
            self._detail = None
            self._page.details.show_nothing("Select a run to see what it did.")
        elif shown is None or shown.run_id != record.run_id:
            self.save_edits()
            self._detail = None
            self._page.details.show_record(record)
            self._load_detail()

    @Slot()
    def _load_detail(self) -> None:
        record = self._page.details.record
        if record is None:
            return
        store, run_id = self._store, record.run_id

        def load(ticket: Ticket) -> RunDetail:
            found = store.run(run_id)
            curves = RunCurves(store.metrics(run_id))
            ticket.check()
            return RunDetail(
                found,
                curves,
                store.layers(run_id, "before"),
                store.layers(run_id, "after"),
                store.artifacts(run_id),
            )

        self._page.details.notice.show_busy()
        self._background.ask("history-detail", load, self._show_detail, self._no_detail)

    def _show_detail(self, detail: RunDetail) -> None:
        shown = self._page.details.record
        if shown is not None and shown.run_id == detail.record.run_id:
            self._detail = detail
            self._page.details.show_record(detail.record, frozenset(self._unsaved))
            self._page.details.show_detail(detail)

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
        current = self._page.table.record(record.run_id) or record
        if changes:
            self.edits.change(current, changes)

    @Slot(object)
    def _star(self, on: bool) -> None:
        if (record := self._page.details.record) is not None:
            self.edits.change(record, {"starred": on})

    @Slot(object)
    def _toggle_star(self, run_id: str) -> None:
        if (record := self._page.table.record(run_id)) is not None:
            self.edits.change(record, {"starred": not record.starred})

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
