"""The item model of the layer table: sorts and filters through one index array, fast at thousands of rows."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from core.analysis.summary import LayerSummary
from core.formatting import count, percent
from core.models.description import Layer
from studio.problem import Problem
from studio.tables.layer_columns import COLUMNS, DISTRIBUTION, NAME, WEIGHTS, ZEROS
from studio.tables.layer_filter import matching

Index = QModelIndex | QPersistentModelIndex

LAYER_ROLE = int(Qt.ItemDataRole.UserRole)
"""The index of the layer in the model (int), from which its colour follows."""
SUMMARY_ROLE = LAYER_ROLE + 1
"""The layer's LayerSummary, its Problem if it could not be read, or None while it is not known."""

_DIGITS = re.compile(r"\d+")


class LayerTable(QAbstractTableModel):
    """Rows are the layers that the filter lets through, in the chosen order.

    A change of order or filter resets the model: whoever shows it restores the selection by layer index.
    """

    summaries_changed = Signal(object)  # list[int]: layers whose figures have come in

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: tuple[Layer, ...] = ()
        self._summaries: list[LayerSummary | Problem | None] = []
        self._total = 0
        self._haystacks: list[str] = []
        self._figures: dict[str, NDArray[np.float64]] = {}
        self._text_ranks: dict[int, NDArray[np.intp]] = {}
        self._weights = np.zeros(0, np.int64)
        self._zeros = np.zeros(0, np.int64)  # -1 where not counted
        self._order = np.zeros(0, np.intp)
        self._row_of = np.zeros(0, np.intp)
        self._sort: tuple[int, Qt.SortOrder] | None = None
        self._filter = ""

    # -- content --------------------------------------------------------------------------------------------

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Show other layers; order and filter stay, statistics are forgotten."""
        self.beginResetModel()
        self._layers = tuple(layers)
        self._summaries = [None] * len(self._layers)
        self._haystacks = [f"{layer.name} {layer.kind}".lower() for layer in self._layers]
        self._text_ranks = {}
        self._weights = np.array([layer.weights for layer in self._layers], np.int64)
        self._total = int(self._weights.sum())
        self._zeros = np.full(len(self._layers), -1, np.int64)
        self._figures = {
            column.key: np.full(len(self._layers), np.nan) for column in COLUMNS if column.number is not None
        }
        for column in COLUMNS:
            if column.number is not None and not column.from_statistics:
                figures = self._figures[column.key]
                for index, layer in enumerate(self._layers):
                    if (number := column.number(layer, None, self._total)) is not None:
                        figures[index] = number
        self._arrange()
        self.endResetModel()

    def set_summaries(self, found: Sequence[tuple[int, LayerSummary | Problem]]) -> None:
        """Add what was counted, by layer index. Rows keep their places until `refresh_order`."""
        for index, summary in found:
            self._summaries[index] = summary
            if isinstance(summary, Problem):
                continue
            self._zeros[index] = summary.statistics.zeros
            for column in COLUMNS:
                if column.number is not None and column.from_statistics:
                    number = column.number(self._layers[index], summary.statistics, self._total)
                    self._figures[column.key][index] = np.nan if number is None else number
        self.summaries_changed.emit([index for index, _ in found])
        rows = [int(self._row_of[index]) for index, _ in found if self._row_of[index] >= 0]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), len(COLUMNS) - 1))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in the order of the model."""
        return self._layers

    @property
    def total_weights(self) -> int:
        """Weights of all layers."""
        return self._total

    def weights_of(self, layers: NDArray[np.intp]) -> int:
        """Weights of some layers together."""
        return int(self._weights[layers].sum())

    def zeros_of(self, layers: NDArray[np.intp]) -> int | None:
        """Exact zeros of some layers together; None while one of them is not counted or could not be read."""
        zeros = self._zeros[layers]
        return int(zeros.sum()) if zeros.size and bool((zeros >= 0).all()) else None

    def summary(self, layer: int) -> LayerSummary | Problem | None:
        """What is known of a layer's weights."""
        return self._summaries[layer]

    def missing(self) -> list[int]:
        """Layers whose weights have not been counted."""
        return [index for index, summary in enumerate(self._summaries) if summary is None]

    # -- order and filter -----------------------------------------------------------------------------------

    def layer_at(self, row: int) -> int:
        """The index of the layer in a row."""
        return int(self._order[row])

    def row_of(self, layer: int) -> int | None:
        """The row of a layer, or None while the filter hides it."""
        row = int(self._row_of[layer])
        return row if row >= 0 else None

    def shown(self) -> NDArray[np.intp]:
        """Layer indices in the order of the rows."""
        return self._order

    def set_filter(self, text: str) -> None:
        """Show only layers that meet the filter (see `layer_filter`)."""
        if text.strip() != self._filter:
            self._filter = text.strip()
            self.refresh_order()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 restores the order of the model. Figures not known yet come last."""
        self._sort = (column, order) if column >= 0 else None
        self.refresh_order()

    @property
    def depends_on_statistics(self) -> bool:
        """Whether new statistics could change the order or the choice of rows."""
        by_figure = self._sort is not None and COLUMNS[self._sort[0]].from_statistics
        return by_figure or any(sign in self._filter for sign in "<>=")

    def refresh_order(self) -> None:
        """Sort and filter again."""
        self.beginResetModel()
        self._arrange()
        self.endResetModel()

    def _arrange(self) -> None:
        order = np.arange(len(self._layers))
        if self._sort is not None:
            column, direction = self._sort
            keys = self._sort_keys(column)
            if direction == Qt.SortOrder.DescendingOrder:
                keys = -keys
            # NaN sorts last in numpy, whichever the direction.
            order = np.argsort(keys, kind="stable")
        if self._filter:
            order = order[matching(self._filter, self._haystacks, self._figures)[order]]
        self._order = order
        self._row_of = np.full(len(self._layers), -1, np.intp)
        self._row_of[order] = np.arange(order.size)

    def _sort_keys(self, column: int) -> NDArray[Any]:
        if COLUMNS[column].number is not None:
            return self._figures[COLUMNS[column].key]
        if column not in self._text_ranks:
            texts = [_natural(COLUMNS[column].text(layer, None, self._total)) for layer in self._layers]
            places = {text: rank for rank, text in enumerate(sorted(set(texts)))}
            self._text_ranks[column] = np.array([places[text] for text in texts], np.intp)
        return self._text_ranks[column]

    # -- Qt -------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else int(self._order.size)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{column.explanation}. Click to sort, right-click to choose columns."
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        place, section = int(self._order[index.row()]), index.column()
        if role == LAYER_ROLE:
            return place
        if role == SUMMARY_ROLE:
            return self._summaries[place]
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].text(self._layers[place], self._statistics(place), self._total)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self.tooltip(place, section)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{COLUMNS[section].title}: {self.tooltip(place, section)}"
        return None

    def _statistics(self, place: int) -> Any:
        summary = self._summaries[place]
        return summary.statistics if isinstance(summary, LayerSummary) else None

    def tooltip(self, place: int, section: int) -> str:
        """What the cell of a layer says when the pointer rests on it."""
        layer, summary = self._layers[place], self._summaries[place]
        column = COLUMNS[section]
        if section == NAME:
            bias = f", and {count(layer.bias_count)} biases" if layer.bias_count else ""
            return f"{layer.name}\n{layer.kind}, {count(layer.weights)} weights{bias}"
        if section == WEIGHTS:
            share = percent(layer.weights / max(1, self._total))
            return f"{count(layer.weights)} weights, {share} of all prunable weights"
        if not column.from_statistics:
            exact = column.exact(layer, None, self._total)
            return f"{column.explanation}: {exact}" if exact else column.explanation
        if isinstance(summary, Problem):
            return summary.message
        if summary is None:
            return "The weights are still being counted."
        figures = summary.statistics
        if section == ZEROS:
            zeros = f"{count(figures.zeros)} of {count(figures.count)} weights are exactly zero"
            return f"{zeros} ({percent(figures.sparsity, 4)})"
        if section == DISTRIBUTION:
            if figures.minimum is None or figures.maximum is None:
                return "No weight is a finite number."
            rest = f"\n{count(figures.not_finite)} are NaN or infinite" if figures.not_finite else ""
            zeros = f"\n{count(figures.zeros)} exact zeros are not drawn" if figures.zeros else ""
            return (
                f"from {figures.minimum:.6g} to {figures.maximum:.6g}\nmean {figures.mean or 0:.6g}, "
                f"standard deviation {figures.std or 0:.6g}{zeros}{rest}"
            )
        return f"{column.explanation}: {column.exact(layer, figures, self._total) or 'not defined here'}"

    # -- export ---------------------------------------------------------------------------------------------

    def rows_as_text(self, layers: Sequence[int]) -> list[list[str]]:
        """A heading and one row for each layer, every column but the drawn one, with full precision."""
        columns = [column for place, column in enumerate(COLUMNS) if place != DISTRIBUTION]
        rows = [[column.title for column in columns]]
        for place in layers:
            layer, figures = self._layers[place], self._statistics(place)
            rows.append([column.exact(layer, figures, self._total) for column in columns])
        return rows


def _alignment(section: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if COLUMNS[section].numeric else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _natural(text: str) -> str:
    """A key under which layer2 comes before layer10."""
    return _DIGITS.sub(_padded, text.lower())


def _padded(match: "re.Match[str]") -> str:
    return match.group().zfill(9)
