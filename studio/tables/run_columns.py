"""The columns of the run table: what each shows of a run, what it sorts by, and what its tooltip adds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from core import formatting
from core.history.columns import TAG_SEPARATOR, RunColumns
from core.history.query_fields import Field
from core.history.records import RunRecord
from core.measurement.difference import MAY_BE_CHANCE, difference


@dataclass(frozen=True)
class Column:
    """One column of the run table.

    Attributes:
        name: what it is called in the settings and the tests; `field` is the column of `RunColumns` behind it.
        show: a figure as text for people; None for a column of texts.
        full: the tooltip of a row; None for the text itself.
        descending: which order the first click gives.
        best: which of a group's figures stands in its heading: the largest (1), the smallest (-1) or none.
    """

    name: str
    title: str
    tip: str
    width: int
    field: str
    show: Callable[[float], str] | None = None
    full: Callable[[RunColumns, int], str] | None = None
    right: bool = True
    descending: bool = True
    best: int = 0

    def text(self, columns: RunColumns, row: int) -> str:
        """What stands in the cell; nothing where nothing was measured."""
        if self.field in columns.texts:
            return columns.texts[self.field][row].replace(TAG_SEPARATOR, ", ")
        if self.field != "number" and self.field not in columns.figures:
            return ""
        value = float(columns.numbers[row] if self.field == "number" else columns.figures[self.field][row])
        return "" if value != value or self.show is None else self.show(value)


def wall_seconds(record: RunRecord) -> float | None:
    """From start to end, pauses included."""
    if record.started is None or record.ended is None:
        return None
    return record.ended - record.started


def local_time(moment: float | None) -> str:
    """Date and time to the minute, in the user's zone."""
    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"


def _number(columns: RunColumns, name: str, row: int) -> float | None:
    """A figure; None where it was not measured, or is not loaded yet."""
    value = float(columns.figures[name][row]) if name in columns.figures else math.nan
    return None if math.isnan(value) else value


def _accuracy_tip(prefix: str) -> Callable[[RunColumns, int], str]:
    def tip(columns: RunColumns, row: int) -> str:
        value = _number(columns, "before" if prefix else "accuracy", row)
        if value is None:
            return "Not measured."
        low, high, count = (
            _number(columns, f"{prefix}accuracy_{part}", row) for part in ("low", "high", "count")
        )
        if low is None or high is None or count is None:
            return formatting.percent(value, 6)
        return (
            f"{round(value * count):,} of {round(count):,} held-out examples correct; "
            f"95 % interval {100 * low:.2f} to {100 * high:.2f} %"
        )

    return tip


def change_may_be_chance(columns: RunColumns, row: int) -> bool | None:
    """Whether the interval of after minus before includes zero; None where the intervals are not known (yet)."""
    names = (
        "accuracy_low",
        "accuracy",
        "accuracy_high",
        "before.accuracy_low",
        "before",
        "before.accuracy_high",
    )
    found = [value for name in names if (value := _number(columns, name, row)) is not None]
    if len(found) < len(names):
        return None
    low, share, high, low_before, before, high_before = found
    return not difference((low, share, high), (low_before, before, high_before)).distinguishable


def _change_tip(columns: RunColumns, row: int) -> str:
    if _number(columns, "change", row) is None:
        return "Not measured."
    match change_may_be_chance(columns, row):
        case True:
            return MAY_BE_CHANCE
        case False:
            return "The 95 % interval of the difference leaves zero out."
    return "Accuracy after minus before."


def _exact(field: str, unit: str) -> Callable[[RunColumns, int], str]:
    def tip(columns: RunColumns, row: int) -> str:
        value = _number(columns, field, row)
        return "Not measured." if value is None else f"{round(value):,} {unit}"

    return tip


def _latency_tip(columns: RunColumns, row: int) -> str:
    value = _number(columns, "latency", row)
    return "Not measured." if value is None else f"{value:.6g} ms, median; the details tell the protocol."


def _name_tip(columns: RunColumns, row: int) -> str:
    tags = ", ".join(columns.tags(row))
    name = columns.texts["name"][row]
    return f"{name}\nTags: {tags}" if tags else name


def _status_tip(columns: RunColumns, row: int) -> str:
    error = columns.texts["error"][row] if "error" in columns.texts else ""
    return error or status_text(columns, row)


def status_text(columns: RunColumns, row: int) -> str:
    """The status in words."""
    status = columns.texts["status"][row]
    return "stopped early" if columns.figures["early"][row] and status == "finished" else status


