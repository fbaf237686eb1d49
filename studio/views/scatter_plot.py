"""Accuracy against size of the compared runs: intervals, Pareto front, labels; a click chooses the run."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QWidget

from core.formatting import percent
from studio import theme
from studio.views.compare_rows import SIZE_AXES, ScatterPoint, SizeAxis
from studio.views.plot_frame import PlotFrame

_NEAR = 14
"""How near in pixels the cursor must be to a point to mean it."""


class _QuantityAxis(pg.AxisItem):
    """Ticks with units; on a logarithmic axis positions are exponents of ten and ticks stand at 1, 2, 5."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.show_value: Callable[[float], str] = str
        self.logarithmic = False

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        if not self.logarithmic:
            return super().tickValues(low, high, size)
        digits = (1, 2, 5) if high - low < 2.5 else (1,)
        if high - low < 0.6:
            digits = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        exponents = range(math.floor(low), math.ceil(high) + 1)
        places = [exponent + math.log10(digit) for exponent in exponents for digit in digits]
        return [(1.0, [place for place in places if low <= place <= high])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        # Beyond four decades on either side a tick is an artefact of zooming far out.
        shown = [10**value if self.logarithmic and abs(value) < 300 else value for value in values]
        return [self.show_value(value) if value >= 0 else "" for value in shown]


class ScatterPlot(PlotFrame):
    """Draws `ScatterPoint`s. Points on the front are filled, dominated ones hollow."""

    run_clicked = Signal(object)  # run id

    def __init__(self, parent: QWidget | None = None) -> None:
        self._points: tuple[ScatterPoint, ...] = ()
        self._axis: SizeAxis = SIZE_AXES[0]
        self._logarithmic = False
        self._emphasised: str | None = None
        self._items: list[pg.GraphicsObject] = []
        self._bottom: _QuantityAxis | None = None
        super().__init__("accuracy against size", parent)
        self._bottom = _QuantityAxis()
        self.plot.setAxisItems({"bottom": self._bottom})
        self._bottom.setHeight(34)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self._restyle(theme.tokens())

    @property
    def points(self) -> tuple[ScatterPoint, ...]:
        """What is drawn."""
        return self._points

    def set_points(self, points: Sequence[ScatterPoint], axis: SizeAxis, logarithmic: bool) -> None:
        """Draw these points; a value of zero has no place on a logarithmic axis and is left out there."""
        refit = (axis, logarithmic) != (self._axis, self._logarithmic) or len(points) != len(self._points)
        self._axis, self._logarithmic = axis, logarithmic
        self._points = tuple(point for point in points if not logarithmic or point.x > 0)
        assert self._bottom is not None
        self._bottom.show_value = axis.show
        self._bottom.logarithmic = logarithmic
        self._bottom.picture = None
        self.set_axes((axis.title + (", logarithmic" if logarithmic else ""), ""), ("accuracy", "%"))
        self.redraw()
        if refit:
            self.reset_view()

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's point larger."""
        self._emphasised = run_id
        self.redraw()

    def redraw(self) -> None:
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []
        if self._bottom is None or not self._points:
            return
        tokens = theme.tokens()
        self._draw_front(tokens)
        for point in self._points:
            self._draw_point(point, tokens)

    def _draw_front(self, tokens: theme.Tokens) -> None:
        front = sorted((p for p in self._points if p.on_front), key=lambda p: p.x)
        if len(front) < 2:
            return
        xs, ys = [self._place(front[0].x)], [100 * front[0].accuracy]
        for before, point in pairwise(front):
            # Between two points of the front only the worse of both accuracies is really to be had.
            corner = (self._place(point.x), 100 * before.accuracy)
            if not self._axis.smaller_is_better:
                corner = (self._place(before.x), 100 * point.accuracy)
            xs += [corner[0], self._place(point.x)]
            ys += [corner[1], 100 * point.accuracy]
        line = pg.PlotDataItem(
            np.array(xs), np.array(ys), pen=pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DashLine)
        )
        line.setZValue(-2)
        self._add(line)

    def _draw_point(self, point: ScatterPoint, tokens: theme.Tokens) -> None:
        color = tokens.text_muted if point.color is None else tokens.series_color(point.color)
        x, y = self._place(point.x), 100 * point.accuracy
        interval = pg.ErrorBarItem(
            x=np.array([x]),
            y=np.array([y]),
            top=np.array([100 * (point.high - point.accuracy)]),
            bottom=np.array([100 * (point.accuracy - point.low)]),
            beam=0.0,
            pen=pg.mkPen(color, width=1),
        )
        interval.setZValue(-1)
        self._add(interval)
        strong = point.run_id == self._emphasised and point.color is not None
        spot = pg.ScatterPlotItem(
            [x],
            [y],
            size=17 if strong else 12,
            symbol="d" if point.color is None else "o",
            brush=pg.mkBrush(color) if point.on_front else pg.mkBrush(tokens.panel),
            pen=pg.mkPen(tokens.text if strong else color, width=2),
        )
        self._add(spot)
        if len(self._points) <= 12:
            anchor = (1.15, 1.1) if point.color is None else (-0.18, 1.1)
            text = pg.TextItem(point.mark, color=tokens.text_muted, anchor=anchor)
            font = self.font()
            font.setPixelSize(theme.FONT_SMALL)
            text.setFont(font)
            text.setPos(x, y)
            # Labels must not push the view out: what counts are the points.
            self._add(text, ignore_bounds=True)

    def _add(self, item: pg.GraphicsObject, ignore_bounds: bool = False) -> None:
        self.plot.addItem(item, ignoreBounds=ignore_bounds)
        self._items.append(item)

    def _place(self, x: float) -> float:
        return math.log10(x) if self._logarithmic else x

    def hover(self, position: QPointF | None) -> None:
        point = None if position is None else self._nearest(position)
        if point is None:
            self.read_out.setText("○ dominated   ● on the Pareto front   ◆ before" if self._points else "")
            return
        self.read_out.setText(
            f"{point.label}: {percent(point.accuracy)} "
            f"({100 * point.low:.2f} – {percent(point.high)}), {self._axis.show(point.x)}"
        )

    def _nearest(self, position: QPointF) -> ScatterPoint | None:
        box = self.plot.getPlotItem().getViewBox()
        across, down = box.viewPixelSize()
        best, least = None, float(_NEAR)
        for point in self._points:
            distance = math.hypot(
                (self._place(point.x) - position.x()) / across,
                (100 * point.accuracy - position.y()) / down,
            )
            if distance < least:
                best, least = point, distance
        return best

    def _clicked(self, event: QMouseEvent) -> None:
        position = self.plot.getPlotItem().getViewBox().mapSceneToView(event.scenePos())
        point = self._nearest(position)
        if point is not None and event.button() == Qt.MouseButton.LeftButton:
            self.run_clicked.emit(point.run_id)

    def csv(self) -> str:
        rows = [f"run,{self._axis.title},accuracy,low,high,on Pareto front"]
        for point in self._points:
            name = '"' + point.label.replace('"', '""') + '"'
            figures = f"{point.x!r},{point.accuracy!r},{point.low!r},{point.high!r},{point.on_front}"
            rows.append(f"{name},{figures}")
        return "\n".join(rows) + "\n"
