"""The start of the whole studio, in processes of their own where what is imported matters."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from core.errors import StudioError
from core.history.store import HistoryStore
from studio import app as studio_app
from studio import theme
from studio.app import Application, StartOptions
from studio.settings import INTERRUPTED, Settings

SCRIPT = """
import json, sys
from studio.app import StartOptions, build
from PySide6.QtWidgets import QApplication
HEAVY = ("torch", "pyqtgraph", "sqlalchemy", "torchvision", "scipy", "numpy", "pydantic")
seen = {}
def note(name):
    seen[name] = [module for module in HEAVY if module in sys.modules]
note("imported")
studio = build(StartOptions(profile=sys.argv[1]))
note("built")
studio.window.painted.connect(lambda: note("painted"))
def opened(opened):
    note("opened")
    seen["title"] = opened.model.description.source.title
studio.assembled.connect(lambda: studio.model.opened.connect(opened))
def ready():
    note("ready")
    seen["window"] = studio.window.windowTitle()
    seen["problems"] = studio.window.notice_bar.text
    studio.window.close()
studio.ready.connect(ready)
studio.start()
QApplication.instance().exec()
import threading, os
seen["threads"] = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
seen["interval"] = sys.getswitchinterval()
seen["openmp"] = os.environ["OMP_WAIT_POLICY"]
print(json.dumps(seen))
"""


def _environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    return {**kept, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(tmp_path / "user")}


def test_the_window_paints_and_the_sample_opens_before_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path / "profile")],
        capture_output=True,
        text=True,
        timeout=60,
        env=_environment(tmp_path),
        cwd=Path(studio_app.__file__).parent.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    for moment in ("imported", "built", "painted"):
        assert seen[moment] == [], f"at “{moment}” heavy modules were there already"
    assert "torch" not in seen["opened"]
    assert seen["title"] == "Digits sample"
    assert seen["window"].startswith("Compression Studio — Digits sample · Digits CNN · 57.5 k parameters")
    assert seen["problems"] == ""
    assert seen["threads"] == []
    assert seen["interval"] == pytest.approx(0.0005)
    assert seen["openmp"] == "PASSIVE"
    assert (tmp_path / "profile" / "settings.ini").exists()
    assert (tmp_path / "profile" / "history.db").exists()
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_an_interrupt_in_the_terminal_closes_the_window_cleanly(tmp_path: Path) -> None:
    script = (
        "import sys, studio.app as a; from studio.app import *\n"
        "class Loud(Application):\n"
        "    def start(self):\n"
        "        self.ready.connect(lambda: print('ready', flush=True)); super().start()\n"
        "a.Application = Loud\n"
        "print('left with', main(StartOptions(profile=sys.argv[1])), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "profile")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(tmp_path),
        cwd=Path(studio_app.__file__).parent.parent,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == "left with 0\n"
    assert "Traceback" not in err
    assert (tmp_path / "profile" / "settings.ini").exists()


def test_without_a_screen_one_sentence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(StudioError, match="There is no screen"):
        studio_app.main(StartOptions())


class _Emitter(QObject):
    said = Signal(object)


def test_signals_take_no_references_of_true_and_none(qtbot: QtBot) -> None:
    """PySide6 6.12.0 on Python 3.11 loses one per call, and the process aborts after some thousands."""
    emitter = _Emitter()
    button = QPushButton()
    qtbot.addWidget(button)
    heard: list[object] = []
    emitter.said.connect(heard.append)
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(600):
        emitter.said.emit(1)
        button.setEnabled(True)
        button.isEnabled()
    heard.clear()
    lost = before[0] - sys.getrefcount(None), before[1] - sys.getrefcount(True)
    assert max(lost) < 100, f"references lost: {lost}"


# -- the whole studio in this process ----------------------------------------------------------------------------


def _started(qtbot: QtBot, qapp: QApplication, options: StartOptions) -> Application:
    studio = studio_app.build(options, qapp)
    qtbot.addWidget(studio.window)
    with qtbot.waitSignal(studio.ready, timeout=20_000):
        studio.start()
    return studio


@pytest.fixture(autouse=True)
def light(qapp: QApplication) -> None:
    theme.apply(qapp, "light")


class _Windows(QObject):
    """Notes which widgets are shown as windows of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.shown.append(f"{type(watched).__name__} {watched.objectName()}")
        return False


def test_no_part_is_shown_as_a_window_of_its_own(qtbot: QtBot, qapp: QApplication, profile: Path) -> None:
    # A widget that is shown before it has a parent flashes up and takes the keyboard from the window.
    windows = _Windows()
    qapp.installEventFilter(windows)
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        for workspace in ("compress", "history", "export", "inspect"):
            studio.workspaces.show_workspace(workspace)
            qtbot.wait(100)
        assert windows.shown == ["MainWindow mainWindow"]
    finally:
        qapp.removeEventFilter(windows)
        studio.close()


