"""Help: what the focused widget is for, the list of shortcuts, About."""

from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QApplication, QWhatsThis, QWidget

from studio.actions import rows_of_shortcuts
from studio.views.shortcuts import AboutWindow, ShortcutsWindow


def explanation(widget: QWidget | None) -> tuple[QWidget, str] | None:
    """The nearest help text: of the widget, else of what it lies in; its long help goes before its tooltip."""
    while widget is not None:
        text = widget.whatsThis() or widget.toolTip()
        if text:
            return widget, text
        widget = widget.parentWidget()
    return None


class HelpController(QObject):
    """Carries out the Help menu."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window

    def explain_focus(self) -> None:
        """Show the help of what has the keyboard focus beside it."""
        found = explanation(QApplication.focusWidget())
        if found is None:
            text = "Choose something with Tab, then F1 explains it. Ctrl+/ lists all shortcuts."
            QWhatsThis.showText(self._window.mapToGlobal(self._window.rect().center()), text, self._window)
        else:
            widget, text = found
            place = widget.mapToGlobal(QPoint(min(24, widget.width() // 2), min(24, widget.height())))
            QWhatsThis.showText(place, text, widget)

    def show_shortcuts(self) -> None:
        """List all shortcuts."""
        ShortcutsWindow(rows_of_shortcuts(), self._window).show()

    def show_about(self) -> None:
        """Say what this is and in which version."""
        try:
            number = version("compression-studio")
        except PackageNotFoundError:
            number = "unknown"
        AboutWindow(number, self._window).show()
