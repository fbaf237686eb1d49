"""The recipe panel with its controller, by real clicks and keys."""

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QAction, QMouseEvent, QUndoStack
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QScrollArea,
    QSlider,
    QToolButton,
    QWidget,
)

from core.data.spec import TaskSpec
from core.models.description import Layer, ModelDescription
from core.models.opened import from_arrays
from core.models.source import SAMPLE
from core.presets import load_presets
from core.pruning.magnitudes import mask_of, plan_magnitude
from core.recipe import Recipe, load_recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings
from studio.controllers import recipe as recipe_module
from studio.controllers.recipe import RecipeController
from studio.problem import Problem
from studio.views.number_box import NumberBox
from studio.views.recipe_panel import RecipePanel
from studio.views.step_list import StepList

SHAPES = {"conv1": (8, 1, 3, 3), "layer1.conv2": (16, 8, 3, 3), "fc": (10, 64)}


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


def model_of(weights):
    layers = tuple(
        Layer(
            name, "conv2d" if array.ndim == 4 else "linear", f"{name}.weight", array.shape, array.shape[0], 1
        )
        for name, array in weights.items()
    )
    parameters = sum(layer.weights + layer.bias_count for layer in layers)
    description = ModelDescription(SAMPLE, "zoo:digits-cnn", "Digits", layers, parameters, (1, 8, 8), 10)
    return from_arrays(description, {f"{name}.weight": array for name, array in weights.items()})


class Desk:
    """The panel, its controller and everything that they said."""

    def __init__(self, qtbot, state, background):
        self.qtbot, self.state, self.background = qtbot, state, background
        self.panel = RecipePanel()
        qtbot.addWidget(self.panel, before_close_func=self.stop)
        self.stack = QUndoStack()
        self.controller = RecipeController(state, background, self.panel, self.stack)
        self.requests, self.previews, self.problems, self.messages = [], [], [], []
        self.controller.run_requested.connect(self.requests.append)
        self.controller.preview_changed.connect(self.previews.append)
        state.problem.connect(self.problems.append)
        state.message.connect(self.messages.append)
        self.panel.resize(320, 700)
        self.panel.show()

    def stop(self, _panel):
        # As at the end of the program: nothing is computed for a panel that is about to go.
        self.background.drop("preview")
        self.controller._preview.clear()

    def find(self, kind, name):
        found = self.panel.findChildren(kind, name)
        assert found, name
        # A form that gave way to another is still there until the event loop gets to delete it.
        return found[-1]

    def click(self, name):
        button = self.find(QWidget, name)
        assert button.isEnabled(), name
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def menu(self, name, index):
        menu = self.find(QMenu, name)
        menu.aboutToShow.emit()
        menu.actions()[index].trigger()

    @property
    def steps(self):
        return self.find(StepList, "stepList")

    @property
    def slider(self):
        return self.find(QSlider, "slider_sparsity")

    @property
    def preview(self):
        return self.find(QLabel, "previewLine").text()

    @property
    def obstacle(self):
        label = self.find(QLabel, "runObstacle")
        return label.text() if not label.isHidden() else ""

    def settle(self):
        self.qtbot.waitUntil(lambda: self.background.idle and not self.controller._preview._pause.isActive())


@pytest.fixture
def desk(qtbot, state, background):
    return Desk(qtbot, state, background)


@pytest.fixture
def ready(desk):
    """A model, a task and a recipe of two steps."""
    desk.weights = arrays()
    desk.state.set_model(model_of(desk.weights))
    desk.state.set_task(TaskSpec("digits"))
    desk.controller.load_recipe(
        Recipe(name="Two steps", steps=(PruneSettings(sparsity=0.5), FineTuneSettings()))
    )
    desk.stack.clear()
    desk.settle()
    return desk


def drag(slider, to, steps=8):
    """Hold the handle and pull it to the fraction `to` of the slider's length, in several moves."""
    start = QPoint(round(slider.value() / slider.maximum() * (slider.width() - 16)) + 8, slider.height() // 2)
    end = QPoint(round(to * slider.width()), slider.height() // 2)
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, steps + 1):
        at = QPointF(start + (end - start) * step / steps)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            at,
            QPointF(slider.mapToGlobal(at.toPoint())),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(slider, event)
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=end)


