"""Runs jobs one after another in a worker thread: the only place that knows that a job is a thread.

Each run ends in exactly one end event, whatever the engine does. No Qt object is touched from the worker.
"""

import logging
import os
import platform
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from core.errors import StudioError
from core.events import Cancelled, Event, Failed, Interrupted, PausedChanged
from core.job import JobCancelled, JobContext, JobInterrupted
from core.request import RunRequest
from studio.jobs.bridge import END_EVENTS, Bridge
from studio.jobs.mailbox import Mailbox

RunFunction = Callable[[RunRequest, JobContext], None]

NICENESS = 10
"""The window paints first; torch's own threads inherit it from the worker that starts them."""

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where events are recorded (core.history.writer.HistoryWriter)."""

    def put(self, event: Event) -> None:
        """Record an event; never blocks."""

    def flush(self) -> object:
        """Wait until the events so far are recorded, or have been given up."""


class Store(Protocol):
    """What the runner needs of the history (core.history.store.HistoryStore)."""

    def add_run(self, request: RunRequest) -> object:
        """Make a queued run known; queue an interrupted one of the same id again."""

    def run_folder(self, run_id: str) -> Path:
        """The folder of a run."""


@dataclass
class _Job:
    """A submitted run. Fields are changed with the runner's lock held, `ended` by whoever ends it first."""

    request: RunRequest
    resume: bool
    recorded: threading.Event = field(default_factory=threading.Event)
    not_recorded: BaseException | None = None
    held: bool = False
    cancelled: bool = False
    context: JobContext | None = None
    ended: bool = False

    @property
    def run_id(self) -> str:
        return self.request.run_id


