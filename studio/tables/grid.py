"""A plain table of ready-made cells, for figures that are laid out elsewhere: details, comparisons, layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QPixmap

from studio import theme

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Cell:
    """One cell. `tone` is "", "muted", "good", "bad" or "heading"; `background` (with `ink` on it) is `#rrggbb`."""

    text: str = ""
    tip: str = ""
    tone: str = ""
    right: bool = False
    background: str = ""
    ink: str = ""


@dataclass(frozen=True)
class Head:
    """The head of a column."""

    title: str
    tip: str = ""
    right: bool = False
    color: str = ""


class GridTable(QAbstractTableModel):
    """Shows what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self._heads: tuple[Head, ...] = ()
        self._rows: tuple[tuple[Cell, ...], ...] = ()

    def show_rows(self, heads: Sequence[Head], rows: Sequence[Sequence[Cell]]) -> None:
        """Replace everything; every row has one cell for each head."""
        self.beginResetModel()
        self._heads = tuple(heads)
        self._rows = tuple(tuple(row) for row in rows)
        self.endResetModel()

    def cell(self, row: int, column: int) -> Cell:
        """A cell."""
        return self._rows[row][column]

    def text(self, rows: Sequence[int] | None = None) -> str:
        """Rows (all without an argument) and heads as tab-separated text."""
        chosen = range(len(self._rows)) if rows is None else rows
        lines = ["\t".join(head.title for head in self._heads)]
        lines += ["\t".join(cell.text for cell in self._rows[row]) for row in chosen]
        return "\n".join(lines) + "\n"

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._heads)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self._heads):
            return None
        head = self._heads[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return head.title
            case Qt.ItemDataRole.ToolTipRole:
                return head.tip or head.title
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(head.right)
            case Qt.ItemDataRole.DecorationRole if head.color:
                swatch = QPixmap(10, 10)
                swatch.fill(QColor(head.color))
                return QIcon(swatch)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        cell = self._rows[index.row()][index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return cell.text
            case Qt.ItemDataRole.ToolTipRole:
                return cell.tip or cell.text
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(cell.right)
            case Qt.ItemDataRole.BackgroundRole if cell.background:
                return QColor(cell.background)
            case Qt.ItemDataRole.ForegroundRole:
                return QColor(cell.ink) if cell.ink else _color(cell.tone)
            case Qt.ItemDataRole.FontRole if cell.tone == "heading":
                font = QFont()
                font.setBold(True)
                return font
        return None


def _alignment(right: bool) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _color(tone: str) -> QColor | None:
    tokens = theme.tokens()
    match tone:
        case "muted" | "heading":
            return QColor(tokens.text_muted)
        case "good":
            return QColor(tokens.good)
        case "bad":
            return QColor(tokens.bad)
    return None
