"""The small table under the histogram: one row of statistics for each layer that is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.analysis.distributions import LayerDistribution
from core.analysis.statistics import Statistics
from core.formatting import NOT_MEASURED, count, percent, significant
from studio import theme

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class _Column:
    title: str
    explanation: str
    text: Callable[[Statistics], str]
    exact: Callable[[Statistics], str]


def _number(title: str, explanation: str, key: str) -> _Column:
    def text(figures: Statistics) -> str:
        value = getattr(figures, key)
        return NOT_MEASURED if value is None else significant(value)

    def exact(figures: Statistics) -> str:
        value = getattr(figures, key)
        return "" if value is None else repr(value)

    return _Column(title, explanation, text, exact)


def _whole(title: str, explanation: str, key: str) -> _Column:
    return _Column(
        title,
        explanation,
        lambda figures: count(getattr(figures, key)),
        lambda figures: str(getattr(figures, key)),
    )


def _zeros(figures: Statistics) -> str:
    return f"{count(figures.zeros)} ({percent(figures.sparsity, 1)})"


_COLUMNS = (
    _whole("Weights", "Weights of the layer", "count"),
    _number("Min", "The smallest weight", "minimum"),
    _number("Max", "The largest weight", "maximum"),
    _number("Mean", "The mean of the weights", "mean"),
    _number("Std", "The standard deviation of the weights", "std"),
    _Column("Zeros", "Weights that are exactly zero", _zeros, lambda figures: str(figures.zeros)),
    _whole("Near zero", "Weights that are not zero but smaller than 0.001 in magnitude", "near_zeros"),
    _number(
        "Kurtosis", "Excess kurtosis: 0 for a normal distribution, larger with heavier tails", "kurtosis"
    ),
    _number("L2", "The square root of the sum of squares", "l2"),
    _whole("NaN", "Weights that are not a number; they are in no other figure", "nans"),
    _whole("Inf", "Weights that are infinite; they are in no other figure", "infinities"),
)


class DistributionTable(QAbstractTableModel):
    """Read-only rows of statistics, three significant digits in the cell, all digits in the tooltip."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[LayerDistribution, ...] = ()

    def set_rows(self, rows: Sequence[LayerDistribution]) -> None:
        """Show these layers."""
        self.beginResetModel()
        self._rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_COLUMNS) + 1

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return "Layer" if section == 0 else _COLUMNS[section - 1].title
        if role == Qt.ItemDataRole.ToolTipRole:
            return "The layer, in its colour" if section == 0 else _COLUMNS[section - 1].explanation
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, section = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        if section == 0:
            if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
                return row.name
            if role == Qt.ItemDataRole.DecorationRole:
                return QColor(theme.tokens().series_color(row.layer))
            return None
        column = _COLUMNS[section - 1]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row.statistics)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{column.explanation}: {column.exact(row.statistics) or 'not defined here'}"
        return None

    def as_text(self) -> str:
        """All rows as tab-separated text with a heading and full precision."""
        lines = ["\t".join(["Layer", *(column.title for column in _COLUMNS)])]
        for row in self._rows:
            lines.append("\t".join([row.name, *(column.exact(row.statistics) for column in _COLUMNS)]))
        return "\n".join(lines) + "\n"


def _alignment(section: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if section == 0 else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
