"""What the recipe panel shows, as pure functions of the state: tested without a window."""

from collections.abc import Mapping
from dataclasses import dataclass

from core import formatting
from core.data.spec import TaskSpec
from core.models.description import ModelDescription
from core.pruning.magnitudes import MagnitudePlan, removal_count
from core.recipe import Recipe, RecipeProblem, find_problems
from core.steps import PruneSettings, TrainingSettings
from studio.views.recipe_panel import MOST_SEED, RecipeShown
from studio.views.removal import LayerRemoval
from studio.views.step_list import StepRow

_FLOAT_BYTES = 4
_CHANGED = " (changed)"


@dataclass(frozen=True)
class Preview:
    """What a prune step would remove from the open model.

    Attributes:
        step: index of the step.
        zeros: weights of each layer that are zero already.
    """

    step: int
    plan: MagnitudePlan
    zeros: Mapping[str, int]


def resolve_recipe(
    recipe: Recipe,
    step: int | None,
    model: ModelDescription | None,
    task: TaskSpec | None,
    form_problem: str | None = None,
    seed: int | None = 0,
) -> RecipeShown:
    """What the panel shows of a recipe, and why it cannot run now."""
    selected = step if step is not None and step < len(recipe.steps) else None
    names = [layer.name for layer in model.layers] if model is not None else None
    problems = find_problems(recipe, names) if names is not None else ()
    by_step: dict[int | None, RecipeProblem] = {}
    for problem in problems:
        by_step.setdefault(problem.step, problem)
    if form_problem is not None and selected is not None:
        by_step[selected] = RecipeProblem(selected, None, form_problem)
    rows = tuple(
        StepRow(settings.title, settings.summary(), _sentence(recipe, by_step.get(index)))
        for index, settings in enumerate(recipe.steps)
    )
    notes = {
        problem.field: problem.text
        for problem in reversed(problems)
        if problem.field is not None and problem.step == selected
    }
    return RecipeShown(
        name=recipe.name,
        rows=rows,
        selected=selected,
        settings=recipe.steps[selected] if selected is not None else None,
        notes=notes,
        obstacle=_obstacle(recipe, model, task, by_step, seed),
    )


def name_truthfully(recipe: Recipe, preset: Recipe | None) -> Recipe:
    """The recipe under a name that does not claim to be the preset that it was, once its steps differ.

    A run called “Prune 80 %” that prunes 60 % would mislead whoever reads the history.
    """
    if preset is None:
        return recipe
    changed = f"{preset.name}{_CHANGED}"
    if recipe.name == preset.name and recipe.steps != preset.steps:
        return recipe.model_copy(update={"name": changed, "description": ""})
    if recipe.name == changed and recipe.steps == preset.steps:
        return preset
    return recipe


def prune_step_to_preview(recipe: Recipe, step: int | None) -> int | None:
    """Which prune step the preview is about: the selected one, else the last before it, else the first of all."""
    prunes = [index for index, settings in enumerate(recipe.steps) if isinstance(settings, PruneSettings)]
    before = [index for index in prunes if step is not None and index <= step]
    return before[-1] if before else prunes[0] if prunes else None


def removals_of(preview: Preview) -> dict[str, LayerRemoval]:
    """What the plan takes of each layer that loses weights."""
    return {
        layer.name: LayerRemoval(layer.threshold, layer.removed, preview.zeros[layer.name])
        for layer in preview.plan.layers
        if layer.threshold is not None and layer.removed
    }


def own_sparsities(
    removals: Mapping[str, LayerRemoval], weights: Mapping[str, int], of: str
) -> dict[str, float]:
    """The shortest sparsity of its own with which each layer loses exactly what `removals` says.

    Args:
        weights: of each layer, zeros included.
        of: what a sparsity counts from, as in `PruneSettings.of`.
    """
    found = {}
    for name, removal in removals.items():
        removed, of_all = removal.removed, weights[name]
        if of == "remaining":
            removed, of_all = max(0, removed - removal.zeros), of_all - removal.zeros
        found[name] = _shortest_fraction(removed, of_all)
    return found


