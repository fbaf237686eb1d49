"""Mask overlap between runs, in the comparison's layers, by the window."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QPushButton, QTabWidget, QWidget

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

    # From a cell to the weights: the run's model at that layer, with the baseline's over it.
    table.setCurrentIndex(table.model().index(2, 2))
    user.click(user.see(QPushButton, "compareLookAtWeights"))
    histogram = user.see(QWidget, "histogramView")
    assert studio.parts.inspect is not None
    view = studio.parts.inspect._inspector.histogram
    assert view is histogram
    user.until(lambda: bool(view.plot.references), 20_000)
    assert studio.workspaces.current == "inspect"
    assert studio.state.layers == ("conv3",)
    (layer,) = view.plot.layers
    assert layer.statistics.zeros == pytest.approx(0.75 * 18_432, abs=0.2 * 18_432)
    (reference,) = view.plot.references
    assert "Prune 0.5" in reference.title
    # What changed against it is a picture, too.
    studio.parts.inspect.show_difference_of("conv3")
    heatmap = studio.parts.inspect._inspector.heatmap
    assert heatmap is not None
    user.until(lambda: heatmap._shown is not None and heatmap._shown.look.mode == "difference", 20_000)
