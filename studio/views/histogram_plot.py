"""The histogram itself: bars of one or several layers, thresholds of a preview, cursor read-out.

Imports pyqtgraph: only `histogram_view` imports it, and that only after the window's first paint.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from core.analysis.distributions import LayerDistribution
from core.analysis.percentiles import USUAL
from core.formatting import short_count, significant
from studio import theme
from studio.views.grid_marks import GridMarks
from studio.views.histogram_marks import PercentileLines, ThresholdPair, faint, small_font
from studio.views.histogram_words import Drawn, as_csv, read_out
from studio.views.plot_frame import PlotFrame
from studio.views.references import Reference

_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
_IN_LEGEND = 4
_FILLED = 3
"""Layers up to which overlaid bars are filled: many see-through areas are muddy, and slow to paint."""


OUTLINES = (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
OUTLINE_NAMES = ("dashed", "dotted", "dash-dotted")
"""How the other models' layers are drawn, and the words for it in the legend."""


class CountAxis(pg.AxisItem):
    """The vertical axis: counts or percentages, as they are or as exponents of ten."""

    def __init__(self) -> None:
        super().__init__("left")
        self.logarithmic = False
        self.enableAutoSIPrefix(False)

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        if not self.logarithmic:
            return super().tickValues(low, high, size)
        decades = [float(n) for n in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
        between = [
            n + float(np.log10(digit))
            for n in range(int(np.floor(low)), int(np.ceil(high)) + 1)
            for digit in range(2, 10)
            if low <= n + np.log10(digit) <= high
        ]
        return [(1.0, decades), (0.1, between)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if not self.logarithmic:
            return [_axis_number(value) for value in values]
        if spacing >= 1:
            return [_axis_number(10.0**value) for value in values]
        return [""] * len(values)


class HistogramPlot(PlotFrame):
    """Draws distributions that share their edges, or each on axes of its own; each layer in its own colour."""

    threshold_moved = Signal(float)  # by mouse or keyboard
    percentile_moved = Signal(object)  # (str, int, float): layer, which line, where to

    def __init__(self, parent: QWidget | None = None) -> None:
        self._layers: tuple[LayerDistribution, ...] = ()
        self._references: tuple[Reference, ...] = ()
        self._percentiles: Mapping[str, Sequence[float]] = {}
        self._thresholds: Mapping[str, float] = {}
        self._logarithmic = False
        self._with_zeros = False
        self._as_share = False
        self._own_axes = False
        self._items: list[pg.GraphicsObject] = []
        self._marks: list[pg.GraphicsObject] = []
        self._axis: CountAxis | None = None
        self._fitted = (0.0, 1.0)
        super().__init__("weight histogram", parent)
        # A long legend is cut rather than keeping the window wide.
        self.legend.setMinimumWidth(1)
        self._axis = CountAxis()
        self.plot.setAxisItems({"left": self._axis})
        self._axis.setWidth(58)
        self._cursor = pg.LinearRegionItem(movable=False)
        for line in self._cursor.lines:
            line.hide()
        self._cursor.setZValue(-5)
        self._cursor.hide()
        self.plot.addItem(self._cursor, ignoreBounds=True)
        self._percentile_lines = PercentileLines(self.plot)
        self._percentile_lines.moved.connect(self.percentile_moved)
        self.threshold = ThresholdPair(self.plot)
        self.threshold.moved.connect(self.threshold_moved)
        self.grid = GridMarks(self.plot)
        self.plot.installEventFilter(self)
        self._restyle(theme.tokens())

    @property
    def layers(self) -> tuple[LayerDistribution, ...]:
        """What is drawn."""
        return self._layers

    @property
    def references(self) -> tuple[Reference, ...]:
        """The other models whose layers are drawn as outlines."""
        return self._references

    @property
    def own_axes(self) -> bool:
        """Whether each layer fills the width and the height on its own."""
        return self._own_axes

    @property
    def largest(self) -> float:
        """The largest magnitude on the axis."""
        edges = [abs(float(edge)) for one in self._layers[:1] for edge in one.histogram.edges[[0, -1]]]
        return max(edges, default=1.0)

    def set_layers(
        self,
        layers: Sequence[LayerDistribution],
        references: Sequence[Reference] = (),
        *,
        own_axes: bool = False,
    ) -> None:
        """Draw other distributions; the view stays if the same layers are drawn with other bins.

        The layers of `references` share the edges too and are drawn as outlines. With `own_axes` only layers of one
        name share them.
        """
        same = [_identity(one) for one in self._layers] == [_identity(one) for one in layers]
        same &= own_axes == self._own_axes
        self._own_axes = own_axes
        same &= [one.title for one in self._references] == [one.title for one in references]
        self._layers, self._references = tuple(layers), tuple(references)
        self.redraw()
        if not same:
            self.reset_view()
        elif self._heights_fitted():
            self._fit_heights()

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Mark what magnitude pruning would take: by layer name, the magnitude up to which weights go."""
        if dict(thresholds) != dict(self._thresholds):
            self._thresholds = dict(thresholds)
            self._draw_thresholds(theme.tokens())

    def set_percentiles(self, found: Mapping[str, Sequence[float]]) -> None:
        """Draw lines at the usual percentiles, by layer name; none for the layers left out."""
        self._percentiles = dict(found)
        self._draw_percentiles()
        self._draw_thresholds(theme.tokens())

    def tell_percentile(self, place: int, value: float, share: float) -> None:
        """Answer `percentile_moved`: a `share` of the layer's finite weights lies below `value`."""
        self._percentile_lines.tell(place, value, share)

    def set_scale(self, *, logarithmic: bool, with_zeros: bool, as_share: bool) -> None:
        """Choose how counts become heights."""
        if (logarithmic, with_zeros, as_share) != (self._logarithmic, self._with_zeros, self._as_share):
            self._logarithmic, self._with_zeros, self._as_share = logarithmic, with_zeros, as_share
            self.redraw()
            self.reset_view()

    # -- drawing --------------------------------------------------------------------------------------------

    def _restyle(self, tokens: theme.Tokens) -> None:
        super()._restyle(tokens)
        # The grid would take longer to paint than all bars.
        self.plot.showGrid(x=False, y=False)

    def redraw(self) -> None:
        if self._axis is None:
            return
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []
        self._axis.logarithmic = self._logarithmic
        counts = ("share of the layer's weights", "%") if self._as_share else ("count", "weights")
        bins = self._layers[0].histogram.bins if self._layers else 0
        value = ("weight value", "")
        if self._own_axes:
            value, counts = ("place between a layer's own ends", "%"), ("height of its tallest bin", "%")
        self.set_axes((f"{value[0]} ({bins} bins)" if bins else value[0], value[1]), counts)
        tokens = theme.tokens()
        self.set_legend(self._entries(tokens))
        for one in self._layers:
            self._draw_layer(one, tokens)
        for place, reference in enumerate(self._references):
            for one in reference.layers:
                self._draw_outline(one, reference_color(place, one, len(self._layers)), OUTLINES[place])
        self._draw_percentiles()
        self.threshold.restyle()
        self.grid.restyle()
        self._draw_thresholds(tokens)
        zeros_left_out = any(one.statistics.zeros for one in self._layers) and not self._with_zeros
        if zeros_left_out and not self._own_axes:
            self._add(pg.InfiniteLine(0, pen=pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DotLine)))
        self._cursor.setBrush(faint(tokens.text, 22))

    def _entries(self, tokens: theme.Tokens) -> list[tuple[str, str]]:
        entries = [(one.name, tokens.series_color(one.layer)) for one in self._layers[:_IN_LEGEND]]
        if more := len(self._layers) - len(entries):
            entries.append((f"{more} more, in the table below", tokens.text_muted))
        several = len(self._layers) > 1
        for place, reference in enumerate(self._references):
            color = tokens.text_muted if several else reference_color(place, None, 1)
            entries.append((f"{reference.title} ({OUTLINE_NAMES[place]})", color))
        return entries

    def _draw_percentiles(self) -> None:
        tokens = theme.tokens()
        if self._own_axes:
            self._percentile_lines.draw((), {}, USUAL, 1.0)
            return
        layers = [(one.name, tokens.series_color(one.layer)) for one in self._layers]
        height = self.plot.getPlotItem().getViewBox().height()
        self._percentile_lines.draw(layers, self._percentiles, USUAL, height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._percentiles:
            self._draw_percentiles()
            self._draw_thresholds(theme.tokens())

    def _draw_outline(self, one: LayerDistribution, color: str, style: Qt.PenStyle) -> None:
        pen = pg.mkPen(color, width=2, style=style)
        heights, base = self.heights(one), self._base()
        empty = heights <= base
        near = np.convolve(~empty, np.ones(3, np.bool_))[1:-1]
        # A dashed line along the whole foot of the plot would be the loudest thing in it.
        heights = np.where(empty, np.where(near, base, np.nan), heights)
        curve = pg.PlotCurveItem(self.drawn_edges(one), heights, stepMode="center", pen=pen, connect="finite")
        curve.setZValue(4)
        self._add(curve, bounds=True)

    def _draw_layer(self, one: LayerDistribution, tokens: theme.Tokens) -> None:
        heights = self.heights(one)
        base, several = self._base(), len(self._layers) > 1
        color = tokens.series_color(one.layer)
        edges = self.drawn_edges(one)
        drawn = heights > base
        if len(self._layers) <= _FILLED:
            bars = pg.BarGraphItem(
                x0=edges[:-1][drawn],
                x1=edges[1:][drawn],
                y0=np.full(int(drawn.sum()), base),
                y1=heights[drawn],
                pen=None if several or edges.size > 140 else pg.mkPen(tokens.panel, width=1),
                brush=faint(color, 60) if several else QColor(color),
            )
            self._add(bars, bounds=True)
        if several:
            # More layers than colours share one: the line's style tells them apart.
            style = _STYLES[one.layer // len(tokens.series) % len(_STYLES)]
            pen = pg.mkPen(color, width=1, style=style)
            self._add(
                pg.PlotCurveItem(edges, np.maximum(heights, base), stepMode="center", pen=pen), bounds=True
            )

    def _draw_thresholds(self, tokens: theme.Tokens) -> None:
        # Apart from the bars, because they follow a slider that is being dragged.
        for item in self._marks:
            self.plot.removeItem(item)
        self._marks = []
        if self._own_axes:
            return
        marked = [(one, self._thresholds[one.name]) for one in self._layers if one.name in self._thresholds]
        common = len({threshold for _, threshold in marked}) == 1
        for number, (one, threshold) in enumerate(marked):
            if not threshold > 0 or (common and number):
                continue
            color = tokens.bad if common else tokens.series_color(one.layer)
            # Two bands over each other would look like a third thing: then its edges say enough.
            band = faint(color, 0 if self.threshold.shown else 36)
            region = pg.LinearRegionItem((-threshold, threshold), movable=False, brush=band)
            for line in region.lines:
                line.setPen(pg.mkPen(color, width=1))
            region.setZValue(5)
            self._mark(region)
            label = pg.InfiniteLine(
                threshold,
                pen=pg.mkPen(color, width=1),
                label=f"|w| ≤ {significant(threshold)} would go",
                labelOpts={
                    "position": self._percentile_lines.lowest - 0.07 * number,
                    "color": color,
                    "fill": faint(tokens.panel, 210),
                    "anchors": [(0, 0.5), (0, 0.5)],
                },
            )
            label.label.setFont(small_font())
            self._mark(label)

    def _mark(self, item: pg.GraphicsObject) -> None:
        self._marks.append(item)
        self.plot.addItem(item, ignoreBounds=True)

    def _add(self, item: pg.GraphicsObject, *, bounds: bool = False) -> None:
        self._items.append(item)
        self.plot.addItem(item, ignoreBounds=not bounds)

    def counts(self, one: LayerDistribution) -> NDArray[np.int64]:
        """The counts that are drawn: with or without exact zeros."""
        return one.histogram.counts if self._with_zeros else one.histogram.counts_without_zeros

    def heights(self, one: LayerDistribution) -> NDArray[np.float64]:
        """How high each bar stands on the axis (exponents of ten on a logarithmic one)."""
        heights = self.counts(one).astype(np.float64)
        if self._own_axes:
            heights *= 100 / max(1.0, float(heights.max(initial=0.0)))
        elif self._as_share and one.statistics.count:
            heights *= 100 / one.statistics.count
        if self._logarithmic:
            with np.errstate(divide="ignore"):
                heights = np.log10(heights)
            heights[np.isneginf(heights)] = self._base()
        return heights

    def drawn_edges(self, one: LayerDistribution) -> NDArray[np.float64]:
        """Where its bins stand on the axis: weight values, or percent of the way between its own ends."""
        edges = one.histogram.edges
        if not self._own_axes:
            return edges
        return (edges - edges[0]) * (100 / (edges[-1] - edges[0]))

    def _base(self) -> float:
        if not self._logarithmic:
            return 0.0
        if self._own_axes:
            return -2.0
        if not self._as_share:
            # A bin with one weight must still be seen, and log 1 is 0.
            return float(np.log10(0.5))
        most = max((one.statistics.count for one in self._layers), default=1)
        return float(np.log10(50 / max(1, most)))

    def reset_view(self) -> None:
        """Show all bars."""
        box = self.plot.getPlotItem().getViewBox()
        if not self._layers:
            return
        edges = self.drawn_edges(self._layers[0])
        left, right = float(edges[0]), float(edges[-1])
        width = right - left
        box.setLimits(xMin=left - width, xMax=right + width, maxXRange=3 * width)
        box.disableAutoRange()
        self._fit_heights()
        box.setXRange(left, right, padding=0.02)

    def make_room(self, low: float, high: float) -> None:
        """Widen a view that shows all bars until these two values are in sight too; one that is zoomed in stays."""
        box = self.plot.getPlotItem().getViewBox()
        left, right = box.viewRange()[0]
        edges = self.drawn_edges(self._layers[0]) if self._layers else np.zeros(2)
        first, last = float(edges[0]), float(edges[-1])
        if left <= first and last <= right and (low < left or high > right):
            box.setXRange(min(low, first), max(high, last), padding=0.03)

    def _fit_heights(self) -> None:
        box = self.plot.getPlotItem().getViewBox()
        base = self._base()
        drawn = [*self._layers, *(one for reference in self._references for one in reference.layers)]
        top = max((float(self.heights(one).max(initial=base)) for one in drawn), default=1.0)
        if top <= base:
            top = base + 1
        height = top - base
        box.setLimits(yMin=base - height / 10, yMax=top + height)
        self._fitted = (base, base + height * 1.06)
        box.setYRange(*self._fitted, padding=0.0)

    def _heights_fitted(self) -> bool:
        """Whether the user has left the heights as they were fitted: then other bins are fitted too."""
        shown = self.plot.getPlotItem().getViewBox().viewRange()[1]
        return bool(np.allclose(shown, self._fitted))

    def eventFilter(self, watched: object, event: object) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QKeyEvent.Type.KeyPress
            and watched is self.plot
            and self.threshold.shown
        ):
            fine = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            if self.threshold.press(event.key(), fine):
                return True
        return super().eventFilter(watched, event)

    # -- cursor and data ------------------------------------------------------------------------------------

    def hover(self, position: QPointF | None) -> None:
        place = None
        if position is not None and self._layers:
            place = self._bin_at(position.x())
        if place is None:
            self._cursor.hide()
            self.read_out.clear()
            return
        edges = self.drawn_edges(self._layers[0])
        self._cursor.setRegion((float(edges[place]), float(edges[place + 1])))
        self._cursor.show()
        self.read_out.setText(self.read_out_of(place))

    def _bin_at(self, x: float) -> int | None:
        first = self._layers[0].histogram
        if not self._own_axes:
            return first.bin_of(x)
        return min(int(x / 100 * first.bins), first.bins - 1) if 0 <= x <= 100 else None

    def read_out_of(self, place: int) -> str:
        """What the read-out says about a bin: its range and each layer's count."""
        return read_out(self._drawn(), place)

    def csv(self) -> str:
        return as_csv(self._drawn())

    def _drawn(self) -> Drawn:
        return Drawn(self._layers, self._references, self._own_axes, self.counts)


def reference_color(place: int, one: LayerDistribution | None, layers: int) -> str:
    """The colour of another model's outline: the layer's own where several are drawn, else one that differs."""
    tokens = theme.tokens()
    if layers > 1 and one is not None:
        return tokens.series_color(one.layer)
    return (tokens.text, tokens.bad, tokens.good)[place]


def _axis_number(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) < 1e6 else short_count(value)


def _identity(one: LayerDistribution) -> tuple[object, ...]:
    """Tells layers of one name in two models apart; other bins of the same weights are the same."""
    return one.name, one.statistics.count, one.statistics.minimum, one.statistics.maximum
