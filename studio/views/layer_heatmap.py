"""One figure of every layer in every run as a picture: what a table of hundreds of rows does not show at a glance."""

import csv
import io
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtWidgets import QWidget

from core.analysis.colormaps import CIVIDIS
from core.history.compare import LayerComparison
from studio import theme
from studio.views.layer_figures import COLORS, LAYER_FIGURES, LayerFigure, layer_shares, layer_values
from studio.views.name_axis import NameAxis
from studio.views.plot_frame import PlotFrame

_PIXELS = np.concatenate([COLORS, np.full((len(COLORS), 1), 255, np.uint8)], axis=1)
_LEGEND_STEPS = 9


class LayerHeatmap(PlotFrame):
    """Layers from the top, runs from the left; a hole where a run lacks the layer or the figure."""

    run_clicked = Signal(object)  # run id

    def __init__(self, parent: QWidget | None = None) -> None:
        self._layers: tuple[LayerComparison, ...] = ()
        self._runs: tuple[tuple[str, str], ...] = ()
        self._figure: LayerFigure = LAYER_FIGURES["sparsity"]
        self._values: NDArray[np.float64] = np.empty((0, 0))
        self._image: pg.ImageItem | None = None
        super().__init__("layers of the runs", parent)
        self._image = pg.ImageItem(axisOrder="row-major")
        self.plot.addItem(self._image)
        self._axes = NameAxis("bottom"), NameAxis("left")
        self.plot.setAxisItems({"bottom": self._axes[0], "left": self._axes[1]})
        self._axes[0].setHeight(34)
        self._axes[1].setWidth(132)
        box = self.plot.getPlotItem().getViewBox()
        box.invertY(True)
        box.setDefaultPadding(0.0)
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self._restyle(theme.tokens())

    @property
    def values(self) -> NDArray[np.float64]:
        """What is drawn: the figure of every layer (row) in every run (column)."""
        return self._values

    def set_layers(
        self, layers: Sequence[LayerComparison], runs: Sequence[tuple[str, str]], figure: str
    ) -> None:
        """Draw a figure of layers; `runs` are the id and the name of each run."""
        refit = len(layers) != len(self._layers) or len(runs) != len(self._runs)
        self._layers, self._runs, self._figure = tuple(layers), tuple(runs), LAYER_FIGURES[figure]
        self._values = layer_values(layers, self._figure)
        self._axes[0].set_names(tuple(name for _run_id, name in runs))
        self._axes[1].set_names(tuple(layer.name for layer in layers))
        self.redraw()
        self.hover(None)
        if refit:
            self.reset_view()

    def redraw(self) -> None:
        if self._image is None or not self._values.size:
            return
        shares = layer_shares(self._values, self._figure)
        known = ~np.isnan(shares)
        pixels = np.zeros((*shares.shape, 4), dtype=np.uint8)
        places = np.round(np.where(known, shares, 0) * (len(_PIXELS) - 1)).astype(np.intp)
        pixels[known] = _PIXELS[places[known]]
        self._image.setImage(pixels, autoLevels=False)
        self._image.setRect(QRectF(-0.5, -0.5, shares.shape[1], shares.shape[0]))
        steps = np.linspace(0, len(CIVIDIS) - 1, _LEGEND_STEPS).round().astype(int)
        blocks = "".join(f'<span style="color:{CIVIDIS[n]}">█</span>' for n in steps)
        self.legend.setText(f"{blocks}&nbsp; {self._figure.words}, {self._figure.scale}")
        self.legend.show()

    def hover(self, position: QPointF | None) -> None:
        cell = None if position is None else self._cell(position)
        if cell is None:
            self.read_out.clear()
            return
        row, column = cell
        value = float(self._values[row, column])
        layer = self._layers[row]
        if layer.layers[column] is None:
            text = "no such layer"
        else:
            text = "not recorded" if value != value else self._figure.show(value)
        self.read_out.setText(f"{layer.name} · {self._runs[column][1]}: {text}")

    def _cell(self, position: QPointF) -> tuple[int, int] | None:
        row, column = round(position.y()), round(position.x())
        rows, columns = self._values.shape
        return (row, column) if 0 <= row < rows and 0 <= column < columns else None

    def _clicked(self, event: object) -> None:
        box = self.plot.getPlotItem().getViewBox()
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            cell = self._cell(box.mapSceneToView(event.scenePos()))  # type: ignore[attr-defined]
            if cell is not None:
                self.run_clicked.emit(self._runs[cell[1]][0])

    def csv(self) -> str:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["layer", *(name for _run_id, name in self._runs)])
        for layer, values in zip(self._layers, self._values.tolist(), strict=True):
            rows.writerow([layer.name, *("" if value != value else repr(value) for value in values)])
        return text.getvalue()
