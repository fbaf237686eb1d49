"""The run table's model: index arrays over columns, so that 100,000 rows filter, sort and group at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont

from core.history.columns import RunColumns
from core.history.query import Query, parse_query, search
from core.history.records import RunRecord
from studio import icons, theme
from studio.tables.run_columns import (
    COLUMN_INDEX,
    COLUMNS,
    Column,
    change_may_be_chance,
    status_text,
)

_DISPLAY = int(Qt.ItemDataRole.DisplayRole)
_ALIGNMENT = int(Qt.ItemDataRole.TextAlignmentRole)
_FOREGROUND = int(Qt.ItemDataRole.ForegroundRole)
_DECORATION = int(Qt.ItemDataRole.DecorationRole)
_NEVER = frozenset(
    map(int, (Qt.ItemDataRole.BackgroundRole, Qt.ItemDataRole.CheckStateRole, Qt.ItemDataRole.SizeHintRole))
)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

PROGRESS_ROLE = Qt.ItemDataRole.UserRole + 1
"""How much of a running run is done, in [0, 1]; None for all others."""

HEADING_ROLE = Qt.ItemDataRole.UserRole + 2
"""Whether a row is the heading of a group."""

GROUPINGS = {
    "": "not grouped",
    "model": "model",
    "recipe_sha256": "recipe",
    "method": "method",
    "task": "task",
}
"""What runs can be grouped by: columns, and their names for people."""

Index = QModelIndex | QPersistentModelIndex
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class RunRow:
    """What the table knows of a run."""

    run_id: str
    number: int
    name: str
    status: str
    starred: bool
    archived: bool
    tags: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Whether the run has its end status."""
        return self.status not in ("queued", "running")


