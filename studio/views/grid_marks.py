"""The levels of a quantization grid over a histogram, and the two ends of its range, which can be dragged.

Imports pyqtgraph.
"""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal

from studio import theme
from studio.views.histogram_marks import faint

LEAST_GAP = 5.0
"""Pixels between two levels; where there are more, every second, fourth … is drawn."""

_TALL = 1e6


class GridMarks(QObject):
    """Thin lines at the levels, shade over what is clipped, and a thick line at each end of the range."""

    dragged = Signal(object)  # (float, float): where the ends stand now

    def __init__(self, plot: pg.PlotWidget) -> None:
        super().__init__(plot)
        self._plot = plot
        self._levels: NDArray[np.float64] = np.empty(0)
        self._symmetric = True
        self._lines = [pg.InfiniteLine(0, movable=True), pg.InfiniteLine(0, movable=True)]
        for line, end in zip(self._lines, ("lower", "upper"), strict=True):
            line.setZValue(21)
            line.setCursor(Qt.CursorShape.SizeHorCursor)
            line.setToolTip(f"Drag the {end} end of the range: what lies beyond it is clipped")
            line.sigDragged.connect(self._dragged)
        self._beyond = [
            pg.LinearRegionItem((0, 0), movable=False),
            pg.LinearRegionItem((0, 0), movable=False),
        ]
        for region in self._beyond:
            for line in region.lines:
                line.hide()
            region.setZValue(6)
        self._comb = pg.PlotCurveItem(connect="pairs")
        self._comb.setZValue(7)
        self._items = (self._comb, *self._beyond, *self._lines)
        for item in self._items:
            item.hide()
            plot.addItem(item, ignoreBounds=True)
        plot.getPlotItem().getViewBox().sigXRangeChanged.connect(self._draw_levels)
        self.restyle()

    @property
    def shown(self) -> bool:
        """Whether it is to be seen."""
        return bool(self._lines[0].isVisible())

    @property
    def ends(self) -> tuple[float, float]:
        """Where the ends of the range stand."""
        return float(self._lines[0].value()), float(self._lines[1].value())

    @property
    def drawn(self) -> int:
        """How many levels are drawn."""
        return 0 if self._comb.xData is None else len(self._comb.xData) // 2

    def show_grid(
        self, levels: Sequence[float] | NDArray[np.float64], *, symmetric: bool, dragged: bool = False
    ) -> None:
        """Draw these levels, rising; the ends of the range are the first and the last.

        Args:
            dragged: the ends stay where they were dragged to. Zero lies on a level, which moves the first and the last
                up to half a step away from them: to follow would move the other end a little with every answer.
        """
        self._levels = np.asarray(levels, dtype=np.float64)
        self._symmetric = symmetric
        if not dragged:
            self._put(float(self._levels[0]), float(self._levels[-1]))
        for item in self._items:
            item.show()
        self._draw_levels()

    def hide(self) -> None:
        """Take it away."""
        for item in self._items:
            item.hide()

    def restyle(self) -> None:
        """Take the colours in force."""
        tokens = theme.tokens()
        for line in self._lines:
            line.setPen(pg.mkPen(tokens.accent, width=2))
            line.setHoverPen(pg.mkPen(tokens.accent, width=4))
        for region in self._beyond:
            region.setBrush(faint(tokens.bad, 40))
        self._comb.setPen(pg.mkPen(faint(tokens.text, 90), width=1))

    def _put(self, low: float, high: float) -> None:
        for line, value in zip(self._lines, (low, high), strict=True):
            line.blockSignals(True)
            line.setValue(value)
            line.blockSignals(False)
        self._beyond[0].setRegion((low - _TALL * max(1.0, abs(low)), low))
        self._beyond[1].setRegion((high, high + _TALL * max(1.0, abs(high))))

    def _dragged(self, line: pg.InfiniteLine) -> None:
        low, high = self.ends
        # Each end stays on its side of zero, which lies on every grid.
        if line is self._lines[0]:
            low = min(0.0, low)
            high = -low if self._symmetric else high
        else:
            high = max(0.0, high)
            low = -high if self._symmetric else low
        self._put(low, high)
        self.dragged.emit((low, high))

    def _draw_levels(self, *_: object) -> None:
        if not self.shown or self._levels.size == 0:
            return
        box = self._plot.getPlotItem().getViewBox()
        left, right = box.viewRange()[0]
        pixel = (right - left) / max(1.0, box.width())
        inside = self._levels[(self._levels >= left) & (self._levels <= right)]
        step = 1
        if self._levels.size > 1:
            gap = float(self._levels[1] - self._levels[0])
            while gap * step < LEAST_GAP * pixel and step < self._levels.size:
                step *= 2
        # Zero stays among those drawn, so that the picture does not seem to move while the range is dragged.
        zero = int(np.argmin(np.abs(inside))) if inside.size else 0
        drawn = inside[zero % step :: step]
        heights = np.tile([-_TALL, _TALL], drawn.size)
        self._comb.setData(np.repeat(drawn, 2), heights, connect="pairs")
