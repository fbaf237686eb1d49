"""The distribution of one output as bars. Imports pyqtgraph: import this module only when the tab is shown."""

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QWidget

from core.formatting import count, percent, significant
from studio import theme
from studio.views.grid_marks import GridMarks
from studio.views.plot_frame import PlotFrame

if TYPE_CHECKING:
    from studio.tables.activations import ActivationRow


class ActivationPlot(PlotFrame):
    """Counts without exact zeros, which are told in words: after a ReLU they would hide all the rest."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._row: ActivationRow | None = None
        super().__init__("activations", parent)
        self._bars = pg.BarGraphItem(x0=[], x1=[], height=[])
        self._zero = pg.InfiniteLine(0)
        self.plot.addItem(self._bars)
        self.plot.addItem(self._zero, ignoreBounds=True)
        self.grid = GridMarks(self.plot)
        self._restyle(theme.tokens())

    def show_row(self, row: "ActivationRow | None") -> None:
        """Draw the distribution of an output, or nothing."""
        self._row = row
        self.redraw()
        self.reset_view()

    @property
    def heights(self) -> NDArray[np.int64]:
        """The counts drawn, one per bin."""
        return np.zeros(0, np.int64) if self._row is None else self._row.seen.histogram.counts_without_zeros

    def redraw(self) -> None:
        if not hasattr(self, "_bars"):
            return
        tokens = theme.tokens()
        if hasattr(self, "grid"):
            self.grid.restyle()
        self.set_axes(("output value", ""), ("count", "values"))
        self._zero.setPen(pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DotLine))
        edges = np.zeros(1) if self._row is None else self._row.seen.histogram.edges
        color = tokens.series_color(0 if self._row is None else self._row.layer)
        self._bars.setOpts(x0=edges[:-1], x1=edges[1:], height=self.heights, brush=color, pen=None)

    def hover(self, position: QPointF | None) -> None:
        place = (
            None if position is None or self._row is None else self._row.seen.histogram.bin_of(position.x())
        )
        if place is None or self._row is None:
            self.read_out.clear()
            return
        histogram, values = self._row.seen.histogram, self._row.seen.values
        low, high = (
            significant(float(edge)).replace("-", "−") for edge in histogram.edges[place : place + 2]
        )
        number_of = int(self.heights[place])
        self.read_out.setText(
            f"{low} to {high}: {count(number_of)} values ({percent(number_of / values, 1)})"
        )

    def csv(self) -> str:
        if self._row is None:
            return ""
        histogram = self._row.seen.histogram
        lines = ["from,to,count"]
        lines += [
            f"{low!r},{high!r},{number_of}"
            for low, high, number_of in zip(
                histogram.edges[:-1].tolist(), histogram.edges[1:].tolist(), histogram.counts.tolist()
            )
        ]
        return "\n".join(lines) + "\n"