def test_dragging_the_slider_previews_exactly_what_would_go(ready):
    before = ready.preview
    assert before.startswith("Would remove 932 of 1,864 weights")
    drag(ready.slider, 0.9)
    sparsity = ready.state.recipe.steps[0].sparsity
    assert sparsity > 0.8
    ready.settle()
    flat = np.sort(np.concatenate([np.abs(array).ravel() for array in ready.weights.values()]))
    removed = round(sparsity * flat.size)
    assert ready.preview.startswith(f"Would remove {removed:,} of 1,864 weights")
    thresholds = ready.previews[-1]
    assert set(thresholds.values()) == {float(flat[removed - 1])}
    plan = plan_magnitude(ready.state.recipe.steps[0], list(ready.weights.items()))
    lost = sum(np.count_nonzero(~mask_of(array, plan, name)) for name, array in ready.weights.items())
    assert lost == removed


def test_one_drag_is_one_undo_step_and_the_next_drag_another(ready):
    drag(ready.slider, 0.9)
    first = ready.state.recipe.steps[0].sparsity
    drag(ready.slider, 0.1)
    assert ready.state.recipe.steps[0].sparsity < 0.2
    assert ready.stack.count() == 2
    assert ready.stack.undoText() == "Change Sparsity"
    ready.stack.undo()
    assert ready.state.recipe.steps[0].sparsity == first
    ready.stack.undo()
    assert ready.state.recipe.steps[0].sparsity == 0.5
    assert ready.find(NumberBox, "number_sparsity").value == 0.5
    ready.stack.redo()
    ready.stack.redo()
    assert ready.slider.value() < 200


def test_a_drag_that_comes_back_leaves_nothing_to_undo(ready):
    slider = ready.slider
    slider.setSliderDown(True)
    slider.setValue(700)
    slider.setValue(500)
    slider.setSliderDown(False)
    assert ready.stack.count() == 0
    assert ready.state.recipe.steps[0].sparsity == 0.5


def test_steps_are_added_selected_moved_duplicated_and_removed_with_the_mouse(ready):
    ready.menu("addStepMenu", 1)
    kinds = [settings.step for settings in ready.state.recipe.steps]
    assert kinds == ["prune", "fine-tune", "fine-tune"]
    assert ready.state.step == 1
    ready.click("moveStepUpButton")
    assert [settings.step for settings in ready.state.recipe.steps] == ["fine-tune", "prune", "fine-tune"]
    assert ready.state.step == 0
    assert not ready.find(QToolButton, "moveStepUpButton").isEnabled()
    ready.click("moveStepDownButton")
    row = ready.steps.visualItemRect(ready.steps.item(0)).center()
    QTest.mouseClick(ready.steps.viewport(), Qt.MouseButton.LeftButton, pos=row)
    assert ready.state.step == 0
    ready.click("duplicateStepButton")
    assert [row.title for row in ready.steps.rows] == ["Prune", "Prune", "Fine-tune", "Fine-tune"]
    for left in (3, 2, 1, 0):
        ready.click("removeStepButton")
        assert len(ready.state.recipe.steps) == left
    assert not ready.find(QToolButton, "removeStepButton").isEnabled()
    assert ready.obstacle.startswith("Add a step")
    for _ in range(8):
        ready.stack.undo()
    assert [settings.step for settings in ready.state.recipe.steps] == ["prune", "fine-tune"]
    assert not ready.stack.canUndo()


