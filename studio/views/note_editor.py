"""A note in Markdown: typed in one face, read in the other; nothing that it names is ever loaded."""

from typing import Any

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QPlainTextEdit, QStackedWidget, QTextBrowser, QToolButton, QVBoxLayout, QWidget


class _Reader(QTextBrowser):
    """Shows Markdown without fetching the images or pages that it points to."""

    def loadResource(self, kind: int, name: QUrl) -> Any:
        # A note may come from somebody else's zip: reading it must not read files or the network.
        if kind == QTextDocument.ResourceType.StyleSheetResource:
            return super().loadResource(kind, name)
        return None


class NoteEditor(QWidget):
    """The text as it is typed, with a button to read it rendered."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edit = QPlainTextEdit()
        self.edit.setObjectName("runNote")
        self.edit.setPlaceholderText("Note: what was this run meant to show? (Markdown)")
        self.edit.setToolTip(
            "What you want to remember about this run, in Markdown: **bold**, lists, tables."
        )
        self.edit.setAccessibleName("Note")
        self.edit.setTabChangesFocus(True)
        self.edit.setMinimumHeight(56)
        self.edit.textChanged.connect(self.changed)
        self.reader = _Reader()
        self.reader.setObjectName("runNoteRead")
        self.reader.setAccessibleName("Note, rendered")
        self.reader.setOpenLinks(False)
        self.switch = QToolButton()
        self.switch.setObjectName("runNoteSwitch")
        self.switch.clicked.connect(self._turn)
        self._faces = QStackedWidget()
        self._faces.addWidget(self.edit)
        self._faces.addWidget(self.reader)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._faces, 1)
        layout.addWidget(self.switch)
        self.show_rendered(False)

    def show_rendered(self, on: bool) -> None:
        """Show the note as it reads (or as it is typed)."""
        if on:
            self.reader.setMarkdown(self.edit.toPlainText())
        self._faces.setCurrentWidget(self.reader if on else self.edit)
        self.switch.setText("Edit note" if on else "Show rendered")
        self.switch.setAccessibleName(self.switch.text())
        self.switch.setToolTip("Change the note." if on else "Read the note as Markdown renders it.")

    def _turn(self) -> None:
        to_edit = self._faces.currentWidget() is self.reader
        self.show_rendered(not to_edit)
        if to_edit:
            self.edit.setFocus()
