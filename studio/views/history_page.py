"""The history: a table of runs with a filter, the details of the selected one, and the comparison as second tab."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from studio import icons, theme
from studio.tables.runs import RunTable
from studio.views.compare_page import ComparePage
from studio.views.notice import PanelNotice
from studio.views.run_details import RunDetails
from studio.views.run_table import RunTableView


class HistoryPage(QWidget):
    """Layout and intents; `studio.controllers.history` decides."""

    filter_changed = Signal(object)  # str
    compare_wanted = Signal()
    delete_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("historyPage")
        self.table = RunTable()
        self.runs = RunTableView(self.table)
        self.details = RunDetails()
        self.compare = ComparePage()
        self.filter = QLineEdit()
        self.filter.setObjectName("runFilter")
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText("Filter: name, model, task, method, status, tag …")
        self.filter.setToolTip("Show only runs that contain every word (Ctrl+F).")
        self.filter.setAccessibleName("Filter runs")
        self.filter.textChanged.connect(self._filter_typed)
        self._search_icon = QAction(self)
        icons.bind(self._search_icon, "search", "text_muted")
        self.filter.addAction(self._search_icon, QLineEdit.ActionPosition.LeadingPosition)
        self.count = QLabel()
        self.count.setObjectName("runCount")
        self.count.setProperty("role", "muted")
        self.compare_button = _button(
            "compareRuns", "Compare", "compare", "Lay the selected runs side by side."
        )
        self.delete_button = _button(
            "deleteRuns", "Delete", "delete", "Delete the selected runs (Ctrl+Z undoes)."
        )
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
        self.tabs.addTab(self.compare, "Compare")
        self.tabs.setTabToolTip(0, "All runs, and the details of the selected one")
        self.tabs.setTabToolTip(1, "Two or more runs side by side")
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
        bar.addWidget(self.count)
        bar.addWidget(self.compare_button)
        bar.addWidget(self.delete_button)
        layout = QVBoxLayout(side)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.runs, 1)
        return side

    def _filter_typed(self, text: str) -> None:
        self.filter_changed.emit(text)

    def show_selection(self, selected: int) -> None:
        """Bring count and buttons up to date."""
        shown, total = self.table.rowCount(), self.table.total
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

    def show_compare(self) -> None:
        """Bring the comparison to the front."""
        self.tabs.setCurrentWidget(self.compare)
        # The list that had the keyboard is hidden now; Qt would hand it to whatever comes next, a job's button.
        self.compare.baseline.setFocus()

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
