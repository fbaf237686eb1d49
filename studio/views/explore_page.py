"""All runs that the search finds, as charts: the Pareto front of any two quantities, and parallel coordinates."""

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QTabWidget, QVBoxLayout, QWidget

from studio import icons, theme
from studio.views.notice import PanelNotice
from studio.views.parallel_panel import ParallelPanel
from studio.views.pareto_panel import ParetoPanel


class ExplorePage(QWidget):
    """Layout and intents; `studio.controllers.explore` decides what is shown."""

    shown = Signal()
    search_wanted = Signal()  # go to the search
    list_wanted = Signal(object)  # str: narrow the search by this as well
    compare_wanted = Signal(object)  # tuple of run ids
    run_opened = Signal(object)  # run id
    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("explorePage")
        self.source = QLabel()
        self.source.setObjectName("exploreSource")
        self.source.setWordWrap(True)
        self.search = QPushButton("Change the search")
        self.search.setObjectName("exploreSearch")
        self.search.setAccessibleName("Change the search")
        self.search.setToolTip("The charts show the runs that the history's search finds.")
        icons.bind(self.search, "search")
        self.search.clicked.connect(self.search_wanted)
        self.pareto = ParetoPanel("explorePareto", with_list=True)
        self.parallel = ParallelPanel("exploreParallel", with_list=True)
        for panel in (self.pareto, self.parallel):
            panel.run_clicked.connect(self.run_opened)
            panel.list_wanted.connect(self.list_wanted)
            panel.compare_wanted.connect(self.compare_wanted)
            panel.problem.connect(self.problem)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("exploreTabs")
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.pareto, "Pareto front")
        self.tabs.addTab(self.parallel, "Parallel coordinates")
        self.tabs.setTabToolTip(1, "Settings and measurements of every run as a line over parallel axes")
        self.tabs.setTabToolTip(
            0, "Two quantities of the runs against each other, and which runs nothing beats"
        )
        head = QHBoxLayout()
        head.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        head.setSpacing(theme.SPACE)
        head.addWidget(self.source, 1)
        head.addWidget(self.search)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addLayout(head)
        inside.addWidget(self.tabs, 1)
        self.notice = PanelNotice(content)
        self.notice.setObjectName("exploreNotice")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)

    def sizeHint(self) -> QSize:
        return QSize(900, 560)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    def show_source(self, found: int, search: str) -> None:
        """Say which runs the charts show."""
        runs = "1 run" if found == 1 else f"{found:,} runs"
        self.source.setText(f"{runs} found by “{search}”" if search.strip() else f"All {runs} of the history")
