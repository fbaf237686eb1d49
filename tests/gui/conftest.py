"""What every test of the window gets: no screen, no trace of the user's settings, and nothing left behind."""

import os

# Before any Qt object exists: tests need no screen, and torch (where a test imports it) must not spin.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import gc
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QMessageLogContext, QtMsgType, qInstallMessageHandler
from pytestqt.qtbot import QtBot

from studio.jobs.background import Background
from studio.jobs.mailbox import Mailbox
from studio.state import AppState

if TYPE_CHECKING:
    from studio.app import Application
    from studio.controllers.inspect import InspectController
    from studio.views.inspector import Inspector

    from .user import User

# Complaints of the screenless platform about itself.
PLATFORM_NOISE = (
    "This plugin does not support",
    "Unable to open monitor interface",
    "Populating font family",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest-qt only collects Qt's messages; `no_qt_warnings` below fails on them instead.
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("no_qt_log")


@pytest.fixture(autouse=True)
def no_qt_warnings() -> Iterator[None]:
    """Fail the test on any warning of Qt."""
    seen: list[str] = []

    def note(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
        harmless = kind in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg)
        if not harmless and not text.startswith(PLATFORM_NOISE):
            seen.append(text)

    previous = qInstallMessageHandler(note)
    yield
    qInstallMessageHandler(previous)
    assert not seen, f"Qt warned: {seen}"


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """Fail the test if a thread that it started is still running at its end."""
    before = set(threading.enumerate())
    yield
    # Windows that the test closed go as a whole, parents before children; the garbage collector knows no order.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    _set_libraries_aside()
    deadline = time.monotonic() + 5
    while (left := [t for t in threading.enumerate() if t not in before and not _pool(t)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert not left, f"threads left running: {[thread.name for thread in left]}"


_modules_set_aside = 0


def _set_libraries_aside() -> None:
    # What torch and its like bring with them never becomes garbage, but to look at it costs most of a second after
    # each test.
    global _modules_set_aside
    if len(sys.modules) > _modules_set_aside + 100:
        _modules_set_aside = len(sys.modules)
        gc.freeze()


def _pool(thread: threading.Thread) -> bool:
    # Libraries keep pools for the life of the process; ours never carry such names.
    return thread.name.startswith(("ThreadPoolExecutor", "asyncio_", "pytest_", "Dummy-"))


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder for settings and history; the user's own folders are out of reach."""
    folder = tmp_path / "profile"
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "user"))
    return folder


@pytest.fixture
def state(qtbot: QtBot) -> AppState:
    """An empty application state."""
    return AppState()


@pytest.fixture
def mailbox(qtbot: QtBot) -> Iterator[Mailbox]:
    """A mailbox that delivers on the test's thread."""
    box = Mailbox()
    yield box
    box.close()


@pytest.fixture
def background(mailbox: Mailbox) -> Iterator[Background]:
    """Two worker threads, joined at the end."""
    workers = Background(mailbox)
    yield workers
    workers.close()


@pytest.fixture
def inspector(request: pytest.FixtureRequest, qtbot: QtBot) -> "Iterator[Inspector]":
    """A shown inspector with its plots, of the size that the test's module names in INSPECTOR_SIZE."""
    from studio import theme
    from studio.views.inspector import Inspector

    shown = Inspector()
    qtbot.addWidget(shown)
    shown.resize(*getattr(request.module, "INSPECTOR_SIZE", (820, 640)))
    shown.show()
    shown.build_plots()
    yield shown
    theme.use(theme.LIGHT)


@pytest.fixture
def controller(state: AppState, background: Background, inspector: "Inspector") -> "InspectController":
    """The inspector's controller."""
    from studio.controllers.inspect import InspectController

    return InspectController(state, background, inspector)


@pytest.fixture
def studio(qtbot: QtBot, profile: Path) -> "Iterator[Application]":
    """The real application on a clean profile, ready."""
    from studio.app import StartOptions, build

    application = build(StartOptions(profile=str(profile), size="1440x900", theme="light"))
    with qtbot.waitSignal(application.ready, timeout=30_000):
        application.start()
    yield application
    application.window.close()
    application.close()


@pytest.fixture
def user(qtbot: QtBot, studio: "Application") -> "User":
    """Somebody before its screen."""
    from .user import User

    return User(qtbot, studio)
