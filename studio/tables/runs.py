"""The run table's model: numpy index arrays over frozen records, so that 10,000 rows filter and sort at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.history.records import RunRecord
from studio import icons, theme
from studio.tables.run_columns import (
    COLUMN_INDEX,
    COLUMNS,
    Column,
    accuracy_change,
    change_is_noise,
    search_text,
)

RECORD_ROLE = Qt.ItemDataRole.UserRole
PROGRESS_ROLE = Qt.ItemDataRole.UserRole + 1
"""How much of a running run is done, in [0, 1]; None for all others."""

Index = QModelIndex | QPersistentModelIndex


class RunTable(QAbstractTableModel):
    """Runs as rows. Which rows are shown, and in which order, is one index array into the records."""

    def __init__(self) -> None:
        super().__init__()
        self._records: list[RunRecord] = []
        self._search: list[str] = []
        self._position: dict[str, int] = {}
        self._progress: dict[str, float] = {}
        self._keys: dict[int, NDArray[np.float64]] = {}
        self._rows: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._row_of: dict[int, int] | None = None
        self._words: tuple[str, ...] = ()
        self._column = COLUMN_INDEX["number"]
        self._descending = True

    # -- what is in it
    # -----------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many runs there are, shown or not."""
        return len(self._records)

    @property
    def sorting(self) -> tuple[int, bool]:
        """The column that rows are sorted by, and whether the largest stands first."""
        return self._column, self._descending

    def record(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        position = self._position.get(run_id)
        return None if position is None else self._records[position]

    def record_at(self, row: int) -> RunRecord:
        """The run in a row."""
        return self._records[int(self._rows[row])]

    @property
    def words(self) -> tuple[str, ...]:
        """What the filter looks for."""
        return self._words

    def row_of(self, run_id: str) -> int | None:
        """The row that shows a run, or None where the filter hides it."""
        position = self._position.get(run_id)
        if position is None:
            return None
        if self._row_of is None:
            self._row_of = {int(position): row for row, position in enumerate(self._rows)}
        return self._row_of.get(position)

    def set_records(self, records: Sequence[RunRecord], search: Sequence[str] | None = None) -> None:
        """Replace all runs; `search` are their search texts if they were already made in the background."""
        self.beginResetModel()
        self._records = list(records)
        self._search = list(search) if search is not None else [search_text(record) for record in records]
        self._position = {record.run_id: index for index, record in enumerate(self._records)}
        self._keys.clear()
        self._rows = self._arranged()
        self._row_of = None
        self.endResetModel()

    def merge(self, records: Iterable[RunRecord]) -> None:
        """Take over changed and new runs; deleted ones disappear."""
        changed, new, gone = [], [], set()
        for record in records:
            if record.deleted_at is not None or record.archived:
                gone.add(record.run_id)
            elif record.run_id in self._position:
                changed.append(record)
            else:
                new.append(record)
            if record.is_over:
                self._progress.pop(record.run_id, None)
        if new or gone & self._position.keys():
            self.beginResetModel()
            self._replace(changed)
            kept = [at for at, record in enumerate(self._records) if record.run_id not in gone]
            self._records = [*(self._records[at] for at in kept), *new]
            self._search = [*(self._search[at] for at in kept), *(search_text(record) for record in new)]
            self._position = {record.run_id: at for at, record in enumerate(self._records)}
            self._rows = self._arranged()
            self._row_of = None
            self.endResetModel()
            return
        self._replace(changed)
        rows = self._arranged()
        if np.array_equal(rows, self._rows):
            # The everyday case while a run is under way: nothing moves, so nothing may flicker or scroll.
            for record in changed:
                if (row := self.row_of(record.run_id)) is not None:
                    self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
        else:
            self.beginResetModel()
            self._rows = rows
            self._row_of = None
            self.endResetModel()

    def _replace(self, records: Iterable[RunRecord]) -> None:
        for record in records:
            at = self._position[record.run_id]
            self._records[at] = record
            self._search[at] = search_text(record)
        self._keys.clear()

    def set_progress(self, progress: Mapping[str, float | None]) -> None:
        """How far runs are; None takes the bar away."""
        column = COLUMN_INDEX["status"]
        for run_id, fraction in progress.items():
            if fraction is None:
                self._progress.pop(run_id, None)
            else:
                self._progress[run_id] = fraction
            row = self.row_of(run_id)
            if row is not None:
                cell = self.index(row, column)
                self.dataChanged.emit(cell, cell)

    # -- filter and order
    # --------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Show only runs that contain every word of `text`."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self.beginResetModel()
            self._words = words
            self._rows = self._arranged()
            self._row_of = None
            self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        descending = order == Qt.SortOrder.DescendingOrder
        if 0 <= column < len(COLUMNS) and (column, descending) != self.sorting:
            self.beginResetModel()
            self._column, self._descending = column, descending
            self._rows = self._arranged()
            self._row_of = None
            self.endResetModel()

    def _arranged(self) -> NDArray[np.intp]:
        keys = self._sort_keys(self._column)
        # Missing figures are NaN, which sorts last; so they stay last when the order is turned round as well.
        order = np.argsort(-keys if self._descending else keys, kind="stable")
        if self._words:
            found = np.fromiter(
                (all(word in text for word in self._words) for text in self._search),
                dtype=np.bool_,
                count=len(self._search),
            )
            order = order[found[order]]
        return order

    def _sort_keys(self, column: int) -> NDArray[np.float64]:
        if column not in self._keys:
            key = COLUMNS[column].key
            values = [key(record) for record in self._records]
            if any(isinstance(value, str) for value in values):
                ranks = {text: rank for rank, text in enumerate(sorted({str(value) for value in values}))}
                values = [ranks[str(value)] for value in values]
            self._keys[column] = np.array(
                [np.nan if value is None else value for value in values], dtype=np.float64
            )
        return self._keys[column]

    # -- for Qt
    # ------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            # Qt's own arrow lies over right-aligned titles.
            arrow = "" if section != self._column else " ↓" if self._descending else " ↑"
            return COLUMNS[section].title + arrow
        if role == Qt.ItemDataRole.ToolTipRole:
            return COLUMNS[section].tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(COLUMNS[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        record = self._records[int(self._rows[index.row()])]
        column = COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(record, column)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ToolTipRole:
                return (column.full or column.text)(record)
            case Qt.ItemDataRole.DecorationRole if column.name == "star" and not record.starred:
                return icons.icon("star", "line")
            case Qt.ItemDataRole.ForegroundRole:
                return _color(record, column)
            case Qt.ItemDataRole.AccessibleTextRole if column.name == "star":
                return "starred" if record.starred else "not starred"
            case _ if role == RECORD_ROLE:
                return record
            case _ if role == PROGRESS_ROLE:
                return self._progress.get(record.run_id) if column.name == "status" else None
        return None

    def _text(self, record: RunRecord, column: Column) -> str:
        if column.name == "status" and (fraction := self._progress.get(record.run_id)) is not None:
            return f"{record.status if record.status == 'queued' else 'running'} {100 * fraction:.0f} %"
        return column.text(record)


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _color(record: RunRecord, column: Column) -> QColor | None:
    tokens = theme.tokens()
    if column.name == "star":
        return QColor(tokens.warning)
    if column.name == "change" and (change := accuracy_change(record)) and not change_is_noise(record):
        return QColor(tokens.good if change > 0 else tokens.bad)
    if column.name == "status":
        if record.status == "failed":
            return QColor(tokens.bad)
        if record.status in ("cancelled", "interrupted", "queued"):
            return QColor(tokens.text_muted)
    return None
