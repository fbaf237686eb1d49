"""Runs set against each other by two quantities: the front as a step line, what it dominates greyed behind it."""

import csv
import io
import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtWidgets import QWidget

from core.history.quantities import Quantity
from studio import theme
from studio.views.pareto_points import BEFORE, Figures, Mask, ParetoPoints
from studio.views.plot_frame import PlotFrame
from studio.views.point_cloud import BoxViewBox, PointCloud
from studio.views.quantity_axis import QuantityAxis

_NEAR = 14
"""How near in pixels the cursor must be to a point to mean it."""
_SINGLE = 200
"""Up to so many points are drawn one by one, with intervals; up to `_LABELLED` with their names."""
_LABELLED = 12
_MARKERS = 2_000
"""Up to so many points of the front are drawn as markers; more are a cloud as well."""
_PADDING, _LABEL_PADDING = 0.06, 0.12


class ParetoPlot(PlotFrame):
    """Draws `ParetoPoints`. A click opens a run; dragging with Shift (or in box mode) chooses runs."""

    run_clicked = Signal(object)  # run id
    boxed = Signal(object)  # bool for each point: those in a box that was dragged

    def __init__(self, parent: QWidget | None = None) -> None:
        self._points: ParetoPoints | None = None
        self._placed = np.empty(0, dtype=np.bool_)
        self._x: Figures = np.empty(0)
        self._y: Figures = np.empty(0)
        self._log = (False, False)
        self._emphasised: str | None = None
        self._chosen: Mask | None = None
        self._items: list[pg.GraphicsObject] = []
        self._box: BoxViewBox | None = None
        self._fitted: QRectF | None = None
        box = BoxViewBox()
        super().__init__("Pareto front", parent, view_box=box)
        self._box = box
        box.boxed.connect(self._take_box)
        box.disableAutoRange()
        self._axes = QuantityAxis("bottom"), QuantityAxis("left")
        self.plot.setAxisItems({"bottom": self._axes[0], "left": self._axes[1]})
        self._axes[0].setHeight(34)
        self._axes[1].setWidth(68)
        self._hovered = pg.ScatterPlotItem(size=18, brush=None)
        self._hovered.setZValue(6)
        self.plot.addItem(self._hovered, ignoreBounds=True)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self._restyle(theme.tokens())

    @property
    def points(self) -> ParetoPoints | None:
        """What is drawn."""
        return self._points

    @property
    def left_out(self) -> int:
        """How many points have no place, because zero and less have none on a logarithmic axis."""
        return int((~self._placed).sum())

    @property
    def box_mode(self) -> bool:
        """Whether dragging chooses instead of panning."""
        return self._box is not None and self._box.box_mode

    def set_box_mode(self, on: bool) -> None:
        """Let dragging choose runs (else only with Shift)."""
        assert self._box is not None
        self._box.box_mode = on
        self.plot.viewport().setCursor(Qt.CursorShape.CrossCursor if on else Qt.CursorShape.ArrowCursor)

    def set_points(self, points: ParetoPoints, log_x: bool, log_y: bool) -> None:
        """Draw these points; the view stays where it is unless axes or the number of points changed."""
        refit = not self._stays(points, (log_x, log_y))
        self._points, self._log, self._chosen = points, (log_x, log_y), None
        self._x, x_placed = _positions(points.xs, log_x)
        self._y, y_placed = _positions(points.ys, log_y)
        self._placed = x_placed & y_placed
        for axis, quantity, logarithmic in zip(self._axes, (points.x, points.y), self._log, strict=True):
            axis.show_as(quantity.tick, logarithmic, _bounds(quantity))
        self.set_axes((_title(points.x, log_x), ""), (_title(points.y, log_y), ""))
        self.redraw()
        self.hover(None)
        if refit:
            self.reset_view()

    def _stays(self, points: ParetoPoints, log: tuple[bool, bool]) -> bool:
        """Whether the view stays where it is: the same axes, and nearly as many points as before."""
        before = self._points
        if before is None or self._log != log or not points.follows(before):
            return False
        # A run more must not undo a zoom, but where everything is in view it is to be seen as well.
        return len(before) == len(points) or not self._shows_all

    @property
    def _shows_all(self) -> bool:
        return self._fitted is not None and self.plot.getPlotItem().getViewBox().viewRect() == self._fitted

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's point larger."""
        if run_id != self._emphasised:
            self._emphasised = run_id
            self.redraw()

    def choose(self, chosen: Mask | None) -> None:
        """Mark these points as chosen; None for none."""
        self._chosen = chosen
        self.redraw()

    def place_of(self, point: int) -> QPointF:
        """Where a point lies, in the positions of the axes."""
        return QPointF(float(self._x[point]), float(self._y[point]))

    def reset_view(self) -> None:
        """Show all points and their intervals."""
        if self._points is None or not self._placed.any():
            return
        ranges = []
        for values, low, high in self._extents():
            least, most = float(low.min()), float(high.max())
            if least == most:
                room = 0.5 if any(self._log) else max(abs(least) * 0.1, 1e-3)
                least, most = values[0] - room, values[0] + room
            ranges.append((least, most))
        labelled = bool(self._points.marks) and len(self._points) <= _LABELLED
        self.plot.getPlotItem().getViewBox().setRange(
            xRange=ranges[0],
            yRange=ranges[1],
            padding=_LABEL_PADDING if labelled else _PADDING,
            disableAutoRange=True,
        )
        self._fitted = self.plot.getPlotItem().getViewBox().viewRect()

    def _extents(self) -> list[tuple[Figures, Figures, Figures]]:
        assert self._points is not None
        extents = []
        for axis, (values, quantity) in enumerate(((self._x, self._points.x), (self._y, self._points.y))):
            shown = values[self._placed]
            low, high = shown, shown
            if quantity.name == "accuracy" and len(self._points) <= _SINGLE:
                bounds = (self._points.low, self._points.high)
                low, high = (
                    np.where(np.isfinite(placed), placed, shown)
                    for placed in (_positions(each[self._placed], self._log[axis])[0] for each in bounds)
                )
            extents.append((shown, low, high))
        return extents

    # -- drawing -------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []
        points = self._points
        if self._box is None or points is None or not self._placed.any():
            return
        tokens = theme.tokens()
        self._box.dress(tokens.accent)
        self._hovered.setPen(pg.mkPen(tokens.text, width=1.5))
        self._draw_front(tokens)
        if len(points) <= _SINGLE:
            for index in np.flatnonzero(self._placed).tolist():
                self._draw_point(points, index, tokens)
        else:
            self._draw_clouds(points, tokens)
        self._draw_chosen(tokens)

    def _draw_front(self, tokens: theme.Tokens) -> None:
        assert self._points is not None
        shown = np.flatnonzero(self._points.front & self._placed)
        if len(shown) < 2:
            return
        x, y = self._x[shown], self._y[shown]
        order = np.lexsort((y, x))
        x, y = x[order], y[order]
        # Between two points of the front only the worse of both values is really to be had.
        along = self._points.x.smaller_is_better
        xs, ys = np.repeat(x, 2), np.repeat(y, 2)
        xs, ys = (xs[1:], ys[:-1]) if along else (xs[:-1], ys[1:])
        line = pg.PlotDataItem(xs, ys, pen=pg.mkPen(tokens.accent, width=1.5))
        line.setZValue(2)
        self._add(line)

    def _draw_clouds(self, points: ParetoPoints, tokens: theme.Tokens) -> None:
        behind = PointCloud()
        dominated = self._placed & ~points.front
        behind.set_points(self._x[dominated], self._y[dominated], tokens.text_muted)
        self._add(behind)
        front = np.flatnonzero(self._placed & points.front)
        if len(front) <= _MARKERS:
            spots = pg.ScatterPlotItem(
                self._x[front],
                self._y[front],
                size=9,
                brush=pg.mkBrush(tokens.accent),
                pen=pg.mkPen(tokens.panel, width=1),
            )
        else:
            spots = PointCloud(alone=0.9)
            spots.set_points(self._x[front], self._y[front], tokens.accent)
        spots.setZValue(3)
        self._add(spots)
        if self._emphasised is not None:
            row = points.find(self._emphasised)
            if row is not None and self._placed[row]:
                pen = pg.mkPen(tokens.text, width=2)
                one = pg.ScatterPlotItem(
                    self._x[row : row + 1],
                    self._y[row : row + 1],
                    size=15,
                    brush=pg.mkBrush(tokens.accent),
                    pen=pen,
                )
                one.setZValue(5)
                self._add(one)

    def _draw_point(self, points: ParetoPoints, index: int, tokens: theme.Tokens) -> None:
        series = 0 if points.colors is None else int(points.colors[index])
        color = tokens.text_muted if series == BEFORE else tokens.series_color(series)
        if points.colors is None:
            color = tokens.accent if points.front[index] else tokens.text_muted
        x, y = float(self._x[index]), float(self._y[index])
        self._draw_interval(points, index, color)
        strong = points.run_ids[index] == self._emphasised and series != BEFORE
        spot = pg.ScatterPlotItem(
            [x],
            [y],
            size=17 if strong else 12 if points.colors is not None else 9,
            symbol="d" if series == BEFORE else "o",
            brush=pg.mkBrush(color) if points.front[index] else pg.mkBrush(tokens.panel),
            pen=pg.mkPen(tokens.text if strong else color, width=2),
        )
        spot.setZValue(4)
        # A run that something beats stands back, whatever its colour.
        spot.setOpacity(1.0 if points.front[index] or strong else 0.55)
        self._add(spot)
        if points.marks and len(points) <= _LABELLED and series != BEFORE:  # the legend tells what ◆ is
            text = pg.TextItem(points.marks[index], color=tokens.text_muted, anchor=(-0.18, 1.1))
            font = self.font()
            font.setPixelSize(theme.FONT_SMALL)
            text.setFont(font)
            text.setPos(x, y)
            self._add(text)

    def _draw_interval(self, points: ParetoPoints, index: int, color: str) -> None:
        if math.isnan(points.low[index]):
            return
        for axis, quantity in enumerate((points.x, points.y)):
            if quantity.name != "accuracy":
                continue
            place = float((self._x, self._y)[axis][index])
            bounds = np.array([points.low[index], points.high[index]])
            low, high = _positions(bounds, self._log[axis])[0]
            sides = ("left", "right") if axis == 0 else ("bottom", "top")
            reach = {sides[0]: np.array([place - low]), sides[1]: np.array([high - place])}
            bar = pg.ErrorBarItem(
                x=self._x[index : index + 1],
                y=self._y[index : index + 1],
                beam=0.0,
                pen=pg.mkPen(color, width=1),
                **reach,
            )
            bar.setZValue(1)
            self._add(bar)

    def _draw_chosen(self, tokens: theme.Tokens) -> None:
        if self._chosen is None:
            return
        chosen = np.flatnonzero(self._chosen & self._placed)
        item: pg.GraphicsObject
        if len(chosen) <= _MARKERS:
            item = pg.ScatterPlotItem(
                self._x[chosen],
                self._y[chosen],
                size=18 if self._points is not None and len(self._points) <= _SINGLE else 11,
                brush=None,
                pen=pg.mkPen(tokens.warning, width=1.5),
            )
        else:
            item = PointCloud(alone=0.9)
            item.set_points(self._x[chosen], self._y[chosen], tokens.warning)
        item.setZValue(4.5)
        self._add(item)

    def _add(self, item: pg.GraphicsObject) -> None:
        self.plot.addItem(item, ignoreBounds=True)
        self._items.append(item)

    # -- pointing ------------------------------------------------------------------------------------------------

    def hover(self, position: QPointF | None) -> None:
        points = self._points
        if points is None:
            return
        point = None if position is None else self._nearest(position)
        if point is None:
            self._hovered.setData([], [])
            few = points.colors is not None
            before = "   ◆ before" if few and (points.colors == BEFORE).any() else ""
            self.read_out.setText(f"○ dominated   ● on the Pareto front{before}" if len(points) else "")
            return
        self._hovered.setData([self._x[point]], [self._y[point]])
        on = " · on the front" if points.front[point] else ""
        self.read_out.setText(f"{points.told(point)}{on}")

    def _nearest(self, position: QPointF) -> int | None:
        if not self._placed.any():
            return None
        across, down = self.plot.getPlotItem().getViewBox().viewPixelSize()
        distance = np.hypot((self._x - position.x()) / across, (self._y - position.y()) / down)
        nearest = int(np.nanargmin(distance))
        if distance[nearest] > _NEAR:
            return None
        # Of points that are as good as in one place the front's is meant.
        assert self._points is not None
        rivals = np.flatnonzero((distance <= distance[nearest] + 3) & self._points.front)
        return int(rivals[np.argmin(distance[rivals])]) if len(rivals) else nearest

    def _clicked(self, event: object) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._points is None:  # type: ignore[attr-defined]
            return
        box = self.plot.getPlotItem().getViewBox()
        if not box.sceneBoundingRect().contains(event.scenePos()):  # type: ignore[attr-defined]
            return
        point = self._nearest(box.mapSceneToView(event.scenePos()))  # type: ignore[attr-defined]
        if point is not None:
            self.run_clicked.emit(self._points.run_ids[point])

    def _take_box(self, rect: QRectF) -> None:
        if self._points is None:
            return
        inside = (
            (self._x >= rect.left())
            & (self._x <= rect.right())
            & (self._y >= rect.top())
            & (self._y <= rect.bottom())
            & self._placed
        )
        self.choose(inside)
        self.boxed.emit(inside)

    def csv(self) -> str:
        points = self._points
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if points is not None:
            rows.writerow(
                ["run", points.x.title, points.y.title, "accuracy low", "accuracy high", "on front"]
            )
            for n, (x, y, low, high, front) in enumerate(
                zip(
                    *(each.tolist() for each in (points.xs, points.ys, points.low, points.high, points.front))
                )
            ):
                interval = ("", "") if math.isnan(low) else (repr(low), repr(high))
                rows.writerow([points.labels[n], repr(x), repr(y), *interval, front])
        return text.getvalue()


def _positions(values: NDArray[np.float64], logarithmic: bool) -> tuple[Figures, Mask]:
    """Where values lie on an axis (NaN where they have no place), and which have one."""
    if not logarithmic:
        return values, np.ones(len(values), dtype=np.bool_)
    placed = values > 0
    return np.log10(values, out=np.full(len(values), np.nan), where=placed), placed


def _bounds(quantity: Quantity) -> tuple[float, float]:
    if quantity.name == "change":
        return (-1.0, 1.0)
    return (0.0, 1.0 if quantity.unit == "%" else math.inf)


def _title(quantity: Quantity, logarithmic: bool) -> str:
    return quantity.axis_title + (", logarithmic" if logarithmic else "")
