"""Curves over one axis: training curves of one run or of several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QWidget

from core.formatting import significant
from studio import theme
from studio.views.plot_frame import PlotFrame


@dataclass(frozen=True, eq=False)
class Line:
    """One curve; `color` is an index into the theme's series, so that it survives a change of the scheme."""

    key: str
    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    color: int
    dashed: bool = False
    faint: bool = False
    """Behind the others and in no legend: what a smoothed curve was made of."""


class LinePlot(PlotFrame):
    """Curves with a vertical cursor; the read-out gives each curve's value nearest to it."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        self._lines: tuple[Line, ...] = ()
        self._items: dict[str, pg.PlotDataItem] = {}
        self._emphasised: str | None = None
        super().__init__(name, parent)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._cursor.hide()
        self.plot.addItem(self._cursor, ignoreBounds=True)
        self.redraw()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is drawn."""
        return self._lines

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Draw these curves; items of curves that stay are kept."""
        self._lines = tuple(lines)
        keys = {line.key for line in lines}
        for key in [key for key in self._items if key not in keys]:
            self.plot.removeItem(self._items.pop(key))
        self.redraw()

    def emphasise(self, key_start: str | None) -> None:
        """Draw the curves whose key starts so stronger than the others."""
        self._emphasised = key_start
        self.redraw()

    def redraw(self) -> None:
        tokens = theme.tokens()
        for line in self._lines:
            color = tokens.series_color(line.color)
            strong = self._emphasised is not None and line.key.startswith(self._emphasised)
            style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
            # Wide antialiased lines cost 50 times as much to paint as thin ones, so width is kept for the emphasis.
            pen = pg.mkPen(
                color, width=2 if (strong or len(line.x) <= 500) and not line.faint else 1, style=style
            )
            item = self._items.get(line.key)
            if item is None:
                item = pg.PlotDataItem(antialias=True)
                self._items[line.key] = item
                self.plot.addItem(item)
            few = len(line.x) <= 12 and not line.faint
            item.setOpacity(0.3 if line.faint else 1.0)
            item.setData(
                line.x,
                line.y,
                pen=pen,
                symbol="o" if few else None,
                symbolSize=7 if strong else 5,
                symbolBrush=color,
                symbolPen=None,
            )
            item.setZValue(-1 if line.faint else 1 if strong else 0)
        self.set_legend(
            [(line.name, tokens.series_color(line.color)) for line in self._lines if not line.faint]
        )
        if hasattr(self, "_cursor"):
            self._cursor.setPen(pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DotLine))

    def hover(self, position: QPointF | None) -> None:
        drawn = [line for line in self._lines if len(line.x) and not line.faint]
        if position is None or not drawn:
            self._cursor.hide()
            self.read_out.clear()
            return
        nearest = [(line, int(np.abs(line.x - position.x()).argmin())) for line in drawn]
        closest, at = min(nearest, key=lambda pair: abs(pair[0].x[pair[1]] - position.x()))
        self._cursor.setPos(float(closest.x[at]))
        self._cursor.show()
        unit = self._y_axis[1] and f" {self._y_axis[1]}"
        # With many curves the names would not fit: then the nearest value alone is told.
        if len(nearest) > 3:
            line, index = min(nearest, key=lambda pair: abs(pair[0].y[pair[1]] - position.y()))
            nearest = [(line, index)]
        values = " · ".join(f"{line.name} {significant(line.y[index])}{unit}" for line, index in nearest)
        self.read_out.setText(f"{self._x_axis[0]} {significant(closest.x[at])}: {values}")

    def csv(self) -> str:
        rows = [f"curve,{self._x_axis[0]},{self._y_axis[0]}"]
        for line in self._lines:
            name = '"' + line.name.replace('"', '""') + '"'
            rows += [f"{name},{x!r},{y!r}" for x, y in zip(line.x.tolist(), line.y.tolist())]
        return "\n".join(rows) + "\n"
