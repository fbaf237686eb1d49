"""Ways through the window that touch several of its parts: from welcome to a run, from a run back to its model."""

from collections.abc import Callable
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from core.recipe import Recipe
from studio.controllers.hints import HintsController
from studio.controllers.model import ModelController
from studio.controllers.recipe_commands import RecipeCommands
from studio.controllers.workspaces import WorkspacesController
from studio.state import AppState

FIRST_PRESET = "Prune 80 % and fine-tune"


class Recipes(Protocol):
    """What is needed of the recipe's controller."""

    def run(self) -> None: ...
    def load_recipe(self, recipe: Recipe) -> None: ...


class FlowController(QObject):
    """Moves between workspaces on behalf of the others.

    Args:
        focus_run: puts the keyboard on the Run button.
    """

    run_wanted = Signal(object)  # str: the run to bring to the front of the history

    def __init__(
        self,
        state: AppState,
        workspaces: WorkspacesController,
        hints: HintsController,
        model: ModelController,
        focus_run: Callable[[], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._workspaces = workspaces
        self._hints = hints
        self._model = model
        self._focus_run = focus_run
        self._recipes: Recipes | None = None
        self._commands: RecipeCommands | None = None

    def set_recipes(self, recipes: Recipes, commands: RecipeCommands) -> None:
        """The recipe panel is there."""
        self._recipes = recipes
        self._commands = commands

    def prune_this_model(self) -> None:
        """From the welcome panel to a recipe that only needs *Run*."""
        if self._commands is None:
            return  # clicked within the first half second; the button stays
        self._hints.leave_welcome()
        self._commands.load_preset(FIRST_PRESET)
        self._focus_run()
        self._state.message.emit(
            "Run starts this recipe on the open model: press Space, or Ctrl+R from anywhere."
        )

    def run_or_begin(self) -> None:
        """Run the recipe; where there is none yet, begin with the shipped one."""
        if self._recipes is not None and self._state.recipe.steps:
            self._recipes.run()
        else:
            self.prune_this_model()

    def show_layer(self, _: object = None) -> None:
        """Go where the selected layer is seen."""
        if self._workspaces.current not in ("inspect", "compress"):
            self._workspaces.inspect()

    def show_run(self, run_id: object) -> None:
        """Go to a run in the history."""
        self._workspaces.history()
        self.run_wanted.emit(str(run_id))

    def open_result(self, source: object) -> None:
        """Open the model that a run wrote."""
        self._model.open_source(source)
        self._workspaces.inspect()

    def edit_recipe(self, recipe: object) -> None:
        """Edit the recipe of a run."""
        assert isinstance(recipe, Recipe)
        if self._recipes is not None:
            self._workspaces.compress()
            self._recipes.load_recipe(recipe)
