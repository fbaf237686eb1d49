"""The item model of the wall of histograms: the layers that the layer table lets through, in its order."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from core.analysis.summary import LayerSummary
from studio.tables.layer_columns import DISTRIBUTION
from studio.tables.layers import LAYER_ROLE, SUMMARY_ROLE, LayerTable

Index = QModelIndex | QPersistentModelIndex


class LayerWall(QAbstractListModel):
    """A view of the layer table's own figures: nothing is counted twice."""

    def __init__(self, table: LayerTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self._asleep = False
        self._stale = False
        self._layers: NDArray[np.intp] = table.shown()
        self._row_of = np.zeros(0, np.intp)
        self._index_rows()
        table.modelReset.connect(self._renew)
        table.summaries_changed.connect(self._counted)

    @property
    def table(self) -> LayerTable:
        """The layer table behind it."""
        return self._table

    def layer_at(self, row: int) -> int:
        """The index of the layer in a row."""
        return int(self._layers[row])

    def row_of(self, layer: int) -> int | None:
        """The row of a layer, or None where the filter hides it."""
        row = int(self._row_of[layer]) if layer < self._row_of.size else -1
        return row if row >= 0 else None

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else int(self._layers.size)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        layer = int(self._layers[index.row()])
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._table.layers[layer].name
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return f"{self._table.layers[layer].name}\n{self._table.tooltip(layer, DISTRIBUTION)}"
        if role == LAYER_ROLE:
            return layer
        if role == SUMMARY_ROLE:
            return self._table.summary(layer)
        return None

    def common_axes(self) -> tuple[float, float, float] | None:
        """Left and right end and the greatest density of all layers on the wall; None while none is counted."""
        counted = [
            summary
            for layer in self._layers
            if isinstance(summary := self._table.summary(int(layer)), LayerSummary)
        ]
        spans = [one for one in counted if one.statistics.finite and one.statistics.minimum is not None]
        if not spans:
            return None
        left = min(float(one.thumbnail.edges[0]) for one in spans)
        right = max(float(one.thumbnail.edges[-1]) for one in spans)
        return left, right, max(float(densities(one).max()) for one in spans)

    def sleep(self) -> None:
        """Nobody looks: what changes from now on is made up for by `wake`. Laying out thousands of cells takes long."""
        self._asleep = True

    def wake(self) -> None:
        """Somebody looks again."""
        self._asleep = False
        if self._stale:
            self._stale = False
            self._renew()

    def _renew(self) -> None:
        if self._asleep:
            if not self._stale:
                self._stale = True
                self.beginResetModel()
                self._layers = np.zeros(0, np.intp)
                self._index_rows()
                self.endResetModel()
            return
        self.beginResetModel()
        self._layers = self._table.shown()
        self._index_rows()
        self.endResetModel()

    def _index_rows(self) -> None:
        self._row_of = np.full(len(self._table.layers), -1, np.intp)
        self._row_of[self._layers] = np.arange(self._layers.size)

    def _counted(self, layers: object) -> None:
        if self._asleep:
            return
        rows = [row for layer in layers if (row := self.row_of(layer)) is not None]  # type: ignore[attr-defined]
        if rows:
            self.dataChanged.emit(self.index(min(rows)), self.index(max(rows)))


def densities(summary: LayerSummary) -> NDArray[np.float64]:
    """For each bin, the share of the layer's weights in it per unit of weight value; exact zeros are left out.

    Comparable between layers of any size and range.
    """
    counts = summary.thumbnail.counts_without_zeros
    width = float(summary.thumbnail.edges[1] - summary.thumbnail.edges[0])
    scale = summary.statistics.count * width
    return counts / scale if scale > 0 and np.isfinite(scale) else counts * 0.0