def test_prune_this_model_is_one_click_away(qtbot: QtBot, qapp: QApplication, profile: Path) -> None:
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        assert studio.state.task is not None
        assert studio.state.task.name == "digits"
        assert studio.window.welcome.isVisible()
        assert not studio.window.run_button.isEnabled()
        prune = studio.window.findChild(QPushButton, "welcomePrune")
        qtbot.mouseClick(prune, Qt.MouseButton.LeftButton)
        assert [step.step for step in studio.state.recipe.steps] == ["prune", "fine-tune"]
        assert studio.workspaces.current == "compress"
        assert studio.window.dock("recipe").isVisible()
        assert studio.window.run_button.isEnabled()
        assert studio.window.run_button.hasFocus()
        studio.actions["undo"].trigger()
        assert studio.state.recipe.steps == ()
    finally:
        studio.window.close()


def test_a_bad_file_keeps_the_model_and_the_window(
    qtbot: QtBot, qapp: QApplication, profile: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "page.pt"
    bad.write_text("<html><body>404</body></html>")
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        before = studio.state.model
        with qtbot.waitSignal(studio.state.problem):
            studio.window.files_dropped.emit([bad])
        assert studio.state.model is before
        assert studio.window.notice_bar.isVisible()
        assert "page.pt" in studio.window.notice_bar.text
    finally:
        studio.window.close()


def test_a_start_with_a_missing_file_still_opens_the_window(
    qtbot: QtBot, qapp: QApplication, profile: Path, tmp_path: Path
) -> None:
    studio = _started(qtbot, qapp, StartOptions(path=str(tmp_path / "gone.pt"), profile=str(profile)))
    try:
        assert studio.state.model is None
        assert "gone.pt does not exist" in studio.window.notice_bar.text
        assert not studio.window.welcome.isVisible()
        studio.model.open_sample()
        qtbot.waitUntil(lambda: studio.state.model is not None)
    finally:
        studio.window.close()


def test_a_history_that_cannot_be_opened_is_said_and_can_be_tried_again(
    qtbot: QtBot, qapp: QApplication, profile: Path, tmp_path: Path
) -> None:
    database = tmp_path / "notes.db"
    database.write_text("this is no database, and that is for sure")
    studio = _started(qtbot, qapp, StartOptions(db=str(database), profile=str(profile)))
    try:
        assert studio.jobs is None
        assert "notes.db" in studio.window.notice_bar.text
        studio.workspaces.history()
        notice = studio.window.pages.currentWidget().notice
        assert notice.state == "failed"
        database.unlink()
        notice.retry.emit()
        qtbot.waitUntil(lambda: studio.jobs is not None, timeout=10_000)
        assert studio.actions["refresh-history"].isEnabled()
    finally:
        studio.window.close()


def test_runs_interrupted_by_closing_are_told_at_the_next_start(
    qtbot: QtBot, qapp: QApplication, profile: Path
) -> None:
    settings = Settings(profile)
    settings.set(INTERRUPTED, 2)
    settings.sync()
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        assert "2 runs were interrupted" in studio.window.notice_bar.text
    finally:
        studio.window.close()
    assert Settings(profile).get(INTERRUPTED) == 0


def test_runs_of_a_program_that_was_killed_are_told_at_the_next_start(
    qtbot: QtBot, qapp: QApplication, profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the real thing does is proved with real processes beside the history's own tests.
    monkeypatch.setattr(HistoryStore, "interrupt_orphans", lambda self: 1)
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        text = studio.window.notice_bar.text
        assert text.startswith("1 run was interrupted because the program ended unexpectedly.")
    finally:
        studio.window.close()


def test_closing_twice_and_closing_at_once_do_no_harm(
    qtbot: QtBot, qapp: QApplication, profile: Path
) -> None:
    studio = studio_app.build(StartOptions(profile=str(profile)), qapp)
    qtbot.addWidget(studio.window)
    studio.start()
    studio.window.close()
    studio.close()
    qtbot.wait(50)


def test_a_recipe_file_opens_in_compress(
    qtbot: QtBot, qapp: QApplication, profile: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"name": "Mine", "steps": [{"step": "prune", "sparsity": 0.3}]}')
    studio = _started(qtbot, qapp, StartOptions(profile=str(profile)))
    try:
        studio.window.files_dropped.emit([path])
        assert studio.state.recipe.name == "Mine"
        assert studio.workspaces.current == "compress"
    finally:
        studio.window.close()
