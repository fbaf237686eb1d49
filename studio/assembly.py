"""All parts of the window and how they are connected, put together step by step once the window is painted.

Imports of this module cost a tenth of a second, those inside its methods ten times that: nothing here is needed to
paint the window.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QApplication, QWidget

from core.errors import StudioError
from studio import theme
from studio.actions import Actions, Situation
from studio.controllers.export import ExportController
from studio.controllers.export_runs import ExportRuns
from studio.controllers.flow import FlowController
from studio.controllers.help import HelpController
from studio.controllers.hints import HintsController
from studio.controllers.history_opening import HistoryOpening
from studio.controllers.menus import MenusController
from studio.controllers.model import ModelController
from studio.controllers.palette import PaletteController
from studio.controllers.preferences import PreferencesController
from studio.controllers.problems import ProblemsController
from studio.controllers.recipe_commands import RecipeCommands
from studio.controllers.runs import RunsController
from studio.controllers.task import TaskController
from studio.controllers.title import facts, window_title
from studio.controllers.workspaces import WorkspacesController
from studio.jobs.background import Background, Ticket
from studio.jobs.mailbox import Mailbox
from studio.main_window import MainWindow
from studio.problem import Problem
from studio.settings import INTERRUPTED, Settings
from studio.state import AppState
from studio.views.export_page import ExportPage
from studio.views.palette import CommandPalette

if TYPE_CHECKING:
    from core.history.store import HistoryStore
    from core.history.writer import HistoryWriter
    from studio.controllers.history import HistoryController
    from studio.controllers.inspect import InspectController
    from studio.controllers.jobs import JobsController
    from studio.controllers.layer_journey import LayerJourney
    from studio.controllers.layers import LayersController
    from studio.controllers.recipe import RecipeController
    from studio.controllers.report import ReportController
    from studio.jobs.runner import JobRunner
    from studio.views.job_strip import JobStrip


class Assembly(QObject):
    """Owns state, threads and controllers. `begin` starts, `close` ends everything.

    Args:
        path: the model or recipe to open first, in the text form of a source.
        database: the history's file or URL, or None for its own place.
        workspace: the workspace to show when the panels are there, or None.
    """

    ready = Signal()  # model, inspector and history are there (or have said why not)
    settled = Signal()  # torch has been imported (or could not be): nothing large is to come any more

    def __init__(
        self,
        app: QApplication,
        window: MainWindow,
        actions: Actions,
        settings: Settings,
        workspaces: WorkspacesController,
        hints: HintsController,
        *,
        path: str,
        database: str | None,
        workspace: str | None,
    ) -> None:
        super().__init__()
        self._path, self._workspace = path, workspace
        self.window, self.actions, self.settings = window, actions, settings
        self.workspaces, self.hints = workspaces, hints
        self.state = state = AppState()
        self.mailbox = Mailbox()
        self.background = background = Background(self.mailbox)
        self.undo_stack = QUndoStack()
        self.runner: JobRunner | None = None
        self.layers: LayersController | None = None
        self.inspect: InspectController | None = None
        self.recipe: RecipeController | None = None
        self.jobs: JobsController | None = None
        self.report: ReportController | None = None
        self._writer: HistoryWriter | None = None
        self._job_strip: JobStrip | None = None
        self._commands: RecipeCommands | None = None
        self._layer_table: QWidget | None = None
        self._journey: LayerJourney | None = None
        self._waiting_for = {"model", "inspector", "history"}
        # One refresh for any number of changes within one turn of the event loop.
        self._refresh_soon = QTimer(self)
        self._refresh_soon.setSingleShot(True)
        self._refresh_soon.setInterval(0)
        self._refresh_soon.timeout.connect(self.refresh)

        self.problems = ProblemsController(state, self.mailbox, window.notice_bar, self)
        self.model = ModelController(state, background, settings, window)
        self.task = TaskController(state, settings, window.task_chooser, window)
        self.preferences = PreferencesController(app, settings, window)
        self.help = HelpController(window)
        self.palette = PaletteController(state, background, actions, CommandPalette(window), self)
        self.runs = RunsController(state, self.preferences, self)
        self.menus = MenusController(state, self.model, window, self)
        self.flow = FlowController(state, workspaces, hints, self.model, self._focus_run, self)
        self._export_page = ExportPage()
        window.set_page("export", self._export_page)
        self.export = ExportController(state, background, settings, self._export_page, window)
        self.export_runs = ExportRuns(state, background, settings, self._export_page.runtimes, window)
        self.opening = HistoryOpening(
            state, background, self.mailbox, settings, window, self.undo_stack, database, self
        )
        for name, controller in (
            ("model", self.model),
            ("task", self.task),
            ("workspaces", workspaces),
            ("hints", hints),
            ("preferences", self.preferences),
            ("help", self.help),
            ("palette", self.palette),
            ("runs", self.runs),
            ("export", self.export),
            ("undo", self.undo_stack),
            ("window", window),
        ):
            actions.join(name, controller)
        self._connect()

    # -- life --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the first model, and let the other parts join from the event loop."""
        self.problems.watch()
        self.refresh()
        self.model.opened.connect(self._model_there)
        self.state.problem.connect(self._model_there)
        if self._workspace == "history":
            self.workspaces.show_workspace("history")
            self._later(lambda: self.opening.glimpse(self._begin_with_model))
        else:
            self._begin_with_model()

    def close(self) -> None:
        """Interrupt jobs resumably, write everything down, end every thread."""
        self._refresh_soon.stop()
        # An undo stack that still holds something says so while it is destroyed, when nobody can listen any more.
        self.undo_stack.clear()
        self.settings.set(INTERRUPTED, self.jobs.unfinished if self.jobs is not None else 0)
        if self.runner is not None:
            self.runner.close()
        if self._writer is not None:
            self._writer.close()
        self.opening.close()
        self.background.close()
        if self.store is not None:
            self.store.close()
        self.mailbox.close()
        self.problems.stop_watching()

    @property
    def history(self) -> "HistoryController | None":
        """The history's decisions; None until its page is there."""
        return self.opening.history

    @property
    def store(self) -> "HistoryStore | None":
        """The history; None until it is open."""
        return self.opening.store

    # -- connections -------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        state, window = self.state, self.window
        for changed in (
            state.model_changed,
            state.layer_selection_changed,
            state.task_changed,
            state.recipe_changed,
            state.step_selection_changed,
            state.run_selection_changed,
            state.accuracy_changed,
            self.undo_stack.canUndoChanged,
            self.undo_stack.canRedoChanged,
            self.preferences.changed,
            self.workspaces.changed,
        ):
            changed.connect(self._changed)
        state.message.connect(window.say)
        state.model_changed.connect(window.welcome.show_model)
        window.notice_bar.shown.connect(window.show_notice)
        window.notice_bar.dismissed.connect(window.hide_notice)
        window.files_dropped.connect(self.model.open_files)
        self.model.opening_changed.connect(window.set_busy)
        self.model.opened.connect(self.task.model_opened)
        self.workspaces.changed.connect(self.hints.workspace_changed)
        self.workspaces.changed.connect(self.export.workspace_changed)
        self.export.show_requested.connect(self.workspaces.export)
        self.export_runs.run_requested.connect(self.runs.submit)
        self.export_runs.files_found.connect(self.export.show_exports)
        self.export_runs.show_run_requested.connect(self.flow.show_run)
        self.opening.made.connect(self._history_made)
        self.opening.opened.connect(self._history_opened)
        self.opening.failed.connect(self._history_failed)
        self.opening.loaded.connect(self._history_loaded)
        self.palette.run_chosen.connect(self.flow.show_run)
        self.palette.layer_chosen.connect(self.flow.show_layer)
        self.runs.show_history_requested.connect(self.workspaces.history)
        self.preferences.reset_done.connect(self._was_reset)
        window.welcome.open_sample.connect(self.model.open_sample)
        window.welcome.open_file.connect(self.model.open_dialog)
        window.welcome.open_torchvision.connect(self.model.open_torchvision)
        window.welcome.open_recent.connect(self.model.open_text)
        window.welcome.prune.connect(self.flow.prune_this_model)

    # -- the parts, one after the other ------------------------------------------------------------------------

    def _begin_with_model(self) -> None:
        self.model.open_text(self._path)
        self._later(self._add_panels)

    def _add_panels(self) -> None:
        from studio.controllers.layer_plan import LayerPlanController
        from studio.controllers.layers import LayersController
        from studio.controllers.precision import PrecisionController
        from studio.controllers.recipe import RecipeController
        from studio.views.job_strip import JobStrip
        from studio.views.layer_panel import LayerPanel
        from studio.views.recipe_panel import RecipePanel

        layer_panel = LayerPanel()
        self._layer_table = layer_panel.table
        self.layers = LayersController(self.state, self.background, layer_panel, self, self.settings)
        self.window.set_dock("layers", layer_panel)
        self.actions.join("layers", self.layers)
        layer_panel.open_requested.connect(self.model.open_dialog)

        recipe_panel = RecipePanel()
        self.recipe = RecipeController(self.state, self.background, recipe_panel, self.undo_stack, self)
        self.window.set_dock("recipe", recipe_panel)
        self._commands = commands = RecipeCommands(self.state, self.recipe, self.window)
        self.flow.set_recipes(self.recipe, commands)
        self.actions.join("recipe", self.recipe)
        self.actions.join("recipe_commands", commands)
        commands.show_requested.connect(self.workspaces.compress)
        layer_panel.exclude_requested.connect(commands.exclude)
        layer_panel.override_requested.connect(commands.override)
        self.recipe.run_requested.connect(self.runs.submit)
        self._export_page.save_recipe.connect(self.recipe.save_recipe)
        self.model.recipe_file_chosen.connect(commands.open_path)
        self.menus.preset_chosen.connect(commands.load_preset)

        self.layer_plan = LayerPlanController(self.state, self.background, layer_panel, self.recipe, self)
        self.layer_plan.problem.connect(self.state.problem)
        self.recipe.plan_changed.connect(self.layer_plan.refresh)
        self.precision = PrecisionController(self.state, self.background, layer_panel, self.recipe, self)
        self.precision.run_requested.connect(self.runs.submit)

        self._job_strip = JobStrip()
        self.window.set_dock("jobs", self._job_strip)
        self._job_strip.list.addAction(self.actions["pause"])
        if self.store is not None:
            self._join_jobs()
        self.workspaces.arrange_again()
        if self._workspace:
            self.workspaces.show_workspace(self._workspace)
        self._later(self._add_inspector)

    def _add_inspector(self) -> None:
        from studio.controllers.distil import DistilController
        from studio.controllers.inspect import InspectController
        from studio.controllers.layer_journey import LayerJourney
        from studio.controllers.wall import WallController
        from studio.views.inspector import Inspector

        inspector = Inspector()
        self.inspect = InspectController(self.state, self.background, inspector, self)
        self.window.set_page("inspector", inspector)
        self.actions.join("inspect", self.inspect)
        inspector.open_requested.connect(self.model.open_dialog)
        assert self.recipe is not None
        self.recipe.plan_changed.connect(inspector.set_plan)
        inspector.set_plan(self.recipe.removals)
        if self.store is not None:
            self.inspect.comparison.set_store(self.store)
        assert self._commands is not None
        self.inspect.prune_requested.connect(self._commands.prune_below)
        self.inspect.bits_requested.connect(self._commands.give_bits)
        self.inspect.comparing.connect(self.flow.show_layer)
        assert self.layers is not None
        self.distil = DistilController(self.state, self.background, inspector, self.recipe, self)
        wall = WallController(self.state, self.layers, inspector.wall, self)
        wall.histogram_requested.connect(self.inspect.show_histogram)
        self._journey = journey = LayerJourney(self.state, self.model, self.inspect, self)
        journey.arrived.connect(self.flow.show_layer)
        self._done("inspector")
        if not self.opening.asked:
            self._later(self.opening.open)
        elif "history" not in self._waiting_for:
            self._load_torch()
        self._later(self.menus.fill)

    def _history_made(self, history: "HistoryController") -> None:
        self.actions.join("history", history)
        self.flow.run_wanted.connect(history.show_run)
        history.open_model_requested.connect(self.flow.open_result)
        history.recipe_requested.connect(self.flow.edit_recipe)
        history.rerun_requested.connect(self.runs.submit)
        history.run_requested.connect(self.flow.run_or_begin)
        history.compare.layer_wanted.connect(self._layer_wanted)

    def _history_opened(self, _: object) -> None:
        if self._job_strip is not None:
            self._join_jobs()

    def _join_jobs(self) -> None:
        """What runs jobs, once both the history and the strip that shows them are there."""
        from core.history.writer import HistoryWriter
        from studio.controllers.jobs import JobsController
        from studio.controllers.report import ReportController
        from studio.controllers.run_files import RunFiles
        from studio.controllers.trials import TrialsController
        from studio.jobs.runner import JobRunner

        store, history, page = self.opening.store, self.opening.history, self.opening.page
        assert store is not None
        assert history is not None
        assert page is not None
        assert self._job_strip is not None
        self.run_files = RunFiles(self.state, self.background, self.settings, store, page)
        self.run_files.imported.connect(self._run_imported)
        self.actions.join("run_files", self.run_files)
        self._writer = HistoryWriter(store, self._history_written, self._history_not_written)
        self.runner = JobRunner(self.mailbox, self._writer, store)
        self.jobs = JobsController(self.state, self.runner, self._job_strip, self)
        self.jobs.run_requested.connect(self.flow.run_or_begin)
        self.jobs.show_run_requested.connect(self.flow.show_run)
        self.jobs.run_started.connect(self._run_started)
        self.jobs.run_ended.connect(self._changed)
        self.jobs.run_ended.connect(self.export_runs.run_ended)
        self.jobs.run_ended.connect(self.precision.run_ended)
        history.resume_requested.connect(self.jobs.resume_run)
        self.actions.join("jobs", self.jobs)
        self.report = ReportController(self.state, self.background, self.settings, store, self.window)
        self.actions.join("report", self.report)
        self.trials = TrialsController(self.state, self.background, store, self.window)
        self.actions.join("trials", self.trials)
        self.palette.set_store(store)
        self.export_runs.set_store(store)
        self.precision.set_store(store)
        if self.inspect is not None:
            self.inspect.comparison.set_store(store)
        self.runs.set_jobs(self.jobs, history)
        self._tell_interrupted()
        self._done("history")

    def _history_loaded(self) -> None:
        if self.inspect is not None:
            self._load_torch()

    def _layer_wanted(self, wanted: object) -> None:
        if self._journey is not None:
            self._journey.begin(wanted)

    def _run_imported(self, run_id: object) -> None:
        if self.history is not None:
            self.history.runs_written((str(run_id),))

    def _history_failed(self, problem: Problem) -> None:
        self.runs.set_unavailable(problem)
        self.state.problem.emit(problem)
        self._done("history")
        if self.inspect is not None:
            self._load_torch()

    def _load_torch(self) -> None:
        # Last of all: by now everything that needs no torch is usable, and the first job will not wait for it.
        self.background.ask("torch", _import_torch, self._torch_loaded, self._torch_failed)

    def _torch_loaded(self, version: str) -> None:
        self.window.machine.setToolTip(f"torch {version}. Change device and threads in Preferences (Ctrl+,).")
        self.settled.emit()

    def _torch_failed(self, problem: Problem) -> None:
        self.state.problem.emit(problem)
        self.settled.emit()

    def _model_there(self, _: object) -> None:
        self.model.opened.disconnect(self._model_there)
        self.state.problem.disconnect(self._model_there)
        # The first thing to do is to walk through the layers; Qt would put the keyboard on the tool bar.
        if self._layer_table is not None and self._layer_table.isVisible():
            self._layer_table.setFocus()
        self._done("model")

    def _done(self, part: str) -> None:
        if part in self._waiting_for:
            self._waiting_for.discard(part)
            if not self._waiting_for:
                self.ready.emit()

    def _later(self, step: object) -> None:
        # Between two steps the event loop paints and answers.
        QTimer.singleShot(0, self, step)  # type: ignore[call-overload]

    # -- what changes while it runs ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Enable the actions that make sense now, and say in title and status bar what is open."""
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

    def _changed(self, *_: object) -> None:
        self._refresh_soon.start()

    def _run_started(self, _: object) -> None:
        self.window.make_room_for_jobs()
        self._refresh_soon.start()

    def _focus_run(self) -> None:
        self.refresh()  # at once: a disabled button takes no focus
        self.window.run_button.setFocus()

    def _was_reset(self) -> None:
        self.workspaces.reset_layout()
        self.menus.fill_recent()
        self.hints.start_over()

    def _tell_interrupted(self) -> None:
        count, how = self.settings.get(INTERRUPTED), "when the studio was closed"
        if not count and self.store is not None and self.store.found_interrupted:
            count, how = self.store.found_interrupted, "because the program ended unexpectedly"
        if count:
            runs = "run was" if count == 1 else "runs were"
            self.problems.remark(
                f"{count} {runs} interrupted {how}. Nothing is lost: resume from History (Ctrl+3)."
            )
            self.settings.set(INTERRUPTED, 0)

    # -- from the history writer's thread ----------------------------------------------------------------------

    def _history_written(self, run_ids: frozenset[str]) -> None:
        def tell() -> None:
            if self.history is not None:
                self.history.runs_written(run_ids)
            self.export_runs.runs_written(run_ids)
            self.precision.runs_written(run_ids)

        self.mailbox.post(tell)

    def _history_not_written(self, error: StudioError) -> None:
        self.mailbox.post(lambda: self.state.problem.emit(Problem(error.message, error.details)))


def _import_torch(_: Ticket) -> str:
    import torch

    return str(torch.__version__)
