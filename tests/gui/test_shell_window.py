"""The window itself: workspaces and their layouts, strips, notices, help and preferences."""

import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from core.data.spec import TaskSpec
from core.errors import StudioError
from core.measurement.records import Accuracy
from core.models.source import ModelSource
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import PruneSettings
from studio import theme
from studio.actions import Actions
from studio.controllers.help import HelpController, explanation
from studio.controllers.hints import HINTS, HintsController
from studio.controllers.preferences import PreferencesController
from studio.controllers.problems import ProblemsController
from studio.controllers.recipe_commands import RecipeCommands
from studio.controllers.runs import RunsController
from studio.controllers.title import facts, window_title
from studio.controllers.workspaces import PAGES, WorkspacesController
from studio.jobs.mailbox import Mailbox
from studio.main_window import DOCKS, WORKSPACES, MainWindow
from studio.problem import Problem
from studio.settings import DEVICE, DISMISSED, LAYOUTS, THEME, THREADS, Settings
from studio.state import AppState
from studio.views.notice_bar import NoticeBar
from studio.views.preferences import PreferencesDialog
from studio.views.report import ReportWindow
from studio.views.shortcuts import AboutWindow, ShortcutsWindow

from .shell_fakes import small_model


@pytest.fixture
def settings(profile: Path) -> Settings:
    return Settings(profile)


@pytest.fixture
def window(qtbot: QtBot) -> MainWindow:
    main = MainWindow(Actions())
    qtbot.addWidget(main)
    main.resize(1200, 800)
    main.show()
    return main


# -- workspaces --------------------------------------------------------------------------------------------------


def test_each_workspace_opens_its_docks_and_page(window: MainWindow, settings: Settings) -> None:
    workspaces = WorkspacesController(settings, window)
    workspaces.start()
    for name, (page, docks) in WORKSPACES.items():
        workspaces.show_workspace(name)
        assert workspaces.current == name
        assert window.pages.currentIndex() == ("inspector", "history", "export").index(page)
        assert {dock for dock in DOCKS if window.dock(dock).isVisible()} == docks
        assert PAGES[name] == page


def test_the_keyboard_stays_where_it_was_when_the_workspace_changes(
    qtbot: QtBot, window: MainWindow, settings: Settings
) -> None:
    field, other = QLineEdit(), QLineEdit()
    window.set_dock("layers", field)
    window.set_page("history", other)
    workspaces = WorkspacesController(settings, window)
    workspaces.start()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    workspaces.compress()
    assert field.hasFocus()


def test_places_of_docks_are_kept_per_workspace_and_over_a_restart(
    qtbot: QtBot, window: MainWindow, settings: Settings
) -> None:
    workspaces = WorkspacesController(settings, window)
    workspaces.start()
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, window.dock("layers"))
    window.dock("jobs").close()
    workspaces.compress()
    assert window.dock("jobs").isVisible()
    assert window.dockWidgetArea(window.dock("layers")) == Qt.DockWidgetArea.LeftDockWidgetArea
    workspaces.inspect()
    assert not window.dock("jobs").isVisible()
    workspaces.save()

    again = MainWindow(Actions())
    qtbot.addWidget(again)
    restarted = WorkspacesController(Settings(settings.folder), again)
    restarted.start()
    again.show()
    assert not again.dock("jobs").isVisible()
    assert again.dockWidgetArea(again.dock("layers")) == Qt.DockWidgetArea.RightDockWidgetArea


def test_reset_layout_puts_everything_back(window: MainWindow, settings: Settings) -> None:
    workspaces = WorkspacesController(settings, window)
    workspaces.start()
    window.dock("layers").setFloating(True)
    window.dock("jobs").close()
    workspaces.reset_layout()
    assert not window.dock("layers").isFloating()
    assert window.dock("jobs").isVisible()
    assert settings.get(LAYOUTS) == {}


def test_a_spoilt_layout_falls_back_to_the_first_one(window: MainWindow, settings: Settings) -> None:
    settings.set(LAYOUTS, {"inspect": "bm9uc2Vuc2U=", "compress": "%%%"})
    workspaces = WorkspacesController(settings, window)
    workspaces.start()
    assert window.dock("layers").isVisible()
    workspaces.compress()
    assert window.dock("recipe").isVisible()


def test_the_window_can_be_made_small(window: MainWindow) -> None:
    window.resize(1024, 700)
    assert (window.width(), window.height()) == (1024, 700)


def test_a_dock_s_own_buttons_float_and_close_it(qtbot: QtBot, window: MainWindow) -> None:
    dock = window.dock("layers")
    buttons = {button.objectName(): button for button in dock.titleBarWidget().findChildren(QToolButton)}
    qtbot.mouseClick(buttons["floatPanel"], Qt.MouseButton.LeftButton)
    assert dock.isFloating()
    qtbot.mouseClick(buttons["floatPanel"], Qt.MouseButton.LeftButton)
    assert not dock.isFloating()
    qtbot.mouseClick(buttons["closePanel"], Qt.MouseButton.LeftButton)
    assert not dock.isVisible()
    dock.toggleViewAction().trigger()
    assert dock.isVisible()


