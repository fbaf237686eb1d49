"""The table of actions: complete, unambiguous, and every handler exists."""

import inspect
import re

import pytest
from PySide6.QtGui import QKeySequence, QUndoStack
from pytestqt.qtbot import QtBot

from studio import icons
from studio.actions import ACTIONS, MENUS, Actions, ActionSpec, Situation, rows_of_shortcuts
from studio.controllers.export import ExportController
from studio.controllers.help import HelpController
from studio.controllers.hints import HintsController
from studio.controllers.history import HistoryController
from studio.controllers.inspect import InspectController
from studio.controllers.jobs import JobsController
from studio.controllers.layers import LayersController
from studio.controllers.model import ModelController
from studio.controllers.palette import PaletteController
from studio.controllers.preferences import PreferencesController
from studio.controllers.recipe import RecipeController
from studio.controllers.recipe_commands import RecipeCommands
from studio.controllers.report import ReportController
from studio.controllers.run_files import RunFiles
from studio.controllers.runs import RunsController
from studio.controllers.task import TaskController
from studio.controllers.trials import TrialsController
from studio.controllers.workspaces import WorkspacesController
from studio.main_window import MainWindow

CONTROLLERS: dict[str, type] = {
    "export": ExportController,
    "help": HelpController,
    "hints": HintsController,
    "history": HistoryController,
    "inspect": InspectController,
    "jobs": JobsController,
    "layers": LayersController,
    "model": ModelController,
    "palette": PaletteController,
    "preferences": PreferencesController,
    "recipe": RecipeController,
    "recipe_commands": RecipeCommands,
    "report": ReportController,
    "run_files": RunFiles,
    "runs": RunsController,
    "task": TaskController,
    "trials": TrialsController,
    "undo": QUndoStack,
    "window": MainWindow,
    "workspaces": WorkspacesController,
}


@pytest.mark.parametrize("spec", ACTIONS, ids=lambda spec: spec.id)
def test_every_action_is_complete(spec: ActionSpec) -> None:
    assert spec.text
    assert re.search(r"[.]$", spec.tooltip), "a tooltip is a sentence"
    assert spec.menu in MENUS
    assert not spec.icon or (icons.FOLDER / f"{spec.icon}.svg").exists()
    controller, _, method = spec.handler.partition(".")
    handler = getattr(CONTROLLERS[controller], method)
    assert callable(handler)
    if inspect.isfunction(handler):
        parameters = list(inspect.signature(handler).parameters.values())[1:]
        assert all(parameter.default is not parameter.empty for parameter in parameters)


def test_shortcuts_are_unique_and_valid() -> None:
    shortcuts = [spec.shortcut for spec in ACTIONS if spec.shortcut]
    assert len(shortcuts) == len(set(shortcuts))
    for shortcut in shortcuts:
        assert QKeySequence(shortcut).toString(QKeySequence.SequenceFormat.PortableText) == shortcut


def test_ids_and_texts_are_unique() -> None:
    assert len({spec.id for spec in ACTIONS}) == len(ACTIONS)
    texts = [(spec.menu, spec.text) for spec in ACTIONS]
    assert len(set(texts)) == len(texts)


def test_mnemonics_are_unique_within_a_menu() -> None:
    for menu in MENUS:
        letters = [
            match.group(1).lower()
            for spec in ACTIONS
            if spec.menu == menu and (match := re.search(r"&(\w)", spec.text))
        ]
        assert len(letters) == len(set(letters)), f"{menu}: {letters}"


@pytest.mark.parametrize(
    ("action_id", "shortcut"),
    [
        ("open", "Ctrl+O"),
        ("run", "Ctrl+R"),
        ("pause", "Space"),
        ("palette", "Ctrl+K"),
        ("filter", "Ctrl+F"),
        ("export", "Ctrl+E"),
        ("help-focus", "F1"),
        ("shortcuts", "Ctrl+/"),
        ("workspace-inspect", "Ctrl+1"),
        ("workspace-export", "Ctrl+4"),
        ("undo", "Ctrl+Z"),
        ("redo", "Ctrl+Shift+Z"),
        ("save-recipe", "Ctrl+S"),
        ("quit", "Ctrl+Q"),
    ],
)
def test_the_promised_shortcuts(action_id: str, shortcut: str) -> None:
    assert {spec.id: spec.shortcut for spec in ACTIONS}[action_id] == shortcut


class _Recorder:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self) -> None:
        self.calls.append("run")


def test_an_action_is_enabled_when_its_controller_is_there_and_it_makes_sense(qtbot: QtBot) -> None:
    actions = Actions()
    assert not actions["run"].isEnabled()
    recorder = _Recorder()
    actions.join("recipe", recorder)
    assert not actions["run"].isEnabled()
    actions.update(Situation(has_model=True, steps=1))
    assert actions["run"].isEnabled()
    actions["run"].trigger()
    assert recorder.calls == ["run"]
    actions.update(Situation())
    actions["run"].trigger()
    assert recorder.calls == ["run"]


def test_the_workspace_in_force_is_checked(qtbot: QtBot) -> None:
    actions = Actions()
    actions.update(Situation(workspace="history", theme="dark"))
    checked = {spec.id for spec in ACTIONS if spec.checked is not None and actions[spec.id].isChecked()}
    assert checked == {"workspace-history", "theme-dark"}


def test_tooltips_name_the_shortcut(qtbot: QtBot) -> None:
    actions = Actions()
    assert actions["open"].toolTip() == "Open a model or a recipe file. (Ctrl+O)"


def test_menus_hold_every_action(qtbot: QtBot) -> None:
    actions = Actions()
    window = MainWindow(actions)
    qtbot.addWidget(window)
    shown = set()
    for top in window.menuBar().actions():
        shown |= {action.objectName() for action in top.menu().actions()}
    assert {spec.id for spec in ACTIONS} <= shown


def test_the_list_of_shortcuts_comes_from_the_table() -> None:
    rows = rows_of_shortcuts()
    assert ("Job", "Run recipe", "Ctrl+R") in rows
    assert len(rows) == sum(bool(spec.shortcut) for spec in ACTIONS)
