"""A read-only table of figures, one row for each layer, sorted by any column; undefined figures come last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.formatting import NOT_MEASURED, count, significant
from studio import theme

Index = QModelIndex | QPersistentModelIndex


class Row(Protocol):
    """What every row has: a title, the index of its layer in the model, its own place in the table."""

    @property
    def title(self) -> str: ...
    @property
    def layer(self) -> int: ...
    @property
    def place(self) -> int: ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Column(Generic[R]):
    """One figure: what it is sorted by and copied as, and how it is written."""

    title: str
    tip: str
    value: Callable[[R], float | None]
    text: Callable[[R], str]


def figure(title: str, tip: str, value: Callable[[R], float | None]) -> Column[R]:
    """A real number with three significant digits."""

    def text(row: R) -> str:
        found = value(row)
        return NOT_MEASURED if found is None else significant(found).replace("-", "−")

    return Column(title, tip, value, text)


def whole(title: str, tip: str, value: Callable[[R], int]) -> Column[R]:
    """A number of things."""
    return Column(title, tip, value, lambda row: count(value(row)))


class FigureTable(QAbstractTableModel, Generic[R]):
    """Rows in their own order until a column is chosen."""

    def __init__(self, columns: Sequence[Column[R]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns = tuple(columns)
        self._rows: list[R] = []
        self._sort = (-1, Qt.SortOrder.AscendingOrder)

    def clear(self) -> None:
        """Show nothing."""
        self._show([])

    def add(self, rows: Sequence[R]) -> None:
        """Add rows, in the order in force."""
        self._show(self._sorted([*self._rows, *rows]))

    @property
    def rows(self) -> tuple[R, ...]:
        """What is shown, from top to bottom."""
        return tuple(self._rows)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._sort = (column, order)
        self._show(self._sorted(self._rows))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._columns) + 1

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return "Layer" if section == 0 else self._columns[section - 1].title
            case Qt.ItemDataRole.ToolTipRole:
                return "The layer, in its colour" if section == 0 else self._columns[section - 1].tip
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
                return row.title
            if role == Qt.ItemDataRole.DecorationRole:
                return QColor(theme.tokens().series_color(row.layer))
            return None
        column = self._columns[section - 1]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            value = column.value(row)
            return f"{column.tip}: {'not defined here' if value is None else repr(value)}"
        return None

    def as_text(self, separator: str = "\t") -> str:
        """All rows as text with a heading and full precision."""
        lines = [separator.join(["Layer", *(column.title for column in self._columns)])]
        for row in self._rows:
            values = (column.value(row) for column in self._columns)
            lines.append(separator.join([row.title, *("" if v is None else repr(v) for v in values)]))
        return "\n".join(lines) + "\n"

    def _show(self, rows: list[R]) -> None:
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _sorted(self, rows: list[R]) -> list[R]:
        column, order = self._sort
        falling = order == Qt.SortOrder.DescendingOrder
        if column < 0:
            return sorted(rows, key=lambda row: row.place)
        if column == 0:
            return sorted(rows, key=lambda row: row.title, reverse=falling)
        value = self._columns[column - 1].value
        known = [row for row in rows if value(row) is not None]
        rest = [row for row in rows if value(row) is None]
        return sorted(known, key=lambda row: value(row) or 0.0, reverse=falling) + rest


def _alignment(section: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if section == 0 else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter
