"""The run table's model: numpy index arrays over frozen records, so that 10,000 rows filter and sort at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core import formatting
from core.history.figures import protocol
from core.history.records import RunRecord
from core.measurement.records import Measurement
from studio import icons, theme

RECORD_ROLE = Qt.ItemDataRole.UserRole
PROGRESS_ROLE = Qt.ItemDataRole.UserRole + 1
"""How much of a running run is done, in [0, 1]; None for all others."""

Index = QModelIndex | QPersistentModelIndex
Key = float | str | None


@dataclass(frozen=True)
class Column:
    """One column. `key` is what it sorts by; None (not measured) stands last in either direction."""

    name: str
    title: str
    tip: str
    width: int
    text: Callable[[RunRecord], str]
    key: Callable[[RunRecord], Key]
    full: Callable[[RunRecord], str] | None = None
    right: bool = True
    descending: bool = True  # which order the first click gives


def result_of(record: RunRecord) -> Measurement | None:
    """What the run made of its model; of a run that only measured, the model as it was."""
    return record.after or (record.before if record.is_over and not record.recipe.get("steps") else None)


def accuracy_change(record: RunRecord) -> float | None:
    """Accuracy after minus before as a fraction, where both were measured."""
    if record.before is None or record.after is None:
        return None
    if record.before.accuracy is None or record.after.accuracy is None:
        return None
    return record.after.accuracy.value - record.before.accuracy.value


def wall_seconds(record: RunRecord) -> float | None:
    """From start to end, pauses included."""
    if record.started is None or record.ended is None:
        return None
    return record.ended - record.started


def local_time(moment: float | None) -> str:
    """Date and time to the minute, in the user's zone."""
    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def _accuracy(measurement: Measurement | None) -> float | None:
    return None if measurement is None or measurement.accuracy is None else measurement.accuracy.value


def _accuracy_tip(measurement: Measurement | None) -> str:
    if measurement is None or measurement.accuracy is None:
        return "Not measured."
    found = measurement.accuracy
    return (
        f"{found.correct:,} of {found.count:,} {found.split} examples correct; "
        f"95 % interval {100 * found.low:.2f} to {100 * found.high:.2f} %"
    )


def _figure(pick: Callable[[Measurement], float | None]) -> Callable[[RunRecord], float | None]:
    def of(record: RunRecord) -> float | None:
        measurement = result_of(record)
        return None if measurement is None else pick(measurement)

    return of


def _shown(pick: Callable[[RunRecord], Any], show: Callable[[Any], str]) -> Callable[[RunRecord], str]:
    def text(record: RunRecord) -> str:
        value = pick(record)
        return "" if value is None else show(value)

    return text


def _exact(pick: Callable[[RunRecord], Any], unit: str) -> Callable[[RunRecord], str]:
    return _shown(pick, lambda value: f"{value:,} {unit}")


def _latency_tip(record: RunRecord) -> str:
    measurement = result_of(record)
    if measurement is None or measurement.latency is None:
        return "Not measured."
    busy = "; the machine was busy" if measurement.latency.machine_busy else ""
    return f"Median; {protocol(measurement.latency)}{busy}"


def _status_text(record: RunRecord) -> str:
    return "stopped early" if record.stopped_early and record.status == "finished" else record.status


_sparsity = _figure(lambda m: m.sparsity)
_dense = _figure(lambda m: m.dense_bytes)
_packed = _figure(lambda m: m.packed_bytes)
_macs = _figure(lambda m: m.macs)
_latency = _figure(lambda m: None if m.latency is None else m.latency.median_ms)

