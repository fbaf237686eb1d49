"""The Teacher tab by mouse: costs side by side, layers paired by clicks, the temperature dragged; and whole runs."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QListWidget, QPushButton, QSlider, QTabWidget

from core.distillation.settings import DistillSettings, StudentSettings
from core.models.opening import open_model
from core.models.source import ModelSource
from core.quantization.settings import QuantizeSettings
from core.recipe import Recipe
from core.steps import PruneSettings
from studio.views.distil_view import place_of, temperature_at
from studio.views.soft_targets import SoftTargets

from .user import User

HINTS = DistillSettings(method="hints", epochs=1)


def open_tab(user: User, *steps: object) -> QTabWidget:
    user.studio.workspaces.compress()
    recipe = user.studio.parts.recipe
    assert recipe is not None
    recipe.load_recipe(Recipe(name="Try", steps=steps))
    user.studio.state.set_step(len(steps) - 1)
    tabs = user.see(QTabWidget, "inspectorTabs")
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Teacher")
    user.until(lambda: tabs.isTabVisible(place))
    bar = tabs.tabBar()
    user.click(bar, bar.tabRect(place).center())
    return tabs


def choose(user: User, name: str, row: int) -> None:
    box = user.see(QListWidget, name)
    user.until(lambda: box.count() > row)
    place = box.visualItemRect(box.item(row)).center()
    QTest.mouseClick(box.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)


def test_costs_pairs_and_temperature(user: User) -> None:
    state = user.studio.state
    tabs = open_tab(user, StudentSettings(width=0.5), HINTS)
    ratio = user.see(QLabel, "distil-ratio-parameters")
    user.until(lambda: ratio.text() == "3.89× smaller", 20_000)
    assert user.see(QLabel, "distil-teacher-parameters").text() == "57,482"
    assert user.see(QLabel, "distil-student-parameters").text() == "14,794"

    choose(user, "distilTeacherLayers", 1)
    choose(user, "distilStudentLayers", 3)
    words = user.see(QLabel, "distilPairWords")
    user.until(lambda: "cannot be projected" in words.text())
    pair = user.see(QPushButton, "distilPair")
    assert not pair.isEnabled()
    choose(user, "distilStudentLayers", 1)
    user.until(lambda: "1×1 convolution" in words.text())
    user.click(pair)
    settings = state.recipe.steps[1]
    assert isinstance(settings, DistillSettings)
    assert settings.pairs == {"conv2": "conv2"}
    user.click(user.see(QPushButton, "distilUnpair"))
    assert state.recipe.steps[1].pairs == {}
    user.studio.parts.undo_stack.undo()
    assert state.recipe.steps[1].pairs == {"conv2": "conv2"}

    soft = user.see(SoftTargets, "softTargets")
    user.until(lambda: bool(soft.accessibleDescription()), 20_000)
    slider = user.see(QSlider, "distilTemperature")
    warm = dict(soft.shares(0))
    slider.setValue(place_of(50))
    hot = dict(soft.shares(0))
    assert max(hot.values()) < max(warm.values())
    assert sum(hot.values()) == pytest.approx(1)
    user.click(user.see(QPushButton, "distilUse"))
    assert state.recipe.steps[1].temperature == pytest.approx(50, rel=0.02)

    state.set_step(0)
    place = next(n for n in range(tabs.count()) if tabs.tabText(n) == "Teacher")
    assert not tabs.isTabVisible(place)


def test_the_slider_is_logarithmic_and_reads_back() -> None:
    for temperature in (0.5, 1.0, 4.0, 20.0, 100.0):
        assert temperature_at(place_of(temperature)) == pytest.approx(temperature, rel=0.01)


@pytest.mark.parametrize(
    "steps",
    [
        (PruneSettings(sparsity=0.8), DistillSettings(epochs=1)),
        (StudentSettings(width=0.5), DistillSettings(epochs=2), QuantizeSettings()),
    ],
    ids=["prune-distil", "distil-quantize"],
)
def test_recipes_with_a_teacher_run_from_the_window_and_reopen(user: User, steps: tuple[object, ...]) -> None:
    user.studio.workspaces.compress()
    recipe = user.studio.parts.recipe
    assert recipe is not None
    recipe.load_recipe(Recipe(name="With a teacher", steps=steps))
    record = user.run_and_wait()
    assert record.after is not None
    assert record.after.accuracy is not None
    assert record.before is not None
    store = user.studio.store
    assert store is not None
    assert {finding.kind for finding in store.findings(record.run_id)} >= {"distillation-classes"}
    (model,) = (file for file in store.artifacts(record.run_id) if file.kind == "model")
    opened = open_model(ModelSource("file", model.path))
    if isinstance(steps[0], PruneSettings):
        assert record.after.sparsity == pytest.approx(0.8, abs=1e-3)
        assert record.after.accuracy.value > 0.9
    else:
        assert opened.description.parameters < record.before.parameters / 3