class RunTable(QAbstractTableModel):
    """Runs as rows. Which rows are shown, and in which order, is one index array; headings of groups are negative."""

    def __init__(self) -> None:
        super().__init__()
        self._columns = RunColumns.empty()
        self._progress: dict[str, float] = {}
        self._shown: list[Column] = list(COLUMNS)
        self._keys: dict[str, NDArray[np.float64]] = {}
        self._rows: Rows = np.empty(0, dtype=np.intp)
        self._row_of: Rows | None = None
        self._query = parse_query("")
        self._with_archived = False
        self._grouping = ""
        self._groups: list[Rows] = []
        self._unfolded: set[str] = set()
        self._column = COLUMN_INDEX["number"]
        self._descending = True
        self._bold = QFont()
        self._bold.setBold(True)

    # -- what is in it -----------------------------------------------------------------------------------------

    @property
    def columns(self) -> RunColumns:
        """All runs, shown or not."""
        return self._columns

    @property
    def total(self) -> int:
        """How many runs there are, shown or not; archived ones count where they may be shown."""
        if self._with_archived or self._query.shows_archived:
            return len(self._columns)
        return len(self._columns) - int(self._columns.figures["archived"].sum())

    @property
    def found(self) -> int:
        """How many runs meet the search, in folded groups or not."""
        return sum(map(len, self._groups)) if self._grouping else len(self._rows)

    @property
    def sorting(self) -> tuple[int, bool]:
        """The column that rows are sorted by, and whether the largest stands first."""
        return self._column, self._descending

    @property
    def shown_columns(self) -> Sequence[Column]:
        """The columns: those of every table, and those that were added."""
        return self._shown

    @property
    def query(self) -> Query:
        """What is searched for."""
        return self._query

    @property
    def grouping(self) -> str:
        """The column that runs are grouped by; "" for none."""
        return self._grouping

    def run_ids(self) -> list[str]:
        """The runs that meet the search, in the order of the table."""
        return [self._columns.run_ids[row] for row in self._found().tolist()]

    def found_rows(self) -> Rows:
        """The rows of `columns` that meet the search, in folded groups or not, ascending."""
        return np.sort(self._found())

    def _found(self) -> Rows:
        return np.concatenate([*self._groups, np.empty(0, np.intp)]) if self._grouping else self._rows

    def record(self, run_id: str) -> RunRow | None:
        """The run of that id."""
        position = self._columns.position.get(run_id)
        return None if position is None else self._run(position)

    def record_at(self, row: int) -> RunRow:
        """The run in a row that is no heading."""
        return self._run(int(self._rows[row]))

    def run_id_at(self, row: int) -> str:
        """The id of the run in a row that is no heading."""
        return self._columns.run_ids[self._rows[row]]

    def is_heading(self, row: int) -> bool:
        """Whether a row is the heading of a group."""
        return bool(self._rows[row] < 0)

    def row_of(self, run_id: str) -> int | None:
        """The row that shows a run, or None where the search or a folded group hides it."""
        position = self._columns.position.get(run_id)
        if position is None:
            return None
        if self._row_of is None:
            self._row_of = np.full(len(self._columns), -1, dtype=np.intp)
            runs = np.flatnonzero(self._rows >= 0)
            self._row_of[self._rows[runs]] = runs
        row = int(self._row_of[position])
        return None if row < 0 else row

    def set_records(self, records: Iterable[RunRecord]) -> None:
        """Replace all runs by records."""
        self.set_columns(RunColumns.from_records(records))

    def set_columns(self, columns: RunColumns) -> None:
        """Replace all runs."""
        self._columns = columns
        self._keys.clear()
        self._rearrange()

    def add_fields(self, columns: RunColumns) -> None:
        """Take over columns that were loaded besides, for the same runs; others are left alone."""
        if columns.run_ids is self._columns.run_ids or columns.run_ids == self._columns.run_ids:
            added = {**columns.figures, **columns.texts}
            self._columns = self._columns.adding(
                {name: column for name, column in added.items() if not self._columns.holds(name)}
            )
            if self._needs_rearranging(added):
                self._keys.clear()
                self._rearrange()
            elif len(self._rows):
                self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, len(self._shown) - 1))

    def _needs_rearranging(self, added: Mapping[str, object]) -> bool:
        used = {self._shown[self._column].field, self._grouping, *self._query.fields}
        return not used.isdisjoint(added)

    def merge(self, changes: RunColumns | Iterable[RunRecord]) -> None:
        """Take over changed and new runs; deleted ones disappear."""
        if not isinstance(changes, RunColumns):
            changes = RunColumns.from_records(changes)
        if not len(changes):
            return
        for row, run_id in enumerate(changes.run_ids):
            if changes.texts["status"][row] not in ("queued", "running"):
                self._progress.pop(run_id, None)
        before = self._columns
        columns = before.merged(changes)
        self._keys.clear()
        if columns.run_ids is not before.run_ids:
            self._columns = columns
            self._rearrange()
            return
        self._columns = columns
        rows, groups = self._arranged()
        if np.array_equal(rows, self._rows) and not self._grouping:
            # The everyday case while a run is under way: nothing moves, so nothing may flicker or scroll.
            for run_id in changes.run_ids:
                if (row := self.row_of(run_id)) is not None:
                    self.dataChanged.emit(self.index(row, 0), self.index(row, len(self._shown) - 1))
        else:
            self.beginResetModel()
            self._rows, self._groups, self._row_of = rows, groups, None
            self.endResetModel()

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

    # -- search, order, groups, columns ------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Show only runs that meet a search whose columns are loaded.

        Raises:
            QueryError: if it cannot be understood.
        """
        self.set_query(parse_query(text))

    def set_query(self, query: Query) -> None:
        """Show only runs that meet a search; its columns must be loaded."""
        if query.text != self._query.text:
            self._query = query
            self._rearrange()

    def show_archived(self, on: bool) -> None:
        """Whether archived runs are shown."""
        if on != self._with_archived:
            self._with_archived = on
            self._rearrange()

    def set_grouping(self, column: str) -> None:
        """Group by a column that is loaded, every group folded; "" for no groups."""
        if column != self._grouping:
            self._grouping = column
            self._unfolded.clear()
            self._rearrange()

    def fold(self, row: int, folded: bool | None = None) -> None:
        """Fold or unfold the group whose heading stands in a row; the other way round with None."""
        key = self._group_key(-int(self._rows[row]) - 1)
        if folded is None:
            folded = key in self._unfolded
        if folded == (key not in self._unfolded):
            return
        if folded:
            self._unfolded.discard(key)
        else:
            self._unfolded.add(key)
        self._rearrange()

    def show_columns(self, further: Sequence[Column]) -> None:
        """Add columns behind those of every table, in the place of those that were added before."""
        self.beginResetModel()
        self._shown = [*COLUMNS, *further]
        if self._column >= len(self._shown):
            self._column, self._descending = COLUMN_INDEX["number"], True
            self._rows, self._groups = self._arranged()
            self._row_of = None
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        descending = order == Qt.SortOrder.DescendingOrder
        if 0 <= column < len(self._shown) and (column, descending) != self.sorting:
            self._column, self._descending = column, descending
            self._rearrange()

    def _rearrange(self) -> None:
        self.beginResetModel()
        self._rows, self._groups = self._arranged()
        self._row_of = None
        self.endResetModel()

    def _arranged(self) -> tuple[Rows, list[Rows]]:
        keys = self._sort_keys(self._shown[self._column].field)
        # Missing figures are NaN, which sorts last; so they stay last when the order is turned round as well.
        order = np.argsort(-keys if self._descending else keys, kind="stable")
        if all(map(self._columns.holds, self._query.fields)):
            found = search(self._columns, self._query, with_archived=self._with_archived)
            order = order[found[order]]
        if not self._grouping or self._grouping not in self._columns.texts:
            return order, []
        return self._grouped(order)

    def _grouped(self, order: Rows) -> tuple[Rows, list[Rows]]:
        """Groups in the order of their first rows; within each the rows keep theirs."""
        codes = self._columns.texts[self._grouping].codes[order]
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        place = np.empty(len(first), dtype=np.intp)
        place[np.argsort(first, kind="stable")] = np.arange(len(first))
        by_group = np.argsort(place[group], kind="stable")
        sizes = np.bincount(place[group], minlength=len(first))
        groups = np.split(order[by_group], np.cumsum(sizes)[:-1]) if len(first) else []
        column = self._columns.texts[self._grouping]
        rows: list[Rows] = []
        for n, members in enumerate(groups):
            rows.append(np.array([-n - 1], dtype=np.intp))
            if column[int(members[0])] in self._unfolded:
                rows.append(members)
        return (np.concatenate(rows) if rows else np.empty(0, dtype=np.intp)), groups

    def _sort_keys(self, field: str) -> NDArray[np.float64]:
        if field not in self._keys:
            self._keys[field] = (
                self._columns.sort_keys(field)
                if self._columns.holds(field)
                else np.full(len(self._columns), np.nan)
            )
        return self._keys[field]

    def _group_key(self, group: int) -> str:
        return self._columns.texts[self._grouping][int(self._groups[group][0])]

    # -- for Qt ------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._shown)

    def flags(self, index: Index) -> Qt.ItemFlag:
        if index.isValid() and self.is_heading(index.row()):
            return Qt.ItemFlag.ItemIsEnabled
        return super().flags(index)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self._shown):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            # Qt's own arrow lies over right-aligned titles.
            arrow = "" if section != self._column else " ↓" if self._descending else " ↑"
            return self._shown[section].title + arrow
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._shown[section].tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(self._shown[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role in _NEVER or not index.isValid():
            return None
        row = int(self._rows[index.row()])
        column = self._shown[index.column()]
        if row < 0:
            return self._heading(-row - 1, column, role)
        # Plain ints in the order of frequency: a screenful asks some thousand times, and comparing enums costs most.
        if role == _DISPLAY:
            return self._text(row, column)
        if role == _ALIGNMENT:
            return _RIGHT if column.right else _LEFT
        if role == _FOREGROUND:
            return _color(self._columns, row, column)
        if role == _DECORATION:
            if column.name == "star" and not self._columns.figures["starred"][row]:
                return icons.icon("star", "line")
            return None
        return self._rare(row, column, role)

    def _rare(self, row: int, column: Column, role: int) -> Any:
        columns = self._columns
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.text(columns, row) if column.full is None else column.full(columns, row)
        if role == Qt.ItemDataRole.AccessibleTextRole and column.name == "star":
            return "starred" if columns.figures["starred"][row] else "not starred"
        if role == PROGRESS_ROLE:
            return self._progress.get(columns.run_ids[row]) if column.name == "status" else None
        return False if role == HEADING_ROLE else None

    def _text(self, row: int, column: Column) -> str:
        if column.name == "status":
            if (fraction := self._progress.get(self._columns.run_ids[row])) is not None:
                status = self._columns.texts["status"][row]
                return f"{status if status == 'queued' else 'running'} {100 * fraction:.0f} %"
            return status_text(self._columns, row)
        return column.text(self._columns, row)

    def _heading(self, group: int, column: Column, role: int) -> Any:
        members = self._groups[group]
        match role:
            case Qt.ItemDataRole.DisplayRole if column.name == "name":
                key = self._group_key(group)
                sign = "▾" if key in self._unfolded else "▸"
                title = self._group_title(group, key)
                return f"{sign} {title} · {len(members):,} {'run' if len(members) == 1 else 'runs'}"
            case Qt.ItemDataRole.DisplayRole if column.best and column.field in self._columns.figures:
                values = self._columns.figures[column.field][members]
                if np.isnan(values).all():
                    return ""
                best = np.nanmax(values) if column.best > 0 else np.nanmin(values)
                return "" if column.show is None else column.show(float(best))
            case Qt.ItemDataRole.DisplayRole:
                return ""
            case Qt.ItemDataRole.FontRole:
                return self._bold
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ToolTipRole:
                if column.best:
                    return f"The {'largest' if column.best > 0 else 'smallest'} of the group."
                return "Click, or press Enter, to unfold or fold this group."
            case _ if role == HEADING_ROLE:
                return True
        return None

    def _group_title(self, group: int, key: str) -> str:
        if self._grouping == "recipe_sha256":
            first = int(self._groups[group][0])
            texts = self._columns.texts
            # Equal steps may have several names: the newest one that the list shows stands for all.
            return texts["recipe"][first] if "recipe" in texts else f"{texts['method'][first]} ({key[:8]})"
        return key or "none"

    def _run(self, position: int) -> RunRow:
        columns = self._columns
        return RunRow(
            columns.run_ids[position],
            int(columns.numbers[position]),
            columns.texts["name"][position],
            columns.texts["status"][position],
            bool(columns.figures["starred"][position]),
            bool(columns.figures["archived"][position]),
            columns.tags(position),
        )


def _alignment(column: Column) -> Qt.AlignmentFlag:
    return _RIGHT if column.right else _LEFT


def _color(columns: RunColumns, row: int, column: Column) -> QColor | None:
    name = column.name
    if name == "star":
        return QColor(theme.tokens().warning)
    if name == "change":
        change = columns.figures["change"][row]
        if change and change == change and change_may_be_chance(columns, row) is False:
            return QColor(theme.tokens().good if change > 0 else theme.tokens().bad)
    if name == "status":
        status = columns.texts["status"][row]
        if status == "failed":
            return QColor(theme.tokens().bad)
        if status in ("cancelled", "interrupted", "queued"):
            return QColor(theme.tokens().text_muted)
    if columns.figures["archived"][row]:
        return QColor(theme.tokens().text_muted)
    return None
