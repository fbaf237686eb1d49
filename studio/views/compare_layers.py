"""The layers of compared runs: one figure of each layer in each run as table, picture or grouped bars."""

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtWidgets import QPushButton, QWidget

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
    layer_opened = Signal(str, str)  # layer, run id: look at its weights beside the baseline's
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
        self.look = QPushButton("Look at weights")
        self.look.setObjectName("compareLookAtWeights")
        self.look.setAccessibleName("Look at the weights of the chosen layer")
        self.look.setToolTip(
            "Open the run's model at the chosen layer, with the baseline's weights over it: histogram, and difference "
            "as heatmap. A double click on a cell of the table does the same."
        )
        self.look.clicked.connect(self._look)
        self.controls.addWidget(self.look)
        self.table = GridView("Layers side by side")
        self.table.setObjectName("compareLayers")
        self.table.doubleClicked.connect(self._cell_opened)
        self.table.selectionModel().currentChanged.connect(self._offer_look)
        self.place.addWidget(self.table, 1)
        self._offer_look()
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
        self.look.setVisible(form == "table")
        self._offer_look()
        if self._bars is not None:
            self._bars.setVisible(form == "bars")
        if self._picture is not None:
            self._picture.setVisible(form == "picture")

    def _look(self) -> None:
        self._cell_opened(self.table.currentIndex())

    def _offer_look(self, *_: object) -> None:
        self.look.setEnabled(self._cell(self.table.currentIndex()) is not None)

    def _cell_opened(self, index: QModelIndex) -> None:
        if (cell := self._cell(index)) is not None:
            self.layer_opened.emit(*cell)

    def _cell(self, index: QModelIndex) -> tuple[str, str] | None:
        """Layer and run of a cell; the column of names stands for the first run that is not the baseline."""
        comparison = self._comparison
        if comparison is None or not index.isValid() or index.row() >= len(comparison.layers or ()):
            return None
        layer, base = (comparison.layers or ())[index.row()], comparison.table.baseline
        column = index.column() - 1 if index.column() else (1 if base == 0 else 0)
        if layer.layers[column] is None:
            return None
        return layer.name, comparison.records[column].run_id

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
