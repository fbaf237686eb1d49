"""Brings the events of running jobs to the GUI thread: one queue, one 30-ms timer, one signal for each tick."""

import threading
from collections import deque
from collections.abc import Iterable
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from core.events import Cancelled, Event, Failed, Finished, Interrupted, Progress
from studio.jobs.mailbox import Mailbox

TICK_MS = 30

END_EVENTS = (Finished, Failed, Cancelled, Interrupted)


class Bridge(QObject):
    """Takes events from any thread and hands them out in batches on the GUI thread.

    However many events a job emits, at most one `events` signal is emitted for each tick, and of several `Progress`
    events of a run only the newest is in it. The timer runs only while a run is under way or events are waiting.
    """

    events = Signal(object)  # tuple[Event, ...] in the order in which they were put
    recorded = Signal(object)  # run id: the history knows the run now, though it may still wait

    def __init__(self, mailbox: Mailbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque()
        self._awake = False
        self._open: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.drain)

    def put(self, event: Event) -> None:
        """From any thread: have `event` delivered at the next tick. Never blocks."""
        with self._lock:
            self._waiting.append(event)
            if self._awake:
                return
            self._awake = True
        self._mailbox.post(self._wake)

    def tell_recorded(self, run_id: str) -> None:
        """From any thread: have `recorded` emitted soon."""
        self._mailbox.post(partial(self.recorded.emit, run_id))

    @property
    def active(self) -> bool:
        """Whether the timer runs."""
        return self._timer.isActive()

    def close(self) -> None:
        """Deliver what waits and stop the timer. On the GUI thread."""
        self.drain()
        self._timer.stop()

    def _wake(self) -> None:
        # The first event after a rest is shown at once; those that follow wait for the tick.
        self._timer.start()
        self.drain()

    @Slot()
    def drain(self) -> None:
        """Deliver what waits now."""
        with self._lock:
            waiting = tuple(self._waiting)
            self._waiting.clear()
            for event in waiting:
                if isinstance(event, END_EVENTS):
                    self._open.discard(event.run_id)
                else:
                    self._open.add(event.run_id)
            if not self._open:
                self._awake = False
                self._timer.stop()
        if waiting:
            self.events.emit(coalesced(waiting))


def coalesced(events: Iterable[Event]) -> tuple[Event, ...]:
    """The same events in the same order with all but each run's newest `Progress` left out."""
    result: list[Event] = []
    seen: set[str] = set()
    for event in reversed(tuple(events)):
        if isinstance(event, Progress):
            if event.run_id in seen:
                continue
            seen.add(event.run_id)
        result.append(event)
    result.reverse()
    return tuple(result)