def test_every_control_of_the_window_has_a_name_and_a_tooltip(window: MainWindow) -> None:
    for button in [*window.findChildren(QToolButton), *window.findChildren(QPushButton)]:
        if not button.objectName().startswith("qt_") and button.objectName() != "noticeAction":
            assert button.accessibleName() or button.text().strip(), button.objectName()
            assert button.toolTip(), button.objectName()


# -- first minute ------------------------------------------------------------------------------------------------


def test_welcome_then_one_hint_at_a_time_never_again(
    qtbot: QtBot, window: MainWindow, settings: Settings
) -> None:
    hints = HintsController(settings, window, window.welcome, window.hint_strip)
    hints.start(welcome=True)
    assert window.welcome.isVisible()
    assert not window.hint_strip.isVisible()
    qtbot.mouseClick(window.findChild(QToolButton, "welcomeDismiss"), Qt.MouseButton.LeftButton)
    assert not window.welcome.isVisible()
    assert not window.hint_strip.isVisible()
    hints.workspace_changed("compress")
    assert window.hint_strip.hint == HINTS["compress"][0][0]
    assert window.hint_strip.isVisible()
    qtbot.mouseClick(window.findChild(QPushButton, "hintDismiss"), Qt.MouseButton.LeftButton)
    assert not window.hint_strip.isVisible()
    hints.workspace_changed("compress")
    assert window.hint_strip.hint == HINTS["compress"][1][0]

    settings.sync()
    again = HintsController(Settings(settings.folder), window, window.welcome, window.hint_strip)
    again.start(welcome=True)
    assert not window.welcome.isVisible()
    again.start_over()
    assert window.welcome.isVisible()
    assert Settings(settings.folder).get(DISMISSED) == []


def test_a_start_with_a_file_shows_no_welcome(window: MainWindow, settings: Settings) -> None:
    HintsController(settings, window, window.welcome, window.hint_strip).start(welcome=False)
    assert not window.welcome.isVisible()


def test_recent_models_stand_in_the_welcome_panel(qtbot: QtBot, window: MainWindow) -> None:
    button = window.welcome.findChild(QPushButton, "welcomeRecent")
    window.welcome.set_recent([])
    assert button.isHidden()
    window.welcome.set_recent([("zoo:resnet20", "resnet20 (built-in)")])
    assert not button.isHidden()
    with qtbot.waitSignal(window.welcome.open_recent) as signal:
        button.menu().actions()[0].trigger()
    assert signal.args == ["zoo:resnet20"]


# -- problems ----------------------------------------------------------------------------------------------------


def test_a_problem_stands_in_the_notice_bar_until_dismissed(
    qtbot: QtBot, state: AppState, mailbox: Mailbox, window: MainWindow
) -> None:
    bar = window.notice_bar
    bar.shown.connect(window.show_notice)
    bar.dismissed.connect(window.hide_notice)
    controller = ProblemsController(state, mailbox, bar)
    state.problem.emit(Problem("weights.pt is empty: choose another file.", "0 bytes"))
    assert bar.isVisible()
    assert bar.text == "weights.pt is empty: choose another file."
    qtbot.mouseClick(window.findChild(QPushButton, "noticeBarDetails"), Qt.MouseButton.LeftButton)
    report = window.findChild(ReportWindow)
    assert report.report.endswith("0 bytes")
    report.close()
    qtbot.mouseClick(window.findChild(QPushButton, "noticeBarDismiss"), Qt.MouseButton.LeftButton)
    assert not bar.isVisible()
    controller.remark("One run was interrupted.")
    assert bar.text == "One run was interrupted."


