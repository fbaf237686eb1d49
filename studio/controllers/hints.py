"""The first minute: the welcome panel, then one hint at a time; what was dismissed never comes back by itself."""

from typing import Protocol

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from studio.settings import DISMISSED, Settings
from studio.views.welcome import HintStrip, WelcomePanel

WELCOME = "welcome"
HINTS: dict[str, tuple[tuple[str, str], ...]] = {
    "inspect": (
        (
            "select-layers",
            "Hold Ctrl or Shift to select several layers: their histograms are drawn together.",
        ),
        ("palette", "Ctrl+K finds every layer, run and action by a few letters of its name."),
    ),
    "compress": (
        ("preview", "Drag the sparsity: histogram and heatmap show at once which weights would go."),
        (
            "own-sparsity",
            "Select layers on the left to give them a sparsity of their own, or to leave them alone.",
        ),
    ),
    "history": (
        ("compare", "Select two or more runs (Ctrl or Shift), then Compare sets them side by side."),
    ),
    "export": (
        ("zeros", "A dense file keeps its zeros: the table says which encoding really gets smaller."),
    ),
}
"""By workspace: name and sentence of each hint, in the order in which they are shown."""


class StripWindow(Protocol):
    """What the controller needs of the main window."""

    def show_strip(self, strip: QWidget | None) -> None: ...


class HintsController(QObject):
    """Decides which strip stands below the tool bar."""

    def __init__(
        self,
        settings: Settings,
        window: StripWindow,
        welcome: WelcomePanel,
        strip: HintStrip,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._window = window
        self._welcome = welcome
        self._strip = strip
        self._workspace = "inspect"
        self._welcome_wanted = False
        # One hint for each visit of a workspace: a second one would follow the first at once.
        self._rest = False
        welcome.dismissed.connect(self._dismiss_welcome)
        strip.dismissed.connect(self._dismiss)

    def start(self, welcome: bool) -> None:
        """Show the welcome panel if it is wanted and was never dismissed, else the first hint."""
        self._welcome_wanted = welcome
        self._show()

    def start_over(self) -> None:
        """Show welcome and hints again."""
        self._settings.set(DISMISSED, [])
        self._welcome_wanted = True
        self._rest = False
        self._show()

    def workspace_changed(self, workspace: object) -> None:
        """Show what belongs to that workspace."""
        self._workspace = str(workspace)
        self._rest = False
        self._show()

    def leave_welcome(self) -> None:
        """The user has begun: the welcome panel goes, and comes back at the next start unless dismissed."""
        self._welcome_wanted = False
        self._show()

    def next_hint(self) -> tuple[str, str] | None:
        """The hint to show in this workspace, if any is left."""
        dismissed = self._settings.get(DISMISSED)
        for name, text in HINTS.get(self._workspace, ()):
            if name not in dismissed:
                return name, text
        return None

    def _show(self) -> None:
        dismissed = self._settings.get(DISMISSED)
        if self._welcome_wanted and WELCOME not in dismissed and self._workspace in ("inspect", "compress"):
            self._window.show_strip(self._welcome)
            return
        hint = None if self._rest else self.next_hint()
        if hint is None:
            self._window.show_strip(None)
        else:
            self._strip.set_hint(*hint)
            self._window.show_strip(self._strip)

    def _dismiss_welcome(self) -> None:
        self._settings.dismiss(WELCOME)
        self._rest = True
        self._show()

    def _dismiss(self, hint: object) -> None:
        self._settings.dismiss(str(hint))
        self._rest = True
        self._show()