COLUMNS: tuple[Column, ...] = (
    Column("number", "#", "The run's number.", 56, lambda r: str(r.number), lambda r: float(r.number)),
    Column(
        "star",
        "★",
        "Starred: click to change.",
        36,
        lambda r: "★" if r.starred else "",
        lambda r: float(r.starred),
        lambda r: "Starred: click to take the star away." if r.starred else "Click to star this run.",
        right=False,
    ),
    Column(
        "name",
        "Name",
        "The run's name and tags.",
        190,
        lambda r: r.name,
        lambda r: r.name.casefold(),
        lambda r: f"{r.name}\nTags: {', '.join(r.tags)}" if r.tags else r.name,
        right=False,
        descending=False,
    ),
    Column(
        "status",
        "Status",
        "How the run ended, or how far it is.",
        104,
        _status_text,
        lambda r: r.status,
        lambda r: r.error or _status_text(r),
        right=False,
        descending=False,
    ),
    Column(
        "accuracy",
        "Accuracy",
        "Accuracy of the result on the held-out split.",
        82,
        _shown(lambda r: _accuracy(result_of(r)), formatting.percent),
        lambda r: _accuracy(result_of(r)),
        lambda r: _accuracy_tip(result_of(r)),
    ),
    Column(
        "before",
        "Before",
        "Accuracy of the model that the run started from.",
        78,
        _shown(lambda r: _accuracy(r.before), formatting.percent),
        lambda r: _accuracy(r.before),
        lambda r: _accuracy_tip(r.before),
    ),
    Column(
        "change",
        "Change",
        "Accuracy after minus before, in percentage points (pp).",
        92,
        _shown(accuracy_change, formatting.points),
        accuracy_change,
    ),
    Column(
        "sparsity",
        "Sparsity",
        "Zeros among the weights of the prunable layers; biases and normalisation are not counted.",
        74,
        _shown(_sparsity, lambda value: formatting.percent(value, 1)),
        _sparsity,
        _shown(_sparsity, lambda value: formatting.percent(value, 6)),
    ),
    Column(
        "packed",
        "Packed size",
        "Bytes of the result in a sparse encoding (named in the details).",
        84,
        _shown(_packed, formatting.data_size),
        _packed,
        _exact(_packed, "bytes"),
    ),
    Column(
        "dense",
        "Dense size",
        "Bytes of the result as an ordinary file, in which zeros take as much room as other weights.",
        82,
        _shown(_dense, formatting.data_size),
        _dense,
        _exact(_dense, "bytes"),
    ),
    Column(
        "macs",
        "MACs",
        "Multiply-accumulates for one example.",
        92,
        _shown(_macs, formatting.macs),
        _macs,
        _exact(_macs, "multiply-accumulates"),
    ),
    Column(
        "latency",
        "Latency",
        "Median time of one forward pass; the protocol stands in the tooltip.",
        74,
        _shown(_latency, formatting.milliseconds),
        _latency,
        _latency_tip,
    ),
    Column(
        "model",
        "Model",
        "The model that the run started from.",
        150,
        lambda r: r.source_title,
        lambda r: r.source_title.casefold(),
        lambda r: str(r.source.get("name", r.source_title)),
        right=False,
        descending=False,
    ),
    Column(
        "task",
        "Task",
        "The data on which the run trained and was judged.",
        130,
        lambda r: r.task_title,
        lambda r: r.task_title.casefold(),
        right=False,
        descending=False,
    ),
    Column(
        "method",
        "Method",
        "The steps of the recipe.",
        130,
        lambda r: r.method,
        lambda r: r.method.casefold(),
        lambda r: str(r.recipe.get("name", r.method)),
        right=False,
        descending=False,
    ),
    Column(
        "duration",
        "Duration",
        "From start to end, pauses included.",
        74,
        _shown(wall_seconds, formatting.duration),
        wall_seconds,
    ),
    Column(
        "date",
        "Date",
        "When the run was submitted.",
        124,
        lambda r: local_time(r.created),
        lambda r: r.created,
        lambda r: f"{datetime.fromtimestamp(r.created):%A, %d %B %Y, %H:%M:%S}",
    ),
)

COLUMN_INDEX = {column.name: index for index, column in enumerate(COLUMNS)}


def search_text(record: RunRecord) -> str:
    """Everything that the filter looks into, in lower case."""
    parts = (
        record.name,
        record.source_title,
        record.task_title,
        record.method,
        _status_text(record),
        str(record.recipe.get("name", "")),
        f"#{record.number}",
        *record.tags,
    )
    return "\n".join(parts).casefold()


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
        self._arrange()
        self.endResetModel()

    def merge(self, records: Iterable[RunRecord]) -> None:
        """Take over changed and new runs; deleted ones disappear."""
        gone: set[str] = set()
        self.beginResetModel()
        for record in records:
            if record.deleted_at is not None or record.archived:
                gone.add(record.run_id)
                continue
            position = self._position.get(record.run_id)
            if position is None:
                self._position[record.run_id] = len(self._records)
                self._records.append(record)
                self._search.append(search_text(record))
            else:
                self._records[position] = record
                self._search[position] = search_text(record)
            if record.is_over:
                self._progress.pop(record.run_id, None)
        if gone & self._position.keys():
            kept = [index for index, record in enumerate(self._records) if record.run_id not in gone]
            self._records = [self._records[index] for index in kept]
            self._search = [self._search[index] for index in kept]
            self._position = {record.run_id: index for index, record in enumerate(self._records)}
        self._keys.clear()
        self._arrange()
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

    # -- filter and order
    # --------------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Show only runs that contain every word of `text`."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self.beginResetModel()
            self._words = words
            self._arrange()
            self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        descending = order == Qt.SortOrder.DescendingOrder
        if 0 <= column < len(COLUMNS) and (column, descending) != self.sorting:
            self.beginResetModel()
            self._column, self._descending = column, descending
            self._arrange()
            self.endResetModel()

    def _arrange(self) -> None:
        self._row_of = None
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
        self._rows = order

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
    if column.name == "change" and (change := accuracy_change(record)) is not None and round(change, 4):
        return QColor(tokens.good if change > 0 else tokens.bad)
    if column.name == "status":
        if record.status == "failed":
            return QColor(tokens.bad)
        if record.status in ("cancelled", "interrupted", "queued"):
            return QColor(tokens.text_muted)
    return None
