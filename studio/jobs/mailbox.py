"""How anything that a worker thread finds reaches the window: a deque and one coalesced poke."""

import threading
from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, Signal, Slot


class Mailbox(QObject):
    """Runs callables on the GUI thread that other threads post. Create it on the GUI thread.

    However many are posted, at most one Qt event is pending; the flag is cleared before the deque is drained, so
    that nothing posted meanwhile is left lying.
    """

    _poke = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._letters: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._poked = False
        self._closed = False
        self._poke.connect(self._drain, Qt.ConnectionType.QueuedConnection)

    def post(self, letter: Callable[[], None]) -> None:
        """From any thread: have `letter` called on the GUI thread soon. Ignored after `close`."""
        with self._lock:
            if self._closed:
                return
            self._letters.append(letter)
            if self._poked:
                return
            self._poked = True
            # Emitted under the lock, so that `close` cannot destroy the object in between.
            self._poke.emit()

    def close(self) -> None:
        """Deliver nothing more."""
        with self._lock:
            self._closed = True
            self._letters.clear()

    @Slot()
    def _drain(self) -> None:
        with self._lock:
            self._poked = False
            letters = deque(self._letters)
            self._letters.clear()
        try:
            while letters and not self._closed:
                letters.popleft()()
        finally:
            # A letter that fails (the exception goes on to the hook for exceptions) must not cost the others.
            if letters:
                self._put_back(letters)

    def _put_back(self, letters: deque[Callable[[], None]]) -> None:
        with self._lock:
            if self._closed:
                return
            self._letters.extendleft(reversed(letters))
            if not self._poked:
                self._poked = True
                self._poke.emit()
