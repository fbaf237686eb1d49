"""Norms of channels as bars: in the order of the layer or sorted, dead ones marked; a click chooses a channel.

Imports pyqtgraph: import this module only when the tab is shown.
"""

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtWidgets import QWidget

from core.analysis.channels import ChannelNorms
from core.formatting import percent, significant
from studio import theme
from studio.views.plot_frame import PlotFrame


class ChannelPlot(PlotFrame):
    """One bar for each channel."""

    channel_chosen = Signal(object)  # int

    def __init__(self, parent: QWidget | None = None) -> None:
        self._norms: ChannelNorms | None = None
        self._values: NDArray[np.float64] = np.zeros(0)
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._color = 0
        self._side, self._measure, self._sorted = "output", "L2", False
        super().__init__("channel norms", parent)
        self._bars = pg.BarGraphItem(x=[], height=[], width=0.8)
        self._dead = pg.ScatterPlotItem(symbol="x", size=8)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._cursor.hide()
        for item in (self._bars, self._dead):
            self.plot.addItem(item)
        self.plot.addItem(self._cursor, ignoreBounds=True)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.plot.setCursor(Qt.CursorShape.PointingHandCursor)
        self._restyle(theme.tokens())

    @property
    def order(self) -> NDArray[np.intp]:
        """The channels from left to right."""
        return self._order

    @property
    def values(self) -> NDArray[np.float64]:
        """Their norms, in the same order."""
        return self._values[self._order]

    def show_norms(
        self, norms: ChannelNorms, side: str, measure: str, color: int, *, in_order_of_size: bool
    ) -> None:
        """Draw the "L1" or "L2" norms of the "output" or "input" channels, in the theme's colour `color`."""
        self._norms, self._side, self._measure, self._color = norms, side, measure, color
        self._sorted = in_order_of_size
        self._values = norms.l1 if measure == "L1" else norms.l2
        places = np.arange(len(self._values))
        self._order = np.argsort(-self._values, kind="stable") if in_order_of_size else places
        self.redraw()
        self.reset_view()

    def redraw(self) -> None:
        if not hasattr(self, "_bars"):
            return
        tokens = theme.tokens()
        along = f"{self._side} channels by falling norm" if self._sorted else f"{self._side} channel"
        self.set_axes((along, ""), (f"{self._measure} norm", ""))
        places = np.arange(len(self._order))
        color = tokens.series_color(self._color)
        width = 0.8 if len(places) <= 400 else 1.0
        self._bars.setOpts(x=places, height=self.values, width=width, brush=color, pen=None)
        dead = np.zeros(0)
        if self._norms is not None:
            dead = places[np.isin(self._order, self._norms.dead)].astype(float)
        self._dead.setData(dead, np.zeros(len(dead)), pen=pg.mkPen(tokens.bad, width=2), brush=None)
        self._cursor.setPen(pg.mkPen(tokens.text_muted, style=Qt.PenStyle.DotLine))

    def channel_at(self, position: QPointF) -> int | None:
        """The channel whose bar is at a place in data coordinates."""
        place = round(position.x())
        return int(self._order[place]) if 0 <= place < len(self._order) else None

    def read_out_of(self, channel: int) -> str:
        """A channel's figures in words."""
        if self._norms is None:
            return ""
        norms = self._norms
        zeros = percent(float(norms.zeros[channel]) / norms.weights if norms.weights else 0.0, 1)
        l1, l2 = significant(float(norms.l1[channel])), significant(float(norms.l2[channel]))
        dead = " · dead" if channel in norms.dead else ""
        return f"{self._side} channel {channel}: L2 {l2}, L1 {l1}, {zeros} zeros{dead}"

    def hover(self, position: QPointF | None) -> None:
        channel = None if position is None else self.channel_at(position)
        if position is None or channel is None:
            self._cursor.hide()
            self.read_out.clear()
            return
        self._cursor.setPos(round(position.x()))
        self._cursor.show()
        self.read_out.setText(f"{self.read_out_of(channel)} · click to see it in the heatmap")

    def csv(self) -> str:
        if self._norms is None:
            return ""
        norms = self._norms
        lines = [f"{self._side} channel,L1,L2,zeros,weights"]
        lines += [
            f"{channel},{float(norms.l1[channel])!r},{float(norms.l2[channel])!r},"
            f"{norms.zeros[channel]},{norms.weights}"
            for channel in self._order.tolist()
        ]
        return "\n".join(lines) + "\n"

    def _clicked(self, event: object) -> None:
        if event.button() != Qt.MouseButton.LeftButton or event.double():  # type: ignore[attr-defined]
            return
        box = self.plot.getPlotItem().getViewBox()
        place = event.scenePos()  # type: ignore[attr-defined]
        if box.sceneBoundingRect().contains(place):
            channel = self.channel_at(box.mapSceneToView(place))
            if channel is not None:
                self.channel_chosen.emit(channel)
