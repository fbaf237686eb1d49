"""Ctrl+Z in a text field that has nothing of its own to undo is meant for the recipe: it is passed on."""

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QLineEdit


class UndoPassing(QObject):
    """Watches one text field; Qt's own would swallow undo and redo even when they do nothing there."""

    def __init__(self, edit: QLineEdit) -> None:
        super().__init__(edit)
        self._edit = edit
        edit.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        return passed_on(self._edit, event) or super().eventFilter(watched, event)


def passed_on(edit: QLineEdit, event: QEvent) -> bool:
    """Whether `event` asks for an undo or redo that `edit` has none of; the event is then left to the window."""
    if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
        return False
    undo = event.matches(QKeySequence.StandardKey.Undo) and not edit.isUndoAvailable()
    redo = event.matches(QKeySequence.StandardKey.Redo) and not edit.isRedoAvailable()
    if undo or redo:
        event.ignore()
    return undo or redo
