"""Two or more runs side by side: the finding, a table of what differs, and charts in tabs that are filled when seen."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from studio import theme
from studio.views.choices import choice
from studio.views.compare_curves import CurvesPanel
from studio.views.compare_layers import LayersPanel
from studio.views.compare_rows import Comparison, short_name, table_heads, table_rows
from studio.views.flips_tab import flips_tab
from studio.views.grid_view import GridView
from studio.views.notice import PanelNotice
from studio.views.parallel_panel import ParallelPanel
from studio.views.pareto_panel import ParetoPanel
from studio.views.pareto_points import compared_points

_NO_POINTS = "None of these runs has both figures: choose another axis."


class ComparePage(QWidget):
    """Shows a `Comparison`; charts (and pyqtgraph) are made when their tab is first seen with runs on it."""

    baseline_changed = Signal(object)  # run id
    run_chosen = Signal(object)  # run id: a click on a point or a column
    run_opened = Signal(object)  # run id: a click on a point, a double click on a column's head
    compare_wanted = Signal(object)  # tuple of run ids: compare only these
    comparison_shown = Signal(object)  # Comparison
    parallel_wanted = Signal()  # the axes of the parallel coordinates are to be found
    curves_wanted = Signal()  # … the curves are to be read
    layers_wanted = Signal()  # … the layers are to be read
    changes_wanted = Signal()  # … their models are to be compared
    layer_opened = Signal(str, str)  # layer, run id: look at its weights beside the baseline's
    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("comparePage")
        self._comparison: Comparison | None = None
        self._chosen: str | None = None
        content = QWidget()
        self.notice = PanelNotice(content)
        self.notice.setObjectName("compareNotice")
        self.verdict = QLabel()
        self.verdict.setObjectName("compareVerdict")
        self.verdict.setAccessibleName("What the comparison found")
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.verdict.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, 0)
        self.table = GridView("Comparison")
        self.table.setObjectName("compareTable")
        self.table.setAlternatingRowColors(False)
        self.table.clicked.connect(self._cell_clicked)
        self.table.horizontalHeader().setSectionsClickable(True)
        self.table.horizontalHeader().sectionClicked.connect(self._head_clicked)
        self.table.horizontalHeader().sectionDoubleClicked.connect(self._head_opened)
        self._build_bar()
        self._build_tabs()
        left = QWidget()
        left_layout = QVBoxLayout(left)
        left_layout.setContentsMargins(0, 0, 0, 0)
        left_layout.setSpacing(0)
        left_layout.addLayout(self._bar)
        left_layout.addWidget(self.table, 1)
        left.setMinimumWidth(350)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(left)
        self._splitter.addWidget(self.tabs)
        self._splitter.setStretchFactor(0, 1)
        self._splitter.setStretchFactor(1, 1)
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.verdict)
        inside.addWidget(self._splitter, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        theme.events.changed.connect(self._restyle)

    def sizeHint(self) -> QSize:
        return QSize(900, 560)

    def _build_bar(self) -> None:
        self.baseline = choice("compareBaseline", "Baseline", "Differences count from this run.", 8)
        self.baseline.activated.connect(self._baseline_chosen)
        self.only_differences = QCheckBox("Only differences")
        self.only_differences.setObjectName("onlyDifferences")
        self.only_differences.setAccessibleName("Only differences")
        self.only_differences.setToolTip("Hide rows in which all runs are alike.")
        self.only_differences.setChecked(True)
        self.only_differences.toggled.connect(self._fill_table)
        self._bar = QHBoxLayout()
        self._bar.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        self._bar.setSpacing(theme.SPACE)
        self._bar.addWidget(QLabel("Baseline"))
        self._bar.addWidget(self.baseline, 1)
        self._bar.addWidget(self.only_differences)

    def _build_tabs(self) -> None:
        self.tabs = QTabWidget()
        self.tabs.setObjectName("compareTabs")
        self.tabs.setDocumentMode(True)
        self.pareto = ParetoPanel("comparePareto", with_list=False)
        self.pareto.axes_changed.connect(self._fill_pareto)
        self.pareto.run_clicked.connect(self._point_clicked)
        self.pareto.compare_wanted.connect(self.compare_wanted)
        self.parallel = ParallelPanel("compareParallel", with_list=False)
        self.parallel.run_clicked.connect(self._point_clicked)
        self.parallel.compare_wanted.connect(self.compare_wanted)
        self.parallel.axes_changed.connect(self._fill_parallel)
        self.curves = CurvesPanel()
        self.layers = LayersPanel()
        self.layers.run_clicked.connect(self._run_clicked)
        self.layers.changes_wanted.connect(self.changes_wanted)
        self.layers.layer_opened.connect(self.layer_opened)
        self._fills: dict[QWidget, Callable[[], None]] = {}
        self._stale: set[QWidget] = set()
        for panel, title, tip, fill in (
            (self.pareto, "Pareto front", "Two quantities, and which runs nothing beats", self._fill_pareto),
            (self.parallel, "Parallel", "Settings and measurements as lines over parallel axes", self._fill_parallel),
            (self.curves, "Curves", "Training curves of the runs over each other", self._fill_curves),
            (self.layers, "Layers", "One figure of every layer in every run", self._fill_layers),
        ):  # fmt: skip
            at = self.tabs.addTab(panel, title)
            self.tabs.setTabToolTip(at, tip)
            self._fills[panel] = fill
            panel.problem.connect(self.problem)
        self.predictions = flips_tab()
        at = self.tabs.addTab(self.predictions, "Predictions")
        self.tabs.setTabToolTip(at, "Which test examples flipped against the baseline, with their images")
        self.tabs.currentChanged.connect(self._fill_tab)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def comparison(self) -> Comparison | None:
        """What is on show."""
        return self._comparison

    def show_comparison(self, comparison: Comparison) -> None:
        """Show runs; each chart follows when its tab is visible."""
        self._comparison = comparison
        self.notice.clear()
        self.baseline.clear()
        for record in comparison.records:
            self.baseline.addItem(short_name(record), record.run_id)
        self.baseline.setCurrentIndex(comparison.table.baseline)
        found = comparison.verdict
        self.verdict.setText("" if found is None else found.text)
        self.verdict.setToolTip("" if found is None else found.method)
        self.verdict.setVisible(found is not None)
        if self._chosen not in {record.run_id for record in comparison.records}:
            self._chosen = None
        self._fill_table()
        self._stale = set(self._fills)
        self._fill_tab()
        self.comparison_shown.emit(comparison)

    def show_nothing(self, text: str, button: str | None = None) -> None:
        """Say why nothing is compared."""
        self._comparison = None
        self.notice.show_empty(text, button)

    def choose(self, run_id: str | None) -> None:
        """Emphasise a run in all charts."""
        self._chosen = run_id
        if self._comparison is not None and run_id is not None:
            ids = [record.run_id for record in self._comparison.records]
            if run_id in ids:
                self.table.scrollTo(self.table.table.index(0, ids.index(run_id) + 1))
        self.pareto.emphasise(run_id)
        self.parallel.emphasise(run_id)
        self.curves.emphasise(run_id)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fill_tab()

    # -- filling -----------------------------------------------------------------------------------------------

    def _fill_tab(self, _index: int = 0) -> None:
        """Fill the chart in front, if it is behind the comparison and can be seen."""
        panel = self.tabs.currentWidget()
        if panel in self._stale and self._comparison is not None and self.isVisible():
            self._stale.discard(panel)
            self._fills[panel]()

    def _fill_table(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        heads = table_heads(comparison, theme.tokens().series)
        rows = table_rows(comparison.table, self.only_differences.isChecked())
        self.table.table.show_rows(heads, rows)
        self.table.clearSpans()
        self.table.setColumnWidth(0, 156)
        for column in range(1, len(heads)):
            self.table.setColumnWidth(column, 176)

    def _fill_pareto(self) -> None:
        if self._comparison is not None:
            points = compared_points(self._comparison, self.pareto.x, self.pareto.y)
            self.pareto.show_points(points, _NO_POINTS)
            self.pareto.emphasise(self._chosen)

    def _fill_parallel(self) -> None:
        if self._comparison is not None:
            self.parallel_wanted.emit()
            self.parallel.emphasise(self._chosen)

    def _fill_curves(self) -> None:
        if self._comparison is None:
            return
        if self._comparison.curves is None:
            self.curves_wanted.emit()
            return
        self.curves.show_comparison(self._comparison)
        self.curves.emphasise(self._chosen)

    def _fill_layers(self) -> None:
        if self._comparison is None:
            return
        if self._comparison.layers is None:
            self.layers_wanted.emit()
            return
        self.layers.show_comparison(self._comparison)

    def show_more(self, comparison: Comparison) -> None:
        """Take over curves or layers that were read for the comparison on show."""
        shown = self._comparison
        if shown is not None and comparison.table is shown.table:
            self._comparison = replace(
                shown,
                curves=shown.curves if comparison.curves is None else comparison.curves,
                layers=shown.layers if comparison.layers is None else comparison.layers,
                changes_against=comparison.changes_against or shown.changes_against,
            )
            self.notice.clear()
            self._stale |= {self.curves, self.layers}
            self._fill_tab()

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._fill_table()

    # -- intents -----------------------------------------------------------------------------------------------

    def _baseline_chosen(self, index: int) -> None:
        self.baseline_changed.emit(self.baseline.itemData(index))

    def _cell_clicked(self, index: QModelIndex) -> None:
        self._head_clicked(index.column())

    def _head_clicked(self, column: int) -> None:
        if (run_id := self._run_of(column)) is not None:
            self._run_clicked(run_id)

    def _head_opened(self, column: int) -> None:
        if (run_id := self._run_of(column)) is not None:
            self.run_opened.emit(run_id)

    def _run_of(self, column: int) -> str | None:
        if self._comparison is None or not 1 <= column <= len(self._comparison.records):
            return None
        return self._comparison.records[column - 1].run_id

    def _point_clicked(self, run_id: str) -> None:
        self._run_clicked(run_id)
        self.run_opened.emit(run_id)

    def _run_clicked(self, run_id: str) -> None:
        self.choose(run_id)
        self.run_chosen.emit(run_id)
