"""Recipe commands of menus and palette that need a step's kind, the selection or a preset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QInputDialog, QWidget

from core.presets import load_presets
from core.recipe import Recipe
from core.steps import PruneSettings
from studio.state import AppState
from studio.views.removal import LayerRemoval


class RecipeEditor(Protocol):
    """What is needed of the recipe panel's controller."""

    def add_step(self, kind: str) -> None: ...
    def open_recipe(self, path: Path) -> None: ...
    def load_preset(self, recipe: Recipe) -> None: ...
    def exclude_layers(self, names: Sequence[str]) -> None: ...
    def override_layers(self, names: Sequence[str], sparsity: float) -> None: ...
    def prune_below(self, removals: Mapping[str, LayerRemoval]) -> None: ...
    def give_bits(self, bits: Mapping[str, int | None]) -> None: ...


class RecipeCommands(QObject):
    """Every command first asks for the Compress workspace, so that what changes is seen."""

    show_requested = Signal()

    def __init__(self, state: AppState, editor: RecipeEditor, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._to_override: tuple[str, ...] = ()
        self._state = state
        self._editor = editor

    def open_path(self, path: object) -> None:
        """Open a recipe file that was dropped on the window or chosen among models."""
        self.show_requested.emit()
        self._editor.open_recipe(Path(str(path)))

    def load_preset(self, name: str) -> None:
        """Put the shipped recipe of that name into the editor.

        Raises:
            KeyError: if there is none.
        """
        for recipe in load_presets():
            if recipe.name == name:
                self.show_requested.emit()
                self._editor.load_preset(recipe)
                return
        raise KeyError(name)

    def add_prune(self) -> None:
        """Add a prune step."""
        self._add("prune")

    def add_fine_tune(self) -> None:
        """Add a fine-tune step."""
        self._add("fine-tune")

    def exclude_selected(self) -> None:
        """Leave the selected layers out of pruning."""
        self.exclude(self._state.layers)

    def exclude(self, names: object) -> None:
        """Leave layers out of pruning."""
        self.show_requested.emit()
        self._editor.exclude_layers(tuple(names))  # type: ignore[arg-type]

    def override_selected(self) -> None:
        """Give the selected layers a sparsity of their own."""
        self.override(self._state.layers)

    def override(self, names: object) -> None:
        """Ask for the sparsity that layers get of their own."""
        self._to_override = tuple(names)  # type: ignore[arg-type]
        count = len(self._to_override)
        what = f"“{self._to_override[0]}”" if count == 1 else f"{count} layers"
        dialog = QInputDialog(self._window)
        dialog.setObjectName("overrideDialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Own sparsity")
        dialog.setLabelText(f"Zeros in {what}, in %:")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleRange(0.0, 99.99)
        dialog.setDoubleDecimals(2)
        dialog.setDoubleValue(self._usual_percent())
        dialog.doubleValueSelected.connect(self._override)
        dialog.open()

    def prune_below(self, removals: object) -> None:
        """Give layers the sparsity that a threshold on the histogram means (Mapping[str, LayerRemoval])."""
        self.show_requested.emit()
        self._editor.prune_below(cast(Mapping[str, LayerRemoval], removals))

    def give_bits(self, bits: object) -> None:
        """Give layers bits of their own (Mapping[str, int])."""
        self.show_requested.emit()
        self._editor.give_bits(cast(Mapping[str, int | None], bits))

    def _usual_percent(self) -> float:
        for settings in self._state.recipe.steps:
            if isinstance(settings, PruneSettings):
                return 100 * settings.sparsity
        return 100 * PruneSettings().sparsity

    def _override(self, percent: float) -> None:
        self.show_requested.emit()
        self._editor.override_layers(self._to_override, round(percent / 100, 6))

    def _add(self, kind: str) -> None:
        self.show_requested.emit()
        self._editor.add_step(kind)
