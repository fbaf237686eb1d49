"""The rope between a running job and whoever started it: events out; pause, stop and cancel in.

Nothing here knows whether the job is a thread, a process or the command line's own main thread.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from core.events import Event, PausedChanged, Progress


class JobCancelled(BaseException):
    """Raised at a checkpoint of a cancelled job. A BaseException, so that no `except Exception` swallows it."""


class JobInterrupted(BaseException):
    """Raised at a checkpoint when the process is about to end; the run stays resumable."""


class JobContext:
    """What a job gets besides its request.

    Args:
        run_id: names the run in every event.
        emit: takes each event; must return quickly and be callable from the job's thread.
        folder: the run's own folder; exists; the job may write there and nowhere else.
        resume: continue from the last checkpoint in `folder` where there is one.

    The `request_*` methods may be called from any thread; they take effect at the job's next `checkpoint()`.
    """

    def __init__(
        self,
        run_id: str,
        emit: Callable[[Event], None],
        folder: Path,
        *,
        resume: bool = False,
        settle: Callable[[], object] | None = None,
    ) -> None:
        self.run_id = run_id
        self.folder = folder
        self.resume = resume
        self._emit = emit
        self._settle = settle
        self._cancel = threading.Event()
        self._interrupt = threading.Event()
        self._stop = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self._started = time.monotonic()
        self._paused_seconds = 0.0
        self._earlier_seconds = 0.0
        self._work = WorkEstimate()

    # -- from the job

    def emit(self, event: Event) -> None:
        """Publish an event."""
        self._emit(event)

    def settle(self) -> None:
        """Wait until whoever records the events has written them.

        Before a checkpoint: what it counts as done is not computed again, so its points must outlive a kill.
        """
        if self._settle is not None:
            self._settle()

    def checkpoint(self) -> None:
        """Wait here while paused; raise if cancelled or interrupted. Call it between batches.

        Raises:
            JobCancelled: the user cancelled.
            JobInterrupted: the process is about to end.
        """
        if not self._go_on.is_set() and not self._ending():
            began = time.monotonic()
            self.emit(PausedChanged(self.run_id, True))
            self._go_on.wait()
            self._paused_seconds += time.monotonic() - began
            self.emit(PausedChanged(self.run_id, False))
        if self._cancel.is_set():
            raise JobCancelled
        if self._interrupt.is_set():
            raise JobInterrupted

    @property
    def stop_requested(self) -> bool:
        """The user wants the best state so far and no more work; steps end early and normally."""
        return self._stop.is_set()

    @property
    def active_seconds(self) -> float:
        """Time since the start without pauses, counting what earlier sessions of a resumed run took."""
        return self._earlier_seconds + time.monotonic() - self._started - self._paused_seconds

    def continue_clock(self, earlier_seconds: float) -> None:
        """Tell the clock what a resumed run already took, in seconds."""
        self._earlier_seconds = earlier_seconds

    def plan_work(self, total: float, done: float = 0.0) -> None:
        """Say how much work the run is, in any one unit, and how much of it an earlier session did already."""
        self._work = WorkEstimate(total=total, done=done, done_at_start=done, started=self._run_seconds())

    def advance(self, amount: float, activity: str) -> None:
        """Report work done since the last call and what is going on; emits `Progress`."""
        self._work.done += amount
        self.emit(
            Progress(
                self.run_id,
                self._work.fraction,
                activity,
                self._work.seconds_left(self._run_seconds()),
            )
        )

    @property
    def work_done(self) -> float:
        """How much of the planned work is done."""
        return self._work.done

    def skip(self, amount: float) -> None:
        """Take work out of the plan that will not be done (a step ended early)."""
        self._work.total = max(self._work.done, self._work.total - amount)

    def _run_seconds(self) -> float:
        return time.monotonic() - self._started - self._paused_seconds

    def _ending(self) -> bool:
        return self._cancel.is_set() or self._interrupt.is_set() or self._stop.is_set()

    # -- from whoever watches

    def request_cancel(self) -> None:
        """Give up: the run ends as cancelled and keeps nothing."""
        self._cancel.set()
        self._go_on.set()

    def request_interrupt(self) -> None:
        """End now and resumably, because the process is about to end."""
        self._interrupt.set()
        self._go_on.set()

    def request_stop(self) -> None:
        """Stop early and keep the best state so far."""
        self._stop.set()
        self._go_on.set()

    def request_pause(self) -> None:
        """Wait at the next checkpoint."""
        self._go_on.clear()

    def request_resume(self) -> None:
        """Leave the pause."""
        self._go_on.set()

    @property
    def paused(self) -> bool:
        """Whether a pause is asked for."""
        return not self._go_on.is_set()


class WorkEstimate:
    """Turns work done into a fraction and a time left."""

    def __init__(
        self, total: float = 1.0, done: float = 0.0, done_at_start: float = 0.0, started: float = 0.0
    ) -> None:
        self.total = total
        self.done = done
        self.done_at_start = done_at_start
        self.started = started
        self._highest = 0.0

    @property
    def fraction(self) -> float:
        """How much is done, in [0, 1]; never falls."""
        self._highest = max(self._highest, min(1.0, self.done / self.total) if self.total > 0 else 1.0)
        return self._highest

    def seconds_left(self, now: float) -> float | None:
        """Time left at the average pace so far, in seconds; None until a second has passed or a 50th is done."""
        elapsed = now - self.started
        done = self.done - self.done_at_start
        if done <= 0 or (elapsed < 1.0 and done < self.total / 50):
            return None
        return max(0.0, (self.total - self.done) * elapsed / done)