def test_what_nobody_caught_becomes_a_notice_with_a_report(
    qtbot: QtBot, state: AppState, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    controller = ProblemsController(state, mailbox, bar)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    controller.watch()
    try:
        try:
            raise ZeroDivisionError("seven")
        except ZeroDivisionError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        qtbot.waitUntil(lambda: "ZeroDivisionError" in bar.text)
        thread = threading.Thread(target=_fail)
        thread.start()
        thread.join()
        qtbot.waitUntil(lambda: "KeyError" in bar.text)
    finally:
        controller.stop_watching()
    assert hooks == (sys.excepthook, threading.excepthook, sys.unraisablehook)
    assert "_fail" in capsys.readouterr().err


def _fail() -> None:
    raise KeyError("nine")


# -- help and preferences ----------------------------------------------------------------------------------------


def test_help_is_the_nearest_explanation(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    outer.setToolTip("All of it.")
    inner = QLineEdit(outer)
    assert explanation(inner) == (outer, "All of it.")
    inner.setToolTip("Short.")
    inner.setWhatsThis("Long.")
    assert explanation(inner) == (inner, "Long.")
    assert explanation(None) is None


def test_help_windows_open_and_close(qtbot: QtBot, window: MainWindow) -> None:
    controller = HelpController(window)
    controller.show_shortcuts()
    shortcuts = window.findChild(ShortcutsWindow)
    labels = {label.text() for label in shortcuts.findChildren(QLabel)}
    assert {"Run recipe", "Ctrl+R", "Keyboard shortcuts"} <= labels
    qtbot.keyClicks(shortcuts.findChild(QLineEdit, "shortcutsFilter"), "ctrl+r")
    visible = {label.text() for label in shortcuts.findChildren(QLabel) if label.isVisible()}
    assert visible == {"Job", "Run recipe", "Ctrl+R"}
    shortcuts.close()
    controller.show_about()
    window.findChild(AboutWindow).close()
    window.search_field.setFocus()
    controller.explain_focus()


def test_preferences_take_effect_at_once(
    qtbot: QtBot, qapp: QApplication, window: MainWindow, settings: Settings
) -> None:
    theme.apply(qapp, "light")
    controller = PreferencesController(qapp, settings, window)
    controller.open()
    dialog = window.findChild(PreferencesDialog)
    box = dialog.findChild(QComboBox, "look-theme")
    box.setCurrentIndex(box.findData("dark"))
    assert theme.tokens() is theme.DARK
    assert settings.get(THEME) == "dark"
    controller.theme_light()
    assert box.currentData() == "light"
    dialog.close()
    controller.theme_system()
    controller.theme_light()


def test_reset_puts_preferences_back(
    qtbot: QtBot, qapp: QApplication, window: MainWindow, settings: Settings
) -> None:
    controller = PreferencesController(qapp, settings, window)
    controller.theme_dark()
    settings.set(THREADS, 2)
    with qtbot.waitSignal(controller.reset_done):
        controller.reset()
    assert settings.get(THREADS) == 0
    assert theme.tokens() is theme.LIGHT


def test_a_request_gets_the_preferred_device_and_threads(
    qapp: QApplication, window: MainWindow, settings: Settings
) -> None:
    controller = PreferencesController(qapp, settings, window)
    request = RunRequest(Recipe(), small_model().description.source, None)
    assert controller.prepared(request) == request
    settings.set(DEVICE, "cpu")
    settings.set(THREADS, 2)
    prepared = controller.prepared(request)
    assert (prepared.device, prepared.threads, prepared.run_id) == ("cpu", 2, request.run_id)
    assert controller.machine() == "CPU · 2 threads"


# -- runs --------------------------------------------------------------------------------------------------------


class _Jobs:
    def __init__(self) -> None:
        self.submitted: list[RunRequest] = []

    def submit(self, request: RunRequest) -> None:
        self.submitted.append(request)


class _History:
    def __init__(self) -> None:
        self.compared = 0

    def compare_selected(self) -> None:
        self.compared += 1


class _Preferred:
    def prepared(self, request: RunRequest) -> RunRequest:
        return request


def test_runs_wait_until_the_history_is_open(state: AppState) -> None:
    runs, jobs = RunsController(state, _Preferred()), _Jobs()
    state.set_model(small_model())
    runs.measure()
    state.set_task(TaskSpec("digits"))
    runs.measure()
    assert jobs.submitted == []
    runs.set_jobs(jobs, _History())
    runs.measure()
    assert [request.name for request in jobs.submitted] == ["Measure Digits sample"] * 2
    assert jobs.submitted[0].recipe.steps == ()


def test_without_a_history_nothing_runs_and_the_reason_is_said(qtbot: QtBot, state: AppState) -> None:
    runs = RunsController(state, _Preferred())
    request = RunRequest(Recipe(), small_model().description.source, None)
    runs.submit(request)
    with qtbot.waitSignal(state.problem) as signal:
        runs.set_unavailable(Problem("history.db is no database."))
    assert "could not be recorded" in signal.args[0].message
    assert "history.db is no database." in signal.args[0].message
    with qtbot.waitSignal(state.problem):
        runs.submit(request)


def test_compare_needs_two_runs(qtbot: QtBot, state: AppState) -> None:
    runs, history = RunsController(state, _Preferred()), _History()
    runs.set_jobs(_Jobs(), history)
    with qtbot.waitSignals([runs.show_history_requested, state.message]):
        runs.compare()
    assert history.compared == 0
    state.set_runs(("a", "b"))
    runs.compare()
    assert history.compared == 1


# -- recipe commands ---------------------------------------------------------------------------------------------


class _Editor:
    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def add_step(self, kind: str) -> None:
        self.calls.append(("add", kind))

    def open_recipe(self, path: Path) -> None:
        self.calls.append(("open", path))

    def load_preset(self, recipe: Recipe) -> None:
        self.calls.append(("preset", recipe.name))

    def exclude_layers(self, names: object) -> None:
        self.calls.append(("exclude", names))

    def override_layers(self, names: object, sparsity: float) -> None:
        self.calls.append(("override", (names, sparsity)))


def test_recipe_commands_show_where_they_act(qtbot: QtBot, state: AppState) -> None:
    parent, editor = QWidget(), _Editor()
    qtbot.addWidget(parent)
    parent.show()
    commands = RecipeCommands(state, editor, parent)
    state.set_model(small_model())
    state.set_recipe(Recipe(steps=(PruneSettings(sparsity=0.6),)))
    for act in (commands.add_prune, commands.add_fine_tune, commands.exclude_selected):
        with qtbot.waitSignal(commands.show_requested):
            act()
    commands.load_preset("Prune 80 % and fine-tune")
    commands.override_selected()
    dialog = parent.findChild(QWidget, "overrideDialog")
    assert dialog.doubleValue() == pytest.approx(60)
    dialog.setDoubleValue(25.5)
    dialog.accept()
    assert editor.calls == [
        ("add", "prune"),
        ("add", "fine-tune"),
        ("exclude", ("fc1",)),
        ("preset", "Prune 80 % and fine-tune"),
        ("override", (("fc1",), 0.255)),
    ]
    with pytest.raises(KeyError):
        commands.load_preset("no such recipe")


# -- words -------------------------------------------------------------------------------------------------------


def test_the_title_names_file_architecture_size_and_accuracy() -> None:
    accuracy = Accuracy(correct=444, count=450, low=0.971, high=0.994, loss=0.1, split="test", task="digits")
    model = small_model()
    assert window_title(None, None) == "Compression Studio"
    assert window_title(model, None) == "Compression Studio — Digits sample · Small net · 460 parameters"
    assert window_title(model, accuracy).endswith(" · 98.67 %")
    text, more = facts(model, accuracy)
    assert text == "2 layers · 460 parameters · 98.67 % (n = 450)"
    assert "444 of 450 test examples right, 95 % interval 97.10 % to 99.40 %" in more


def test_a_studio_error_is_told_without_a_traceback() -> None:
    from studio.problem import problem_from

    assert problem_from(StudioError("a.pt is empty.")) == Problem("a.pt is empty.")


# -- files dropped on the window -----------------------------------------------------------------------------------


def dragged(kind: QEvent.Type, data: QMimeData) -> QDropEvent:
    """What a file manager sends that would like to move the file."""
    make = {QEvent.Type.DragEnter: QDragEnterEvent, QEvent.Type.DragMove: QDragMoveEvent}
    buttons, keys, both = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.DropAction
    actions = both.MoveAction | both.CopyAction
    event = (
        make[kind](QPoint(200, 200), actions, data, buttons, keys)
        if kind in make
        else QDropEvent(QPointF(200, 200), actions, data, buttons, keys)
    )
    event.setDropAction(both.MoveAction)
    return event


def test_a_dropped_file_is_never_moved(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "net.pt"))])
    with qtbot.waitSignal(window.files_dropped) as dropped:
        for kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop):
            event = dragged(kind, data)
            QApplication.sendEvent(window, event)
            assert event.isAccepted()
            assert event.dropAction() == Qt.DropAction.CopyAction
    assert dropped.args == [[tmp_path / "net.pt"]]


def test_a_drag_that_leaves_gives_the_message_back(window: MainWindow, tmp_path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "net.pt"))])
    message = window.findChild(QLabel, "statusMessage")
    window.say("Opened it.")
    QApplication.sendEvent(window, dragged(QEvent.Type.DragEnter, data))
    assert message.text() == "Drop the file to open it."
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert message.text() == "Opened it."


def test_the_welcome_panel_speaks_of_the_model_that_is_open(window: MainWindow) -> None:
    text = window.welcome.findChild(QLabel, "welcomeText")
    assert text.text().startswith("A small network that reads handwritten digits is open.")
    window.welcome.show_model(small_model(ModelSource("file", "/models/net.pt")))
    assert text.text().startswith("net.pt is open.")
    assert "handwritten" not in text.text()


def test_the_bars_keep_their_width_when_the_theme_changes(
    qtbot: QtBot, qapp: QApplication, window: MainWindow
) -> None:
    bar = window.findChild(QToolBar, "workspaceBar")
    widths = set()
    for mode in ("light", "dark", "light"):
        theme.apply(qapp, mode)
        qtbot.wait(1)
        widths.add(bar.sizeHint().width())
    assert len(widths) == 1
