"""Composition root: builds everything once, hands it down, and starts it in an order that shows the window first.

Nothing here imports torch, pyqtgraph or SQLAlchemy at the top: the window is painted before any of them is loaded.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

# Both must hold before torch is imported by whatever comes first: threads of OpenMP that spin while they wait starve
# the window, and a shorter switch interval halves the time that a paint waits for a busy worker.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
SWITCH_INTERVAL = 0.0005

from PySide6.QtCore import QObject, QTimer, Signal  # noqa: E402
from PySide6.QtGui import QUndoStack  # noqa: E402
from PySide6.QtWidgets import QApplication, QMenu, QWidget  # noqa: E402

from core.errors import StudioError  # noqa: E402
from studio import icons, theme  # noqa: E402
from studio.actions import Actions, Situation  # noqa: E402
from studio.controllers.export import ExportController  # noqa: E402
from studio.controllers.help import HelpController  # noqa: E402
from studio.controllers.hints import HintsController  # noqa: E402
from studio.controllers.model import ModelController  # noqa: E402
from studio.controllers.palette import PaletteController  # noqa: E402
from studio.controllers.preferences import PreferencesController  # noqa: E402
from studio.controllers.problems import ProblemsController  # noqa: E402
from studio.controllers.recipe_commands import RecipeCommands  # noqa: E402
from studio.controllers.runs import RunsController  # noqa: E402
from studio.controllers.task import TaskController  # noqa: E402
from studio.controllers.title import facts, window_title  # noqa: E402
from studio.controllers.workspaces import WorkspacesController  # noqa: E402
from studio.interrupts import Interrupts  # noqa: E402
from studio.jobs.background import Background, Ticket  # noqa: E402
from studio.jobs.mailbox import Mailbox  # noqa: E402
from studio.main_window import MainWindow  # noqa: E402
from studio.problem import Problem  # noqa: E402
from studio.settings import INTERRUPTED, THEME, Settings  # noqa: E402
from studio.state import AppState  # noqa: E402
from studio.views.export_page import ExportPage  # noqa: E402
from studio.views.history_placeholder import HistoryPlaceholder  # noqa: E402
from studio.views.palette import CommandPalette  # noqa: E402

if TYPE_CHECKING:
    from core.history.store import HistoryStore
    from core.history.writer import HistoryWriter
    from studio.controllers.history import HistoryController
    from studio.controllers.jobs import JobsController
    from studio.controllers.recipe import RecipeController
    from studio.jobs.runner import JobRunner
    from studio.views.job_strip import JobStrip

FIRST_PRESET = "Prune 80 % and fine-tune"


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
    """The running studio. `start` shows the window; the parts join one after the other from the event loop."""

    ready = Signal()  # model, inspector and history are there (or have said why not)

    def __init__(self, app: QApplication, options: StartOptions) -> None:
        super().__init__()
        self._app = app
        self._options = options
        self._closed = False
        self.settings = Settings(Path(options.profile).expanduser() if options.profile else None)
        theme.apply(app, cast(theme.Mode, options.theme or self.settings.get(THEME)))
        self.state = AppState()
        self.mailbox = Mailbox()
        self.background = Background(self.mailbox)
        self.undo_stack = QUndoStack()
        self.actions = Actions()
        self.window = MainWindow(self.actions)
        self.store: HistoryStore | None = None
        self.runner: JobRunner | None = None
        self.jobs: JobsController | None = None
        self.history: HistoryController | None = None
        self.recipe: RecipeController | None = None
        self._writer: HistoryWriter | None = None
        self._job_strip: JobStrip | None = None
        self._layer_table: QWidget | None = None
        self._waiting_for = {"model", "inspector", "history"}
        self._commands: RecipeCommands | None = None
        # One refresh for any number of changes within one turn of the event loop.
        self._refresh_soon = QTimer(self)
        self._refresh_soon.setSingleShot(True)
        self._refresh_soon.setInterval(0)
        self._refresh_soon.timeout.connect(self._refresh)
        self._build_controllers()
        self._connect()

    # -- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Show the window; everything else follows once it is painted."""
        self.problems.watch()
        self.window.painted.connect(self._after_paint)
        self.workspaces.start()
        if self._options.size:
            width, _, height = self._options.size.partition("x")
            self.window.resize(int(width), int(height))
            self.workspaces.reset_layout()
        self.hints.start(welcome=self._options.path is None)
        self._refresh()
        self.window.show()

    def close(self) -> None:
        """Interrupt jobs resumably, write everything down, end every thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._refresh_soon.stop()
        # An undo stack that still holds something says so while it is destroyed, when nobody can listen any more.
        self.undo_stack.clear()
        self.workspaces.save()
        self.settings.set(INTERRUPTED, self.jobs.unfinished if self.jobs is not None else 0)
        self.settings.sync()
        if self.runner is not None:
            self.runner.close()
        if self._writer is not None:
            self._writer.close()
        self.background.close()
        if self.store is not None:
            self.store.close()
        self.mailbox.close()
        self.problems.stop_watching()

    # -- construction ------------------------------------------------------------------------------------------

    def _build_controllers(self) -> None:
        state, window, settings, background = self.state, self.window, self.settings, self.background
        self.problems = ProblemsController(state, self.mailbox, window.notice_bar, self)
        self.model = ModelController(state, background, settings, window)
        self.task = TaskController(state, settings, window.task_chooser, window)
        self.workspaces = WorkspacesController(settings, window, self)
        self.hints = HintsController(settings, window, window.welcome, window.hint_strip, self)
        self.preferences = PreferencesController(self._app, settings, window)
        self.help = HelpController(window)
        self.palette = PaletteController(state, background, self.actions, CommandPalette(window), self)
        self.runs = RunsController(state, self.preferences, self)
        self._export_page = ExportPage()
        window.set_page("export", self._export_page)
        self.export = ExportController(state, background, settings, self._export_page, window)
        self._history_placeholder = HistoryPlaceholder()
        window.set_page("history", self._history_placeholder)
        for name, controller in (
            ("model", self.model),
            ("task", self.task),
            ("workspaces", self.workspaces),
            ("hints", self.hints),
            ("preferences", self.preferences),
            ("help", self.help),
            ("palette", self.palette),
            ("runs", self.runs),
            ("export", self.export),
            ("undo", self.undo_stack),
            ("window", window),
        ):
            self.actions.join(name, controller)

    def _connect(self) -> None:
        state, window = self.state, self.window
        for signal_ in (
            state.model_changed,
            state.layer_selection_changed,
            state.task_changed,
            state.recipe_changed,
            state.step_selection_changed,
            state.run_selection_changed,
            state.accuracy_changed,
            self.preferences.changed,
            self.workspaces.changed,
        ):
            signal_.connect(self._changed)
        self.undo_stack.canUndoChanged.connect(self._changed)
        self.undo_stack.canRedoChanged.connect(self._changed)
        state.message.connect(window.say)
        window.notice_bar.shown.connect(window.show_notice)
        window.notice_bar.dismissed.connect(window.hide_notice)
        window.files_dropped.connect(self.model.open_files)
        window.closing.connect(self.close)
        self.model.opening_changed.connect(window.set_busy)
        self.model.opened.connect(self.task.model_opened)
        self.model.recent_changed.connect(self._fill_recent)
        self.workspaces.changed.connect(self.hints.workspace_changed)
        self.workspaces.changed.connect(self.export.workspace_changed)
        self.export.show_requested.connect(self.workspaces.export)
        self.palette.run_chosen.connect(self._show_history)
        self.palette.layer_chosen.connect(self._show_layer)
        self.runs.show_history_requested.connect(self.workspaces.history)
        self.preferences.reset_done.connect(self._was_reset)
        welcome = window.welcome
        welcome.open_sample.connect(self.model.open_sample)
        welcome.open_file.connect(self.model.open_dialog)
        welcome.open_torchvision.connect(self.model.open_torchvision)
        welcome.open_recent.connect(self.model.open_text)
        welcome.prune.connect(self._prune_this_model)
        self._history_placeholder.notice.retry.connect(self._open_history)
        self._fill_recent()

    # -- start, step by step -----------------------------------------------------------------------------------

    def _after_paint(self) -> None:
        self.model.opened.connect(self._model_there)
        self.state.problem.connect(self._model_there)
        self.model.open_text(self._options.path or "sample")
        self._later(self._add_panels)

    def _add_panels(self) -> None:
        from studio.controllers.layers import LayersController
        from studio.controllers.recipe import RecipeController
        from studio.views.job_strip import JobStrip
        from studio.views.layer_panel import LayerPanel
        from studio.views.recipe_panel import RecipePanel

        layer_panel = LayerPanel()
        layers = LayersController(self.state, self.background, layer_panel, self)
        self.window.set_dock("layers", layer_panel)
        self._layer_table = layer_panel.table
        self.actions.join("layers", layers)
        layer_panel.open_requested.connect(self.model.open_dialog)

        recipe_panel = RecipePanel()
        self.recipe = RecipeController(self.state, self.background, recipe_panel, self.undo_stack, self)
        self.window.set_dock("recipe", recipe_panel)
        self._commands = commands = RecipeCommands(self.state, self.recipe, self.window)
        self.actions.join("recipe", self.recipe)
        self.actions.join("recipe_commands", commands)
        commands.show_requested.connect(self.workspaces.compress)
        layer_panel.exclude_requested.connect(commands.exclude)
        layer_panel.override_requested.connect(commands.override)
        self.recipe.run_requested.connect(self.runs.submit)
        self._export_page.save_recipe.connect(self.recipe.save_recipe)
        self.model.recipe_file_chosen.connect(commands.open_path)

        self._job_strip = JobStrip()
        self.window.set_dock("jobs", self._job_strip)
        self._job_strip.list.addAction(self.actions["pause"])
        self._fill_menus()
        self.workspaces.arrange_again()
        if self._options.workspace:
            self.workspaces.show_workspace(self._options.workspace)
        self._later(self._add_inspector)

    def _add_inspector(self) -> None:
        from studio.controllers.inspect import InspectController
        from studio.views.inspector import Inspector

        inspector = Inspector()
        self.inspect = InspectController(self.state, self.background, inspector, self)
        self.window.set_page("inspector", inspector)
        self.actions.join("inspect", self.inspect)
        assert self.recipe is not None
        self.recipe.preview_changed.connect(inspector.set_preview)
        self._done("inspector")
        self._later(self._open_history)

    def _open_history(self) -> None:
        self._history_placeholder.notice.clear()
        self._history_placeholder.notice.show_busy()
        where = self._options.db or self.settings.database

        def work(_: Ticket) -> "HistoryStore":
            # SQLAlchemy comes along here, off the GUI thread.
            from core.history.store import open_history

            return open_history(where)

        self.background.ask("history", work, self._history_opened, self._history_failed)

    def _history_opened(self, store: "HistoryStore") -> None:
        from core.history.writer import HistoryWriter
        from studio.controllers.history import HistoryController
        from studio.controllers.jobs import JobsController
        from studio.jobs.runner import JobRunner
        from studio.views.history_page import HistoryPage

        assert self._job_strip is not None
        assert self.recipe is not None
        self.store = store
        page = HistoryPage()
        self.history = HistoryController(self.state, self.background, store, page, self.undo_stack, self)
        self._writer = HistoryWriter(store, self._history_written, self._history_not_written)
        self.runner = JobRunner(self.mailbox, self._writer, store)
        self.jobs = JobsController(self.state, self.runner, self._job_strip, self)
        self.jobs.run_requested.connect(self._run_or_begin)
        self.jobs.show_run_requested.connect(self._show_run)
        self.jobs.run_started.connect(self._changed)
        self.jobs.run_started.connect(self._make_room)
        self.jobs.run_ended.connect(self._changed)
        self.history.open_model_requested.connect(self._open_result)
        self.history.recipe_requested.connect(self._edit_recipe)
        self.history.rerun_requested.connect(self.runs.submit)
        self.history.resume_requested.connect(self.jobs.resume_run)
        self.history.run_requested.connect(self._run_or_begin)
        self.window.set_page("history", page)
        self.actions.join("jobs", self.jobs)
        self.actions.join("history", self.history)
        self.palette.set_store(store)
        self.runs.set_jobs(self.jobs, self.history)
        self.history.refresh()
        self._tell_interrupted()
        self._done("history")
        self._load_torch()

    def _history_failed(self, problem: Problem) -> None:
        self._history_placeholder.notice.show_problem(problem, retry=True)
        self.runs.set_unavailable(problem)
        self.state.problem.emit(problem)
        self._done("history")
        self._load_torch()

    def _load_torch(self) -> None:
        # Last of all: by now everything that needs no torch is usable, and the first job will not wait for it.
        self.background.ask("torch", _import_torch, self._torch_loaded, self.state.problem.emit)

    def _torch_loaded(self, version: str) -> None:
        self.window.machine.setToolTip(f"torch {version}. Change device and threads in Preferences (Ctrl+,).")

    def _model_there(self, _: object) -> None:
        self.model.opened.disconnect(self._model_there)
        self.state.problem.disconnect(self._model_there)
        self._focus_layers()
        self._done("model")

    def _focus_layers(self) -> None:
        # The first thing to do is to walk through the layers; Qt would put the keyboard on the tool bar.
        table = self._layer_table
        if table is not None and table.isVisible() and not self.window.search_field.hasFocus():
            table.setFocus()

    def _done(self, part: str) -> None:
        if part in self._waiting_for:
            self._waiting_for.discard(part)
            if not self._waiting_for:
                self.ready.emit()

    def _later(self, step: object) -> None:
        # Between two steps the event loop paints and answers.
        QTimer.singleShot(0, self, step)  # type: ignore[call-overload]

    # -- what changes while it runs ----------------------------------------------------------------------------

    def _changed(self, *_: object) -> None:
        self._refresh_soon.start()

    def _refresh(self) -> None:
        state, jobs = self.state, self.jobs
        unfinished = jobs.unfinished if jobs is not None else 0
        self.actions.update(
            Situation(
                workspace=self.workspaces.current,
                theme=theme.events.mode,
                has_model=state.model is not None,
                has_task=state.task is not None,
                selected_layers=len(state.layers),
                steps=len(state.recipe.steps),
                step=state.step,
                unfinished_jobs=unfinished,
                ended_jobs=len(jobs.jobs) - unfinished if jobs is not None else 0,
                selected_runs=len(state.runs),
                can_undo=self.undo_stack.canUndo(),
                can_redo=self.undo_stack.canRedo(),
            )
        )
        self.window.setWindowTitle(window_title(state.model, state.accuracy))
        text, more = facts(state.model, state.accuracy)
        self.window.facts.setText(text)
        self.window.facts.setToolTip(more)
        self.window.machine.setText(self.preferences.machine())

    def _fill_recent(self) -> None:
        recent = self.model.recent()
        self.window.welcome.set_recent(recent)
        menu = self.window.recent_menu
        menu.clear()
        for text, title in recent:
            _add_choice(menu, title, text, text, self._open_chosen)
        menu.setEnabled(bool(recent))

    def _fill_menus(self) -> None:
        from core.presets import load_presets
        from studio.controllers.architectures import network_choices

        for choice in network_choices("zoo"):
            _add_choice(
                self.window.builtin_menu,
                choice.title,
                choice.text,
                f"{choice.title}: {choice.summary}",
                self._open_chosen,
            )
        for recipe in load_presets():
            _add_choice(
                self.window.presets_menu, recipe.name, recipe.name, recipe.description, self._preset_chosen
            )

    def _open_chosen(self) -> None:
        self.model.open_text(self.sender().data())  # type: ignore[attr-defined]

    def _preset_chosen(self) -> None:
        if self._commands is not None:
            self._commands.load_preset(self.sender().data())  # type: ignore[attr-defined]

    def _run_or_begin(self) -> None:
        """Run the recipe; where there is none yet, begin with the shipped one."""
        if self.recipe is not None and self.state.recipe.steps:
            self.recipe.run()
        else:
            self._prune_this_model()

    def _prune_this_model(self) -> None:
        if self._commands is None:
            return  # clicked within the first half second; the button stays
        self.hints.leave_welcome()
        self._commands.load_preset(FIRST_PRESET)
        self._refresh()  # at once: a disabled button takes no focus
        self.window.run_button.setFocus()
        self.state.message.emit(
            "Run starts this recipe on the open model: press Space, or Ctrl+R from anywhere."
        )

    def _make_room(self, _: object) -> None:
        self.window.make_room_for_jobs()

    def _show_layer(self, _: object) -> None:
        if self.workspaces.current not in ("inspect", "compress"):
            self.workspaces.inspect()

    def _show_history(self, _: object) -> None:
        self.workspaces.history()

    def _show_run(self, run_id: object) -> None:
        self.workspaces.history()
        self.state.set_runs((str(run_id),))

    def _open_result(self, source: object) -> None:
        self.model.open_source(source)
        self.workspaces.inspect()

    def _edit_recipe(self, recipe: object) -> None:
        if self.recipe is not None:
            self.workspaces.compress()
            self.recipe.load_recipe(recipe)  # type: ignore[arg-type]

    def _was_reset(self) -> None:
        self.workspaces.reset_layout()
        self._fill_recent()
        self.hints.start_over()

    def _tell_interrupted(self) -> None:
        count = self.settings.get(INTERRUPTED)
        if count:
            runs = "run was" if count == 1 else "runs were"
            self.problems.remark(
                f"{count} {runs} interrupted when the studio was closed. Nothing is lost: resume from History (Ctrl+3)."
            )
            self.settings.set(INTERRUPTED, 0)

    # -- from the history writer's thread ----------------------------------------------------------------------

    def _history_written(self, run_ids: frozenset[str]) -> None:
        self.mailbox.post(lambda: self.history.runs_written(run_ids) if self.history is not None else None)

    def _history_not_written(self, error: StudioError) -> None:
        self.mailbox.post(lambda: self.state.problem.emit(Problem(error.message, error.details)))


def build(options: StartOptions, app: QApplication | None = None) -> Application:
    """Build the studio without showing it. A QApplication is made where there is none."""
    sys.setswitchinterval(SWITCH_INTERVAL)
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
    _require_screen()
    studio = build(options or StartOptions())
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    interrupts = Interrupts()
    interrupts.asked_to_quit.connect(app.quit)
    if options is not None and options.screenshot:
        from studio.screenshot import Camera

        Camera(studio.window, studio.ready, studio.background, options.screenshot)
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


def _import_torch(_: Ticket) -> str:
    import torch

    return str(torch.__version__)


def _add_choice(menu: QMenu, title: str, data: str, tooltip: str, chosen: object) -> None:
    action = menu.addAction(title)
    action.setData(data)
    action.setToolTip(tooltip)
    action.triggered.connect(chosen)
