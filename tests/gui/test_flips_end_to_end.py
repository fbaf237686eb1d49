"""Predictions as a user meets them: prune in the real application, then look at what flipped."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QLabel, QTableView, QTabWidget

from core.history.records import RunRecord
from core.measurement.predictions import KIND
from core.quantization.settings import QuantizeSettings
from core.recipe import Recipe
from core.steps import PruneSettings, StepSettings
from studio.views.image_grid import ImageGrid

from .user import User


def run(user: User, name: str, step: StepSettings) -> RunRecord:
    """Have this one step run by the button."""
    user.studio.state.set_recipe(Recipe(name=name, steps=(step,)))
    user.until(user.see(QAbstractButton, "runButton").isEnabled)
    return user.run_and_wait()


def test_prune_then_look_at_the_digits_that_flipped(user: User) -> None:
    store = user.studio.store
    assert store is not None
    record = run(user, "Ruin", PruneSettings(sparsity=0.97))
    assert record.before is not None
    assert record.after is not None
    before, after = record.before.accuracy, record.after.accuracy
    assert before is not None
    assert after is not None
    assert KIND in {artifact.kind for artifact in store.artifacts(record.run_id)}

    user.key(Qt.Key.Key_3)
    runs = user.see(QTableView, "runTable")
    user.until(lambda: runs.model().rowCount() == 1)
    user.row(runs, 0)
    tabs = user.see(QTabWidget, "runTabs")
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Predictions")
    user.click(tabs.tabBar(), tabs.tabBar().tabRect(place).center())
    grid = user.see(ImageGrid, "flippedImages")
    user.until(lambda: grid.flipped.rowCount() > 0)
    pair = grid.flipped.pair
    assert pair is not None
    assert (pair.flips.right_first, pair.flips.right_second) == (before.correct, after.correct)
    user.until(lambda: bool(grid.visible_rows()) and not grid.flipped.without_picture(grid.visible_rows()))
    user.row(grid, 2)
    user.until(lambda: user.see(QLabel, "flipsReadout").text().startswith("Example "))
    example = grid.flipped.example(2)
    assert (
        f"Example {example:,}: {pair.predictions.labels[example]};" in user.see(QLabel, "flipsReadout").text()
    )

    # An int8 run of the same model keeps its answers too, and both stand beside each other.
    second = run(user, "Int8", QuantizeSettings())
    user.until(lambda: runs.model().rowCount() == 2)
    user.row(runs, 0)
    user.row(runs, 1, Qt.KeyboardModifier.ControlModifier)
    user.click(user.button("Compare"))
    user.see(QAbstractItemView, "compareTable")
    tabs = user.see(QTabWidget, "compareTabs")
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Predictions")
    user.click(tabs.tabBar(), tabs.tabBar().tabRect(place).center())
    grid = user.see(ImageGrid, "flippedImages")
    user.until(lambda: grid.flipped.pair is not None and grid.flipped.rowCount() > 0)
    pair = grid.flipped.pair
    assert pair is not None
    assert second.after is not None
    assert second.after.accuracy is not None
    # The first one selected is the baseline: the newer run, which stands on top.
    assert (pair.flips.right_first, pair.flips.right_second) == (second.after.accuracy.correct, after.correct)
    user.until(lambda: bool(grid.visible_rows()) and not grid.flipped.without_picture(grid.visible_rows()))
