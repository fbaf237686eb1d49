"""The Histogram tab: controls, plot and statistics of the selected layers. Imports pyqtgraph."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.analysis.distributions import LayerDistribution
from core.formatting import count, percent
from studio import theme
from studio.tables.distributions import DistributionTable
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout
from studio.views.grid_bar import OWN, GridBar
from studio.views.histogram_plot import HistogramPlot
from studio.views.references import Reference
from studio.views.threshold_bar import ThresholdBar, ThresholdShown

if TYPE_CHECKING:
    from core.quantization.grid_preview import GridPreview

MOST_DRAWN = 12
"""Layers drawn over each other at most: more could not be told apart."""

MOST_WITH_PERCENTILES = 3
"""Layers whose percentile lines are drawn at most."""

MOST_BINS = 65_536

_BIN_CHOICES = (None, 64, 128, 256, 512)
_ROW_HEIGHT = 26
_ROWS_SHOWN = 5
_TABLE_SHARE = 0.25
_LOW = 460
"""Pixels of height below which the plot needs nearly all of it."""

_COMPARE_TIP = (
    "Draw the same layers of other models as outlines: the model before a run, a run's result, another file"
)


class HistogramView(QWidget):
    """Shows distributions and tells what else is wanted: bins, percentiles, a threshold, other models."""

    bins_changed = Signal()
    percentiles_toggled = Signal(bool)
    percentile_moved = Signal(object)  # (str, int, float): layer, which line, where to
    threshold_changed = Signal(object)  # float, or None where no threshold is on show
    grid_changed = Signal()  # another grid is wanted, or none
    prune_wanted = Signal(object)  # float: prune the layers on show below this
    compare_menu_wanted = Signal(object)  # QMenu, about to be shown: fill it
    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("histogramView")
        self._selected = 0
        self._chosen_threshold: float | None = None

        self.bins_box = QComboBox()
        self.bins_box.setObjectName("histogramBins")
        self.bins_box.setAccessibleName("Number of bins")
        self.bins_box.setToolTip(
            f"How many equal bins the range is divided into: choose or type a number up to {MOST_BINS:,}; Auto goes by "
            "the number of weights"
        )
        for bins in _BIN_CHOICES:
            self.bins_box.addItem("Auto" if bins is None else str(bins), bins)
        self.bins_box.setEditable(True)
        self.bins_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.bins_box.setMinimumContentsLength(5)
        self.bins_box.lineEdit().editingFinished.connect(self._bins_typed)
        self.bins_box.currentIndexChanged.connect(self._bins_chosen)
        self._bins: int | None = None
        self.logarithmic = _check("histogramLog", "Log", "Logarithmic counts: rare weights become visible")
        self.with_zeros = _check(
            "histogramZeros",
            "Zeros",
            "Draw exact zeros too; in a pruned layer they are so many that they hide the rest",
        )
        self.as_share = _check(
            "histogramShare",
            "Share",
            "Heights as a share of the layer's weights, so that layers of different sizes compare",
        )
        for box in (self.logarithmic, self.with_zeros, self.as_share):
            box.toggled.connect(self._scale_chosen)
        self.own_axes = _check(
            "histogramOwnAxes",
            "Own axes",
            "Of several layers, each fills the width from its own smallest to its own largest weight and has its own "
            "height: forms compare, values do not",
        )
        self.own_axes.toggled.connect(self._axes_chosen)
        self.percentiles = _check(
            "histogramPercentiles",
            "Percentiles",
            "Lines below which 1, 5, 50, 95 and 99 % of the weights lie; drag one to any other value",
        )
        self.percentiles.toggled.connect(self.percentiles_toggled)
        self.threshold_box = _check(
            "histogramThreshold",
            "Threshold",
            "Two lines to drag: see how many weights fall below a magnitude, and prune there",
        )
        self.threshold_box.toggled.connect(self._threshold_toggled)
        self.grid_box = _check(
            "histogramGrid",
            "Grid",
            "The values that weights of few bits can have, and the range that they are clipped to: drag its ends",
        )
        self.grid_box.toggled.connect(self._grid_toggled)
        self.compare = self._make_compare_button()
        controls = FlowLayout(theme.SPACE + theme.SPACE // 2, theme.SPACE // 2)
        controls.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        bins_label = QLabel("Bins")
        bins_label.setBuddy(self.bins_box)
        bins = QHBoxLayout()
        bins.setSpacing(theme.SPACE)
        bins.addWidget(bins_label)
        bins.addWidget(self.bins_box)
        controls.addLayout(bins)
        for widget in (
            self.logarithmic,
            self.with_zeros,
            self.as_share,
            self.own_axes,
            self.percentiles,
            self.threshold_box,
            self.grid_box,
            self.compare,
        ):
            controls.addWidget(widget)
        self.threshold_bar = ThresholdBar()
        self.threshold_bar.hide()
        self.threshold_bar.typed.connect(self._threshold_typed)
        self.threshold_bar.prune_wanted.connect(self._ask_to_prune)

        self.grid_bar = GridBar()
        self.grid_bar.hide()
        self.grid_bar.changed.connect(self.grid_changed)

        self.remark = ElidedLabel()
        self.remark.setObjectName("histogramRemark")
        self.remark.setProperty("role", "small")
        self.remark.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        self.plot = HistogramPlot()
        self.plot.setObjectName("histogramPlot")
        self.plot.problem.connect(self.problem)
        self.plot.threshold_moved.connect(self._threshold_moved)
        self.plot.grid.dragged.connect(self._grid_dragged)
        self.plot.percentile_moved.connect(self.percentile_moved)
        self.table_model = DistributionTable(self)
        self.table = self._make_table()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(controls)
        layout.addWidget(self.threshold_bar)
        layout.addWidget(self.grid_bar)
        layout.addWidget(self.remark)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.table)
        theme.events.changed.connect(self._restyle)

    @property
    def bins(self) -> int | None:
        """The chosen number of bins; None for automatic."""
        return self._bins

    def show_layers(
        self,
        layers: Sequence[LayerDistribution],
        selected: int,
        references: Sequence[Reference] = (),
        *,
        own_axes: bool = False,
    ) -> None:
        """Show these distributions, which share their edges (also those of `references`).

        `selected` layers were asked for. With `own_axes` only layers of one name share edges.
        """
        self._selected = selected
        self.own_axes.setEnabled(len(layers) > 1 or self.own_axes.isChecked())
        self.plot.set_layers(layers, references, own_axes=own_axes)
        rows = list(layers)
        for reference in references:
            rows += [replace(one, name=f"{one.name} · {reference.title}") for one in reference.layers]
        self.table_model.set_rows(rows)
        self.table.setColumnWidth(0, 220 if references else 150)
        self._fit_table()
        self._tell()
        if self.threshold_box.isChecked():
            self._show_threshold(self._wanted_threshold())
        if own_axes:
            self.plot.threshold.hide()

    def set_percentiles(self, found: Mapping[str, Sequence[float]]) -> None:
        """Draw percentile lines, by layer name; none without an entry."""
        self.plot.set_percentiles(found)
        self._tell()

    @property
    def threshold(self) -> float | None:
        """The threshold on show, or None."""
        return self.plot.threshold.threshold if self.plot.threshold.shown else None

    def show_below(self, shown: ThresholdShown) -> None:
        """Say how many weights fall below the threshold."""
        self.threshold_bar.show_told(shown)

    def show_comparison(self, titles: Sequence[str]) -> None:
        """Say on the button with how many models the open one is compared."""
        self.compare.setText(f"Compared with {len(titles)}" if titles else "Compare with…")
        self.compare.setToolTip("\n".join(["Drawn as outlines:", *titles]) if titles else _COMPARE_TIP)

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Mark what magnitude pruning would take."""
        self.plot.set_thresholds(thresholds)

    # -- grid -------------------------------------------------------------------------------------------------

    @property
    def grid_ends(self) -> tuple[float, float]:
        """Where the ends of the grid's range were dragged to."""
        return self.plot.grid.ends

    def show_grid(self, found: "GridPreview | None") -> None:
        """Draw this grid, or none."""
        if found is None or not self.grid_box.isChecked():
            self.plot.grid.hide()
        else:
            dragged = self.grid_bar.method == OWN
            self.plot.grid.show_grid(found.levels, symmetric=found.choice.symmetric, dragged=dragged)
            if not dragged:
                self.plot.make_room(found.low, found.high)

    def _grid_toggled(self, on: bool) -> None:
        self.grid_bar.setVisible(on)
        self.grid_changed.emit()

    def _grid_dragged(self, _ends: object) -> None:
        self.grid_bar.show_dragged()
        self.grid_changed.emit()

    # -- threshold and comparison -----------------------------------------------------------------------------

    def _threshold_toggled(self, on: bool) -> None:
        self.threshold_bar.setVisible(on)
        if on:
            self._show_threshold(self._wanted_threshold())
        else:
            self.plot.threshold.hide()
            self.threshold_changed.emit(None)

    def _wanted_threshold(self) -> float:
        """Where the user has put it; before that half the standard deviation, below which a third of a normal lies."""
        if self._chosen_threshold is not None:
            return self._chosen_threshold
        return (self.plot.layers[0].statistics.std or 0.0) / 2 if self.plot.layers else 0.0

    def _show_threshold(self, threshold: float) -> None:
        self.plot.threshold.show_at(threshold, self.plot.largest)
        self.threshold_bar.show_threshold(self.plot.threshold.threshold, self.plot.largest)
        self.threshold_changed.emit(self.plot.threshold.threshold)

    def _threshold_typed(self, threshold: float) -> None:
        self._chosen_threshold = threshold
        self.plot.threshold.show_at(threshold, max(self.plot.largest, threshold))
        self.threshold_changed.emit(self.plot.threshold.threshold)

    def _threshold_moved(self, threshold: float) -> None:
        self._chosen_threshold = threshold
        self.threshold_bar.show_threshold(threshold, self.plot.largest)
        self.threshold_changed.emit(threshold)

    def _ask_to_prune(self) -> None:
        if self.threshold is not None:
            self.prune_wanted.emit(self.threshold)

    def _make_compare_button(self) -> QToolButton:
        button = QToolButton()
        button.setObjectName("histogramCompare")
        button.setAccessibleName("Compare with another model")
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setText("Compare with…")
        button.setToolTip(_COMPARE_TIP)
        menu = QMenu(button)
        menu.setObjectName("histogramCompareMenu")
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(self._ask_compare_menu)
        button.setMenu(menu)
        return button

    def _ask_compare_menu(self) -> None:
        self.compare_menu_wanted.emit(self.compare.menu())

    # -- inside ---------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_table()

    def _fit_table(self) -> None:
        """As many rows as there are layers, but no more than leave the plot most of the height."""
        share = _TABLE_SHARE if self.height() >= _LOW else _TABLE_SHARE / 3
        room = int(self.height() * share) // _ROW_HEIGHT
        rows = max(1, min(_ROWS_SHOWN, room, self.table_model.rowCount()))
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + rows * _ROW_HEIGHT + 14)

    def _bins_chosen(self, _index: int) -> None:
        self._use_bins(self.bins_box.currentData())

    def _bins_typed(self) -> None:
        """Any number of bins will do; what is none puts the one in force back."""
        text = self.bins_box.currentText().strip().replace(",", "")
        if text.isdecimal() and 1 <= int(text) <= MOST_BINS:
            self._use_bins(int(text))
        elif text.lower() in ("", "auto"):
            self._use_bins(None)
        else:
            self._use_bins(self._bins)

    def _use_bins(self, bins: int | None) -> None:
        changed, self._bins = bins != self._bins, bins
        self.bins_box.setEditText("Auto" if bins is None else str(bins))
        if changed:
            self.bins_changed.emit()

    def _axes_chosen(self, _on: bool) -> None:
        # Other ranges, other bins: the weights are counted again.
        self.bins_changed.emit()

    def _scale_chosen(self, _on: bool) -> None:
        self.plot.set_scale(
            logarithmic=self.logarithmic.isChecked(),
            with_zeros=self.with_zeros.isChecked(),
            as_share=self.as_share.isChecked(),
        )
        self._tell()

    def _tell(self) -> None:
        """Say in words what the plot leaves out."""
        parts = []
        layers = self.plot.layers
        if self._selected > len(layers):
            parts.append(f"The first {len(layers)} of {count(self._selected)} selected layers are drawn.")
        zeros = sum(one.statistics.zeros for one in layers)
        weights = sum(one.statistics.count for one in layers)
        if zeros and not self.with_zeros.isChecked():
            parts.append(f"{count(zeros)} exact zeros ({percent(zeros / weights, 1)}) are not drawn.")
        if broken := sum(one.statistics.not_finite for one in layers):
            parts.append(f"{count(broken)} {'weight is' if broken == 1 else 'weights are'} NaN or infinite.")
        if self.plot.own_axes:
            parts.append("Each layer is drawn on axes of its own, without lines at common values.")
        elif self.percentiles.isChecked() and self._selected > MOST_WITH_PERCENTILES:
            parts.append(f"Percentile lines are drawn for up to {MOST_WITH_PERCENTILES} layers.")
        for reference in self.plot.references:
            if reference.missing:
                names = ", ".join(reference.missing[:3]) + (" …" if len(reference.missing) > 3 else "")
                parts.append(f"{reference.title} has no layer {names}.")
        self.remark.show_text(" ".join(parts))
        self.remark.setVisible(bool(parts))

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setObjectName("histogramStatistics")
        table.setAccessibleName("Statistics of the layers drawn")
        table.setModel(self.table_model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setWordWrap(False)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.verticalHeader().hide()
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        table.horizontalHeader().setHighlightSections(False)
        for column, width in enumerate((150, 70, 72, 72, 84, 72, 128, 74, 72, 64, 48, 48)):
            table.setColumnWidth(column, width)
        copy = QAction("Copy statistics", table)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy_statistics)
        table.addAction(copy)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._show_table_menu)
        return table

    def copy_statistics(self) -> None:
        """Put the statistics on the clipboard, with full precision."""
        QGuiApplication.clipboard().setText(self.table_model.as_text())

    def _show_table_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions(self.table.actions())
        menu.popup(self.table.viewport().mapToGlobal(position))

    def _restyle(self, _tokens: object) -> None:
        self.table.viewport().update()


def _check(name: str, text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setObjectName(name)
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    return box
