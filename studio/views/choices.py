"""Small parts that pages of charts share: a labelled choice, and a page with controls above its chart."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from studio import theme


def choice(name: str, title: str, tip: str, letters: int = 8) -> QComboBox:
    """An empty combo box with its names, at least so many letters wide."""
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(letters)
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setToolTip(tip)
    return box


class ChartPage(QWidget):
    """Controls on top, room for charts below, and a sentence for when there is nothing to draw."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.controls = QHBoxLayout()
        self.controls.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        self.controls.setSpacing(theme.SPACE)
        self.note = QLabel()
        self.note.setProperty("role", "muted")
        self.note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.note.setWordWrap(True)
        self.note.hide()
        self.place = QVBoxLayout(self)
        self.place.setContentsMargins(0, 0, 0, 0)
        self.place.setSpacing(0)
        self.place.addLayout(self.controls)
        self.place.addWidget(self.note, 1)

    def say(self, text: str) -> None:
        """Show a sentence in the charts' place; hide it with "" (the charts are shown by whoever owns them)."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
