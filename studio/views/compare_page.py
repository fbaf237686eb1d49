"""Two or more runs side by side: a table of what differs, accuracy against size, curves, layers."""

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from studio import theme
from studio.jobs.curves import AXIS_TITLES
from studio.tables.grid import Head
from studio.views.compare_rows import (
    LAYER_FIGURES,
    Comparison,
    layer_rows,
    short_name,
    table_heads,
    table_rows,
)
from studio.views.grid_view import GridView
from studio.views.notice import PanelNotice
from studio.views.pareto_panel import ParetoPanel
from studio.views.pareto_points import compared_points

_METRICS = (("loss", "Loss", ""), ("accuracy", "Accuracy", "%"))
_SPLITS = (("validation", "validation"), ("train", "training"))
_NO_CURVES = "None of these runs has such a curve: nothing was trained, or it was not judged on that split."
_NO_LAYERS = "No layers were measured in these runs."
_NO_POINTS = "None of these runs has both figures: choose another axis."


class ComparePage(QWidget):
    """Shows a `Comparison`; the plots (and pyqtgraph) are made when the page is first seen with runs on it."""

    baseline_changed = Signal(object)  # run id
    run_chosen = Signal(object)  # run id: a click on a point or a column
    run_opened = Signal(object)  # run id: a click on a point, a double click on a column's head
    compare_wanted = Signal(object)  # tuple of run ids: compare only these
    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("comparePage")
        self._comparison: Comparison | None = None
        self._chosen: str | None = None
        self._plots_made = False
        self._stale = False
        content = QWidget()
        self.notice = PanelNotice(content)
        self.notice.setObjectName("compareNotice")
        self.table = GridView("Comparison")
        self.table.setObjectName("compareTable")
        self.table.setAlternatingRowColors(False)
        self.table.clicked.connect(self._cell_clicked)
        self.table.horizontalHeader().setSectionsClickable(True)
        self.table.horizontalHeader().sectionClicked.connect(self._head_clicked)
        self.table.horizontalHeader().sectionDoubleClicked.connect(self._head_opened)
        self.verdict = QLabel()
        self.verdict.setObjectName("compareVerdict")
        self.verdict.setAccessibleName("What the comparison found")
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.verdict.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, 0)
        self._build_controls()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("compareTabs")
        self.tabs.setDocumentMode(True)
        self.pareto = ParetoPanel("comparePareto", with_list=False)
        self.pareto.axes_changed.connect(self._fill_pareto)
        self.pareto.run_clicked.connect(self._point_clicked)
        self.pareto.compare_wanted.connect(self.compare_wanted)
        self.pareto.problem.connect(self.problem)
        self._curve_page, self._curve_place, self._curve_note = _page(
            self.metric, self.split, self.curve_axis
        )
        self._layer_page, self._layer_place, self._layer_note = _page(self.layer_view)
        self.layers = GridView("Layers side by side")
        self.layers.setObjectName("compareLayers")
        self._layer_place.addWidget(self.layers, 1)
        self.tabs.addTab(self.pareto, "Pareto front")
        self.tabs.setTabToolTip(
            0, "Two quantities of the runs against each other, and which runs nothing beats"
        )
        self.tabs.addTab(self._curve_page, "Curves")
        self.tabs.addTab(self._layer_page, "Layers")
        left = QWidget()
        left_layout = QVBoxLayout(left)
        left_layout.setContentsMargins(0, 0, 0, 0)
        left_layout.setSpacing(0)
        left_layout.addLayout(self._bar)
        left_layout.addWidget(self.table, 1)
        left.setMinimumWidth(300)
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

    def _build_controls(self) -> None:
        self.baseline = _choice("compareBaseline", "Baseline", "Differences count from this run.")
        self.baseline.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.baseline.setMinimumContentsLength(10)
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
        self.metric = _choice("compareMetric", "Curve", "Which curve.")
        for name, title, _unit in _METRICS:
            self.metric.addItem(title, name)
        self.split = _choice("compareSplit", "Split", "Judged on which examples.")
        for name, title in _SPLITS:
            self.split.addItem(f"on {title}", name)
        self.curve_axis = _choice("compareCurveAxis", "Horizontal axis of the curves", "Drawn over what.")
        for name, (title, _unit) in AXIS_TITLES.items():
            self.curve_axis.addItem(f"by {title}", name)
        self.layer_view = _choice("compareLayerView", "Figure", "How layers are shown.")
        for name, (title, _pick, _show) in LAYER_FIGURES.items():
            self.layer_view.addItem(f"{title}, as table", name)
        self.layer_view.addItem("Sparsity, as bars", "bars")
        for choice in (self.metric, self.split, self.curve_axis):
            choice.activated.connect(self._fill_curves)
        self.layer_view.activated.connect(self._fill_layers)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def comparison(self) -> Comparison | None:
        """What is on show."""
        return self._comparison

    def show_comparison(self, comparison: Comparison) -> None:
        """Show runs; plots follow when the page is visible."""
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
        self._fill_layers()
        self._stale = True
        if self.isVisible():
            self._fill_plots()

    def show_nothing(self, text: str, button: str | None = None) -> None:
        """Say why nothing is compared."""
        self._comparison = None
        self.notice.show_empty(text, button)

    def choose(self, run_id: str | None) -> None:
        """Emphasise a run in all plots."""
        self._chosen = run_id
        if self._comparison is not None and run_id is not None:
            ids = [record.run_id for record in self._comparison.records]
            if run_id in ids:
                self.table.scrollTo(self.table.table.index(0, ids.index(run_id) + 1))
        if self._plots_made:
            self.pareto.emphasise(run_id)
            self.curves.emphasise(run_id)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._stale:
            self._fill_plots()

    # -- filling -----------------------------------------------------------------------------------------------

    def _make_plots(self) -> None:
        from studio.views.layer_bars import LayerBars
        from studio.views.line_plot import LinePlot

        self._plots_made = True
        self.curves = LinePlot("training curves of the runs")
        self.curves.setObjectName("compareCurves")
        self.bars = LayerBars()
        self.bars.setObjectName("compareBars")
        self._curve_place.addWidget(self.curves, 1)
        self._layer_place.addWidget(self.bars, 1)
        for plot in (self.curves, self.bars):
            plot.problem.connect(self.problem)

    def _fill_plots(self) -> None:
        if self._comparison is None:
            return
        if not self._plots_made:
            self._make_plots()
        self._stale = False
        self._fill_pareto()
        self._fill_curves()
        self._fill_layers()
        self.choose(self._chosen)

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
        if self._comparison is None or not self._plots_made:
            return
        self.pareto.show_points(compared_points(self._comparison, self.pareto.x, self.pareto.y), _NO_POINTS)
        self.pareto.emphasise(self._chosen)

    def _fill_curves(self) -> None:
        if self._comparison is None or not self._plots_made:
            return
        from studio.views.line_plot import Line

        metric, split = self.metric.currentData(), self.split.currentData()
        axis = self.curve_axis.currentData()
        unit = next(unit for name, _title, unit in _METRICS if name == metric)
        lines = []
        series = len(theme.tokens().series)
        for record, color, curves in zip(
            self._comparison.records, self._comparison.colors, self._comparison.curves, strict=False
        ):
            curve = curves.curve(metric, split, axis)
            if curve is not None:
                factor = 100.0 if unit == "%" else 1.0
                dashed = color >= series
                lines.append(
                    Line(record.run_id, short_name(record), curve.x, curve.y * factor, color, dashed)
                )
        self.curves.set_axes(AXIS_TITLES[axis], (f"{split} {metric}", unit))
        self.curves.set_lines(lines)
        self.curves.reset_view()
        _show_or_say(self.curves, self._curve_note, "" if lines else _NO_CURVES)

    def _fill_layers(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        figure = self.layer_view.currentData()
        as_bars = figure == "bars"
        names = [short_name(record) for record in comparison.records]
        colors = theme.tokens().series
        heads = [Head("Layer")] + [
            Head(name, right=True, color=colors[color % len(colors)])
            for name, color in zip(names, comparison.colors, strict=True)
        ]
        self.layers.table.show_rows(heads, layer_rows(comparison.layers, "sparsity" if as_bars else figure))
        self.layers.setColumnWidth(0, 130)
        for column in range(1, len(heads)):
            self.layers.setColumnWidth(column, 132)
        text = "" if comparison.layers else _NO_LAYERS
        _show_or_say(self.layers, self._layer_note, text)
        self.layers.setVisible(not text and not as_bars)
        if self._plots_made:
            self.bars.setVisible(not text and as_bars)
            self.bars.set_layers(comparison.layers, list(zip(names, comparison.colors, strict=True)))

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._fill_table()
        self._fill_layers()

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


def _choice(name: str, title: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(title)
    box.setToolTip(tip)
    return box


def _page(*controls: QWidget) -> tuple[QWidget, QVBoxLayout, QLabel]:
    """A tab with controls on top, room below, and a sentence for when there is nothing to draw."""
    page = QWidget()
    bar = QHBoxLayout()
    bar.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
    bar.setSpacing(theme.SPACE)
    for control in controls:
        bar.addWidget(control)
    bar.addStretch(1)
    note = QLabel()
    note.setProperty("role", "muted")
    note.setAlignment(Qt.AlignmentFlag.AlignCenter)
    note.setWordWrap(True)
    note.hide()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    layout.addLayout(bar)
    layout.addWidget(note, 1)
    return page, layout, note


def _show_or_say(widget: QWidget, note: QLabel, text: str) -> None:
    note.setText(text)
    note.setVisible(bool(text))
    widget.setVisible(not text)
