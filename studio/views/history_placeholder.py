"""Stands where the history will be until its database is open, and says so if it cannot be opened."""

from PySide6.QtWidgets import QVBoxLayout, QWidget

from studio.views.notice import PanelNotice


class HistoryPlaceholder(QWidget):
    """A page with nothing but its notice."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPlaceholder")
        self.notice = PanelNotice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.notice)
        layout.addStretch(0)
