"""A quantization grid over the histogram: its ends are dragged, its cost is told, its bits go into the recipe."""

import numpy as np
import pytest
import torch
from PySide6.QtGui import QUndoStack
from pytestqt.qtbot import QtBot

from core.quantization.grid_preview import GridChoice, preview_grid
from core.quantization.settings import QuantizeSettings
from core.recipe import Recipe
from core.steps import FineTuneSettings
from studio.controllers.grid import decibels
from studio.controllers.inspect import InspectController
from studio.controllers.recipe import RecipeController
from studio.controllers.recipe_bits import with_own_bits
from studio.jobs.background import Background
from studio.state import AppState
from studio.views.inspector import Inspector
from studio.views.recipe_panel import RecipePanel

from .small_models import model_of, weights
from .test_histogram_tools import Desk

INSPECTOR_SIZE = (900, 640)


@pytest.fixture
def desk(
    qtbot: QtBot,
    state: AppState,
    background: Background,
    inspector: Inspector,
    controller: InspectController,
) -> Desk:
    made = Desk(qtbot, state, background, inspector, controller)
    state.set_model(model_of({"a": weights(40, 30), "b": weights(20, 10)}))
    state.set_layers(("a",))
    made.settle()
    return made


def text(desk: Desk) -> str:
    return desk.view.grid_bar.told.text()


def test_the_grid_is_drawn_told_and_dragged(desk: Desk) -> None:
    view = desk.view
    assert not view.plot.grid.shown
    desk.tick(view.grid_box)
    assert view.grid_bar.isVisible()
    assert view.plot.grid.shown
    model = desk.state.model
    assert model is not None
    weight = torch.from_numpy(np.array(model.weight("a"), dtype=np.float32))
    expected = preview_grid(weight, GridChoice(4))
    assert decibels(expected.sqnr) in text(desk)
    left, right = view.plot.plot.getPlotItem().getViewBox().viewRange()[0]
    assert view.plot.grid.drawn == ((expected.levels >= left) & (expected.levels <= right)).sum() == 15
    assert "nothing clipped" in text(desk)

    before = view.plot.grid.ends
    # Both ends are in sight, also the one on the side of the smaller weights.
    left, right = view.plot.plot.getPlotItem().getViewBox().viewRange()[0]
    assert left < before[0] < before[1] < right
    desk.drag(before[1], before[1] / 2)
    desk.settle()
    low, high = view.plot.grid.ends
    assert high == pytest.approx(before[1] / 2, rel=0.1)
    assert low == pytest.approx(-high, rel=1e-6)
    dragged = preview_grid(weight, GridChoice(4, True, ends=(low, high)))
    assert 0 < dragged.clipped < weight.numel()
    assert f"{dragged.clipped} of 1,200 clipped" in text(desk)
    assert view.grid_bar.method == "own"

    # Another number of bits keeps the ends; another layer finds its own.
    view.grid_bar.bits.setValue(3)
    desk.settle()
    assert view.plot.grid.drawn == 7
    assert view.plot.grid.ends[1] == pytest.approx(high, rel=1e-5)
    desk.state.set_layers(("b",))
    desk.settle()
    assert view.grid_bar.method == "min-max"
    assert "nothing clipped" in text(desk)
    desk.state.set_layers(("a", "b"))
    desk.settle()
    assert not view.plot.grid.shown
    assert "one layer" in text(desk)
    desk.tick(view.grid_box)
    assert not view.grid_bar.isVisible()


def test_an_asymmetric_grid_has_two_ends(desk: Desk) -> None:
    view = desk.view
    desk.tick(view.grid_box)
    desk.tick(view.grid_bar.symmetric)
    assert "zero at" in text(desk)
    low, high = view.plot.grid.ends
    desk.drag(low, low / 3)
    desk.settle()
    # However many answers came meanwhile, the other end has not moved.
    assert view.plot.grid.ends[1] == high
    assert view.plot.grid.ends[0] == pytest.approx(low / 3, rel=0.15)


def test_the_bits_go_into_the_recipe_and_can_be_undone(desk: Desk, qtbot: QtBot) -> None:
    panel = RecipePanel()
    qtbot.addWidget(panel)
    stack = QUndoStack()
    recipes = RecipeController(desk.state, desk.background, panel, stack)
    desk.controller.bits_requested.connect(recipes.give_bits)
    desk.tick(desk.view.grid_box)
    desk.view.grid_bar.bits.setValue(5)
    desk.settle()
    desk.tick(desk.view.grid_bar.use)
    (step,) = desk.state.recipe.steps
    assert isinstance(step, QuantizeSettings)
    assert step.overrides == {"a": 5}
    stack.undo()
    assert desk.state.recipe.steps == ()
    desk.settle()


def test_own_bits_replace_what_a_layer_had() -> None:
    recipe = Recipe(steps=(FineTuneSettings(), QuantizeSettings(overrides={"a": 4, "b": 8}, exclude=("c",))))
    changed, step = with_own_bits(recipe, 0, {"a": 2, "c": 16, "b": None})
    assert step == 1
    settings = changed.steps[1]
    assert isinstance(settings, QuantizeSettings)
    assert settings.overrides == {"a": 2, "c": 16}
    assert settings.exclude == ()
    with pytest.raises(ValueError, match="overrides"):
        with_own_bits(recipe, 0, {"a": 99})
