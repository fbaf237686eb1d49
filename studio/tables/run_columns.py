"""The columns of the run table: what each shows of a run, what it sorts by, and what its tooltip adds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core import formatting
from core.history.figures import protocol
from core.history.records import RunRecord
from core.measurement.records import Accuracy, Measurement

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


def may_be_chance(one: Accuracy | None, other: Accuracy | None) -> bool:
    """Whether the 95 % intervals of two accuracies overlap, so that their difference must not be shown as progress."""
    return one is not None and other is not None and one.low <= other.high and other.low <= one.high


def change_is_noise(record: RunRecord) -> bool:
    """Whether the run's change of accuracy may be chance."""
    if record.before is None or record.after is None:
        return False
    return may_be_chance(record.before.accuracy, record.after.accuracy)


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


def _change_tip(record: RunRecord) -> str:
    if accuracy_change(record) is None:
        return "Not measured."
    if change_is_noise(record):
        return "The 95 % intervals of both accuracies overlap: this may be chance."
    return "The 95 % intervals of both accuracies do not overlap."


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
        _change_tip,
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
