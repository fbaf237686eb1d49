"""Where the axes of parallel coordinates stand, and how lines, axes and brushes are painted."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from core.history.parallel import Brush
from studio import theme
from studio.views.layer_figures import COLORS
from studio.views.parallel_data import Mask, ParallelData

TOP, BOTTOM, SIDE = 46, 30, 70
"""Room in pixels for titles, for runs without a value, and for texts beside the outer axes."""
_NOWHERE = 8.0
"""So far below its foot do lines of runs without a value cross an axis."""
_BRUSH_WIDTH = 14


@dataclass(frozen=True)
class ParallelShape:
    """The geometry of `count` axes on a widget of that size."""

    width: int
    height: int
    count: int

    @property
    def bottom(self) -> float:
        """Where axes end below."""
        return float(self.height - BOTTOM)

    def axis_x(self, axis: int) -> float:
        """Where an axis stands."""
        room = self.width - 2 * SIDE
        return SIDE + (room / 2 if self.count == 1 else axis * room / (self.count - 1))

    def place_y(self, place: float) -> float:
        """Where a place on an axis lies; of none (NaN) below its foot."""
        return self.bottom + _NOWHERE if math.isnan(place) else self.bottom - place * (self.bottom - TOP)

    def places_y(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """`place_y` of many."""
        y = self.bottom - places * (self.bottom - TOP)
        return np.where(np.isnan(y), self.bottom + _NOWHERE, y)

    def place(self, y: float) -> float:
        """The place on an axis nearest to a height."""
        return min(1.0, max(0.0, (self.bottom - y) / max(1.0, self.bottom - TOP)))

    @property
    def room(self) -> float:
        """How wide the texts at an axis may be."""
        gap = (self.width - 2 * SIDE) / (self.count - 1) if self.count > 1 else self.width
        return max(24.0, min(gap, 2.0 * SIDE))

    def line(self, data: ParallelData, run: int) -> QPolygonF:
        """A run's line."""
        return QPolygonF(
            [
                QPointF(self.axis_x(n), self.place_y(float(axis.places[run])))
                for n, axis in enumerate(data.axes)
            ]
        )


def paint_lines(
    painter: QPainter,
    shape: ParallelShape,
    data: ParallelData,
    chosen: Mask | None,
    color: int | None,
    tokens: theme.Tokens,
) -> None:
    """Paint all lines, those that are not chosen grey and behind the others."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    grey = QColor(tokens.text_muted)
    grey.setAlphaF(0.18)
    order = range(len(data)) if chosen is None else np.argsort(chosen, kind="stable").tolist()
    for run in order:
        if chosen is not None and not chosen[run]:
            painter.setPen(QPen(grey, 1))
        else:
            painter.setPen(QPen(_line_color(data, run, color, tokens), 1.6))
        painter.drawPolyline(shape.line(data, run))


def _line_color(data: ParallelData, run: int, color: int | None, tokens: theme.Tokens) -> QColor:
    if color is not None:
        place = float(data.axes[color].places[run])
        if math.isnan(place):
            return QColor(tokens.text_muted)
        return QColor(*COLORS[round(place * (len(COLORS) - 1))].tolist())
    if data.colors is not None:
        return QColor(tokens.series_color(data.colors[run]))
    plain = QColor(tokens.accent)
    plain.setAlphaF(0.5)
    return plain


def paint_marked(
    painter: QPainter,
    shape: ParallelShape,
    data: ParallelData,
    runs: Iterable[int | None],
    tokens: theme.Tokens,
) -> None:
    """Paint some lines over the others, strong."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for run in runs:
        if run is not None:
            line = shape.line(data, run)
            for color, width in ((tokens.panel, 5.0), (tokens.text, 2.4)):
                painter.setPen(QPen(QColor(color), width))
                painter.drawPolyline(line)


def paint_axis(
    painter: QPainter,
    shape: ParallelShape,
    data: ParallelData,
    index: int,
    brush: Brush | None,
    focused: bool,
    tokens: theme.Tokens,
) -> None:
    """Paint an axis with its brush, ticks and title."""
    axis, x = data.axes[index], shape.axis_x(index)
    top, bottom = shape.place_y(1.0), shape.place_y(0.0)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QPen(QColor(tokens.accent if focused else tokens.text_muted), 2 if focused else 1))
    painter.drawLine(QPointF(x, top), QPointF(x, bottom))
    if brush is not None:
        _paint_brush(painter, x, shape.place_y(brush[0]), shape.place_y(brush[1]), tokens)
    measure = QFontMetricsF(painter.font())
    # The last axis has the margin for its texts, the others the room up to the next axis.
    most = SIDE - 12 if index == shape.count - 1 else shape.room - 16
    halo = QColor(tokens.panel)
    halo.setAlphaF(0.8)
    for place, words in axis.ticks(max(2, int((bottom - top) / 26))):
        y = shape.place_y(place)
        text = measure.elidedText(words, Qt.TextElideMode.ElideRight, most)
        box = QRectF(x + 6, y - measure.height() / 2, measure.horizontalAdvance(text) + 4, measure.height())
        painter.fillRect(box, halo)
        painter.setPen(QColor(tokens.text_muted))
        painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
        painter.drawText(box.adjusted(2, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)
    _paint_title(painter, shape, data, index, measure, tokens)
    if np.isnan(axis.places).any():
        painter.setPen(QColor(tokens.text_muted))
        box = QRectF(x - shape.room / 2, bottom + 12, shape.room, measure.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, "none")


def _paint_brush(painter: QPainter, x: float, low: float, high: float, tokens: theme.Tokens) -> None:
    fill = QColor(tokens.accent)
    fill.setAlphaF(0.25)
    rect = QRectF(x - _BRUSH_WIDTH / 2, high, _BRUSH_WIDTH, low - high)
    painter.fillRect(rect, fill)
    painter.setPen(QPen(QColor(tokens.accent), 1))
    painter.drawRect(rect)


def _paint_title(
    painter: QPainter,
    shape: ParallelShape,
    data: ParallelData,
    index: int,
    measure: QFontMetricsF,
    tokens: theme.Tokens,
) -> None:
    axis, x, room = data.axes[index], shape.axis_x(index), shape.room
    better = {1: "▲ more is better", -1: "▼ less is better"}.get(axis.sense, axis.step)
    kind = "log" if axis.logarithmic else ""
    below = " · ".join(part for part in (better, kind) if part)
    if axis.sense and measure.horizontalAdvance(below) > room - 6:
        below = " · ".join(part for part in (better[:1], kind) if part)
    for line, (text, color) in enumerate(((axis.title, tokens.text), (below, tokens.text_muted))):
        painter.setPen(QColor(color))
        shown = measure.elidedText(text, Qt.TextElideMode.ElideMiddle, room - 6)
        box = QRectF(x - room / 2, 8 + line * measure.height(), room, measure.height())
        painter.drawText(box, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, shown)
