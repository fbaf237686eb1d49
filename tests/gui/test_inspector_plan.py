"""The inspector's preview against the recipe's plan: both count the same weights, also where magnitudes are equal."""

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtGui import QUndoStack
from pytestqt.qtbot import QtBot

from core.formatting import count
from core.recipe import Recipe
from core.steps import PruneSettings
from studio.controllers.inspect import InspectController
from studio.controllers.recipe import RecipeController
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.inspector import Inspector
from studio.views.recipe_panel import RecipePanel

from .small_models import model_of, weights


@pytest.fixture
def inspector(qtbot: QtBot, state: AppState, background: Background) -> Iterator[Inspector]:
    shown = Inspector()
    panel = RecipePanel()
    qtbot.addWidget(shown)
    qtbot.addWidget(panel)
    shown.resize(760, 560)
    shown.show()
    shown.build_plots()
    InspectController(state, background, shown, shown)
    recipe = RecipeController(state, background, panel, QUndoStack(shown), panel)
    recipe.plan_changed.connect(shown.set_plan)
    yield shown
    recipe._preview.clear()


def settle(qtbot: QtBot, background: Background) -> None:
    for _ in range(3):
        qtbot.wait(40)
        qtbot.waitUntil(lambda: background.idle)


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.95])
def test_a_pruned_model_loses_exactly_what_the_plan_says(
    qtbot: QtBot,
    inspector: Inspector,
    state: AppState,
    background: Background,
    scope: str,
    sparsity: float,
) -> None:
    # Nine of ten weights tie at zero, and the others at one of two magnitudes.
    few = np.where(weights(20, 30, zeros=0.9) == 0, 0, 0.5).astype(np.float32)
    state.set_model(model_of({"a": few, "b": -few.T.copy(), "c": weights(10, 10)}))
    state.set_recipe(Recipe(steps=(PruneSettings(sparsity=sparsity, scope=scope),)))
    settle(qtbot, background)
    total = 0
    for name in "abc":
        state.set_layers((name,))
        settle(qtbot, background)
        removal = inspector.removals.get(name)
        if removal is None:
            assert not inspector.preview_text.isVisible()
            continue
        total += removal.removed
        text = inspector.preview_text.text()
        assert text.startswith(f"would remove {count(removal.removed)} of ")
        if removal.already_zero:
            assert f"{count(removal.already_zero)} are zero already" in text
    # Of two layers with equal weights the first is served first, so that ties of a threshold are shared unequally.
    assert total == round(sparsity * 1300)
    state.set_layers(("a", "b", "c"))
    settle(qtbot, background)
    assert inspector.preview_text.text().startswith(f"would remove {count(total)} of 1,300 weights")


def test_the_preview_goes_with_the_step(
    qtbot: QtBot, inspector: Inspector, state: AppState, background: Background
) -> None:
    state.set_model(model_of({"a": weights(10, 10)}))
    state.set_recipe(Recipe(steps=(PruneSettings(sparsity=0.5),)))
    settle(qtbot, background)
    assert inspector.preview_text.text() == "would remove 50 of 100 weights (50.0 %)"
    state.set_recipe(Recipe())
    settle(qtbot, background)
    assert not inspector.preview_text.isVisible()
    assert not inspector.preview
