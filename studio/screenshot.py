"""For developers: a picture of the window once everything is shown."""

from typing import Any, Protocol

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget

POLL_MS = 100
SETTLE_ROUNDS = 5


class Workers(Protocol):
    """What is looked at to know whether something is still being computed."""

    @property
    def idle(self) -> bool: ...


class Studio(Protocol):
    """What is needed of the application."""

    ready: Any
    window: QWidget

    @property
    def background(self) -> Workers: ...


class Camera(QTimer):
    """Writes a PNG of the window when nothing is being computed any more, then closes it."""

    def __init__(self, studio: Studio, path: str) -> None:
        super().__init__(studio.window)
        self._studio = studio
        self._path = path
        self._quiet = 0
        self.setInterval(POLL_MS)
        self.timeout.connect(self._look)
        studio.ready.connect(self.start)

    def _look(self) -> None:
        self._quiet = self._quiet + 1 if self._studio.background.idle else 0
        if self._quiet >= SETTLE_ROUNDS:
            self.stop()
            self._studio.window.grab().save(self._path)
            self._studio.window.close()
