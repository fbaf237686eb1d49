"""The history: a table of runs with a filter, the details of the selected one, charts of all, and the comparison."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QPushButton,
    QSplitter,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from studio import icons, theme
from studio.tables.runs import GROUPINGS, RunTable
from studio.views.compare_page import ComparePage
from studio.views.explore_page import ExplorePage
from studio.views.notice import PanelNotice
from studio.views.run_details import RunDetails
from studio.views.run_search import HELP, RunSearch, SearchProblem
from studio.views.run_table import RunTableView


class HistoryPage(QWidget):
    """Layout and intents; `studio.controllers.history` decides."""

    filter_changed = Signal(object)  # str
    compare_wanted = Signal()
    delete_wanted = Signal()
    archive_wanted = Signal()
    grouping_changed = Signal(object)  # str: a column, "" for none
    archived_wanted = Signal(bool)  # show archived runs too
    export_wanted = Signal()  # the list, as it is shown
    pack_wanted = Signal()  # the selected run with its files
    unpack_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPage")
        self.table = RunTable()
        self.runs = RunTableView(self.table)
        self.details = RunDetails()
        self.explore = ExplorePage()
        self.compare = ComparePage()
        self.filter = RunSearch(self.table)
        self.filter.textChanged.connect(self._filter_typed)
        self.search_problem = SearchProblem()
        self.grouping = QComboBox()
        self.grouping.setObjectName("runGrouping")
        self.grouping.setAccessibleName("Group runs by")
        self.grouping.setToolTip(
            "Group the runs; every heading tells how many there are, and their best figures."
        )
        for column, name in GROUPINGS.items():
            self.grouping.addItem(f"By {name}" if column else "Not grouped", column)
        self.grouping.currentIndexChanged.connect(self._grouping_chosen)
        self.count = QLabel()
        self.count.setObjectName("runCount")
        self.count.setProperty("role", "muted")
        self.compare_button = _button(
            "compareRuns", "Compare", "compare", "Lay the selected runs side by side."
        )
        self.delete_button = _button(
            "deleteRuns", "Delete", "delete", "Delete the selected runs (Ctrl+Z undoes)."
        )
        self.more = QToolButton()
        self.more.setObjectName("historyMore")
        self.more.setText("More")
        self.more.setAccessibleName("More that can be done with runs")
        self.more.setToolTip("Columns, archive, export, import and help on searching.")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._fill_menu()
        self.compare_button.clicked.connect(self.compare_wanted)
        self.delete_button.clicked.connect(self.delete_wanted)
        self.runs.delete_pressed.connect(self.delete_wanted)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setObjectName("historySplitter")
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self._list_side())
        self._splitter.addWidget(self.details)
        self._splitter.setStretchFactor(0, 3)
        self._splitter.setStretchFactor(1, 2)
        self.notice = PanelNotice(self._splitter)
        self.notice.setObjectName("historyNotice")
        runs_page = QWidget()
        inside = QVBoxLayout(runs_page)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.notice)
        inside.addWidget(self._splitter, 1)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("historyTabs")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(runs_page, "Runs")
        self.tabs.addTab(self.explore, "Explore")
        self.tabs.addTab(self.compare, "Compare")
        for tab, tip in enumerate(
            (
                "All runs, and the details of the selected one",
                "All runs that the search finds, as charts",
                "Two or more runs side by side",
            )
        ):
            self.tabs.setTabToolTip(tab, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.show_selection(0)

    def _list_side(self) -> QWidget:
        side = QWidget()
        bar = QHBoxLayout()
        bar.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        bar.setSpacing(theme.SPACE)
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.compare_button)
        bar.addWidget(self.delete_button)
        bar.addWidget(self.more)
        foot = QHBoxLayout()
        foot.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        foot.addWidget(self.count, 1)
        foot.addWidget(self.grouping)
        below = QVBoxLayout()
        below.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        below.addWidget(self.search_problem)
        layout = QVBoxLayout(side)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addLayout(below)
        layout.addWidget(self.runs, 1)
        layout.addLayout(foot)
        return side

    def _fill_menu(self) -> None:
        menu = QMenu(self.more)
        menu.setToolTipsVisible(True)
        for name, text, tip, signal in (
            (
                "chooseColumns",
                "Choose columns …",
                "Show any setting or measurement.",
                self.runs.choose_columns,
            ),
            (
                "archiveRuns",
                "Archive selected runs",
                "Put them out of sight, or back; undo too.",
                self.archive_wanted,
            ),
            ("", "", "", None),
            (
                "exportList",
                "Export this list …",
                "Write the runs that are shown as CSV or JSON.",
                self.export_wanted,
            ),
            (
                "packRun",
                "Export whole run …",
                "Write the selected run with its files as one zip.",
                self.pack_wanted,
            ),
            (
                "unpackRun",
                "Import run …",
                "Add a run from such a zip, checking every file.",
                self.unpack_wanted,
            ),
            ("", "", "", None),
            ("searchHelp", "How to search", "Words, fields, units, dates.", self.show_search_help),
        ):
            if signal is None:
                menu.addSeparator()
                continue
            action = menu.addAction(text)
            action.setObjectName(name)
            action.setToolTip(tip)
            action.triggered.connect(signal)
        self.archived = QAction("Show archived runs", menu)
        self.archived.setObjectName("showArchived")
        self.archived.setCheckable(True)
        self.archived.setToolTip("List archived runs too, greyed.")
        self.archived.toggled.connect(self.archived_wanted)
        menu.insertAction(menu.actions()[2], self.archived)
        self.more.setMenu(menu)

    def _grouping_chosen(self, _index: int) -> None:
        self.grouping_changed.emit(self.grouping.currentData())

    def _filter_typed(self, text: str) -> None:
        self.filter_changed.emit(text)

    def show_selection(self, selected: int) -> None:
        """Bring count and buttons up to date."""
        shown, total = self.table.found, self.table.total
        text = f"{shown:,} of {total:,}" if shown != total else f"{total:,} runs" if total != 1 else "1 run"
        self.count.setText(f"{text} · {selected:,} selected" if selected > 1 else text)
        self.compare_button.setEnabled(selected >= 2)
        self.compare_button.setToolTip(
            "Lay the selected runs side by side; the first one selected is the baseline."
            if selected >= 2
            else "Select two or more runs (Ctrl+click) to compare them."
        )
        self.delete_button.setEnabled(selected >= 1)

    def show_runs(self) -> None:
        """Bring the tab with the runs to the front."""
        self.tabs.setCurrentIndex(0)

    def show_explore(self) -> None:
        """Bring the charts of all runs to the front."""
        self.tabs.setCurrentWidget(self.explore)
        self.explore.tabs.setFocus()

    def show_compare(self) -> None:
        """Bring the comparison to the front."""
        self.tabs.setCurrentWidget(self.compare)
        # The list that had the keyboard is hidden now; Qt would hand it to whatever comes next, a job's button.
        self.compare.baseline.setFocus()

    def narrow_search(self, text: str) -> None:
        """Search for `text` on top of what is searched for, and show the list."""
        typed = self.filter.text().strip()
        self.filter.setText(f"({typed}) and {text}" if typed else text)
        self.show_runs()

    def show_query_problem(self, text: str, start: int = 0, end: int = 0) -> None:
        """Say what is wrong with the search, pointing at the word from `start` to `end`; "" for nothing."""
        typed = self.filter.text()
        unfinished = (
            end >= len(typed.rstrip())
            and self.filter.hasFocus()
            and text.startswith(("A value", "Something"))
        )
        # A search that is still being typed is not wrong yet.
        self.search_problem.setProperty("role", "muted" if unfinished else "problem")
        self.search_problem.style().polish(self.search_problem)
        self.search_problem.show_problem(text)

    def show_searching(self, on: bool) -> None:
        """Say that figures are being read for the search or the columns."""
        if on:
            self.count.setText("Reading the figures …")
        else:
            self.show_selection(len(self.runs.chosen))

    def show_search_help(self) -> None:
        """Explain the language of the search."""
        box = QMessageBox(self)
        box.setObjectName("searchHelpBox")
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("How to search the history")
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(HELP)
        box.open()

    def show_everything(self) -> None:
        """Take search and groups away, so that any run can be shown."""
        self.filter.clear()
        self.grouping.setCurrentIndex(0)
        self.archived.setChecked(True)

    def focus_filter(self) -> None:
        """Put the cursor into the filter."""
        self.show_runs()
        self.filter.setFocus()
        self.filter.selectAll()


def _button(name: str, text: str, icon: str, tip: str) -> QPushButton:
    button = QPushButton(QIcon(), text)
    button.setObjectName(name)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    icons.bind(button, icon)
    return button
