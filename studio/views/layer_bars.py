"""Grouped bars: one group for each layer, one bar for each run."""

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QWidget

from core.history.compare import LayerComparison
from studio import theme
from studio.views.layer_figures import LAYER_FIGURES, LayerFigure, layer_values
from studio.views.name_axis import NameAxis
from studio.views.plot_frame import PlotFrame
from studio.views.quantity_axis import QuantityAxis

_GROUP_WIDTH = 0.8


class LayerBars(PlotFrame):
    """A figure of each layer in each run; no bar where a run lacks the layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._layers: tuple[LayerComparison, ...] = ()
        self._runs: tuple[tuple[str, int], ...] = ()
        self._figure: LayerFigure = LAYER_FIGURES["sparsity"]
        self._values: NDArray[np.float64] = np.empty((0, 0))
        self._items: list[pg.BarGraphItem] = []
        self._names: NameAxis | None = None
        super().__init__("figures of each layer", parent)
        self._names = NameAxis("bottom")
        self._heights = QuantityAxis("left")
        self.plot.setAxisItems({"bottom": self._names, "left": self._heights})
        self._names.setHeight(34)
        self._heights.setWidth(60)
        self.plot.getPlotItem().getViewBox().setLimits(yMin=0)
        self._restyle(theme.tokens())

    def set_layers(
        self, layers: Sequence[LayerComparison], runs: Sequence[tuple[str, int]], figure: str = "sparsity"
    ) -> None:
        """Draw a figure of layers; `runs` are the name and the colour index of each run."""
        self._layers, self._runs, self._figure = tuple(layers), tuple(runs), LAYER_FIGURES[figure]
        self._values = layer_values(layers, self._figure)
        assert self._names is not None
        self._names.set_names(tuple(layer.name for layer in layers))
        self.set_axes(("layer", ""), (self._figure.words, self._figure.unit))
        self._heights.show_as(self._figure.tick, False, (0, math.inf))
        self.redraw()
        self.reset_view()

    def redraw(self) -> None:
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []
        tokens = theme.tokens()
        width = _GROUP_WIDTH / max(1, len(self._runs))
        for index, (_name, color) in enumerate(self._runs):
            heights = self._values[:, index] if self._values.size else np.empty(0)
            known = np.flatnonzero(~np.isnan(heights))
            if not len(known):
                continue
            offset = (index + 0.5) * width - _GROUP_WIDTH / 2
            item = pg.BarGraphItem(
                x=known + offset,
                height=self._figure.factor * heights[known],
                width=width * 0.92,
                brush=tokens.series_color(color),
                pen=None,
            )
            item.setZValue(2)  # above the grid
            self.plot.addItem(item)
            self._items.append(item)
        self.set_legend([(name, tokens.series_color(color)) for name, color in self._runs])

    def hover(self, position: QPointF | None) -> None:
        at = -1 if position is None else round(position.x())
        if not 0 <= at < len(self._layers):
            self.read_out.clear()
            return
        values = (
            f"{name} {self._figure.show(value)}"
            for (name, _color), value in zip(self._runs, self._values[at].tolist(), strict=True)
            if value == value
        )
        self.read_out.setText(f"{self._layers[at].name}: {' · '.join(values) or 'not recorded'}")

    def csv(self) -> str:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
        rows.writerow(["layer", *(name for name, _ in self._runs)])
        for layer, values in zip(self._layers, self._values.tolist(), strict=True):
            rows.writerow([layer.name, *("" if value != value else repr(value) for value in values)])
        return text.getvalue()
