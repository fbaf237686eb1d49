"""The layers of compared runs: one figure of each layer in each run as table, picture or grouped bars."""

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from studio import theme
from studio.tables.grid import Head
from studio.views.choices import ChartPage, choice
from studio.views.compare_rows import Comparison, short_name
from studio.views.grid_view import GridView
from studio.views.layer_figures import FROM_MODELS, LAYER_FIGURES, layer_rows, layer_values

if TYPE_CHECKING:
    from studio.views.layer_bars import LayerBars
    from studio.views.layer_heatmap import LayerHeatmap

_FORMS = (("table", "as table"), ("picture", "as heatmap"), ("bars", "as bars"))
_NOT_RECORDED = "None of these runs recorded this figure: runs made from now on do."
_NO_MODELS = "No two of these runs wrote models that are still there and have layers in common."
_NO_LAYERS = "No layers were measured in these runs."


class LayersPanel(ChartPage):
    """Which figure and in which form is chosen above."""

    run_clicked = Signal(object)  # run id
    changes_wanted = Signal()  # the models of the runs are to be read
    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("compareLayersPage", parent)
        self._comparison: Comparison | None = None
        self._bars: LayerBars | None = None
        self._picture: LayerHeatmap | None = None
        self.figure = choice("compareLayerFigure", "Figure of the layers", "What is shown of each layer.", 14)
        for name, figure in LAYER_FIGURES.items():
            self.figure.addItem(figure.title, name)
        self.form = choice("compareLayerView", "Form", "How layers are shown.", 8)
        for name, title in _FORMS:
            self.form.addItem(title, name)
        for box in (self.figure, self.form):
            self.controls.addWidget(box)
            box.activated.connect(self._fill)
        self.controls.addStretch(1)
        self.table = GridView("Layers side by side")
        self.table.setObjectName("compareLayers")
        self.place.addWidget(self.table, 1)
        theme.events.changed.connect(self._restyle)

    @property
    def bars(self) -> "LayerBars":
        """The grouped bars; made (with pyqtgraph) when they are first asked for."""
        if self._bars is None:
            from studio.views.layer_bars import LayerBars

            self._bars = LayerBars()
            self._bars.setObjectName("compareBars")
            self._bars.problem.connect(self.problem)
            self.place.addWidget(self._bars, 1)
        return self._bars

    @property
    def picture(self) -> "LayerHeatmap":
        """The heatmap; made (with pyqtgraph) when it is first asked for."""
        if self._picture is None:
            from studio.views.layer_heatmap import LayerHeatmap

            self._picture = LayerHeatmap()
            self._picture.setObjectName("compareHeatmap")
            self._picture.problem.connect(self.problem)
            self._picture.run_clicked.connect(self.run_clicked)
            self.place.addWidget(self._picture, 1)
        return self._picture

    def show_comparison(self, comparison: Comparison) -> None:
        """Show the layers of these runs."""
        self._comparison = comparison
        self._fill()

    def _fill(self, _index: int = 0) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        name = self.figure.currentData()
        form = self.form.currentData()
        layers = comparison.layers or ()
        base = comparison.records[comparison.table.baseline].run_id
        if layers and name in FROM_MODELS and comparison.changes_against != base:
            form = self._nothing("The models of the runs are being read …")
            self.changes_wanted.emit()
        elif not layers:
            form = self._nothing(_NO_LAYERS)
        elif np.isnan(layer_values(layers, LAYER_FIGURES[name])).all():
            form = self._nothing(_NO_MODELS if name in FROM_MODELS else _NOT_RECORDED)
        else:
            self.say("")
        names = [short_name(record) for record in comparison.records]
        if form == "table":
            self._fill_table(comparison, names, name)
        elif form == "bars":
            self.bars.set_layers(layers, list(zip(names, comparison.colors, strict=True)), name)
        elif form == "picture":
            runs = [
                (record.run_id, f"#{record.number}" if len(names) > 4 else short)
                for record, short in zip(comparison.records, names, strict=True)
            ]
            self.picture.set_layers(layers, runs, name)
        self.table.setVisible(form == "table")
        if self._bars is not None:
            self._bars.setVisible(form == "bars")
        if self._picture is not None:
            self._picture.setVisible(form == "picture")

    def _nothing(self, why: str) -> str:
        self.say(why)
        return ""

    def _fill_table(self, comparison: Comparison, names: list[str], figure: str) -> None:
        colors = theme.tokens().series
        heads = [Head("Layer")] + [
            Head(name, color=colors[color % len(colors)])
            for name, color in zip(names, comparison.colors, strict=True)
        ]
        self.table.table.show_rows(heads, layer_rows(comparison.layers or (), figure))
        self.table.setColumnWidth(0, 130)
        for column in range(1, len(heads)):
            self.table.setColumnWidth(column, 132)

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._fill()
