"""LazyTab: a tab whose content is built when it is first looked at, because plots take a while to make."""

from collections.abc import Callable

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget


class LazyTab(QWidget):
    """Holds the view that `make` gives; `built` comes once, when it is there.

    Args:
        make: imports and makes the view; called in a turn of the event loop of its own, after the first showing.
    """

    built = Signal()

    def __init__(self, make: Callable[[], QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make = make
        self.view: QWidget | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.build)

    def build(self) -> None:
        """Make the view now, unless it is there."""
        if self.view is None:
            self.view = self._make()
            self._layout.addWidget(self.view)
            self.built.emit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.view is None:
            self._soon.start()
