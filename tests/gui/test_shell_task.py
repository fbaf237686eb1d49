"""The task: chosen, read from an image folder's window, or guessed from the model."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core.data.spec import TaskSpec
from core.errors import StudioError
from studio.controllers.model import Opened
from studio.controllers.task import TaskController, fits, guess
from studio.settings import LAST_TASK_FOLDER, Settings
from studio.state import AppState
from studio.views.task_chooser import ImageFolderDialog, TaskChooser, parse_numbers, parse_size

from .shell_fakes import small_model

DIGITS = small_model().description
CIFAR = small_model(input_shape=(3, 32, 32)).description
IMAGENET = small_model(input_shape=(3, 224, 224), num_classes=1000).description
UNKNOWN = small_model(input_shape=None, num_classes=None).description


@pytest.fixture
def chooser(qtbot: QtBot) -> TaskChooser:
    widget = TaskChooser()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def controller(state: AppState, profile: Path, chooser: TaskChooser, window: QWidget) -> TaskController:
    return TaskController(state, Settings(profile), chooser, window)


def test_which_task_fits_which_model() -> None:
    assert fits(TaskSpec("digits"), DIGITS)
    assert not fits(TaskSpec("mnist"), DIGITS)
    assert fits(TaskSpec("mnist", image_size=(8, 8)), DIGITS)
    assert fits(TaskSpec("cifar10"), CIFAR)
    assert not fits(TaskSpec("cifar10"), IMAGENET)
    assert fits(TaskSpec("folder", folder="/x"), IMAGENET)
    assert fits(TaskSpec("cifar10"), UNKNOWN)


def test_what_is_guessed() -> None:
    assert guess(DIGITS, None) == TaskSpec("digits")
    assert guess(CIFAR, None) == TaskSpec("cifar10")
    assert guess(small_model(input_shape=(1, 28, 28)).description, "fashion-mnist") == TaskSpec(
        "fashion-mnist"
    )
    assert guess(small_model(input_shape=(1, 28, 28)).description, None) == TaskSpec("mnist")
    assert guess(IMAGENET, None) is None
    assert guess(UNKNOWN, "cifar10") == TaskSpec("cifar10")
    assert guess(DIGITS, "no-such-task") == TaskSpec("digits")


def test_opening_a_model_changes_only_a_task_that_cannot_fit(
    state: AppState, controller: TaskController
) -> None:
    controller.model_opened(Opened(small_model(input_shape=(1, 28, 28)), None))
    assert state.task == TaskSpec("mnist")
    state.set_task(TaskSpec("fashion-mnist"))
    controller.model_opened(Opened(small_model(input_shape=(1, 28, 28)), None))
    assert state.task == TaskSpec("fashion-mnist")
    controller.model_opened(Opened(small_model(input_shape=(3, 32, 32)), None))
    assert state.task == TaskSpec("cifar10")


def test_a_model_that_no_built_in_task_fits_is_told(
    qtbot: QtBot, state: AppState, controller: TaskController
) -> None:
    state.set_task(TaskSpec("cifar10"))
    with qtbot.waitSignal(state.message) as signal:
        controller.model_opened(Opened(small_model(input_shape=(3, 224, 224), num_classes=1000), None))
    assert state.task is None
    assert "CIFAR-10 does not fit this model" in signal.args[0]


def test_the_chooser_shows_and_sets_the_task(
    qtbot: QtBot, state: AppState, chooser: TaskChooser, controller: TaskController
) -> None:
    state.set_task(TaskSpec("mnist"))
    assert chooser.currentText() == "MNIST"
    chooser.activated.emit(chooser.findText("CIFAR-10"))
    assert state.task == TaskSpec("cifar10")


def test_an_image_folder_is_asked_about_and_joins_the_list(
    qtbot: QtBot,
    state: AppState,
    chooser: TaskChooser,
    controller: TaskController,
    window: QWidget,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    state.set_task(TaskSpec("digits"))
    chooser.activated.emit(chooser.findText("Image folder…"))
    assert chooser.currentText() == "Digits (8×8, built in)"
    dialog = window.findChild(ImageFolderDialog)
    dialog.findChild(QLineEdit, "folderPath").setText(str(folder))
    dialog.findChild(QLineEdit, "folderSize").setText("32x48")
    qtbot.mouseClick(dialog.findChild(QPushButton, "folderImagenet"), Qt.MouseButton.LeftButton)
    dialog.findChild(QCheckBox, "folderAll").setChecked(True)
    qtbot.mouseClick(dialog.findChild(QPushButton, "folderUse"), Qt.MouseButton.LeftButton)
    assert state.task == TaskSpec(
        "folder",
        folder=str(folder),
        image_size=(32, 48),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        evaluate_all=True,
    )
    assert chooser.currentText() == "Image folder photos"
    assert controller._settings.get(LAST_TASK_FOLDER) == str(folder)


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("folderPath", "/no/such/folder", "is not a folder"),
        ("folderSize", "32 × 0", "“Image size”"),
        ("folderSize", "big", "“Image size”"),
        ("folderMean", "0.5", "same number of values"),
        ("folderMean", "a, b", "“Mean”"),
        ("folderStd", "0, 0, 0", "above 0"),
    ],
)
def test_a_wrong_field_is_named_in_the_window(
    qtbot: QtBot, window: QWidget, tmp_path: Path, field: str, text: str, says: str
) -> None:
    dialog = ImageFolderDialog(TaskSpec("folder", folder=str(tmp_path)), 3, window)
    dialog.open()
    dialog.findChild(QLineEdit, field).setText(text)
    with qtbot.assertNotEmitted(dialog.chosen):
        qtbot.mouseClick(dialog.findChild(QPushButton, "folderUse"), Qt.MouseButton.LeftButton)
    assert says in dialog.findChild(QLabel, "folderProblem").text()
    assert dialog.isVisible()
    dialog.reject()


def test_sizes_and_numbers_as_people_type_them() -> None:
    assert parse_size("32") == parse_size("32 × 32") == parse_size(" 32X32 ") == (32, 32)
    assert parse_size("") is None
    assert parse_numbers("0.5; 0.25", "Mean") == (0.5, 0.25)
    assert parse_numbers(" ", "Mean") is None
    with pytest.raises(StudioError):
        parse_size("1 × 2 × 3")
