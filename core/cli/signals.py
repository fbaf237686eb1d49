"""What Ctrl+C and a request to end mean while a run is under way."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from core.job import JobContext


class Interruption:
    """While the block runs: the first Ctrl+C stops and keeps the best, the second cancels, the third ends at once.

    SIGTERM ends the run so that it can be resumed. Outside the main thread nothing is changed.

    Args:
        say: called with one sentence about what is going to happen.
        keeps_best: False where there is nothing to keep, so that the first Ctrl+C cancels.
    """

    def __init__(self, context: JobContext, say: Callable[[str], None], *, keeps_best: bool) -> None:
        self._context = context
        self._say = say
        self._presses = 0 if keeps_best else 1
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                signal.SIGINT: signal.signal(signal.SIGINT, self._on_interrupt),
                signal.SIGTERM: signal.signal(signal.SIGTERM, self._on_terminate),
            }

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._presses += 1
        if self._presses == 1:
            self._context.request_stop()
            self._say("Stopping after this batch and keeping the best so far; press Ctrl+C again to cancel.")
        elif self._presses == 2:
            self._context.request_cancel()
            self._say("Cancelling.")
        else:
            raise KeyboardInterrupt

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        self._context.request_interrupt()
