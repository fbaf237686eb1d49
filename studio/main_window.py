"""The window: docks, menus, tool bars, status bar and their places; nothing else. What they do is the controllers'."""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QByteArray, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QDockWidget,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio import icons, theme
from studio.actions import MENUS, Actions
from studio.views.dock_title import DockTitle
from studio.views.notice import BusyLine
from studio.views.notice_bar import NoticeBar
from studio.views.search_field import SearchField
from studio.views.task_chooser import TaskChooser
from studio.views.welcome import HintStrip, WelcomePanel

LAYOUT_VERSION = 1
JOBS_HEIGHT_IDLE, JOBS_HEIGHT_SMALL, JOBS_HEIGHT = 124, 170, 210
DOCKS = ("layers", "recipe", "jobs")
PAGES = ("inspector", "history", "export")
_DROP_HERE = "Drop the file to open it."
_TITLES = {"layers": "Layers", "recipe": "Recipe", "jobs": "Jobs"}
_AREAS = {
    "layers": Qt.DockWidgetArea.LeftDockWidgetArea,
    "recipe": Qt.DockWidgetArea.RightDockWidgetArea,
    "jobs": Qt.DockWidgetArea.BottomDockWidgetArea,
}
WORKSPACES: Mapping[str, tuple[str, frozenset[str]]] = {
    "inspect": ("inspector", frozenset({"layers", "jobs"})),
    "compress": ("inspector", frozenset({"layers", "recipe", "jobs"})),
    "history": ("history", frozenset({"jobs"})),
    "export": ("export", frozenset({"layers", "jobs"})),
}
"""For each workspace the page in the middle and the docks that are open at first."""


