"""RecipeEdit: one undoable change of the recipe."""

from PySide6.QtGui import QUndoCommand

from core.recipe import Recipe
from studio.state import AppState

_MERGING = 7_401  # any number that no other kind of command uses


class RecipeEdit(QUndoCommand):
    """Puts one recipe in the place of another.

    Args:
        gesture: edits with the same gesture (one drag of a slider, one visit to a field) are undone together; None
            never merges.
    """

    def __init__(
        self,
        state: AppState,
        text: str,
        recipe: Recipe,
        step: int | None,
        gesture: tuple[object, ...] | None = None,
    ) -> None:
        super().__init__(text)
        self._state = state
        self._before = (state.recipe, state.step)
        self._after = (recipe, step)
        self._gesture = gesture

    def redo(self) -> None:
        self._show(*self._after)

    def undo(self) -> None:
        self._show(*self._before)

    def id(self) -> int:
        return -1 if self._gesture is None else _MERGING

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, RecipeEdit) or other._gesture != self._gesture:
            return False
        self._after = other._after
        # Back where the gesture began: nothing is left to undo.
        self.setObsolete(self._after == self._before)
        return True

    def _show(self, recipe: Recipe, step: int | None) -> None:
        self._state.set_recipe(recipe)
        self._state.set_step(step)
