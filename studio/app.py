"""The start: the window is painted before anything else is imported; then all its parts are put together.

Nothing here imports torch, pyqtgraph, SQLAlchemy, numpy or pydantic.
"""

import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

# Before torch is imported by whatever comes first: threads of OpenMP that spin while they wait starve the window.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication

from core.errors import StudioError
from studio import icons, theme
from studio.actions import Actions
from studio.controllers.hints import HintsController
from studio.controllers.workspaces import WorkspacesController
from studio.main_window import MainWindow
from studio.settings import THEME, Settings

if TYPE_CHECKING:
    from core.analysis.acceleration import WarmUp
    from core.history.store import HistoryStore
    from studio.assembly import Assembly
    from studio.controllers.jobs import JobsController
    from studio.controllers.model import ModelController
    from studio.jobs.background import Background
    from studio.jobs.runner import JobRunner
    from studio.state import AppState

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread must hand Python on: a tenth of the usual, so that a paint waits less for a worker."""


@dataclass(frozen=True)
class StartOptions:
    """How to start.

    Attributes:
        path: a model or recipe to open, in any form that `core.models.source.parse_source` reads; None: the sample.
        db: the history's file or URL, instead of the preferred one.
        profile: a folder for settings and history together, for a clean start beside the user's own.
        theme: "system", "light" or "dark" for this start only.
        screenshot: for developers: a PNG to write once everything is shown, then quit.
        size: of the window for that, such as "1440x900".
        workspace: the workspace to show first.
    """

    path: str | None = None
    db: str | None = None
    profile: str | None = None
    theme: str | None = None
    screenshot: str | None = None
    size: str | None = None
    workspace: str | None = None


class Application(QObject):
    """The running studio. `start` shows the window; its parts exist from `assembled` on and work from `ready` on."""

    assembled = Signal()
    ready = Signal()  # model, inspector and history are there (or have said why not)

    def __init__(self, app: QApplication, options: StartOptions) -> None:
        super().__init__()
        self._app = app
        self._options = options
        self._closed = False
        self._parts: Assembly | None = None
        self._warm_up: WarmUp | None = None
        self.settings = Settings(Path(options.profile).expanduser() if options.profile else None)
        theme.apply(app, cast(theme.Mode, options.theme or self.settings.get(THEME)))
        self.actions = Actions()
        self.window = window = MainWindow(self.actions)
        self.workspaces = WorkspacesController(self.settings, window, self)
        self.hints = HintsController(self.settings, window, window.welcome, window.hint_strip, self)
        window.closing.connect(self.close)

    @property
    def parts(self) -> "Assembly":
        """Everything that is put together after the window was painted.

        Raises:
            RuntimeError: before `assembled`.
        """
        if self._parts is None:
            raise RuntimeError("The window is not painted yet.")
        return self._parts

    @property
    def state(self) -> "AppState":
        """What is open, chosen and selected."""
        return self.parts.state

    @property
    def model(self) -> "ModelController":
        """Opens models."""
        return self.parts.model

    @property
    def background(self) -> "Background":
        """The workers for short work."""
        return self.parts.background

    @property
    def jobs(self) -> "JobsController | None":
        """The jobs; None until the history is open."""
        return self.parts.jobs

    @property
    def runner(self) -> "JobRunner | None":
        """The thread that runs jobs; None until the history is open."""
        return self.parts.runner

    @property
    def store(self) -> "HistoryStore | None":
        """The history; None until it is open."""
        return self.parts.store

    def start(self) -> None:
        """Show the window; everything else follows once it is painted."""
        self.workspaces.start()
        if self._options.size:
            width, _, height = self._options.size.partition("x")
            self.window.resize(int(width), int(height))
            self.workspaces.reset_layout()
        self.hints.start(welcome=self._options.path is None)
        self.window.painted.connect(self._assemble)
        self.window.show()

    def close(self) -> None:
        """Interrupt jobs resumably, write everything down, end every thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        gc.enable()
        self.workspaces.save()
        if self._warm_up is not None:
            self._warm_up.stop()
        if self._parts is not None:
            self._parts.close()
        self.settings.sync()

    def warm_up(self) -> None:
        """Have the compiled loops over weights loaded in the background; until then numpy does their work."""
        if self._warm_up is None and not self._closed:
            from core.analysis.acceleration import WarmUp

            self._warm_up = WarmUp()
            self._warm_up.start()

    def _collect_garbage(self) -> None:
        # What libraries bring with them lives as long as the program. Looking through all of it for garbage would stop
        # every thread for a fifth of a second, again and again.
        gc.freeze()
        gc.enable()

    def _assemble(self) -> None:
        if self._closed:
            return
        from studio.assembly import Assembly

        self._parts = Assembly(
            self._app,
            self.window,
            self.actions,
            self.settings,
            self.workspaces,
            self.hints,
            path=self._options.path or "sample",
            database=self._options.db,
            workspace=self._options.workspace,
        )
        self._parts.ready.connect(self.ready)
        self._parts.settled.connect(self._collect_garbage)
        self.assembled.emit()
        self._parts.begin()


def build(options: StartOptions, app: QApplication | None = None) -> Application:
    """Build the studio without showing it. A QApplication is made where there is none."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    # Modules are made to stay: looking through them for garbage while they are imported takes a tenth of the start.
    gc.disable()
    if app is None:
        existing = QApplication.instance()
        app = existing if isinstance(existing, QApplication) else QApplication(["compression-studio"])
    app.setApplicationName("Compression Studio")
    app.setDesktopFileName("compression-studio")
    app.setWindowIcon(icons.application_icon())
    return Application(app, options)


def main(options: StartOptions | None = None) -> int:
    """Open the window and stay until it is closed; the exit code.

    Raises:
        StudioError: if there is no screen to show a window on.
    """
    from studio.interrupts import Interrupts

    _require_screen()
    options = options or StartOptions()
    studio = build(options)
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    interrupts = Interrupts()
    interrupts.asked_to_quit.connect(app.quit)
    if options.screenshot:
        from studio.screenshot import Camera

        Camera(studio, options.screenshot)
    studio.ready.connect(studio.warm_up)
    studio.start()
    code = app.exec()
    studio.close()
    interrupts.close()
    return code


def _require_screen() -> None:
    # Qt itself would abort the process without a word that helps.
    elsewhere = sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM")
    if not elsewhere and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise StudioError(
            "There is no screen to open the window on (DISPLAY and WAYLAND_DISPLAY are not set): start it in a "
            "desktop session, or use the commands that need no window (compression-studio --help)."
        )