def _star(value: float) -> str:
    return "★" if value else ""


def _star_tip(columns: RunColumns, row: int) -> str:
    return (
        "Starred: click to take the star away."
        if columns.figures["starred"][row]
        else "Click to star this run."
    )


def _date_tip(columns: RunColumns, row: int) -> str:
    return f"{datetime.fromtimestamp(columns.figures['created'][row]):%A, %d %B %Y, %H:%M:%S}"


def _whole(show: Callable[[int], str]) -> Callable[[float], str]:
    return lambda value: show(round(value))


COLUMNS: tuple[Column, ...] = (
    Column("number", "#", "The run's number.", 66, "number", lambda value: f"{value:.0f}"),
    Column("star", "★", "Starred: click to change.", 36, "starred", _star, _star_tip, False),
    Column("name", "Name", "The run's name and tags.", 190, "name", None, _name_tip, False, False),
    Column("status", "Status", "How the run ended, or how far it is.", 104, "status", None, _status_tip, False, False),
    Column(
        "accuracy", "Accuracy", "Accuracy of the result on the held-out split.", 82, "accuracy",
        formatting.percent, _accuracy_tip(""), best=1,
    ),
    Column(
        "before", "Before", "Accuracy of the model that the run started from.", 78, "before",
        formatting.percent, _accuracy_tip("before."), best=1,
    ),
    Column(
        "change", "Change", "Accuracy after minus before, in percentage points (pp).", 106, "change",
        formatting.points, _change_tip, best=1,
    ),
    Column(
        "sparsity", "Sparsity",
        "Zeros among the weights of the prunable layers; biases and normalisation are not counted.", 74, "sparsity",
        lambda value: formatting.percent(value, 1),
        lambda columns, row: _exact_percent(columns, "sparsity", row), best=1,
    ),
    Column(
        "packed", "Packed size", "Bytes of the result in a sparse encoding (named in the details).", 84, "packed",
        _whole(formatting.data_size), _exact("packed", "bytes"), best=-1,
    ),
    Column(
        "dense", "Dense size", "Bytes of the result as an ordinary file, where zeros take as much room as others.",
        82, "dense", _whole(formatting.data_size), _exact("dense", "bytes"), best=-1,
    ),
    Column(
        "macs", "MACs", "Multiply-accumulates for one example.", 92, "macs",
        _whole(formatting.macs), _exact("macs", "multiply-accumulates"), best=-1,
    ),
    Column(
        "latency", "Latency", "Median time of one forward pass.", 74, "latency",
        formatting.milliseconds, _latency_tip, best=-1,
    ),
    Column("model", "Model", "The model that the run started from.", 150, "model", None, None, False, False),
    Column("task", "Task", "The data on which the run trained and was judged.", 130, "task", None, None, False, False),
    Column("method", "Method", "The steps of the recipe.", 130, "method", None, None, False, False),
    Column("duration", "Duration", "From start to end, pauses included.", 74, "duration", formatting.duration),
    Column("date", "Date", "When the run was submitted.", 124, "created", local_time, _date_tip),
)  # fmt: skip

COLUMN_INDEX = {column.name: index for index, column in enumerate(COLUMNS)}
DETAILS = (
    "accuracy_low",
    "accuracy_high",
    "accuracy_count",
    "before.accuracy_low",
    "before.accuracy_high",
    "before.accuracy_count",
    "error",
    "recipe",
    "recipe_sha256",
    "parent",
)
"""What tooltips and colours need besides; it is loaded once the table stands."""

_SHOWN: dict[str, Callable[[float], str]] = {
    "fraction": formatting.percent,
    "bytes": _whole(formatting.data_size),
    "ms": formatting.milliseconds,
    "seconds": formatting.duration,
    "date": local_time,
    "count": lambda value: f"{value:,.0f}" if value == round(value) else formatting.significant(value, 6),
}


def further_column(field: Field) -> Column:
    """A column that the user adds: any setting or measurement that a search can name."""
    show = _SHOWN.get(field.kind, lambda value: f"{value:.6g}")
    is_text = field.kind in ("text", "tags")
    tip = f"{field.help[0].upper()}{field.help[1:]}."
    return Column(field.name, field.name, tip, 110, field.column, show, None, not is_text, not is_text)


def _exact_percent(columns: RunColumns, name: str, row: int) -> str:
    value = _number(columns, name, row)
    return "Not measured." if value is None else formatting.percent(value, 6)
