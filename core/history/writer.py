"""Writes the events of running jobs into the history from a thread of its own, so that no job waits for a disk."""

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from core.errors import StudioError
from core.events import Event, PausedChanged, Progress, StepStarted

T = TypeVar("T")

INTERVAL = 0.3
LONGEST_WAIT = 10.0


class EventStore(Protocol):
    """What the writer needs of a store."""

    def record(self, events: Sequence[Event]) -> None:
        """Write events in one transaction, or raise StudioError and write none."""


class HistoryWriter:
    """Takes events from any thread and writes them in batches, one transaction each.

    Args:
        store: where to.
        on_written: called after each transaction, from the writer's thread, with the `run_id`s that changed.
        on_problem: called from the writer's thread when the store cannot be written, once for each outage; the
            events are kept and tried again until it can. Also called once if events had to be given up.
        interval: least time between two transactions, in seconds.

    Events that the history does not keep (`Progress`, `StepStarted`, `PausedChanged`) are dropped at once.
    """

    def __init__(
        self,
        store: EventStore,
        on_written: Callable[[frozenset[str]], None] | None = None,
        on_problem: Callable[[StudioError], None] | None = None,
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._store = store
        self._on_written = on_written
        self._on_problem = on_problem
        self._interval = interval
        self._changed = threading.Condition()
        self._waiting: list[Event] = []
        self._put = 0
        self._settled = 0
        self._closing = False
        self._flushing = 0
        self._idle = False
        self._outage = False
        self._thread = threading.Thread(target=self._work, name="history-writer", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Have an event written soon; from any thread, never waits for the disk. Ignored after `close`."""
        if isinstance(event, Progress | StepStarted | PausedChanged):
            return
        with self._changed:
            if self._closing:
                return
            self._waiting.append(event)
            self._put += 1
            # While the writer rests, waking it for each event would only cost the job time.
            if self._idle:
                self._idle = False
                self._changed.notify_all()

    def flush(self, timeout: float | None = 10.0) -> bool:
        """Wait until all events put so far are written (or given up); False if `timeout` seconds did not suffice."""
        with self._changed:
            target = self._put
            self._flushing += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._settled >= target, timeout)
            self._flushing -= 1
            return done

    def close(self, timeout: float | None = 30.0) -> None:
        """Write what is waiting, with one last attempt where the store fails, and end the thread. May be repeated."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    # -- the writer's thread -----------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = self._interval
        while self._wait_for_work():
            batch = self._take()
            if self._write(batch):
                pause = self._interval
            else:
                pause = min(LONGEST_WAIT, max(0.05, 2 * pause))
                if self._is_closing():
                    self._give_up()
                    return
            self._rest(pause)

    def _wait_for_work(self) -> bool:
        with self._changed:
            self._idle = not self._waiting
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._idle = False
            return bool(self._waiting)

    def _is_closing(self) -> bool:
        with self._changed:
            return self._closing

    def _take(self) -> list[Event]:
        with self._changed:
            batch, self._waiting = self._waiting, []
            return batch

    def _rest(self, seconds: float) -> None:
        """Let the next batch gather, unless somebody waits for it."""
        with self._changed:
            # While the store fails, a flush waits as everything else does instead of hammering on it.
            self._changed.wait_for(
                lambda: self._closing or (self._flushing > 0 and not self._outage), timeout=seconds
            )

    def _write(self, batch: list[Event]) -> bool:
        try:
            self._store.record(batch)
        except StudioError as problem:
            self._put_back(batch)
            if not self._outage:
                self._outage = True
                self._tell(problem)
            return False
        except Exception:
            self._write_one_by_one(batch)
            return True
        self._outage = False
        self._settle(batch)
        return True

    def _write_one_by_one(self, batch: list[Event]) -> None:
        """A bug in one event must not cost the others: find it, report it, go on without it."""
        for position, event in enumerate(batch):
            try:
                self._store.record([event])
            except StudioError:
                self._put_back(batch[position:])
                return
            except Exception:
                self._tell(
                    StudioError(
                        f"An event of run {event.run_id} ({type(event).__name__}) could not be kept in the history: "
                        "please copy the details into a bug report.",
                        details=traceback.format_exc(),
                    )
                )
            self._settle([event])

    def _put_back(self, batch: list[Event]) -> None:
        with self._changed:
            self._waiting = batch + self._waiting

    def _settle(self, batch: list[Event]) -> None:
        if self._on_written is not None:
            self._call(self._on_written, frozenset(event.run_id for event in batch))
        with self._changed:
            self._settled += len(batch)
            self._changed.notify_all()

    def _give_up(self) -> None:
        with self._changed:
            lost, self._waiting = self._waiting, []
            self._settled = self._put
            self._changed.notify_all()
        self._tell(
            StudioError(
                f"The last {len(lost)} events were not kept, because the history could still not be written when "
                "the studio ended."
            )
        )

    def _tell(self, problem: StudioError) -> None:
        if self._on_problem is not None:
            self._call(self._on_problem, problem)

    @staticmethod
    def _call(listener: Callable[[T], None], value: T) -> None:
        try:
            listener(value)
        except Exception:
            # A listener's bug must not end the thread that keeps everybody's results.
            logging.getLogger(__name__).exception("A listener of the history failed")
