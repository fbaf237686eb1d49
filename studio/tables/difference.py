"""The table of two models side by side: one row for each layer that both have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.analysis.difference import LayerDifference
from core.formatting import NOT_MEASURED, count, percent, significant
from studio import theme

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, eq=False)
class DifferenceRow:
    """A layer, its index in the open model, and what changed in it."""

    name: str
    layer: int
    difference: LayerDifference


@dataclass(frozen=True)
class _Column:
    title: str
    tip: str
    value: Callable[[LayerDifference], float | None]
    text: Callable[[LayerDifference], str]


def _figure(title: str, tip: str, name: str) -> _Column:
    def value(found: LayerDifference) -> float | None:
        figure: float | None = getattr(found, name)
        return figure

    def text(found: LayerDifference) -> str:
        figure = value(found)
        return NOT_MEASURED if figure is None else significant(figure).replace("-", "−")

    return _Column(title, tip, value, text)


def _whole(title: str, tip: str, name: str) -> _Column:
    def value(found: LayerDifference) -> int:
        number: int = getattr(found, name)
        return number

    return _Column(title, tip, value, lambda found: count(getattr(found, name)))


def _share(found: LayerDifference) -> str:
    return percent(found.share, 1)


COLUMNS = (
    _whole("Weights", "Weights of the layer", "weights"),
    _whole("Changed", "Weights that are not the same in both models", "changed"),
    _Column("Changed %", "Share of the weights that changed", lambda found: found.share, _share),
    _figure("max |Δ|", "The largest change of a weight", "largest"),
    _figure("mean |Δ|", "The mean size of the change, over all weights of the layer", "mean"),
    _figure(
        "rel. L2",
        "Length of the change as a vector, relative to the other model's weights: ‖Δ‖ / ‖before‖",
        "relative",
    ),
    _figure("Cosine", "Cosine of the angle between the two as vectors; 1 means the same direction", "cosine"),
    _whole("Zeros before", "Weights that are exactly zero in the other model", "zeros_before"),
    _whole("Zeros now", "Weights that are exactly zero in the open model", "zeros_after"),
)


class DifferenceTable(QAbstractTableModel):
    """Read-only rows, sorted by any column; what is not defined sorts last."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[DifferenceRow] = []
        self._sort = (-1, Qt.SortOrder.AscendingOrder)

    def clear(self) -> None:
        """Show nothing."""
        self.beginResetModel()
        self._rows = []
        self.endResetModel()

    def add(self, rows: Sequence[DifferenceRow]) -> None:
        """Add rows, in the order in force."""
        self.beginResetModel()
        self._rows = self._sorted([*self._rows, *rows])
        self.endResetModel()

    @property
    def rows(self) -> tuple[DifferenceRow, ...]:
        """What is shown, from top to bottom."""
        return tuple(self._rows)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._sort = (column, order)
        self.beginResetModel()
        self._rows = self._sorted(self._rows)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS) + 1

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return "Layer" if section == 0 else COLUMNS[section - 1].title
            case Qt.ItemDataRole.ToolTipRole:
                return "The layer, in its colour" if section == 0 else COLUMNS[section - 1].tip
            case Qt.ItemDataRole.TextAlignmentRole:
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
        column = COLUMNS[section - 1]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row.difference)
        if role == Qt.ItemDataRole.ToolTipRole:
            value = column.value(row.difference)
            return f"{column.tip}: {'not defined here' if value is None else repr(value)}"
        return None

    def as_text(self, separator: str = "\t") -> str:
        """All rows as text with a heading and full precision."""
        lines = [separator.join(["Layer", *(column.title for column in COLUMNS)])]
        for row in self._rows:
            values = (column.value(row.difference) for column in COLUMNS)
            lines.append(separator.join([row.name, *("" if v is None else repr(v) for v in values)]))
        return "\n".join(lines) + "\n"

    def _sorted(self, rows: list[DifferenceRow]) -> list[DifferenceRow]:
        column, order = self._sort
        falling = order == Qt.SortOrder.DescendingOrder
        if column <= 0:
            by_name = column == 0
            return sorted(rows, key=lambda row: row.name if by_name else row.layer, reverse=falling)
        value = COLUMNS[column - 1].value
        known = [row for row in rows if value(row.difference) is not None]
        rest = [row for row in rows if value(row.difference) is None]
        return sorted(known, key=lambda row: value(row.difference) or 0.0, reverse=falling) + rest


def _alignment(section: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if section == 0 else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
