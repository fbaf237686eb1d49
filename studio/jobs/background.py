"""Short work off the GUI thread: histograms, heatmaps, opening files. The newest request of each kind wins.

Training jobs do not run here: they have a runner of their own.
"""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from studio.jobs.mailbox import Mailbox
from studio.problem import Problem, problem_from


class Stale(BaseException):
    """Raised inside a request that nobody waits for any more."""


class Ticket:
    """Handed to work in progress so that it can notice that a newer request has taken its place."""

    def __init__(self) -> None:
        self._stale = threading.Event()

    @property
    def stale(self) -> bool:
        """Whether the answer will be dropped."""
        return self._stale.is_set()

    def check(self) -> None:
        """Give up if stale; call it between chunks.

        Raises:
            Stale: if a newer request has taken this one's place.
        """
        if self._stale.is_set():
            raise Stale

    def drop(self) -> None:
        """Mark as stale."""
        self._stale.set()


class Background:
    """A few worker threads with one rule: of all requests with the same `topic`, only the newest is answered.

    Created, asked and closed on the GUI thread. Answers arrive on the GUI thread.
    """

    def __init__(self, mailbox: Mailbox, threads: int = 2) -> None:
        self._mailbox = mailbox
        self._queue: SimpleQueue[tuple[Ticket, Callable[[], None]] | None] = SimpleQueue()
        self._newest: dict[str, Ticket] = {}
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"background-{n}", daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def ask(
        self,
        topic: str,
        work: Callable[[Ticket], Any],
        done: Callable[[Any], None],
        failed: Callable[[Problem], None],
    ) -> Ticket:
        """Have `work(ticket)` done on a worker; `done(result)` or `failed(problem)` follows on the GUI thread.

        A later call with the same topic makes this one stale: neither callback is then called. `work` gets only
        immutable values and touches no Qt object.
        """
        self.drop(topic)
        ticket = Ticket()
        if self._closed:
            ticket.drop()
            return ticket
        self._newest[topic] = ticket

        def finish(callback: Callable[[Any], None], value: Any) -> None:
            if not ticket.stale:
                if self._newest.get(topic) is ticket:
                    del self._newest[topic]
                callback(value)

        def run() -> None:
            try:
                result = work(ticket)
            except Stale:
                return
            except Exception as error:
                problem = problem_from(error)
                self._mailbox.post(lambda: finish(failed, problem))
                return
            self._mailbox.post(lambda: finish(done, result))

        self._queue.put((ticket, run))
        return ticket

    def drop(self, topic: str) -> None:
        """Forget the request of that topic, if one is under way."""
        if (ticket := self._newest.pop(topic, None)) is not None:
            ticket.drop()

    @property
    def idle(self) -> bool:
        """Whether no answer is awaited."""
        return not self._newest

    def close(self) -> None:
        """Drop everything and wait for the threads to end."""
        self._closed = True
        for topic in list(self._newest):
            self.drop(topic)
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        _lower_priority()
        while (item := self._queue.get()) is not None:
            ticket, run = item
            if not ticket.stale:
                run()
            del item, run


def _lower_priority() -> None:
    # Painting must win over computing where both want the same core.
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
