"""The four workspaces: which page and docks each shows, and where the user left them."""

from typing import Protocol

from PySide6.QtCore import QByteArray, QObject, Signal
from PySide6.QtWidgets import QApplication

from studio.settings import GEOMETRY, LAYOUTS, Settings, from_text, to_text

PAGES = {"inspect": "inspector", "compress": "inspector", "history": "history", "export": "export"}


class LayoutWindow(Protocol):
    """What the controller needs of the main window."""

    def layout_state(self) -> QByteArray: ...
    def restore_layout(self, state: QByteArray) -> bool: ...
    def default_layout(self, workspace: str) -> None: ...
    def show_page(self, name: str) -> None: ...
    def focus_page(self) -> None: ...
    def saveGeometry(self) -> QByteArray: ...
    def restoreGeometry(self, geometry: QByteArray) -> bool: ...
    def setUpdatesEnabled(self, enabled: bool) -> None: ...
    def isFullScreen(self) -> bool: ...
    def showFullScreen(self) -> None: ...
    def showNormal(self) -> None: ...


class WorkspacesController(QObject):
    """Switches workspaces; each keeps its own places of docks."""

    changed = Signal(object)  # str: the workspace

    def __init__(self, settings: Settings, window: LayoutWindow, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._window = window
        self._current = "inspect"

    @property
    def current(self) -> str:
        """The workspace on show."""
        return self._current

    def start(self) -> None:
        """Put the window where the user left it."""
        geometry = self._settings.get(GEOMETRY)
        if geometry:
            self._window.restoreGeometry(from_text(geometry))
        self._arrange("inspect")

    def arrange_again(self) -> None:
        """Place the docks once more, now that they hold their panels; unless the user moved them meanwhile."""
        if not self._settings.get(LAYOUTS).get(self._current):
            self._window.default_layout(self._current)

    def inspect(self) -> None:
        """Layers and inspector."""
        self.show_workspace("inspect")

    def compress(self) -> None:
        """Layers, inspector and recipe."""
        self.show_workspace("compress")

    def history(self) -> None:
        """Runs and comparison."""
        self.show_workspace("history")

    def export(self) -> None:
        """Sizes and saving."""
        self.show_workspace("export")

    def show_workspace(self, name: str) -> None:
        """Go to a workspace."""
        if name == self._current:
            return
        self._keep()
        self._arrange(name)

    def reset_layout(self) -> None:
        """Put the docks of all workspaces back to their first places."""
        self._settings.set(LAYOUTS, {})
        self._window.default_layout(self._current)

    def toggle_full_screen(self) -> None:
        """Fill the screen, or go back."""
        if self._window.isFullScreen():
            self._window.showNormal()
        else:
            self._window.showFullScreen()

    def save(self) -> None:
        """Remember where everything is."""
        self._keep()
        self._settings.set(GEOMETRY, to_text(self._window.saveGeometry()))

    def _keep(self) -> None:
        layouts = dict(self._settings.get(LAYOUTS))
        layouts[self._current] = to_text(self._window.layout_state())
        self._settings.set(LAYOUTS, layouts)

    def _arrange(self, name: str) -> None:
        self._current = name
        focused = QApplication.focusWidget()
        self._window.setUpdatesEnabled(False)
        try:
            kept = self._settings.get(LAYOUTS).get(name)
            if not kept or not self._window.restore_layout(from_text(kept)):
                self._window.default_layout(name)
            self._window.show_page(PAGES[name])
        finally:
            self._window.setUpdatesEnabled(True)
        # Docks are closed and opened on the way, and the keyboard with them.
        if focused is not None and focused.isVisible():
            focused.setFocus()
        elif focused is not None:
            self._window.focus_page()
        self.changed.emit(name)
