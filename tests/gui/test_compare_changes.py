"""Mask overlap between runs, in the comparison's layers, by the window."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QTabWidget

from core.recipe import Recipe
from core.steps import PruneSettings
from studio.views.grid_view import GridView

from .user import User


def test_masks_of_two_runs_are_laid_over_each_other(user: User) -> None:
    studio = user.studio
    recipe = studio.parts.recipe
    assert recipe is not None
    runs = []
    for sparsity in (0.5, 0.75):
        recipe.load_recipe(Recipe(name=f"Prune {sparsity}", steps=(PruneSettings(sparsity=sparsity),)))
        user.until(user.see(type(user.window.run_button), "runButton").isEnabled)
        runs.append(user.run_and_wait().run_id)
    user.key(Qt.Key.Key_3)
    studio.state.set_runs(tuple(runs))
    user.until(studio.actions["compare"].isEnabled)
    studio.actions["compare"].trigger()
    tabs = user.see(QTabWidget, "compareTabs")
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Layers")
    user.click(tabs.tabBar(), tabs.tabBar().tabRect(place).center())
    figure = user.see(QComboBox, "compareLayerFigure")
    figure.setCurrentIndex(figure.findData("overlap"))
    figure.activated.emit(figure.currentIndex())
    table = user.see(GridView, "compareLayers")
    user.until(lambda: table.isVisible() and table.model().rowCount() == 5, 20_000)
    shown = [[table.model().index(row, column).data() for column in (1, 2)] for row in range(5)]
    assert {row[0] for row in shown} == {"100.0 %"}
    # The smaller mask lies within the larger one: they share as much as it has.
    shares = [float(row[1].removesuffix(" %")) for row in shown]
    assert all(0 < share < 100 for share in shares)
    assert sum(shares) / 5 == pytest.approx(50, abs=25)
    tip = table.model().index(3, 2).data(Qt.ItemDataRole.ToolTipRole)
    assert "chosen independently" in tip
