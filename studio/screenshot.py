"""For developers: a picture of the window once everything is shown."""

from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from studio.jobs.background import Background

POLL_MS = 100
SETTLE_ROUNDS = 5


class Camera(QObject):
    """Writes a PNG of the window when nothing is being computed any more, then closes it.

    Args:
        ready: signal after which the window has all its parts.
        background: whose idleness is waited for.
    """

    def __init__(self, window: QWidget, ready: Any, background: Background, path: str) -> None:
        super().__init__(window)
        self._window = window
        self._background = background
        self._path = path
        self._quiet = 0
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._look)
        ready.connect(self._timer.start)

    def _look(self) -> None:
        self._quiet = self._quiet + 1 if self._background.idle else 0
        if self._quiet >= SETTLE_ROUNDS:
            self._timer.stop()
            self._window.grab().save(self._path)
            self._window.close()
