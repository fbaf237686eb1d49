"""Grouped bars: one group for each layer, one bar for each run."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QWidget

from core.formatting import percent
from core.history.compare import LayerComparison
from studio import theme
from studio.views.plot_frame import PlotFrame

_GROUP_WIDTH = 0.8


class _NameAxis(pg.AxisItem):
    """Layer names below their groups, as many as there is room for."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.names: tuple[str, ...] = ()

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        first, last = max(0, int(np.ceil(low))), min(len(self.names) - 1, int(np.floor(high)))
        if last < first:
            return []
        longest = max(len(name) for name in self.names[first : last + 1])
        room = max(1, int(size / (7 * longest + 10)))
        step = max(1, -(-(last - first + 1) // room))
        return [(float(step), [float(at) for at in range(first, last + 1, step)])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        return [self.names[int(value)] if 0 <= value < len(self.names) else "" for value in values]


class LayerBars(PlotFrame):
    """Sparsity of each layer in each run; no bar where a run lacks the layer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._layers: tuple[LayerComparison, ...] = ()
        self._runs: tuple[tuple[str, int], ...] = ()
        self._items: list[pg.BarGraphItem] = []
        self._names: _NameAxis | None = None
        super().__init__("sparsity of each layer", parent)
        self._names = _NameAxis()
        self.plot.setAxisItems({"bottom": self._names})
        self._names.setHeight(34)
        self.plot.getPlotItem().getViewBox().setLimits(yMin=0, yMax=105)
        self.set_axes(("layer", ""), ("sparsity", "%"))
        self._restyle(theme.tokens())

    def set_layers(self, layers: Sequence[LayerComparison], runs: Sequence[tuple[str, int]]) -> None:
        """Draw layers; `runs` are the name and the colour index of each run."""
        self._layers, self._runs = tuple(layers), tuple(runs)
        assert self._names is not None
        self._names.names = tuple(layer.name for layer in layers)
        self._names.picture = None
        self.redraw()
        self.reset_view()

    def redraw(self) -> None:
        for item in self._items:
            self.plot.removeItem(item)
        self._items = []
        tokens = theme.tokens()
        width = _GROUP_WIDTH / max(1, len(self._runs))
        for index, (_name, color) in enumerate(self._runs):
            shown = [(at, layer.sparsities[index]) for at, layer in enumerate(self._layers)]
            known = [(at, value) for at, value in shown if value is not None]
            if not known:
                continue
            offset = (index + 0.5) * width - _GROUP_WIDTH / 2
            item = pg.BarGraphItem(
                x=np.array([at + offset for at, _ in known]),
                height=np.array([100 * value for _, value in known]),
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
        layer = self._layers[at]
        values = (
            f"{name} {percent(value, 1)}"
            for (name, _color), value in zip(self._runs, layer.sparsities, strict=True)
            if value is not None
        )
        self.read_out.setText(f"{layer.name}: {' · '.join(values)}")

    def csv(self) -> str:
        heads = ",".join('"' + name.replace('"', '""') + '"' for name, _ in self._runs)
        rows = [f"layer,{heads}"]
        for layer in self._layers:
            rows.append(",".join([layer.name, *("" if v is None else repr(v) for v in layer.sparsities)]))
        return "\n".join(rows) + "\n"
