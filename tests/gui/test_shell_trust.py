"""The window runs a file's code only after a click on the button that says so, remembers it and takes it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox, QLabel, QPushButton, QTreeWidget, QWidget
from pytestqt.qtbot import QtBot

from core.files import sha256_of
from core.models.trust import TrustStore
from studio.controllers.model import ModelController
from studio.jobs.background import Background
from studio.settings import Settings
from studio.state import AppState
from studio.views.trust_dialogs import TrustDialog, TrustedFilesDialog

PROGRAM = """
from pathlib import Path
from torch import nn
Path(__file__).with_name("trace").touch()
def build():
    return nn.Linear(4, 2)
"""


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def controller(state: AppState, background: Background, profile: Path, window: QWidget) -> ModelController:
    return ModelController(state, background, Settings(profile), window)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrustStore]:
    monkeypatch.setattr(
        "core.models.trust.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "user")
    )
    return TrustStore()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(PROGRAM)
    return path


def asked(qtbot: QtBot, window: QWidget, controller: ModelController, path: Path) -> TrustDialog:
    """The question that opening a program leads to."""
    controller.open_path(path)
    qtbot.waitUntil(lambda: window.findChild(TrustDialog) is not None, timeout=20_000)
    return window.findChild(TrustDialog)


def test_the_question_shows_the_file_and_runs_nothing(
    qtbot: QtBot,
    window: QWidget,
    controller: ModelController,
    state: AppState,
    program: Path,
    store: TrustStore,
) -> None:
    dialog = asked(qtbot, window, controller, program)
    shown = dialog.findChild(QLabel, "trustSum").text().replace("\n", "")
    assert shown == f"SHA-256{sha256_of(program)}"
    assert dialog.findChild(QLabel, "trustPath").text() == str(program)
    buttons = dialog.findChild(QDialogButtonBox)
    assert buttons.button(QDialogButtonBox.StandardButton.Cancel).isDefault()
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    qtbot.wait(50)
    assert state.model is None
    assert controller.opening is None
    assert store.files() == ()
    assert not program.with_name("trace").exists()


def test_a_click_trusts_and_opens_and_the_next_time_asks_nothing(
    qtbot: QtBot,
    window: QWidget,
    controller: ModelController,
    state: AppState,
    program: Path,
    store: TrustStore,
) -> None:
    dialog = asked(qtbot, window, controller, program)
    with qtbot.waitSignal(controller.opened, timeout=20_000):
        qtbot.mouseClick(dialog.findChild(QPushButton, "trustAccept"), Qt.MouseButton.LeftButton)
    assert state.model.description.architecture_title == "Linear (net.py)"
    assert store.is_trusted(program)
    with qtbot.waitSignal(controller.opened, timeout=20_000):
        controller.reload()


def test_a_file_that_changed_under_the_question_is_not_trusted(
    qtbot: QtBot,
    window: QWidget,
    controller: ModelController,
    state: AppState,
    program: Path,
    store: TrustStore,
) -> None:
    dialog = asked(qtbot, window, controller, program)
    program.write_text(PROGRAM + "# another\n")
    with qtbot.waitSignal(state.problem, timeout=20_000) as signal:
        qtbot.mouseClick(dialog.findChild(QPushButton, "trustAccept"), Qt.MouseButton.LeftButton)
    assert "has changed since you were asked" in signal.args[0].message
    assert store.files() == ()
    assert not program.with_name("trace").exists()


def test_trust_is_taken_back_in_the_list(
    qtbot: QtBot, window: QWidget, controller: ModelController, program: Path, store: TrustStore
) -> None:
    store.trust(program)
    controller.show_trusted()
    dialog = window.findChild(TrustedFilesDialog)
    listed = dialog.findChild(QTreeWidget, "trustedFilesList")
    assert listed.topLevelItem(0).text(0) == "net.py"
    button = dialog.findChild(QPushButton, "trustedFilesRevoke")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert store.files() == ()
    assert not button.isEnabled()
    assert dialog.findChild(QLabel, "trustedFilesEmpty").isVisible()
    dialog.close()


def test_a_damaged_list_is_told(
    qtbot: QtBot, controller: ModelController, state: AppState, store: TrustStore
) -> None:
    store.file.parent.mkdir(parents=True)
    store.file.write_text("nonsense")
    with qtbot.waitSignal(state.problem) as signal:
        controller.show_trusted()
    assert "trusted.json is damaged" in signal.args[0].message
