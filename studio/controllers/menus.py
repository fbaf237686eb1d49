"""The menus whose entries are not in the table of actions: recent models, built-in networks, presets."""

from typing import Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from core.errors import StudioError
from core.presets import load_presets
from studio.controllers.architectures import network_choices
from studio.controllers.model import ModelController
from studio.problem import problem_from
from studio.state import AppState
from studio.views.welcome import WelcomePanel


class MenuWindow(Protocol):
    """What is needed of the main window."""

    recent_menu: QMenu
    builtin_menu: QMenu
    presets_menu: QMenu
    welcome: WelcomePanel


class MenusController(QObject):
    """Fills the menus; recent models also in the welcome panel."""

    preset_chosen = Signal(object)  # str: the recipe's name

    def __init__(
        self, state: AppState, model: ModelController, window: MenuWindow, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._model = model
        self._window = window
        model.recent_changed.connect(self.fill_recent)
        self.fill_recent()

    def fill_recent(self) -> None:
        """List the models opened lately."""
        recent = self._model.recent()
        self._window.welcome.set_recent(recent)
        menu = self._window.recent_menu
        menu.clear()
        for text, title in recent:
            self._add(menu, title, text, text).triggered.connect(self._open)
        menu.setEnabled(bool(recent))

    def fill(self) -> None:
        """List the built-in networks and the presets (reads the shipped signatures)."""
        for choice in network_choices("zoo"):
            words = f"{choice.parameters} parameters, input {choice.input_size}, freshly initialised."
            self._add(self._window.builtin_menu, choice.title, choice.text, words).triggered.connect(
                self._open
            )
        try:
            presets = load_presets()
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        for recipe in presets:
            action = self._add(self._window.presets_menu, recipe.name, recipe.name, recipe.description)
            action.triggered.connect(self._choose_preset)

    @staticmethod
    def _add(menu: QMenu, title: str, data: str, tooltip: str) -> QAction:
        action = menu.addAction(title)
        action.setData(data)
        action.setToolTip(tooltip)
        return action

    def _open(self) -> None:
        self._model.open_text(_data_of(self.sender()))

    def _choose_preset(self) -> None:
        self.preset_chosen.emit(_data_of(self.sender()))


def _data_of(action: QObject) -> str:
    assert isinstance(action, QAction)
    return str(action.data())