class MainWindow(QMainWindow):
    """Holds the panels that it is given.

    Args:
        actions: what menus and tool bars are made of.
    """

    painted = Signal()  # once, when the window was drawn for the first time
    files_dropped = Signal(object)  # list[Path]
    closing = Signal()

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setWindowTitle("Compression Studio")
        self.setWindowIcon(icons.application_icon())
        self.setMinimumSize(860, 560)
        self.resize(1440, 900)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self._actions = actions
        self._menus: dict[str, QMenu] = {}
        self._was_painted = False
        self._message_before = ""

        self.pages = QStackedWidget()
        self.pages.setObjectName("pages")
        self.pages.setMinimumSize(320, 200)
        for _ in PAGES:
            self.pages.addWidget(QWidget())
        self.setCentralWidget(self.pages)
        self._docks = {name: self._make_dock(name) for name in DOCKS}

        self.open_menu = QMenu("Open", self)
        self.recent_menu = QMenu("Open &recent", self)
        self.builtin_menu = QMenu("Open &built-in network", self)
        self.presets_menu = QMenu("&Presets", self)
        for menu, icon in (
            (self.recent_menu, "history"),
            (self.builtin_menu, "network"),
            (self.presets_menu, "recipe"),
        ):
            icons.bind(menu, icon)
        self.task_chooser = TaskChooser()
        self.search_field = SearchField()
        self.notice_bar = NoticeBar()
        self.welcome = WelcomePanel()
        self.hint_strip = HintStrip()
        self._build_menus()
        self._build_tool_bar()
        self._rows = QToolBar("Notices")
        self._workspace_bar = self._build_workspace_bar()
        self._build_rows()
        self._busy = BusyLine(self)
        self._busy.raise_()
        self._message = QLabel()
        self.facts = QLabel()
        self.machine = QLabel()
        self._build_status_bar()

    # -- panels ------------------------------------------------------------------------------------------------

    def set_dock(self, name: str, panel: QWidget) -> None:
        """Put a panel into the dock "layers", "recipe" or "jobs"."""
        self._fill(self._docks[name], panel)

    def dock(self, name: str) -> QDockWidget:
        """The dock of that name."""
        return self._docks[name]

    def set_page(self, name: str, page: QWidget) -> None:
        """Put a page into the middle: "inspector", "history" or "export"."""
        index = PAGES.index(name)
        current = self.pages.currentIndex()
        old = self.pages.widget(index)
        self.pages.removeWidget(old)
        old.deleteLater()
        page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.pages.insertWidget(index, page)
        self.pages.setCurrentIndex(current)

    def show_page(self, name: str) -> None:
        """Show that page in the middle."""
        self.pages.setCurrentIndex(PAGES.index(name))

    def focus_page(self) -> None:
        """Put the keyboard on the first control of the page in the middle."""
        page = self.pages.currentWidget()
        if page is not None:
            for widget in page.findChildren(QWidget):
                if (
                    widget.isVisible()
                    and widget.isEnabled()
                    and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
                ):
                    widget.setFocus()
                    return

    # -- layout ------------------------------------------------------------------------------------------------

    def layout_state(self) -> QByteArray:
        """Where all docks and tool bars are now."""
        return self.saveState(LAYOUT_VERSION)

    def restore_layout(self, state: QByteArray) -> bool:
        """Put docks back to where they were; False if that is not possible."""
        done = self.restoreState(state, LAYOUT_VERSION)
        # Qt remembers whether the row of notices was open; whether it is needed now is another matter.
        self._refresh_rows()
        return done

    def default_layout(self, workspace: str) -> None:
        """Put the docks of a workspace to their first places."""
        _, opened = WORKSPACES[workspace]
        for name, dock in self._docks.items():
            dock.setFloating(False)
            self.addDockWidget(_AREAS[name], dock)
            dock.setVisible(name in opened)
        width = self.width()
        self.resizeDocks(
            [self._docks["layers"], self._docks["recipe"]],
            [min(max(256, width // 4), 560), min(max(270, width // 4), 440)],
            Qt.Orientation.Horizontal,
        )
        self.resizeDocks([self._docks["jobs"]], [JOBS_HEIGHT_IDLE], Qt.Orientation.Vertical)

    def make_room_for_jobs(self) -> None:
        """Let the jobs' curves be seen, if the panel is docked and lower than they need."""
        dock = self._docks["jobs"]
        wanted = JOBS_HEIGHT if self.height() >= 800 else JOBS_HEIGHT_SMALL
        if dock.isVisible() and not dock.isFloating() and dock.height() < wanted:
            self.resizeDocks([dock], [wanted], Qt.Orientation.Vertical)

    # -- what is said ------------------------------------------------------------------------------------------

    def set_busy(self, busy: bool) -> None:
        """Draw the thin line below the tool bar while something is opened."""
        if busy:
            self._busy.start()
        else:
            self._busy.stop()

    def say(self, text: object) -> None:
        """One sentence in the status bar."""
        self._message.setText(str(text))
        self._message.setToolTip(str(text))

    def show_notice(self) -> None:
        """Let the notice bar be seen."""
        self._show_row(self.notice_bar, True)

    def hide_notice(self) -> None:
        """Take the notice bar away."""
        self._show_row(self.notice_bar, False)

    def show_strip(self, strip: QWidget | None) -> None:
        """Show the welcome panel, the hint strip or neither below the tool bar."""
        for candidate in (self.welcome, self.hint_strip):
            self._show_row(candidate, candidate is strip)

    # -- events ------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            # Never as a move, which some file managers propose: they would then delete what was only read.
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self._message_before = self._message.text()
            self.say(_DROP_HERE)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        if self._message.text() == _DROP_HERE:
            self.say(self._message_before)

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.say("")
            self.files_dropped.emit(paths)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            # Not now: what follows takes time, and the rest of the window is still to be drawn.
            QTimer.singleShot(0, self.painted.emit)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        bottom = self._tool_bar.geometry().bottom() + 1
        self._busy.setGeometry(0, bottom, self.width(), 2)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closing.emit()
        event.accept()

    # -- construction ------------------------------------------------------------------------------------------

    def _make_dock(self, name: str) -> QDockWidget:
        dock = QDockWidget(_TITLES[name], self)
        dock.setObjectName(f"{name}Dock")
        dock.setAccessibleName(f"{_TITLES[name]} panel")
        dock.setTitleBarWidget(DockTitle(dock, _TITLES[name]))
        self._fill(dock, QWidget())
        self.addDockWidget(_AREAS[name], dock)
        toggle = dock.toggleViewAction()
        toggle.setText(f"{_TITLES[name]} panel")
        toggle.setToolTip(f"Show or hide the panel “{_TITLES[name]}”.")
        return dock

    @staticmethod
    def _fill(dock: QDockWidget, panel: QWidget) -> None:
        panel.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        old = dock.widget()
        dock.setWidget(panel)
        if old is not None:
            old.deleteLater()

    def _build_menus(self) -> None:
        extra = {
            ("File", 0): [self.builtin_menu, self.recent_menu],
            ("Recipe", 3): [self.presets_menu],
        }
        for name in MENUS:
            menu = self.menuBar().addMenu(f"&{name}")
            menu.setObjectName(f"menu{name}")
            menu.setToolTipsVisible(True)
            self._menus[name] = menu
            for index, group in enumerate(self._actions.of_menu(name)):
                if index:
                    menu.addSeparator()
                menu.addActions(group)
                for submenu in extra.get((name, index), ()):
                    menu.addMenu(submenu)
                if (name, index) == ("View", 1):
                    menu.addSeparator()
                    menu.addActions([self._docks[dock].toggleViewAction() for dock in DOCKS])
        for menu in (self.open_menu, self.recent_menu, self.builtin_menu, self.presets_menu):
            menu.setToolTipsVisible(True)
        for action_id in ("open", "open-torchvision", "open-sample"):
            self.open_menu.addAction(self._actions[action_id])
        self.open_menu.addMenu(self.builtin_menu)
        self.open_menu.addSeparator()
        self.open_menu.addMenu(self.recent_menu)

    def _build_tool_bar(self) -> None:
        bar = self._tool_bar = QToolBar("Tools")
        bar.setObjectName("toolBar")
        bar.setMovable(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        bar.setIconSize(QSize(16, 16))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.open_button = self._add_button(bar, "open")
        self.open_button.setMenu(self.open_menu)
        self.open_button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        bar.addSeparator()
        self.run_button = QToolButton()
        self.run_button.setObjectName("runButton")
        self.run_button.setProperty("role", "primary")
        self.run_button.setText(" Run")
        self.run_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.run_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        icons.bind(self.run_button, "run", "accent_text")
        run = self._actions["run"]
        self.run_button.setToolTip(run.toolTip())
        self.run_button.setAccessibleName("Run recipe")
        # Not its default action: the accent needs an icon in a colour of its own.
        self.run_button.clicked.connect(run.trigger)
        run.enabledChanged.connect(self._run_enabled)
        self._run_enabled(run.isEnabled())
        bar.addWidget(self.run_button)
        for action_id in ("compare", "export"):
            self._add_button(bar, action_id)
        bar.addSeparator()
        caption = QLabel("Task")
        caption.setProperty("role", "muted")
        caption.setContentsMargins(4, 0, 2, 0)
        caption.setBuddy(self.task_chooser)
        bar.addWidget(caption)
        bar.addWidget(self.task_chooser)
        self._add_button(bar, "measure")
        bar.addSeparator()
        self.search_field.setToolTip(self._actions["palette"].toolTip())
        self.search_field.clicked.connect(self._actions["palette"].trigger)
        bar.addWidget(self.search_field)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)

    def _run_enabled(self, enabled: bool) -> None:
        self.run_button.setEnabled(enabled)

    def _add_button(self, bar: QToolBar, action_id: str) -> QToolButton:
        bar.addAction(self._actions[action_id])
        button = bar.widgetForAction(self._actions[action_id])
        assert isinstance(button, QToolButton)
        button.setObjectName(f"{action_id}Button")
        button.setAccessibleName(self._actions[action_id].iconText().strip())
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def _build_rows(self) -> None:
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for strip in (self.notice_bar, self.welcome, self.hint_strip):
            strip.hide()
            column.addWidget(strip)
        holder.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self._rows.setObjectName("noticeRows")
        self._rows.setMovable(False)
        self._rows.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._rows.addWidget(holder)
        self._rows.toggleViewAction().setVisible(False)
        self.addToolBarBreak(Qt.ToolBarArea.TopToolBarArea)
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, self._rows)
        self._rows.hide()
        theme.events.changed.connect(self._refresh_rows)

    def _show_row(self, row: QWidget, shown: bool) -> None:
        row.setVisible(shown)
        self._refresh_rows()

    def _refresh_rows(self, _: object = None) -> None:
        strips = (self.notice_bar, self.welcome, self.hint_strip)
        self._rows.setVisible(any(not strip.isHidden() for strip in strips))
        # The style gives tool bars margins of its own, again at every change of the sheet.
        self._rows.layout().setContentsMargins(0, 0, 0, 0)
        self._workspace_bar.layout().setContentsMargins(4, 4, 4, 4)

    def _build_workspace_bar(self) -> QToolBar:
        bar = QToolBar("Workspaces")
        bar.setObjectName("workspaceBar")
        bar.setMovable(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        bar.setIconSize(QSize(20, 20))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        for name in WORKSPACES:
            self._add_button(bar, f"workspace-{name}")
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, bar)
        return bar

    def _build_status_bar(self) -> None:
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        self._message.setObjectName("statusMessage")
        self._message.setAccessibleName("Message")
        self._message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.facts.setObjectName("statusFacts")
        self.facts.setAccessibleName("The open model")
        self.machine.setObjectName("statusMachine")
        self.machine.setAccessibleName("Device and threads of jobs")
        bar.addWidget(self._message, 1)
        bar.addPermanentWidget(self.facts)
        bar.addPermanentWidget(self.machine)
