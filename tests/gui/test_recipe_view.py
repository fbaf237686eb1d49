"""What the recipe panel shows, worked out without a window."""

import numpy as np
import pytest

from core.data.spec import TaskSpec
from core.models.description import Layer, ModelDescription
from core.models.source import SAMPLE, ModelSource
from core.pruning.magnitudes import MagnitudeIndex
from core.recipe import Recipe
from core.steps import FineTuneSettings, PruneSettings
from core.steps_flow import RepeatSettings
from studio.controllers.recipe_view import (
    Preview,
    packed_estimate,
    preview_words,
    prune_step_to_preview,
    resolve_recipe,
    unknown_beforehand,
)

LAYERS = (
    Layer("conv1", "conv2d", "conv1.weight", (4, 1, 3, 3), 4, 64),
    Layer("fc", "linear", "fc.weight", (10, 64), 10, 1),
)
MODEL = ModelDescription(SAMPLE, "zoo:digits-cnn", "Digits", LAYERS, 690, (1, 8, 8), 10)
UNKNOWN = ModelDescription(ModelSource("file", "/x/odd.pt"), None, "", LAYERS, 690)
DIGITS = TaskSpec("digits")
PRUNE, TUNE = PruneSettings(), FineTuneSettings()


@pytest.mark.parametrize(
    ("recipe", "model", "task", "form_problem", "seed", "words"),
    [
        (Recipe(steps=(PRUNE,)), None, DIGITS, None, 0, "Open a model"),
        (Recipe(), MODEL, DIGITS, None, 0, "Add a step"),
        (Recipe(steps=(PRUNE, TUNE)), MODEL, None, None, 0, "Choose a task"),
        (Recipe(steps=(PRUNE, TUNE)), UNKNOWN, DIGITS, None, 0, "odd.pt was not recognised"),
        (
            Recipe(steps=(PRUNE, TUNE)),
            MODEL,
            DIGITS,
            "Sparsity must be a number",
            0,
            "Step 1: Sparsity must be a number.",
        ),
        (Recipe(steps=(PRUNE, TUNE)), MODEL, DIGITS, None, None, "seed"),
        (
            Recipe(steps=(TUNE, PruneSettings(exclude=("fc1",)))),
            MODEL,
            DIGITS,
            None,
            0,
            "Step 2, “Leave alone”: the model has no prunable layer “fc1” (did you mean “fc” or “conv1”?).",
        ),
        (Recipe(steps=(PruneSettings(exclude=("*",)),)), MODEL, DIGITS, None, 0, "leaves no layer to prune"),
    ],
)
def test_why_a_recipe_cannot_run_is_said_in_words(recipe, model, task, form_problem, seed, words):
    assert words in resolve_recipe(recipe, 0, model, task, form_problem, seed).obstacle


@pytest.mark.parametrize(("steps", "task"), [((PRUNE, TUNE), DIGITS), ((PRUNE,), None), ((TUNE,), DIGITS)])
def test_what_can_run_has_no_obstacle(steps, task):
    assert resolve_recipe(Recipe(steps=steps), 0, MODEL, task).obstacle == ""


def test_problems_stand_at_their_steps_and_fields():
    recipe = Recipe(steps=(TUNE, PruneSettings(exclude=("a",), overrides={"b": 0.1}), PRUNE))
    shown = resolve_recipe(recipe, 1, MODEL, DIGITS)
    assert [bool(row.problem) for row in shown.rows] == [False, True, False]
    assert set(shown.notes) == {"exclude", "overrides"}
    assert resolve_recipe(recipe, 2, MODEL, DIGITS).notes == {}
    assert [bool(row.problem) for row in resolve_recipe(recipe, 1, None, DIGITS).rows] == [False] * 3


def test_a_selection_beyond_the_end_is_none():
    assert resolve_recipe(Recipe(steps=(PRUNE,)), 3, MODEL, DIGITS).selected is None


@pytest.mark.parametrize(("step", "expected"), [(None, 1), (0, 1), (1, 1), (2, 1), (3, 3), (4, 3)])
def test_the_preview_is_about_the_nearest_prune_step(step, expected):
    assert prune_step_to_preview(Recipe(steps=(TUNE, PRUNE, TUNE, PRUNE, TUNE)), step) == expected
    assert prune_step_to_preview(Recipe(steps=(TUNE,)), 0) is None


def preview_of(settings, weights, step=0):
    index = MagnitudeIndex(list(weights), weights.__getitem__)
    return Preview(step, index.plan(settings), index.zeros())


def test_the_sentence_counts_and_weighs():
    rng = np.random.default_rng(0)
    weights = {layer.name: rng.standard_normal(layer.shape).astype(np.float32) for layer in LAYERS}
    preview = preview_of(PRUNE, weights)
    text, warning = preview_words(preview, Recipe(steps=(PRUNE, TUNE)), MODEL)
    assert text.replace("\N{NO-BREAK SPACE}", " ") == (
        "Would remove 541 of 676 weights; packed file ≈ 681 B (estimate), dense file stays ≈ 2.76 kB."
    )
    assert warning == ""
    left = [layer.weights - layer.removed for layer in preview.plan.layers]
    assert packed_estimate(preview, MODEL) == 4 * 14 + 5 + 4 * left[0] + 80 + 4 * left[1]


def test_zeros_that_are_there_already_and_layers_that_would_vanish_are_told():
    weights = {"conv1": np.full((4, 1, 3, 3), 1e-9, np.float32), "fc": np.ones((10, 64), np.float32)}
    weights["fc"][:5] = 0
    preview = preview_of(PruneSettings(sparsity=0.6), weights, step=1)
    text, warning = preview_words(preview, Recipe(steps=(TUNE, PRUNE, PRUNE)), MODEL)
    assert text.startswith("Step 2 would remove 406 of 676 weights (320 of them zero already)")
    assert text.endswith("Judged by the weights as they are now.")
    assert warning.startswith("Layer “conv1” would lose all weights")


def test_zeros_never_come_back_in_the_estimate():
    weights = {"conv1": np.ones((4, 1, 3, 3), np.float32), "fc": np.zeros((10, 64), np.float32)}
    preview = preview_of(PruneSettings(sparsity=0.1), weights)
    assert packed_estimate(preview, MODEL) == 4 * 14 + 4 * 36 + 80


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PruneSettings(), ""),
        (PruneSettings(scope="erk", of="remaining"), ""),
        (PruneSettings(criterion="obd"), "known when the run has computed the saliencies (obd)"),
        (PruneSettings(criterion="random"), "drawn when the recipe runs"),
        (PruneSettings(granularity="n-of-m"), "group by group"),
        (PruneSettings(scope="output"), "group by group"),
    ],
)
def test_without_a_preview_the_panel_says_why(settings, words):
    assert words in unknown_beforehand(settings)
    assert bool(unknown_beforehand(settings)) == bool(words)


def test_a_criterion_that_needs_data_asks_for_a_task():
    recipe = Recipe(steps=(PruneSettings(criterion="wanda"),))
    assert resolve_recipe(recipe, 0, MODEL, None).obstacle == (
        "Choose a task: the recipe needs data to rank weights by."
    )
    assert resolve_recipe(recipe, 0, MODEL, DIGITS).obstacle == ""


def test_a_repetition_without_steps_before_it_is_marked():
    shown = resolve_recipe(Recipe(steps=(PRUNE, RepeatSettings(steps=2))), 1, MODEL, DIGITS)
    assert "repeats 2, but only 1 stands before it" in shown.obstacle
    assert "steps" in shown.notes
