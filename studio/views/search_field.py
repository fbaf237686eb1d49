"""SearchField: looks like a field, opens the palette; says as much as its width allows."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from studio import icons

_TEXTS = (
    " Find a layer, a run, an action …   (Ctrl+K)",
    " Find anything …   (Ctrl+K)",
    " Find …",
)


class SearchField(QPushButton):
    """A button in the shape of a search field."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_TEXTS[-1], parent)
        self.setObjectName("searchField")
        self.setAccessibleName("Find a layer, a run or an action")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        icons.bind(self, "search", "text_muted")

    def sizeHint(self) -> QSize:
        return QSize(360, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(96, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        room = self.width() - 52
        metrics = self.fontMetrics()
        fitting = [text for text in _TEXTS if metrics.horizontalAdvance(text) <= room]
        self.setText(fitting[0] if fitting else _TEXTS[-1])