def _shortest_fraction(removed: int, weights: int) -> float:
    exact = removed / weights if weights else 0.0
    for decimals in range(2, 16):
        short = round(exact, decimals)
        if short < 1 and removal_count(short, weights) == removed:
            return short
    return exact


def preview_words(preview: Preview, recipe: Recipe, model: ModelDescription) -> tuple[str, str]:
    """The preview as sentences: what would go and what the files would weigh, and a warning (or nothing)."""
    plan = preview.plan
    prunes = sum(isinstance(settings, PruneSettings) for settings in recipe.steps)
    who = f"Step {preview.step + 1} would" if prunes > 1 else "Would"
    text = f"{who} remove {formatting.count(plan.removed)} of {formatting.count(plan.weights)} weights"
    if already := sum(min(layer.removed, preview.zeros[layer.name]) for layer in plan.layers):
        text += f" ({formatting.count(already)} of them zero already)"
    packed = _size(packed_estimate(preview, model))
    dense = _size(_FLOAT_BYTES * model.parameters)
    text += (
        f"; packed file ≈\N{NO-BREAK SPACE}{packed} (estimate), dense file stays ≈\N{NO-BREAK SPACE}{dense}."
    )
    if any(isinstance(settings, TrainingSettings) for settings in recipe.steps[: preview.step]):
        text += " Judged by the weights as they are now."
    return text, plan.warning or ""


def unknown_beforehand(settings: PruneSettings) -> str:
    """Why there is no preview of a prune step whose choice does not follow from the weights alone; "" where it does."""
    if settings.known_beforehand:
        return ""
    if settings.criterion == "random":
        return "No preview: which weights go is drawn when the recipe runs."
    if settings.criterion != "magnitude":
        return (
            f"No preview: what goes is known when the run has computed the saliencies ({settings.criterion})."
        )
    return "No preview: which weights go is known when the run has looked at them group by group."


def packed_estimate(preview: Preview, model: ModelDescription) -> int:
    """Bytes of the sparse-packed encoding (1 bit per weight and 4 bytes per non-zero, where that is smaller)."""
    total = _FLOAT_BYTES * (model.parameters - model.weights)
    for layer in preview.plan.layers:
        # Zeros are the smallest magnitudes, so that removing fewer weights than that leaves no other zero.
        left = layer.weights - max(layer.removed, preview.zeros[layer.name])
        total += min(_FLOAT_BYTES * layer.weights, (layer.weights + 7) // 8 + _FLOAT_BYTES * left)
    return total


def _sentence(recipe: Recipe, problem: RecipeProblem | None) -> str:
    """A problem in the words of the form: with the field's title."""
    if problem is None:
        return ""
    title = ""
    if problem.field is not None and problem.step is not None:
        field = type(recipe.steps[problem.step]).model_fields[problem.field]
        title = f"“{field.title or problem.field}”: "
    return f"{title}{problem.text.rstrip('.')}."


def _obstacle(
    recipe: Recipe,
    model: ModelDescription | None,
    task: TaskSpec | None,
    by_step: Mapping[int | None, RecipeProblem],
    seed: int | None,
) -> str:
    if model is None:
        return "Open a model to run the recipe on."
    if not recipe.steps:
        return "Add a step: the recipe has none."
    for index in range(len(recipe.steps)):
        if index in by_step:
            joint = ":" if by_step[index].field is None else ","
            return f"Step {index + 1}{joint} {_sentence(recipe, by_step[index])}"
    if seed is None:
        return f"The seed must be a whole number from 0 to {formatting.count(MOST_SEED)}."
    if model.architecture is None:
        return f"The architecture of {model.source.title} was not recognised, so that it can be inspected but not run."
    if task is None and any(settings.needs_data for settings in recipe.steps):
        trains = any(isinstance(settings, TrainingSettings) for settings in recipe.steps)
        return f"Choose a task: the recipe needs data to {'train on' if trains else 'rank weights by'}."
    return ""


def _size(size: int) -> str:
    # Number and unit stay on one line.
    return formatting.data_size(size).replace(" ", "\N{NO-BREAK SPACE}")
