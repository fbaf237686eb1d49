"""Opening models: what is asked for, what fails, what is dropped, and what is remembered."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QDialogButtonBox, QLineEdit, QPushButton, QRadioButton, QTreeWidget, QWidget
from pytestqt.qtbot import QtBot
from safetensors.numpy import save_file

from core.models.source import SAMPLE, ModelSource
from studio.actions import Actions
from studio.controllers.architectures import network_choices
from studio.controllers.model import ModelController
from studio.jobs.background import Background
from studio.main_window import MainWindow
from studio.problem import Problem
from studio.settings import RECENT, Settings
from studio.state import AppState
from studio.views.architecture_dialog import ArchitectureDialog

from .shell_fakes import Opener


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def settings(profile: Path) -> Settings:
    return Settings(profile)


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def controller(
    state: AppState, background: Background, settings: Settings, window: QWidget, opener: Opener
) -> ModelController:
    return ModelController(state, background, settings, window, opener)


def test_the_sample_opens(qtbot: QtBot, state: AppState, controller: ModelController) -> None:
    with qtbot.waitSignal(controller.opened) as signal:
        controller.open_sample()
    assert state.model is signal.args[0].model
    assert signal.args[0].task_hint == "digits"
    assert state.layers == ("fc1",)
    assert controller.opening is None


def test_a_bad_file_keeps_the_model_and_says_the_sentence(
    qtbot: QtBot, state: AppState, controller: ModelController, opener: Opener, tmp_path: Path
) -> None:
    with qtbot.waitSignal(controller.opened):
        controller.open_sample()
    before = state.model
    bad = tmp_path / "page.pt"
    bad.write_text("<html>")
    opener.broken.add("page.pt")
    with qtbot.waitSignal(state.problem) as signal:
        controller.open_path(bad)
    assert signal.args[0] == Problem("page.pt is not a model: choose another file.", "byte 0")
    assert state.model is before
    assert controller.opening is None


def test_a_missing_file_is_said_at_once_and_leaves_the_recent_ones(
    qtbot: QtBot, state: AppState, controller: ModelController, settings: Settings, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.pt"
    settings.add_recent(str(gone))
    with qtbot.waitSignal(state.problem) as signal:
        controller.open_text(str(gone))
    assert "gone.pt does not exist" in signal.args[0].message
    assert settings.get(RECENT) == []


def test_the_newest_request_wins(
    qtbot: QtBot, state: AppState, controller: ModelController, tmp_path: Path
) -> None:
    for name in ("first.safetensors", "second.safetensors"):
        save_file({"a": np.zeros(1, np.float32)}, tmp_path / name)
    controller.open_path(tmp_path / "first.safetensors")
    with qtbot.waitSignal(controller.opened):
        controller.open_path(tmp_path / "second.safetensors")
    assert state.model is not None
    assert state.model.description.source.title == "second.safetensors"


def test_a_file_names_its_task(qtbot: QtBot, controller: ModelController, tmp_path: Path) -> None:
    path = tmp_path / "pruned.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path, metadata={"task": "cifar10"})
    with qtbot.waitSignal(controller.opened) as signal:
        controller.open_path(path)
    assert signal.args[0].task_hint == "cifar10"


def test_recent_models_are_remembered(
    qtbot: QtBot, controller: ModelController, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path)
    with qtbot.waitSignal(controller.opened):
        controller.open_path(path)
    with qtbot.waitSignal(controller.opened):
        controller.open_source(ModelSource("zoo", "resnet20"))
    assert controller.recent() == [("zoo:resnet20", "resnet20 (built-in)"), (str(path), "mine.safetensors")]
    path.unlink()
    assert controller.recent() == [("zoo:resnet20", "resnet20 (built-in)")]


def test_reload_opens_the_same_source_again(
    qtbot: QtBot, controller: ModelController, opener: Opener
) -> None:
    controller.reload()
    assert opener.opened == []
    with qtbot.waitSignal(controller.opened):
        controller.open_sample()
    with qtbot.waitSignal(controller.opened):
        controller.reload()
    assert opener.opened == [SAMPLE, SAMPLE]


def test_a_recipe_is_handed_on(qtbot: QtBot, controller: ModelController, tmp_path: Path) -> None:
    with qtbot.waitSignal(controller.recipe_file_chosen) as signal:
        controller.open_path(tmp_path / "recipe.json")
    assert signal.args == [tmp_path / "recipe.json"]


def test_a_dropped_file_opens(
    qtbot: QtBot, controller: ModelController, opener: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "dropped.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path)
    main = MainWindow(Actions())
    qtbot.addWidget(main)
    main.files_dropped.connect(controller.open_files)
    main.show()
    _drop(main, [QUrl.fromLocalFile(str(path))])
    qtbot.waitUntil(lambda: bool(opener.opened))
    qtbot.waitUntil(lambda: controller.opening is None)
    assert opener.opened[0].name == str(path)


def test_text_that_is_dropped_is_not_taken(qtbot: QtBot) -> None:
    main = MainWindow(Actions())
    qtbot.addWidget(main)
    main.show()
    with qtbot.assertNotEmitted(main.files_dropped):
        _drop(main, [QUrl("https://example.com/model.pt")])


def test_several_dropped_files_open_one_model_and_the_recipe(
    qtbot: QtBot, state: AppState, controller: ModelController, opener: Opener, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors", tmp_path / "r.json"]
    for path in paths[:2]:
        save_file({"a": np.zeros(1, np.float32)}, path)
    with qtbot.waitSignals([controller.recipe_file_chosen, controller.opened]):
        controller.open_files(paths)
    assert [source.title for source in opener.opened] == ["a.safetensors"]


def test_torchvision_models_are_searched_and_opened(
    qtbot: QtBot, controller: ModelController, opener: Opener, window: QWidget
) -> None:
    window.show()
    controller.open_torchvision()
    dialog = window.findChild(ArchitectureDialog)
    names = dialog.findChild(QTreeWidget, "architectureList")
    assert names.topLevelItemCount() > 70
    qtbot.keyClicks(dialog.findChild(QLineEdit, "architectureSearch"), "res18")
    assert names.topLevelItem(0).text(0) == "resnet18"
    dialog.findChild(QRadioButton, "architectureFresh").setChecked(True)
    with qtbot.waitSignal(controller.opened):
        qtbot.mouseClick(dialog.findChild(QPushButton, "architectureOpen"), Qt.MouseButton.LeftButton)
    assert opener.opened == [ModelSource("torchvision", "resnet18")]


def test_a_search_without_result_cannot_be_accepted(
    qtbot: QtBot, controller: ModelController, window: QWidget
) -> None:
    window.show()
    controller.open_torchvision()
    dialog = window.findChild(ArchitectureDialog)
    qtbot.keyClicks(dialog.findChild(QLineEdit, "architectureSearch"), "qqqqq")
    assert not dialog.findChild(QPushButton, "architectureOpen").isEnabled()
    dialog.findChild(QDialogButtonBox).rejected.emit()


def test_networks_are_listed_by_value_of_their_figures() -> None:
    names = [choice.name for choice in network_choices("torchvision")]
    assert names.index("resnet18") < names.index("resnet101")
    resnet20 = next(choice for choice in network_choices("zoo") if choice.name == "resnet20")
    assert resnet20.text == "zoo:resnet20"
    assert (resnet20.parameters, resnet20.input_size) == ("270 k", "3 × 32 × 32")


def _drop(target: MainWindow, urls: list[QUrl]) -> None:
    data = QMimeData()
    data.setUrls(urls)
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), copy, data, left, none)
    target.dragEnterEvent(enter)
    target.dropEvent(QDropEvent(QPointF(50, 50), copy, data, left, none))