def test_steps_are_moved_duplicated_and_removed_with_keys(ready):
    ready.steps.setFocus()
    QTest.keyClick(ready.steps, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    assert [settings.step for settings in ready.state.recipe.steps] == ["fine-tune", "prune"]
    QTest.keyClick(ready.steps, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert ready.state.step == 0
    QTest.keyClick(ready.steps, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert len(ready.state.recipe.steps) == 3
    QTest.keyClick(ready.steps, Qt.Key.Key_Down)
    assert ready.state.step == 2
    QTest.keyClick(ready.steps, Qt.Key.Key_Delete)
    assert [settings.step for settings in ready.state.recipe.steps] == ["prune", "prune"]


def test_an_invalid_value_is_told_blocks_the_run_and_goes_with_another_step(ready):
    box = ready.find(NumberBox, "number_sparsity")
    box.lineEdit().selectAll()
    QTest.keyClicks(box.lineEdit(), "300")
    # 3 and 30 are valid on the way; 300 is not.
    assert ready.state.recipe.steps[0].sparsity == 0.3
    assert "not 300 %" in ready.find(QLabel, "error_sparsity").text()
    assert ready.obstacle == "Step 1: Sparsity must be at least 0 % and below 100 %, not 300 %."
    assert not ready.find(QPushButton, "runButton").isEnabled()
    assert ready.steps.rows[0].problem
    ready.controller.run()
    assert not ready.requests
    assert ready.messages[-1] == ready.obstacle
    ready.steps.setCurrentRow(1)
    assert ready.obstacle == ""
    ready.steps.setCurrentRow(0)
    assert ready.find(NumberBox, "number_sparsity").value == 0.3


def test_a_layer_that_the_model_lacks_is_told_at_its_step_and_field(ready):
    ready.controller.exclude_layers(["fc"])
    assert ready.obstacle == ""
    edit = ready.find(QLineEdit, "entryText")
    edit.selectAll()
    QTest.keyClicks(edit, "fd")
    assert "did you mean “fc”" in ready.find(QLabel, "error_exclude").text()
    assert "did you mean “fc”" in ready.obstacle
    assert ready.steps.item(0).toolTip() == ready.steps.rows[0].problem
    edit.selectAll()
    QTest.keyClicks(edit, "fc")
    assert ready.find(QLabel, "error_exclude").isHidden()
    assert ready.obstacle == ""


def test_run_asks_for_exactly_what_is_shown(ready):
    seed = ready.find(NumberBox, "seedBox")
    seed.lineEdit().selectAll()
    QTest.keyClicks(seed.lineEdit(), "42")
    ready.click("runButton")
    (request,) = ready.requests
    assert isinstance(request, RunRequest)
    assert (request.recipe, request.source, request.task, request.seed) == (
        ready.state.recipe,
        SAMPLE,
        TaskSpec("digits"),
        42,
    )
    ready.click("runButton")
    assert ready.requests[1].run_id != request.run_id


def test_a_seed_that_is_none_blocks_the_run(ready):
    seed = ready.find(NumberBox, "seedBox")
    seed.lineEdit().selectAll()
    QTest.keyClicks(seed.lineEdit(), "-1")
    assert ready.obstacle.startswith("The seed must be a whole number")
    seed.lineEdit().selectAll()
    QTest.keyClicks(seed.lineEdit(), "7")
    assert ready.obstacle == ""


def test_without_a_model_or_a_task_the_panel_says_what_is_missing(desk):
    assert "Open a model" in desk.obstacle
    desk.state.set_model(model_of(arrays()))
    assert desk.obstacle.startswith("Add a step")
    QTest.mouseClick(desk.find(QPushButton, "noticeAction"), Qt.MouseButton.LeftButton)
    assert desk.state.recipe == load_presets()[0]
    assert desk.obstacle.startswith("Choose a task")
    desk.state.set_task(TaskSpec("digits"))
    assert desk.obstacle == ""


def test_every_preset_can_be_chosen_and_undone(ready):
    before = ready.state.recipe
    for index, preset in enumerate(load_presets()):
        ready.menu("presetsMenu", index)
        assert ready.state.recipe == preset
        assert ready.obstacle == ""
        ready.stack.undo()
        assert ready.state.recipe == before


def test_undo_in_a_field_reaches_the_recipe_once_the_field_has_nothing_to_undo(ready):
    undo = QAction("Undo", ready.panel)
    undo.setShortcut("Ctrl+Z")
    undo.triggered.connect(ready.stack.undo)
    ready.panel.addAction(undo)
    ready.panel.activateWindow()
    ready.qtbot.waitUntil(ready.panel.isActiveWindow)
    box = ready.find(NumberBox, "number_sparsity")
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Up)
    assert ready.state.recipe.steps[0].sparsity == 0.51
    QTest.keyClick(box, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert ready.state.recipe.steps[0].sparsity == 0.5
    box.lineEdit().selectAll()
    QTest.keyClicks(box.lineEdit(), "6")
    assert ready.state.recipe.steps[0].sparsity == 0.06
    QTest.keyClick(box, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert ready.state.recipe.steps[0].sparsity == 0.5


def test_a_changed_preset_no_longer_bears_its_name(ready):
    ready.menu("presetsMenu", 0)
    drag(ready.slider, 0.3)
    assert ready.state.recipe.name == "Prune 80 % and fine-tune (changed)"
    assert ready.state.recipe.description == ""
    ready.stack.undo()
    assert ready.state.recipe == load_presets()[0]
    ready.slider.setValue(600)
    ready.slider.setValue(800)
    assert ready.state.recipe == load_presets()[0]
    ready.controller.load_recipe(Recipe(name="Prune 80 % and fine-tune", steps=(PruneSettings(),)))
    ready.slider.setValue(600)
    assert ready.state.recipe.name == "Prune 80 % and fine-tune"


def test_the_name_is_edited_and_never_lost(ready):
    name = ready.find(QLineEdit, "recipeName")
    name.setFocus()
    name.selectAll()
    QTest.keyClicks(name, "Tiny")
    assert ready.state.recipe.name == "Tiny"
    assert ready.stack.count() == 1
    name.selectAll()
    QTest.keyClick(name, Qt.Key.Key_Backspace)
    assert not ready.find(QLabel, "recipeNameError").isHidden()
    assert ready.state.recipe.name == "Tiny"
    ready.steps.setFocus()
    assert name.text() == "Tiny"
    assert ready.find(QLabel, "recipeNameError").isHidden()
    ready.stack.undo()
    assert name.text() == "Two steps"


def test_saving_and_opening_give_back_the_very_same_file(ready, tmp_path, monkeypatch):
    ready.controller.override_layers(["conv1"], 0.123456789012345)
    ready.controller.exclude_layers(["fc"])
    path = tmp_path / "mine.json"
    monkeypatch.setattr(recipe_module, "ask_where_to_save", lambda *_: path)
    monkeypatch.setattr(recipe_module, "ask_recipe_to_open", lambda *_: path)
    ready.click("saveRecipeButton")
    text = path.read_bytes()
    saved = ready.state.recipe
    assert load_recipe(path) == saved
    ready.controller.load_preset(load_presets()[1])
    ready.click("openRecipeButton")
    assert ready.state.recipe == saved
    monkeypatch.setattr(recipe_module, "ask_where_to_save", lambda *_: pytest.fail("asked again"))
    ready.controller.save_recipe()
    assert path.read_bytes() == text
    assert ready.messages[-1] == "Saved the recipe as mine.json."
    assert not ready.problems


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"\x89PNG\r\n\x1a\n\xff", "not a text file"),
        (b'{"steps": [{"step": "prume"}]}', "did you mean “prune”"),
        (b'{"steps": [{"step": "prune", "sparsity": 1.5}]}', "“sparsity”"),
        (b'{"steps": [{"step": "fine-tune", "epochs": "many"}]}', "“epochs”"),
        (None, "does not exist"),
    ],
)
def test_a_bad_recipe_file_leaves_the_recipe_alone(ready, tmp_path, content, words):
    before = ready.state.recipe
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    ready.controller.open_recipe(path)
    (problem,) = ready.problems
    assert isinstance(problem, Problem)
    assert not problem.bug
    assert words in problem.message
    assert "bad.json" in problem.message
    assert ready.state.recipe == before
    assert ready.stack.count() == 0


def test_a_folder_that_cannot_be_written_is_told(ready, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    ready.controller.save_recipe(blocked / "mine.json")
    assert "was not written" in ready.problems[0].message


def test_layers_from_the_table_go_to_the_selected_or_first_prune_step(ready):
    ready.menu("addStepMenu", 0)
    assert ready.state.step == 1
    ready.controller.exclude_layers(["fc", "conv1"])
    assert ready.state.recipe.steps[1].exclude == ("fc", "conv1")
    ready.controller.override_layers(["fc"], 0.25)
    assert ready.state.recipe.steps[1].overrides == {"fc": 0.25}
    assert ready.state.recipe.steps[1].exclude == ("conv1",)
    ready.controller.exclude_layers(["fc"])
    assert ready.state.recipe.steps[1].overrides == {}
    ready.steps.setCurrentRow(2)
    ready.controller.exclude_layers(["conv1"])
    assert ready.state.recipe.steps[0].exclude == ("conv1",)
    for _ in range(5):
        ready.stack.undo()
    assert ready.state.recipe.steps == (PruneSettings(sparsity=0.5), FineTuneSettings())


def test_layers_from_the_table_without_a_prune_step_make_one(desk):
    desk.state.set_model(model_of(arrays()))
    desk.controller.override_layers(["fc"], 0.9)
    assert desk.state.recipe.steps == (PruneSettings(overrides={"fc": 0.9}),)
    desk.stack.undo()
    assert desk.state.recipe == Recipe()


def test_weights_that_are_nan_are_told_instead_of_a_preview(ready):
    weights = arrays()
    weights["fc"][3, 3] = np.nan
    ready.state.set_model(model_of(weights))
    ready.settle()
    assert "“fc”" in ready.find(QLabel, "previewWarning").text()
    assert ready.preview == ""
    assert ready.previews[-1] is None
    ready.controller.exclude_layers(["fc"])
    ready.settle()
    assert ready.preview.startswith("Would remove 612 of 1,864 weights")
    assert ready.find(QLabel, "previewWarning").isHidden()


def test_the_preview_goes_with_the_model_and_with_the_last_prune_step(ready):
    assert ready.previews[-1]
    ready.state.set_model(None)
    assert ready.previews[-1] is None
    assert ready.preview == ""
    ready.state.set_model(model_of(arrays(1)))
    ready.settle()
    assert ready.previews[-1]
    ready.controller.remove_step()
    ready.settle()
    assert ready.previews[-1] is None
    assert ready.preview == ""


def test_only_the_newest_wish_is_answered_while_work_is_under_way(ready):
    answered = []
    ready.controller._preview.ready.connect(answered.append)
    for place in range(500, 900, 10):
        ready.slider.setValue(place)
    ready.settle()
    assert ready.preview.startswith(f"Would remove {round(0.89 * 1864):,} of 1,864")
    assert len(answered) < 20


def test_everything_fits_a_narrow_dock(ready):
    ready.controller.load_recipe(load_presets()[3])
    ready.panel.resize(320, 640)
    ready.settle()
    QApplication.processEvents()
    assert ready.panel.width() == 320
    for name in (
        "runButton",
        "seedBox",
        "presetsButton",
        "saveRecipeButton",
        "removeStepButton",
        "previewLine",
    ):
        widget = ready.find(QWidget, name)
        corner = widget.mapTo(ready.panel, widget.rect().bottomRight())
        assert ready.panel.rect().contains(corner), name
        assert widget.width() >= widget.minimumSizeHint().width(), name
    scroll = ready.find(QWidget, "settingsScroll")
    assert scroll.height() > 80
    assert scroll.widget().width() <= scroll.viewport().width()


def test_run_stays_in_sight_in_a_dock_that_is_far_too_low(ready):
    ready.panel.resize(280, 250)
    QApplication.processEvents()
    for name in ("runButton", "seedBox", "previewLine"):
        widget = ready.find(QWidget, name)
        place = widget.mapTo(ready.panel, QPoint(0, 0))
        assert ready.panel.rect().contains(QRect(place, widget.size())), name
    assert ready.find(QScrollArea, "recipeScroll").verticalScrollBar().maximum() > 0
    ready.panel.resize(320, 700)
    QApplication.processEvents()
    assert ready.find(QScrollArea, "recipeScroll").verticalScrollBar().maximum() == 0


def test_every_control_has_a_name_and_a_tooltip(ready):
    for kind in (QToolButton, QPushButton, QLineEdit, QSlider, NumberBox, StepList):
        for widget in ready.panel.findChildren(kind):
            # What Qt puts inside its own widgets speaks through them.
            if widget.objectName() and not widget.objectName().startswith("qt_"):
                assert widget.accessibleName() or widget.isHidden(), widget.objectName()
                assert widget.toolTip() or widget.isHidden(), widget.objectName()


@pytest.mark.parametrize("height", range(220, 900, 40))
def test_two_scroll_bars_never_stand_side_by_side(ready, height):
    ready.panel.resize(300, height)
    QApplication.processEvents()
    bars = [
        name
        for name in ("recipeScroll", "settingsScroll")
        if ready.find(QScrollArea, name).verticalScrollBar().isVisible()
    ]
    assert len(bars) <= 1


def test_the_whole_form_can_be_reached_where_the_panel_is_low(ready):
    ready.panel.resize(300, 260)
    ready.click("advancedFold")
    QApplication.processEvents()
    outer, inner = ready.find(QScrollArea, "recipeScroll"), ready.find(QScrollArea, "settingsScroll")
    assert outer.verticalScrollBar().isVisible()
    assert inner.verticalScrollBar().maximum() == 0
    ready.panel.resize(300, 760)
    QApplication.processEvents()
    assert not outer.verticalScrollBar().isVisible()
