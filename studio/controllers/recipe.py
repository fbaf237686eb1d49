"""RecipeController: every change of the recipe, each undoable; its preview, its checks and the run that it asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from core.errors import StudioError
from core.presets import load_presets
from core.pruning.magnitudes import MagnitudePlan
from core.recipe import Recipe, load_recipe, save_recipe
from core.registry import STEP_KINDS, STEPS
from core.request import RunRequest
from core.steps import PruneSettings, StepSettings
from studio.controllers.recipe_bits import with_own_bits, with_own_books
from studio.controllers.recipe_edit import RecipeEdit
from studio.controllers.recipe_preview import RecipePreview
from studio.controllers.recipe_view import (
    Preview,
    name_truthfully,
    own_sparsities,
    preview_words,
    prune_step_to_preview,
    removals_of,
    resolve_recipe,
    unknown_beforehand,
)
from studio.jobs.background import Background
from studio.problem import Problem, problem_from
from studio.state import AppState
from studio.views.recipe_files import ask_recipe_to_open, ask_where_to_save
from studio.views.recipe_panel import RecipePanel, RecipeShown
from studio.views.removal import LayerRemoval


class RecipeController(QObject):
    """Commands that take no argument can stand in menus; `state` stays the one source of truth."""

    run_requested = Signal(object)  # RunRequest
    preview_changed = Signal(object)  # Mapping[str, float] of magnitude thresholds per layer, or None
    plan_changed = Signal(object)  # Mapping[str, LayerRemoval]: the same with what the plan takes, or None

    def __init__(
        self,
        state: AppState,
        background: Background,
        panel: RecipePanel,
        undo_stack: QUndoStack,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._panel = panel
        self._undo_stack = undo_stack
        self._seed: int | None = 0
        self._form_problem: str | None = None
        self._path: Path | None = None
        self._preset: Recipe | None = None
        self._gesture = 0
        self._showing = self._stale = False
        self._plan: MagnitudePlan | None = None
        self._removals: dict[str, LayerRemoval] | None = None
        self._preview = RecipePreview(background, self)
        self._preview.ready.connect(self._preview_ready)
        self._preview.failed.connect(self._preview_failed)
        panel.show_step_kinds(STEPS)
        self._connect()
        self._model_changed(state.model)
        if state.recipe.steps and state.step is None:
            state.set_step(0)

    @property
    def thresholds(self) -> dict[str, float] | None:
        """What `preview_changed` said last, for those who came later."""
        return self._plan.thresholds if self._plan is not None else None

    @property
    def removals(self) -> dict[str, LayerRemoval] | None:
        """What `plan_changed` said last, for those who came later."""
        return self._removals

    # -- commands ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Ask for a run of the recipe on the open model; where that is impossible, say why."""
        shown = self._resolve()
        model = self._state.model
        if shown.obstacle or model is None or self._seed is None:
            self._state.message.emit(shown.obstacle)
            return
        recipe, trials = self._state.recipe, self._panel.trials
        for trial in range(trials):
            name = f"{recipe.name}, trial {trial + 1} of {trials}" if trials > 1 else ""
            seed = self._seed + trial
            self.run_requested.emit(
                RunRequest(recipe, model.description.source, self._state.task, seed=seed, name=name)
            )

    def add_step(self, kind: str) -> None:
        """Add a step of that kind, with its usual settings, after the selected one."""
        settings = STEP_KINDS[kind].settings()
        step = self._state.step
        at = len(self._state.recipe.steps) if step is None else step + 1
        self._edit(f"Add {settings.title}", self._state.recipe.with_step(settings, at), at)

    def duplicate_step(self) -> None:
        """Add a copy of the selected step after it."""
        if (selected := self._selected()) is not None:
            step, settings = selected
            recipe = self._state.recipe.with_step(settings, step + 1)
            self._edit(f"Duplicate {settings.title}", recipe, step + 1)

    def remove_step(self) -> None:
        """Remove the selected step."""
        if (selected := self._selected()) is not None:
            step, settings = selected
            recipe = self._state.recipe.without_step(step)
            following = min(step, len(recipe.steps) - 1) if recipe.steps else None
            self._edit(f"Remove {settings.title}", recipe, following)

    def move_step_up(self) -> None:
        """Run the selected step one place earlier."""
        self._move(-1)

    def move_step_down(self) -> None:
        """Run the selected step one place later."""
        self._move(1)

    def load_recipe(self, recipe: Recipe) -> None:
        """Replace the recipe being edited; undo brings the old one back."""
        self._path = self._preset = None
        self._edit(f"Load “{recipe.name}”", recipe, 0 if recipe.steps else None)

    def load_preset(self, recipe: Recipe) -> None:
        """Replace the recipe being edited by one that ships with the studio."""
        self.load_recipe(recipe)
        self._preset = recipe

    def start_from_preset(self) -> None:
        """Begin with the first recipe that ships with the studio."""
        if presets := self._presets():
            self.load_preset(presets[0])

    def open_recipe(self, path: Path | None = None) -> None:
        """Open a recipe file (ask which, without a path). A bad file leaves the recipe being edited untouched."""
        path = path or ask_recipe_to_open(self._panel, self._folder())
        if path is None:
            return
        try:
            recipe = load_recipe(path)
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        self.load_recipe(recipe)
        self._path = path
        self._state.message.emit(f"Opened the recipe {path.name}.")

    def save_recipe(self, path: Path | None = None) -> None:
        """Save the recipe: without a path where it was opened or saved last, else ask."""
        path = path or self._path
        if path is None:
            self.save_recipe_as()
            return
        try:
            save_recipe(self._state.recipe, path)
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return
        self._path = path
        self._state.message.emit(f"Saved the recipe as {path.name}.")

    def save_recipe_as(self) -> None:
        """Ask where to save the recipe, and save it there."""
        path = ask_where_to_save(self._panel, self._folder(), self._state.recipe.name)
        if path is not None:
            self.save_recipe(path)

    def exclude_layers(self, names: Sequence[str]) -> None:
        """Leave layers alone in the selected (or first) prune step."""
        step, settings = self._prune_step()
        excluded = (*settings.exclude, *(name for name in names if name not in settings.exclude))
        overrides = {name: value for name, value in settings.overrides.items() if name not in names}
        self._replace_prune_step("Leave layers alone", step, settings, exclude=excluded, overrides=overrides)

    def override_layers(self, names: Sequence[str], sparsity: float) -> None:
        """Give layers a sparsity of their own, in [0, 1), in the selected (or first) prune step."""
        step, settings = self._prune_step()
        overrides = {name: value for name, value in settings.overrides.items() if name not in names}
        overrides |= dict.fromkeys(names, sparsity)
        excluded = tuple(name for name in settings.exclude if name not in names)
        self._replace_prune_step("Set own sparsity", step, settings, exclude=excluded, overrides=overrides)

    def plan_layers(self, names: Sequence[str], sparsity: float | None, *, keep: bool = False) -> None:
        """Give layers a sparsity of their own, `keep` them as they are, or (None) let them follow the step again.

        Raises:
            pydantic.ValidationError: for a sparsity outside [0, 1).
        """
        step, settings = self._prune_step()
        overrides = {name: value for name, value in settings.overrides.items() if name not in names}
        excluded = tuple(name for name in settings.exclude if name not in names)
        if keep:
            excluded = (*excluded, *names)
        elif sparsity is not None:
            overrides |= dict.fromkeys(names, sparsity)
        self._replace_prune_step("Plan layers", step, settings, exclude=excluded, overrides=overrides)

    def prune_below(self, removals: Mapping[str, LayerRemoval]) -> None:
        """Give each layer, in the selected (or first) prune step, the own sparsity with which that much of it goes."""
        if self._state.model is None or not removals:
            return
        step, settings = self._prune_step()
        sizes = {layer.name: layer.weights for layer in self._state.model.description.layers}
        overrides = {name: value for name, value in settings.overrides.items() if name not in removals}
        overrides |= own_sparsities(removals, sizes, settings.of)
        excluded = tuple(name for name in settings.exclude if name not in removals)
        self._replace_prune_step(
            "Prune below a threshold", step, settings, exclude=excluded, overrides=overrides
        )

    def change_step(self, text: str, settings: StepSettings) -> None:
        """Put other settings in the place of the selected step's; `text` names the change for undo."""
        if (selected := self._selected()) is not None:
            self._edit(text, self._state.recipe.replacing_step(selected[0], settings), selected[0])

    def give_bits(self, bits: Mapping[str, int | None]) -> None:
        """Give layers bits of their own in the selected (or first) quantize step; None takes them back."""
        if self._state.model is not None and bits:
            recipe, step = with_own_bits(self._state.recipe, self._state.step, bits)
            self._edit("Set own bits", recipe, step)

    def give_books(self, bits: Mapping[str, int | None]) -> None:
        """Give layers indices of their own bits in the selected step of shared weights."""
        step = self._state.step
        if step is not None and bits:
            self._edit("Set own bits", with_own_books(self._state.recipe, step, bits), step)

    # -- what the panel says -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, state = self._panel, self._state
        panel.name_edited.connect(self._name_edited)
        panel.step_selected.connect(self._step_selected)
        panel.step_edited.connect(self._step_edited)
        panel.edit_settled.connect(self._settle)
        panel.form_problem_changed.connect(self._form_problem_changed)
        panel.add_requested.connect(self.add_step)
        panel.remove_requested.connect(self.remove_step)
        panel.duplicate_requested.connect(self.duplicate_step)
        panel.move_up_requested.connect(self.move_step_up)
        panel.move_down_requested.connect(self.move_step_down)
        panel.presets_wanted.connect(self._show_presets)
        panel.preset_requested.connect(self.load_preset)
        panel.start_requested.connect(self.start_from_preset)
        panel.open_requested.connect(self.open_recipe)
        panel.save_requested.connect(self.save_recipe)
        panel.seed_edited.connect(self._seed_edited)
        panel.run_requested.connect(self.run)
        state.recipe_changed.connect(self._refresh)
        state.step_selection_changed.connect(self._refresh)
        state.task_changed.connect(self._refresh)
        state.model_changed.connect(self._model_changed)

    def _name_edited(self, name: str) -> None:
        recipe = self._state.recipe.renamed(name)
        self._edit("Rename the recipe", recipe, self._state.step, ("name", self._gesture))

    def _step_selected(self, step: int) -> None:
        self._settle()
        self._state.set_step(step)

    def _step_edited(self, settings: StepSettings) -> None:
        if (selected := self._selected()) is None:
            return
        step, before = selected
        changed = [
            name for name in type(settings).model_fields if getattr(settings, name) != getattr(before, name)
        ]
        title = type(settings).model_fields[changed[0]].title if changed else None
        recipe = self._state.recipe.replacing_step(step, settings)
        self._edit(f"Change {title or 'settings'}", recipe, step, (step, tuple(changed), self._gesture))

    def _settle(self) -> None:
        self._gesture += 1

    def _form_problem_changed(self, problem: str | None) -> None:
        self._form_problem = problem
        self._refresh()

    def _seed_edited(self, seed: int | None) -> None:
        self._seed = seed
        self._refresh()

    def _presets(self) -> tuple[Recipe, ...]:
        try:
            return load_presets()
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
            return ()

    def _show_presets(self) -> None:
        self._panel.show_presets(self._presets())

    # -- changing the recipe -----------------------------------------------------------------------------------

    def _edit(
        self, text: str, recipe: Recipe, step: int | None, gesture: tuple[object, ...] | None = None
    ) -> None:
        if gesture is None:
            self._settle()
        recipe = name_truthfully(recipe, self._preset)
        if recipe != self._state.recipe:
            self._undo_stack.push(RecipeEdit(self._state, text, recipe, step, gesture))

    def _move(self, by: int) -> None:
        if (selected := self._selected()) is None:
            return
        step, settings = selected
        if 0 <= step + by < len(self._state.recipe.steps):
            recipe = self._state.recipe.moving_step(step, step + by)
            self._edit(f"Move {settings.title}", recipe, step + by)

    def _selected(self) -> tuple[int, StepSettings] | None:
        step, steps = self._state.step, self._state.recipe.steps
        return (step, steps[step]) if step is not None and step < len(steps) else None

    def _prune_step(self) -> tuple[int | None, PruneSettings]:
        """The selected prune step, else the first; without any, None and the usual settings for a new one."""
        selected = self._selected()
        if selected is not None and isinstance(selected[1], PruneSettings):
            return selected[0], selected[1]
        for step, settings in enumerate(self._state.recipe.steps):
            if isinstance(settings, PruneSettings):
                return step, settings
        return None, PruneSettings()

    def _replace_prune_step(
        self,
        text: str,
        step: int | None,
        settings: PruneSettings,
        *,
        exclude: tuple[str, ...],
        overrides: dict[str, float],
    ) -> None:
        changed = PruneSettings.model_validate(
            {**settings.model_dump(), "exclude": exclude, "overrides": overrides}
        )
        recipe = self._state.recipe
        if step is None:
            self._edit(text, recipe.with_step(changed, 0), 0)
        else:
            self._edit(text, recipe.replacing_step(step, changed), step)

    def _folder(self) -> Path | None:
        return self._path.parent if self._path is not None else None

    # -- showing it --------------------------------------------------------------------------------------------

    def _resolve(self) -> RecipeShown:
        model = self._state.model
        return resolve_recipe(
            self._state.recipe,
            self._state.step,
            model.description if model is not None else None,
            self._state.task,
            self._form_problem,
            self._seed,
        )

    def _refresh(self, _changed: object = None) -> None:
        # Showing another step clears what was wrong in the form, which calls this again: once more, then, but
        # after the panel is done.
        self._stale = True
        if self._showing:
            return
        self._showing = True
        while self._stale:
            self._stale = False
            self._panel.show_recipe(self._resolve())
        self._showing = False
        self._ask_preview()

    def _model_changed(self, model: object) -> None:
        opened = self._state.model
        self._preview.set_model(opened)
        self._drop_preview()
        names = [layer.name for layer in opened.description.layers] if opened is not None else []
        self._panel.show_layer_names(names)
        self._refresh()

    def _ask_preview(self) -> None:
        step = prune_step_to_preview(self._state.recipe, self._state.step)
        if step is None or self._state.model is None:
            self._preview.clear()
            self._drop_preview()
            return
        settings = self._state.recipe.steps[step]
        assert isinstance(settings, PruneSettings)
        if reason := unknown_beforehand(settings):
            self._preview.clear()
            self._drop_preview(reason)
            return
        self._preview.plan(step, settings)

    def _drop_preview(self, reason: str = "") -> None:
        self._panel.show_preview(reason, "")
        if self._plan is not None:
            self._plan = self._removals = None
            self.preview_changed.emit(None)
            self.plan_changed.emit(None)

    def _preview_ready(self, preview: Preview) -> None:
        model = self._state.model
        if model is None:
            return
        self._panel.show_preview(*preview_words(preview, self._state.recipe, model.description))
        before, self._plan = self._plan, preview.plan
        if before is None or before.thresholds != preview.plan.thresholds:
            self.preview_changed.emit(preview.plan.thresholds)
        if before is None or before != preview.plan:
            self._removals = removals_of(preview)
            self.plan_changed.emit(self._removals)

    def _preview_failed(self, problem: Problem) -> None:
        self._drop_preview()
        self._panel.show_preview("", problem.message)
