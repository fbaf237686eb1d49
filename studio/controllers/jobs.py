"""What happens when the user starts, pauses, stops or cancels a run, and what the window learns from its events."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from PySide6.QtCore import QObject, Signal, Slot

from core.errors import StudioError
from core.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Interrupted,
    Measured,
    MetricPoint,
    Notice,
    RunStarted,
)
from core.formatting import percent, points
from core.request import RunRequest
from studio.jobs.bridge import END_EVENTS, Bridge
from studio.jobs.curves import RunCurves
from studio.jobs.status import JobStatus, advanced
from studio.problem import problem_from
from studio.state import AppState
from studio.views.job_strip import JobStrip


class Runner(Protocol):
    """What the controller needs of `studio.jobs.runner.JobRunner`."""

    bridge: Bridge

    def submit(self, request: RunRequest, *, resume: bool = False) -> None: ...
    def pause(self, run_id: str) -> None: ...
    def resume(self, run_id: str) -> None: ...
    def stop(self, run_id: str) -> None: ...
    def cancel(self, run_id: str) -> None: ...


class JobsController(QObject):
    """Folds events into what the strip shows, and passes the user's wishes on to the runner."""

    show_run_requested = Signal(object)  # run id: show it in the history
    run_requested = Signal()  # the empty strip's button: run the recipe that is being edited
    run_started = Signal(object)  # run id, when it is submitted
    run_ended = Signal(object)  # the end event

    def __init__(
        self, state: AppState, runner: Runner, strip: JobStrip, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._runner = runner
        self._strip = strip
        self._jobs: dict[str, JobStatus] = {}
        self._requests: dict[str, RunRequest] = {}
        self._curves: dict[str, RunCurves] = {}
        runner.bridge.events.connect(self.take_events)
        strip.selected.connect(self._selected)
        strip.pause_wanted.connect(self._pause_or_resume)
        strip.stop_wanted.connect(self._stop)
        strip.remove_wanted.connect(self._remove)
        strip.cancel_confirmed.connect(self._cancel)
        strip.show_wanted.connect(self._show)
        strip.run_wanted.connect(self.run_requested)
        strip.problem.connect(state.problem)

    # -- what the window can ask for ---------------------------------------------------------------------------

    def submit(self, request: RunRequest) -> None:
        """Queue a run."""
        self._enqueue(request, resume=False)

    def resume_run(self, request: RunRequest) -> None:
        """Go on with an interrupted run (the request carries its id)."""
        self._enqueue(request, resume=True)

    def pause_or_resume(self) -> None:
        """Pause the selected job, or let it go on."""
        self._pause_or_resume(self._strip.current)

    def stop_selected(self) -> None:
        """End the selected job early and keep its best state."""
        self._stop(self._strip.current)

    def cancel_selected(self) -> None:
        """Give the selected job up (asks if work would be lost)."""
        job = self._jobs.get(self._strip.current or "")
        if job is not None and not job.ended:
            self._remove(job.run_id)

    def dismiss_ended(self) -> None:
        """Take all jobs that have ended out of the strip; the history keeps them."""
        for run_id in [run_id for run_id, job in self._jobs.items() if job.ended]:
            self._forget(run_id)
        self._refresh()

    @property
    def jobs(self) -> tuple[JobStatus, ...]:
        """All jobs in the strip."""
        return tuple(self._jobs.values())

    @property
    def unfinished(self) -> int:
        """How many jobs run or wait, for a question before the window closes."""
        return sum(not job.ended for job in self._jobs.values())

    def curves(self, run_id: str) -> RunCurves | None:
        """The curves of a job of this session as far as they have come."""
        return self._curves.get(run_id)

    # -- from the strip ----------------------------------------------------------------------------------------

    def _enqueue(self, request: RunRequest, resume: bool) -> None:
        try:
            self._runner.submit(request, resume=resume)
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        run_id = request.run_id
        # A resumed run goes to the end of the strip like any other that is started now.
        self._forget(run_id)
        self._requests[run_id] = request
        self._curves[run_id] = RunCurves()
        self._jobs[run_id] = JobStatus(run_id, request.title, request.source.title)
        self._refresh()
        self._strip.select(run_id)
        self.run_started.emit(run_id)

    @Slot(object)
    def _pause_or_resume(self, run_id: str | None) -> None:
        job = self._jobs.get(run_id or "")
        if job is None or job.ended or job.wish in ("stop", "cancel"):
            return
        if job.paused or job.wish == "pause":
            self._runner.resume(job.run_id)
            self._replace(replace(job, wish=""))
        else:
            self._replace(replace(job, wish="pause" if job.state == "running" else ""))
            self._runner.pause(job.run_id)

    @Slot(object)
    def _stop(self, run_id: str | None) -> None:
        job = self._jobs.get(run_id or "")
        if job is not None and job.state == "running" and not job.wish:
            self._replace(replace(job, wish="stop", paused=False))
            self._runner.stop(job.run_id)

    @Slot(object)
    def _remove(self, run_id: str | None) -> None:
        job = self._jobs.get(run_id or "")
        if job is None or job.wish == "cancel":
            return
        if job.ended:
            self._forget(job.run_id)
            self._refresh()
        elif job.fraction > 0:
            self._strip.ask_to_cancel(job)
        else:
            self._cancel(job.run_id)

    @Slot(object)
    def _cancel(self, run_id: str) -> None:
        job = self._jobs.get(run_id)
        if job is not None and not job.ended:
            self._replace(replace(job, wish="cancel"))
            self._runner.cancel(run_id)

    @Slot(object)
    def _show(self, run_id: str) -> None:
        self._state.set_runs((run_id,))
        self.show_run_requested.emit(run_id)

    @Slot(object)
    def _selected(self, run_id: str | None) -> None:
        job = self._jobs.get(run_id or "")
        if job is None:
            self._strip.curves.show_text("Select a job to see its curves.")
            return
        curves = self._curves[job.run_id]
        if not curves.empty:
            self._strip.curves.show_curves(curves)
        elif job.ended:
            self._strip.curves.show_text(f"“{job.title}” has no curves: it did not train.")
        elif job.state == "waiting":
            self._strip.curves.show_text(f"“{job.title}” waits for the jobs before it.")
        else:
            self._strip.curves.show_text(f"The curves of “{job.title}” appear here as soon as it trains.")

    # -- from the jobs -----------------------------------------------------------------------------------------

    @Slot(object)
    def take_events(self, events: Iterable[Event]) -> None:
        """Fold a batch of events in, then bring the strip up to date once."""
        new_points: dict[str, list[MetricPoint]] = {}
        for event in events:
            job = self._jobs.get(event.run_id)
            if job is None:
                continue
            self._jobs[event.run_id] = job = advanced(job, event)
            if isinstance(event, MetricPoint):
                new_points.setdefault(event.run_id, []).append(event)
            else:
                self._announce(job, event)
        for run_id, found in new_points.items():
            self._add_points(run_id, found)
        self._refresh()

    def _add_points(self, run_id: str, found: list[MetricPoint]) -> None:
        curves = self._curves[run_id]
        first = curves.empty
        curves.extend(found)
        if run_id == self._strip.current:
            if first:
                self._strip.curves.show_curves(curves)
            else:
                self._strip.curves.follow()

    def _announce(self, job: JobStatus, event: Event) -> None:
        match event:
            case RunStarted():
                self._say(f"“{job.title}” started.")
                if job.run_id == self._strip.current:
                    self._selected(job.run_id)
            case Notice(text=text):
                self._say(f"“{job.title}”: {text}")
            case Measured(stage="before", measurement=measurement) if measurement.accuracy is not None:
                self._note_accuracy(job.run_id, measurement.accuracy)
            case Finished():
                self._say(f"“{job.title}” {_result(job)}")
            case Failed(message=message):
                self._say(f"“{job.title}” failed: {message}")
            case Cancelled():
                self._say(f"“{job.title}” was cancelled.")
            case Interrupted():
                self._say(f"“{job.title}” was interrupted; it can be resumed from the history.")
        if isinstance(event, END_EVENTS):
            if job.run_id == self._strip.current and self._curves[job.run_id].empty:
                self._selected(job.run_id)
            self.run_ended.emit(event)

    def _note_accuracy(self, run_id: str, accuracy: object) -> None:
        # Only what was measured on this very model and task may stand in the window's title.
        request = self._requests[run_id]
        model = self._state.model
        if (
            model is not None
            and model.description.source == request.source
            and (self._state.task == request.task)
        ):
            self._state.set_accuracy(accuracy)

    def _say(self, text: str) -> None:
        self._state.message.emit(text)

    def _replace(self, job: JobStatus) -> None:
        self._jobs[job.run_id] = job
        self._refresh()

    def _forget(self, run_id: str) -> None:
        for book in (self._jobs, self._requests, self._curves):
            book.pop(run_id, None)

    def _refresh(self) -> None:
        self._strip.set_jobs(tuple(self._jobs.values()))


def _result(job: JobStatus) -> str:
    verb = "was stopped early; the best state was kept" if job.stopped_early else "finished"
    measured = job.after or job.before
    if measured is None:
        return f"{verb}."
    change = ""
    if job.before is not None and job.after is not None:
        change = f" ({points(job.after.value - job.before.value)})"
    return f"{verb}: {percent(measured.value)}{change}."