class JobRunner:
    """One job at a time, the others wait in the order of their submission.

    Args:
        mailbox: wakes the bridge's timer on the GUI thread.
        history_writer: gets every event.
        store: gets every new run before its first event, off the GUI thread.
        run: carries a request out; `core.pipeline.run` without one, imported (with torch) when the first job runs.

    Construct, call and close it on the GUI thread; `bridge.events` delivers what happens.
    """

    def __init__(
        self, mailbox: Mailbox, history_writer: Writer, store: Store, run: RunFunction | None = None
    ) -> None:
        self.bridge = Bridge(mailbox)
        self._writer = history_writer
        self._store = store
        self._run = run
        self._changed = threading.Condition()
        self._waiting: list[_Job] = []
        self._current: _Job | None = None
        self._closing = False
        self._to_record: SimpleQueue[_Job | None] = SimpleQueue()
        # A waiting run must be in the history at once, while the worker is busy with another: hence two threads.
        self._recorder = threading.Thread(target=self._record, name="job-recorder", daemon=True)
        self._worker = threading.Thread(target=self._work, name="job-worker", daemon=True)
        self._recorder.start()
        self._worker.start()

    # -- from the window ---------------------------------------------------------------------------------------

    def submit(self, request: RunRequest, *, resume: bool = False) -> None:
        """Queue a run; with `resume`, go on with an interrupted run of the same id.

        Raises:
            StudioError: if that run is already waiting or running, or the studio is closing.
        """
        job = _Job(request, resume)
        with self._changed:
            if self._closing:
                raise StudioError("The studio is closing: start the run again next time.")
            if self._find(request.run_id) is not None:
                raise StudioError(f"Run “{request.title}” is already in the queue.")
            self._waiting.append(job)
            self._to_record.put(job)
            self._changed.notify_all()

    def pause(self, run_id: str) -> None:
        """Pause a running job at its next batch; hold a waiting one back."""
        with self._changed:
            job = self._find(run_id)
            if job is None:
                return
            if job.context is not None:
                job.context.request_pause()
            elif not job.held:
                job.held = True
                # Only for the window: to the history a run that waits is queued, held back or not.
                self.bridge.put(PausedChanged(run_id, True))

    def resume(self, run_id: str) -> None:
        """Let a paused job go on."""
        with self._changed:
            job = self._find(run_id)
            if job is None:
                return
            if job.context is not None:
                job.context.request_resume()
            elif job.held:
                job.held = False
                self.bridge.put(PausedChanged(run_id, False))
                self._changed.notify_all()

    def stop(self, run_id: str) -> None:
        """End a running job early and keep its best state; a waiting one has nothing to keep and is cancelled."""
        with self._changed:
            job = self._find(run_id)
            if job is not None and job.context is not None:
                job.context.request_stop()
                return
        self.cancel(run_id)

    def cancel(self, run_id: str) -> None:
        """Give a job up; a waiting one ends at once."""
        with self._changed:
            job = self._find(run_id)
            if job is None:
                return
            job.cancelled = True
            if job.context is not None:
                job.context.request_cancel()
            elif job in self._waiting:
                # The end event may only follow the record of the run, so the recorder tells it.
                self._waiting.remove(job)
                self._to_record.put(job)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Ids of the running and the waiting jobs, in the order in which they will run."""
        with self._changed:
            jobs = [*([self._current] if self._current else []), *self._waiting]
            return tuple(job.run_id for job in jobs)

    def close(self) -> None:
        """Interrupt the running job, end the waiting ones as interrupted, join the threads, deliver what is left.

        The caller closes the history writer afterwards, which writes the last events.
        """
        with self._changed:
            if self._closing:
                return
            self._closing = True
            if self._current is not None and self._current.context is not None:
                self._current.context.request_interrupt()
            self._changed.notify_all()
        self._worker.join()
        self._to_record.put(None)
        self._recorder.join()
        self.bridge.close()

    # -- in the recorder's thread ------------------------------------------------------------------------------

    def _record(self) -> None:
        while (job := self._to_record.get()) is not None:
            if not job.recorded.is_set():
                try:
                    self._store.add_run(job.request)
                    self.bridge.tell_recorded(job.run_id)
                except Exception as error:
                    job.not_recorded = error
                job.recorded.set()
            elif job.cancelled:
                self._end(job, Cancelled(job.run_id, time.time()))

    # -- in the worker's thread --------------------------------------------------------------------------------

    def _work(self) -> None:
        _lower_priority()
        while (job := self._next()) is not None:
            self._carry_out(job)
            with self._changed:
                self._current = None
        for job in self._waiting:
            job.recorded.wait()
            self._end(job, Interrupted(job.run_id, time.time()))
        self._waiting.clear()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._closing:
                for job in self._waiting:
                    if not job.held:
                        self._waiting.remove(job)
                        self._current = job
                        return job
                self._changed.wait()
        return None

    def _carry_out(self, job: _Job) -> None:
        try:
            job.recorded.wait()
            if job.not_recorded is not None:
                raise job.not_recorded
            folder = self._store.run_folder(job.run_id)
            folder.mkdir(parents=True, exist_ok=True)

            def emit(event: Event) -> None:
                self._tell(job, event)

            context = JobContext(job.run_id, emit, folder, resume=job.resume, settle=self._writer.flush)
            with self._changed:
                job.context = context
                if job.held:
                    context.request_pause()
                if job.cancelled:
                    context.request_cancel()
                if self._closing:
                    context.request_interrupt()
            context.checkpoint()
            self._run_function()(job.request, context)
            if not job.ended:
                raise RuntimeError("The engine returned without an end event.")
        except JobCancelled:
            self._end(job, Cancelled(job.run_id, time.time()))
        except JobInterrupted:
            self._end(job, Interrupted(job.run_id, time.time()))
        except BaseException as error:
            self._end(job, failure(job.run_id, error), error)

    def _run_function(self) -> RunFunction:
        if self._run is None:
            from core.pipeline import run

            self._run = run
        return self._run

    def _end(self, job: _Job, event: Event, error: BaseException | None = None) -> None:
        if job.ended and error is not None:
            # The run has its one end already; what broke afterwards must not vanish without a trace.
            _log.error("After the end of run %s: %s", job.run_id, error, exc_info=error)
        self._tell(job, event)

    def _tell(self, job: _Job, event: Event) -> None:
        if job.ended:
            return
        job.ended = isinstance(event, END_EVENTS)
        if job.not_recorded is None:
            self._writer.put(event)
        self.bridge.put(event)

    def _find(self, run_id: str) -> _Job | None:
        jobs = [*([self._current] if self._current else []), *self._waiting]
        return next((job for job in jobs if job.run_id == run_id), None)


def failure(run_id: str, error: BaseException) -> Failed:
    """The end event for an exception: the sentence of a StudioError, or a bug with its report."""
    if isinstance(error, StudioError):
        return Failed(run_id, time.time(), error.message, error.details, bug=False)
    report = "".join(traceback.format_exception(error))
    return Failed(
        run_id,
        time.time(),
        f"The run stopped on an error in the studio itself ({type(error).__name__}): "
        "please copy the details into a bug report.",
        f"Python {platform.python_version()} on {platform.platform()}\n\n{report}",
        bug=True,
    )


def _lower_priority() -> None:
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
