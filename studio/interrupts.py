"""Ctrl+C in the terminal and a polite kill close the window as its own button does."""

import signal
import socket

from PySide6.QtCore import QObject, QSocketNotifier, Signal


class Interrupts(QObject):
    """Emits `asked_to_quit` for SIGINT and SIGTERM, until `close` gives the old handlers back.

    Python runs signal handlers only between its own instructions, and an event loop that waits has none: the
    interpreter's wake-up socket gives it one.
    """

    asked_to_quit = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._earlier_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._earlier = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        self._notifier = QSocketNotifier(self._reader.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._wake)

    def close(self) -> None:
        """Give the old handlers back."""
        self._notifier.setEnabled(False)
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._earlier_fd)
        self._reader.close()
        self._writer.close()

    def _note(self, *_: object) -> None:
        self.asked_to_quit.emit()

    def _wake(self) -> None:
        self._reader.recv(64)
