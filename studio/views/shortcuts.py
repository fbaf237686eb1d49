"""Two small windows of the Help menu: the list of shortcuts, and About."""

import platform
from collections.abc import Sequence

from PySide6 import __version__ as pyside_version
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from studio import icons, theme


class ShortcutsWindow(QDialog):
    """All shortcuts by menu, with a field to filter them. Not modal; deletes itself when closed.

    Args:
        rows: menu, command and shortcut, in the order of the menus.
    """

    def __init__(self, rows: Sequence[tuple[str, str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("shortcutsWindow")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keyboard shortcuts")
        self.resize(460, 560)
        self._rows: list[tuple[str, tuple[QLabel, ...]]] = []
        self._headings: dict[str, QLabel] = {}

        filter_field = QLineEdit()
        filter_field.setObjectName("shortcutsFilter")
        filter_field.setPlaceholderText("Filter …")
        filter_field.setClearButtonEnabled(True)
        filter_field.setAccessibleName("Filter the shortcuts")
        filter_field.setToolTip("Show only the commands that contain this text.")
        filter_field.textChanged.connect(self._filter)

        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, theme.SPACE, 0)
        grid.setHorizontalSpacing(3 * theme.SPACE)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(0, 1)
        menu = ""
        for heading, command, keys in rows:
            if heading != menu:
                menu = heading
                label = QLabel(heading)
                label.setProperty("role", "heading")
                label.setContentsMargins(0, theme.SPACE, 0, 0)
                grid.addWidget(label, grid.rowCount(), 0, 1, 2)
                self._headings[heading] = label
            name, shortcut = QLabel(command), QLabel(keys)
            shortcut.setProperty("role", "muted")
            row = grid.rowCount()
            grid.addWidget(name, row, 0)
            grid.addWidget(shortcut, row, 1, Qt.AlignmentFlag.AlignRight)
            self._rows.append((heading, (name, shortcut)))
        grid.setRowStretch(grid.rowCount(), 1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(table)
        area.setAccessibleName("Shortcuts")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(filter_field)
        layout.addWidget(area, 1)
        layout.addWidget(buttons)

    def _filter(self, text: str) -> None:
        wanted = text.casefold()
        alive: set[str] = set()
        for heading, labels in self._rows:
            found = any(wanted in label.text().casefold() for label in labels)
            for label in labels:
                label.setVisible(found)
            if found:
                alive.add(heading)
        for heading, label in self._headings.items():
            label.setVisible(heading in alive)


class AboutWindow(QDialog):
    """Name, version and what it stands on. Not modal; deletes itself when closed."""

    def __init__(self, version: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("aboutWindow")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("About Compression Studio")
        picture = QLabel()
        picture.setPixmap(icons.application_icon().pixmap(QSize(64, 64)))
        title = QLabel("Compression Studio")
        title.setProperty("role", "title")
        text = QLabel(
            "Makes neural networks smaller and faster, and shows what that does to them: "
            "inspect, measure, plan, run, compare, ship."
        )
        text.setWordWrap(True)
        versions = QLabel(
            f"Version {version}\nPython {platform.python_version()} · Qt for Python {pyside_version}"
        )
        versions.setProperty("role", "muted")
        versions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout = QGridLayout(self)
        layout.setContentsMargins(3 * theme.SPACE, 3 * theme.SPACE, 3 * theme.SPACE, 2 * theme.SPACE)
        layout.setHorizontalSpacing(2 * theme.SPACE)
        layout.setVerticalSpacing(theme.SPACE)
        layout.addWidget(picture, 0, 0, 3, 1, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(title, 0, 1)
        layout.addWidget(text, 1, 1)
        layout.addWidget(versions, 2, 1)
        layout.addWidget(buttons, 3, 0, 1, 2)
        self.setFixedSize(420, 230)
