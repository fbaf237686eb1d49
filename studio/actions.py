"""Every action of the window in one declarative table: text, shortcut, icon, menu, when it is enabled, what it calls.

Menus, tool bar, palette and the list of shortcuts are all made from `ACTIONS`. A handler names a controller and one
of its methods without arguments; an action whose controller is not there yet is disabled.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence

from studio import icons


@dataclass(frozen=True)
class Situation:
    """All that decides whether an action makes sense now."""

    workspace: str = "inspect"
    theme: str = "system"
    has_model: bool = False
    has_task: bool = False
    selected_layers: int = 0
    steps: int = 0
    step: int | None = None
    unfinished_jobs: int = 0
    ended_jobs: int = 0
    selected_runs: int = 0
    can_undo: bool = False
    can_redo: bool = False


Condition = Callable[[Situation], bool]


def always(_: Situation) -> bool:
    return True


def model_open(now: Situation) -> bool:
    return now.has_model


def layers_selected(now: Situation) -> bool:
    return now.has_model and now.selected_layers > 0


def measurable(now: Situation) -> bool:
    return now.has_model and now.has_task


def runnable(now: Situation) -> bool:
    return now.has_model and now.steps > 0


def has_steps(now: Situation) -> bool:
    return now.steps > 0


def step_chosen(now: Situation) -> bool:
    return now.step is not None and now.steps > 0


def step_above(now: Situation) -> bool:
    return now.step is not None and now.step > 0


def step_below(now: Situation) -> bool:
    return now.step is not None and now.step < now.steps - 1


def job_under_way(now: Situation) -> bool:
    return now.unfinished_jobs > 0


def job_ended(now: Situation) -> bool:
    return now.ended_jobs > 0


def run_selected(now: Situation) -> bool:
    return now.selected_runs > 0


def two_runs_selected(now: Situation) -> bool:
    return now.selected_runs > 1


def undoable(now: Situation) -> bool:
    return now.can_undo


def redoable(now: Situation) -> bool:
    return now.can_redo


def _in_workspace(name: str) -> Condition:
    return lambda now: now.workspace == name


def _in_theme(name: str) -> Condition:
    return lambda now: now.theme == name


@dataclass(frozen=True)
class ActionSpec:
    """One action.

    Attributes:
        id: names it in code and in tests.
        text: as in the menu, a verb first; `&` marks the mnemonic.
        tooltip: one sentence on what it does.
        handler: "controller.method".
        menu, group: where it stands; groups of a menu are parted by lines, and kept in the order of the table.
        shortcut: portable text, or nothing.
        icon: name of a drawing in `resources/icons`, or nothing.
        enabled: when it makes sense.
        checked: for one of several choices: whether it is the one in force.
        short: the text on the tool bar and in the workspace bar, where it differs.
        scope: "window", or "jobs" for a shortcut that works only while the list of jobs has the focus.
    """

    id: str
    text: str
    tooltip: str
    handler: str
    menu: str
    group: int
    shortcut: str = ""
    icon: str = ""
    enabled: Condition = always
    checked: Condition | None = None
    short: str = ""
    scope: Literal["window", "jobs"] = "window"


MENUS = ("File", "Edit", "View", "Model", "Recipe", "Job", "History", "Help")

A = ActionSpec
# fmt: off
ACTIONS: tuple[ActionSpec, ...] = (
    A("open", "&Open…", "Open a model or a recipe file.", "model.open_dialog", "File", 1,
      "Ctrl+O", "open", short="Open"),
    A("open-torchvision", "Open &torchvision model…",
      "Choose one of torchvision's classification models from a searchable list.",
      "model.open_torchvision", "File", 1, "Ctrl+Shift+O", "network"),
    A("open-sample", "Open the &digits sample", "Open the built-in model that reads handwritten digits.",
      "model.open_sample", "File", 1, icon="sample"),
    A("reload", "&Reload", "Read the open model again, for example after another program wrote the file.",
      "model.reload", "File", 2, "F5", "reset", model_open),
    A("save-model", "&Save model as…", "Save the open model as a safetensors file.",
      "export.save_model", "File", 3, "Ctrl+Shift+S", "save", model_open),
    A("save-packed", "Save pac&ked as…", "Save the open model as a packed file, which leaves zeros out.",
      "export.save_packed", "File", 3, icon="compress", enabled=model_open),
    A("export", "&Export…", "See what the model weighs in every encoding, and save it.",
      "export.show", "File", 3, "Ctrl+E", "export", short="Export"),
    A("quit", "&Quit", "Close the studio; running jobs stop at their last checkpoint and can be resumed.",
      "window.close", "File", 9, "Ctrl+Q"),

    A("undo", "&Undo", "Take the last change back.", "undo.undo", "Edit", 1, "Ctrl+Z", "undo", undoable),
    A("redo", "&Redo", "Do again what was taken back.", "undo.redo", "Edit", 1, "Ctrl+Shift+Z", "redo", redoable),
    A("palette", "&Find anything…", "Find a layer, a run or an action by typing a few letters.",
      "palette.open", "Edit", 2, "Ctrl+K", "search"),
    A("filter", "Filter &layers", "Go to the field that filters the list of layers.",
      "layers.focus_filter", "Edit", 2, "Ctrl+F", "filter"),
    A("preferences", "&Preferences…", "Theme, device, threads and where the history is kept.",
      "preferences.open", "Edit", 9, "Ctrl+,", "settings"),
    A("trusted-files", "&Trusted files…", "See which files may run their code when they are opened; take it back.",
      "model.show_trusted", "Edit", 9),

    A("workspace-inspect", "&Inspect", "Layers and their weights.", "workspaces.inspect", "View", 1,
      "Ctrl+1", "inspect", checked=_in_workspace("inspect")),
    A("workspace-compress", "&Compress", "The recipe, its settings and what it would remove.",
      "workspaces.compress", "View", 1, "Ctrl+2", "compress", checked=_in_workspace("compress")),
    A("workspace-history", "&History", "All runs, and their comparison.", "workspaces.history", "View", 1,
      "Ctrl+3", "history", checked=_in_workspace("history")),
    A("workspace-export", "E&xport", "What the model really weighs, and saving it.", "workspaces.export", "View", 1,
      "Ctrl+4", "export", checked=_in_workspace("export")),
    A("show-histogram", "Histo&gram", "Show the weight histogram of the selected layers.",
      "inspect.show_histogram", "View", 2, "Ctrl+Shift+1", "inspect"),
    A("show-heatmap", "Heat&map", "Show the sparsity heatmap of the selected layer.",
      "inspect.show_heatmap", "View", 2, "Ctrl+Shift+2"),
    A("layer-tree", "Layers as a &tree", "Show the layers below their modules, with sums, or in a flat list.",
      "layers.toggle_tree", "View", 2, "Ctrl+Shift+T"),
    A("show-all-layers", "&All layers", "Show the histograms of all layers side by side.",
      "inspect.show_all_layers", "View", 2, "Ctrl+Shift+A"),
    A("show-channels", "Cha&nnels", "Show norms, similarity and singular values of the selected layer's channels.",
      "inspect.show_channels", "View", 2, "Ctrl+Shift+3"),
    A("show-activations", "Acti&vations", "Show what flows through the network on examples of the task.",
      "inspect.show_activations", "View", 2, "Ctrl+Shift+4"),
    A("show-difference", "Differ&ence", "Show what changed against another model, layer by layer.",
      "inspect.show_difference", "View", 2, "Ctrl+Shift+5"),
    A("theme-system", "Theme like the &system", "Follow the desktop between light and dark.",
      "preferences.theme_system", "View", 4, checked=_in_theme("system")),
    A("theme-light", "&Light theme", "Dark text on light ground.",
      "preferences.theme_light", "View", 4, checked=_in_theme("light")),
    A("theme-dark", "&Dark theme", "Light text on dark ground.",
      "preferences.theme_dark", "View", 4, checked=_in_theme("dark")),
    A("full-screen", "&Full screen", "Fill the screen, or go back to a window.",
      "workspaces.toggle_full_screen", "View", 5, "F11"),
    A("reset-layout", "&Reset layout", "Put all panels of all workspaces back to their places.",
      "workspaces.reset_layout", "View", 5, icon="reset"),

    A("measure", "&Measure accuracy", "Measure the open model on the chosen task, with interval, bytes and latency.",
      "runs.measure", "Model", 1, "Ctrl+M", "measure", measurable, short="Measure"),
    A("choose-folder", "Image folder as &task…", "Train and judge on a folder of images of your own.",
      "task.choose_folder", "Model", 1, icon="open"),
    A("compare-model", "Compare model &with…",
      "Set the open model beside another file, the sample, or the source or result of a run.",
      "inspect.compare_model", "Model", 2, "Ctrl+Shift+D", "compare", model_open),
    A("copy-layers", "&Copy layer table", "Copy the list of layers, with full precision.",
      "layers.copy_table", "Model", 2, "Ctrl+Shift+C", "copy", model_open),
    A("export-layers", "Save layer table as CS&V…", "Write the list of layers to a CSV file.",
      "layers.choose_csv", "Model", 2, "", "save", model_open),

    A("add-prune", "Add step: &Prune", "Append a step that sets unimportant weights to zero.",
      "recipe_commands.add_prune", "Recipe", 1, "Ctrl+Alt+P", "add"),
    A("add-fine-tune", "Add step: &Fine-tune", "Append a step that trains on with the zeros held.",
      "recipe_commands.add_fine_tune", "Recipe", 1, "Ctrl+Alt+F", "add"),
    A("remove-step", "&Remove step", "Take the selected step out of the recipe.",
      "recipe.remove_step", "Recipe", 2, "Ctrl+Alt+Del", "remove", step_chosen),
    A("step-up", "Move step &up", "Let the selected step run earlier.",
      "recipe.move_step_up", "Recipe", 2, "Ctrl+Alt+Up", "up", step_above),
    A("step-down", "Move step &down", "Let the selected step run later.",
      "recipe.move_step_down", "Recipe", 2, "Ctrl+Alt+Down", "down", step_below),
    A("exclude-layers", "&Leave selected layers alone", "Exclude the selected layers from the prune step.",
      "recipe_commands.exclude_selected", "Recipe", 3, "Ctrl+Alt+X", "", layers_selected),
    A("override-layers", "Own sparsi&ty for selected layers…", "Give the selected layers a sparsity of their own.",
      "recipe_commands.override_selected", "Recipe", 3, "Ctrl+Alt+S", "", layers_selected),
    A("open-recipe", "&Open recipe…", "Open a recipe file.", "recipe.open_recipe", "Recipe", 4,
      "Ctrl+Alt+O", "open"),
    A("save-recipe", "&Save recipe…", "Save the recipe as a file that the command line runs as well.",
      "recipe.save_recipe", "Recipe", 4, "Ctrl+S", "recipe", has_steps),

    A("run", "&Run recipe", "Run the recipe on the open model; other jobs are waited for.",
      "recipe.run", "Job", 1, "Ctrl+R", "run", runnable, short="Run"),
    A("pause", "&Pause or go on", "Pause the selected job at its next batch, or let it go on.",
      "jobs.pause_or_resume", "Job", 2, "Space", "pause", job_under_way, scope="jobs"),
    A("stop", "&Stop and keep the best", "End the selected job early and keep its best state so far.",
      "jobs.stop_selected", "Job", 2, "Ctrl+.", "stop", job_under_way),
    A("cancel", "&Cancel", "Give the selected job up; nothing of it is kept.",
      "jobs.cancel_selected", "Job", 2, "Ctrl+Alt+C", "cancel", job_under_way),
    A("dismiss-jobs", "&Tidy up", "Take the jobs that have ended off the list; the history keeps them.",
      "jobs.dismiss_ended", "Job", 3, "", "", job_ended),

    A("compare", "&Compare selected runs", "Set the runs that are selected in the history side by side.",
      "runs.compare", "History", 1, "Ctrl+D", "compare", short="Compare"),
    A("explore", "E&xplore runs as charts",
      "Show the runs that the history's search finds as a Pareto front and as parallel coordinates.",
      "runs.explore", "History", 1, "Ctrl+Shift+X", "compare"),
    A("trial-figures", "&Trial figures…",
      "Lay the selected runs of a Lottery Ticket recipe over each other: early stop, accuracy, overlap of masks.",
      "trials.show_figures", "History", 1, "", "", run_selected),
    A("save-report", "Save re&port…",
      "Write a web page or PDF of the selected run, or of several side by side, that needs nothing else.",
      "report.save_report", "History", 1, "Ctrl+Shift+R", "save", run_selected),
    A("save-script", "Save &script…", "Write a Python script that repeats the selected run and checks what comes out.",
      "report.save_script", "History", 1, "", "recipe", run_selected),
    A("delete-runs", "&Delete selected runs", "Take the selected runs out of the history; undo brings them back.",
      "history.delete_selected", "History", 1, "Ctrl+Shift+Del", "delete", run_selected),
    A("archive-runs", "&Archive selected runs", "Put the selected runs out of sight, or back; undo does the opposite.",
      "history.archive_selected", "History", 1, "", "", run_selected),
    A("export-list", "&Export list…", "Write the runs that the history shows as CSV or JSON.",
      "run_files.export_list", "History", 2, "", "export"),
    A("pack-run", "Export &whole run…", "Write the selected run with its files as one zip.",
      "run_files.pack_run", "History", 2, "", "", run_selected),
    A("unpack-run", "&Import run…", "Add a run from such a zip, checking every file.",
      "run_files.unpack_run", "History", 2, "", "open"),
    A("refresh-history", "&Refresh", "Read the history again, with runs of other windows and the command line.",
      "history.refresh", "History", 2, "Shift+F5", "reset"),

    A("help-focus", "&What is this?", "Explain what has the keyboard focus.", "help.explain_focus", "Help", 1,
      "F1", "help"),
    A("shortcuts", "&Keyboard shortcuts", "List all shortcuts.", "help.show_shortcuts", "Help", 1,
      "Ctrl+/", "keyboard"),
    A("welcome", "W&elcome", "Show the first steps and all hints again.", "hints.start_over", "Help", 2),
    A("about", "&About", "Version and what the studio stands on.", "help.show_about", "Help", 3),
)
# fmt: on


def rows_of_shortcuts(specs: Iterable[ActionSpec] = ACTIONS) -> list[tuple[str, str, str]]:
    """Menu, command and shortcut (as this platform writes it) of every action that has a shortcut."""
    rows = []
    for menu in MENUS:
        for spec in specs:
            if spec.menu == menu and spec.shortcut:
                keys = QKeySequence(spec.shortcut).toString(QKeySequence.SequenceFormat.NativeText)
                where = " (in the list of jobs)" if spec.scope == "jobs" else ""
                rows.append((menu, plain(spec.text) + where, keys))
    return rows


def plain(text: str) -> str:
    """A menu text without mnemonic and dots."""
    return text.replace("&", "").removesuffix("…")


class Actions(QObject):
    """The QActions of the table. Controllers join by name when they exist."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controllers: dict[str, object] = {}
        self._situation = Situation()
        self._specs = {spec.id: spec for spec in ACTIONS}
        self._actions: dict[str, QAction] = {}
        groups: dict[tuple[str, int], QActionGroup] = {}
        for spec in ACTIONS:
            self._actions[spec.id] = action = self._make(spec)
            if spec.checked is not None:
                key = (spec.menu, spec.group)
                if key not in groups:
                    groups[key] = QActionGroup(self)
                groups[key].addAction(action)
        self._refresh()

    def join(self, name: str, controller: object) -> None:
        """Let actions reach a controller under the name that handlers use."""
        self._controllers[name] = controller
        self._refresh()

    def update(self, situation: Situation) -> None:
        """Enable and check what fits the situation."""
        if situation != self._situation:
            self._situation = situation
            self._refresh()

    def __getitem__(self, action_id: str) -> QAction:
        return self._actions[action_id]

    def of_menu(self, menu: str) -> list[list[QAction]]:
        """The actions of a menu, group by group."""
        groups: dict[int, list[QAction]] = {}
        for spec in ACTIONS:
            if spec.menu == menu:
                groups.setdefault(spec.group, []).append(self._actions[spec.id])
        return list(groups.values())

    def spec(self, action_id: str) -> ActionSpec:
        """The declaration of an action."""
        return self._specs[action_id]

    def enabled(self) -> list[ActionSpec]:
        """The actions that can be used now."""
        return [spec for spec in ACTIONS if self._actions[spec.id].isEnabled()]

    def _make(self, spec: ActionSpec) -> QAction:
        action = QAction(spec.text, self)
        action.setObjectName(spec.id)
        # The space parts the text from its icon: style sheets leave four pixels.
        action.setIconText(f" {spec.short}" if spec.short else plain(spec.text))
        keys = QKeySequence(spec.shortcut)
        if spec.shortcut:
            action.setShortcut(keys)
        if spec.scope == "jobs":
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        native = keys.toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(f"{spec.tooltip} ({native})" if native else spec.tooltip)
        action.setStatusTip("")
        action.setWhatsThis(spec.tooltip)
        action.setCheckable(spec.checked is not None)
        # Texts such as “Preferences” would otherwise move to other menus on macOS by their words alone.
        roles = {"quit": QAction.MenuRole.QuitRole, "about": QAction.MenuRole.AboutRole}
        action.setMenuRole(roles.get(spec.id, QAction.MenuRole.NoRole))
        if spec.icon:
            icons.bind(action, spec.icon)
        action.triggered.connect(self._triggered)
        return action

    def _triggered(self) -> None:
        action = self.sender()
        if isinstance(action, QAction):
            name, method = self._specs[action.objectName()].handler.split(".")
            # A checked choice that is chosen again stays checked.
            self._refresh()
            getattr(self._controllers[name], method)()

    def _refresh(self) -> None:
        for spec in ACTIONS:
            action = self._actions[spec.id]
            there = spec.handler.partition(".")[0] in self._controllers
            action.setEnabled(there and spec.enabled(self._situation))
            if spec.checked is not None:
                action.setChecked(spec.checked(self._situation))
