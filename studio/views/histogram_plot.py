"""The histogram itself: bars of one or several layers, thresholds of a preview, cursor read-out.

Imports pyqtgraph: only `histogram_view` imports it, and that only after the window's first paint.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QWidget

from core.analysis.distributions import LayerDistribution
from core.formatting import count, percent, short_count, significant
from studio import theme
from studio.views.plot_frame import PlotFrame

_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
_NAMED_IN_READ_OUT = 3
_IN_LEGEND = 4
_FILLED = 3
"""Layers up to which overlaid bars are filled: many see-through areas are muddy, and slow to paint."""


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
    """Draws distributions that share their edges; each layer in its own colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._layers: tuple[LayerDistribution, ...] = ()
        self._thresholds: Mapping[str, float] = {}
        self._logarithmic = False
        self._with_zeros = False
        self._as_share = False
        self._items: list[pg.GraphicsObject] = []
        self._marks: list[pg.GraphicsObject] = []
        self._axis: CountAxis | None = None
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
        self._restyle(theme.tokens())

    @property
    def layers(self) -> tuple[LayerDistribution, ...]:
        """What is drawn."""
        return self._layers

    def set_layers(self, layers: Sequence[LayerDistribution]) -> None:
        """Draw other distributions; the view stays if the same layers are drawn with other bins."""
        same = [one.name for one in self._layers] == [one.name for one in layers]
        self._layers = tuple(layers)
        self.redraw()
        if not same:
            self.reset_view()

    def set_thresholds(self, thresholds: Mapping[str, float]) -> None:
        """Mark what magnitude pruning would take: by layer name, the magnitude up to which weights go."""
        if dict(thresholds) != dict(self._thresholds):
            self._thresholds = dict(thresholds)
            self._draw_thresholds(theme.tokens())

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
        self.set_axes(("weight value", ""), counts)
        tokens = theme.tokens()
        entries = [(one.name, tokens.series_color(one.layer)) for one in self._layers[:_IN_LEGEND]]
        if more := len(self._layers) - len(entries):
            entries.append((f"{more} more, in the table below", tokens.text_muted))
        self.set_legend(entries)
        for one in self._layers:
            self._draw_layer(one, tokens)
        self._draw_thresholds(tokens)
        if any(one.statistics.zeros for one in self._layers) and not self._with_zeros:
            self._add(pg.InfiniteLine(0, pen=pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DotLine)))
        self._cursor.setBrush(_faint(tokens.text, 22))

    def _draw_layer(self, one: LayerDistribution, tokens: theme.Tokens) -> None:
        heights = self.heights(one)
        base, several = self._base(), len(self._layers) > 1
        color = tokens.series_color(one.layer)
        edges = one.histogram.edges
        drawn = heights > base
        if len(self._layers) <= _FILLED:
            bars = pg.BarGraphItem(
                x0=edges[:-1][drawn],
                x1=edges[1:][drawn],
                y0=np.full(int(drawn.sum()), base),
                y1=heights[drawn],
                pen=None if several or edges.size > 140 else pg.mkPen(tokens.panel, width=1),
                brush=_faint(color, 60) if several else QColor(color),
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
        marked = [(one, self._thresholds[one.name]) for one in self._layers if one.name in self._thresholds]
        common = len({threshold for _, threshold in marked}) == 1
        for number, (one, threshold) in enumerate(marked):
            if not threshold > 0 or (common and number):
                continue
            color = tokens.bad if common else tokens.series_color(one.layer)
            region = pg.LinearRegionItem((-threshold, threshold), movable=False, brush=_faint(color, 36))
            for line in region.lines:
                line.setPen(pg.mkPen(color, width=1))
            region.setZValue(5)
            self._mark(region)
            label = pg.InfiniteLine(
                threshold,
                pen=pg.mkPen(color, width=1),
                label=f"|w| ≤ {significant(threshold)} would go",
                labelOpts={
                    "position": 0.96 - 0.07 * number,
                    "color": color,
                    "fill": _faint(tokens.panel, 210),
                    "anchors": [(0, 0.5), (0, 0.5)],
                },
            )
            font = QFont(self.font())
            font.setPixelSize(theme.FONT_SMALL)
            label.label.setFont(font)
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
        if self._as_share and one.statistics.count:
            heights *= 100 / one.statistics.count
        if self._logarithmic:
            with np.errstate(divide="ignore"):
                heights = np.log10(heights)
            heights[np.isneginf(heights)] = self._base()
        return heights

    def _base(self) -> float:
        if not self._logarithmic:
            return 0.0
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
        edges = self._layers[0].histogram.edges
        base = self._base()
        top = max((float(self.heights(one).max(initial=base)) for one in self._layers), default=1.0)
        if top <= base:
            top = base + 1
        left, right = float(edges[0]), float(edges[-1])
        width, height = right - left, top - base
        box.setLimits(
            xMin=left - width,
            xMax=right + width,
            yMin=base - height / 10,
            yMax=top + height,
            maxXRange=3 * width,
        )
        box.disableAutoRange()
        box.setRange(QRectF(left, base, width, height * 1.06), padding=0.0)
        box.setXRange(left, right, padding=0.02)

    # -- cursor and data ------------------------------------------------------------------------------------

    def hover(self, position: QPointF | None) -> None:
        place = None
        if position is not None and self._layers:
            place = self._layers[0].histogram.bin_of(position.x())
        if place is None:
            self._cursor.hide()
            self.read_out.clear()
            return
        edges = self._layers[0].histogram.edges
        self._cursor.setRegion((float(edges[place]), float(edges[place + 1])))
        self._cursor.show()
        self.read_out.setText(self.read_out_of(place))

    def read_out_of(self, place: int) -> str:
        """What the read-out says about a bin: its range and each layer's count."""
        edges = self._layers[0].histogram.edges
        ends = f"{_minus(significant(edges[place], 4))} to {_minus(significant(edges[place + 1], 4))}"
        told = []
        for one in self._layers[:_NAMED_IN_READ_OUT]:
            number = int(self.counts(one)[place])
            text = f"{count(number)} {'weight' if number == 1 else 'weights'}"
            if one.statistics.count:
                text += f" ({percent(number / one.statistics.count, 2)})"
            told.append(f"{one.name} {text}" if len(self._layers) > 1 else text)
        more = len(self._layers) - _NAMED_IN_READ_OUT
        return f"{ends}: {' · '.join(told)}{f' · {more} more' if more > 0 else ''}"

    def csv(self) -> str:
        if not self._layers:
            return ""
        names = ",".join('"' + one.name.replace('"', '""') + '"' for one in self._layers)
        lines = [f"bin start,bin end,{names}"]
        edges = self._layers[0].histogram.edges.tolist()
        columns = [self.counts(one).tolist() for one in self._layers]
        for place, row in enumerate(zip(*columns, strict=True)):
            lines.append(f"{edges[place]!r},{edges[place + 1]!r},{','.join(map(str, row))}")
        return "\n".join(lines) + "\n"


def _faint(color: str, alpha: int) -> QColor:
    result = QColor(color)
    result.setAlpha(alpha)
    return result


def _axis_number(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) < 1e6 else short_count(value)


def _minus(text: str) -> str:
    return text.replace("-", "−")
