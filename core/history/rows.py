"""Between database rows and the frozen values that the history takes in and hands out.

Fields that a value has and its table has not (yet) go into the row's JSON column `extra`, so that nothing measured
is lost before a migration gives it a column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import RowMapping

from core.events import MetricPoint
from core.history.orm import ArtifactRow, LayerRow, MeasurementRow, Metric, Run, RunDocument
from core.history.records import Artifact, RunRecord
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement

METRIC_COLUMNS = (
    Metric.step,
    Metric.epoch,
    Metric.iteration,
    Metric.split,
    Metric.metric,
    Metric.value,
    Metric.seconds,
)
_RUN = Run.__table__.columns
_MEASUREMENT = MeasurementRow.__table__.columns
_MEASUREMENT_NAMES = frozenset(_MEASUREMENT.keys())
_LAYER_NAMES = frozenset(LayerRow.__table__.columns.keys())
_PARTS: dict[str, type[Accuracy] | type[Latency]] = {"accuracy": Accuracy, "latency": Latency}

RUN_COLUMNS = (
    *(column for column in _RUN if column.name in {field.name for field in fields(RunRecord)}),
    *(column for column in RunDocument.__table__.columns if column.name != "run_number"),
)


def _stored(kind: type[Any], prefix: str = "") -> tuple[str, ...]:
    """The fields of a dataclass that have a column of their own, in the dataclass's order."""
    return tuple(field.name for field in fields(kind) if prefix + field.name in _MEASUREMENT_NAMES)


_FIGURES = _stored(Measurement)
_ACCURACY = _stored(Accuracy, "accuracy_")
_LATENCY = _stored(Latency, "latency_")
MEASUREMENT_COLUMNS = tuple(
    _MEASUREMENT[name]
    for name in (
        "run_number",
        "stage",
        "extra",
        *_FIGURES,
        *(f"accuracy_{name}" for name in _ACCURACY),
        *(f"latency_{name}" for name in _LATENCY),
    )
)
_FIRST_ACCURACY = 3 + len(_FIGURES)
_FIRST_LATENCY = _FIRST_ACCURACY + len(_ACCURACY)
_COUNT = _FIRST_ACCURACY + _ACCURACY.index("count")
_MEDIAN = _FIRST_LATENCY + _LATENCY.index("median_ms")


def metric_row(number: int, point: MetricPoint) -> dict[str, Any]:
    """The row of one point of a curve of run `number`."""
    return {
        "run_number": number,
        "step": point.step,
        "iteration": point.iteration,
        "split": point.split,
        "metric": point.metric,
        "epoch": float(point.epoch),
        "value": float(point.value),
        "seconds": float(point.seconds),
    }


def measurement_row(number: int, stage: str, measurement: Measurement) -> dict[str, Any]:
    """The row of one measurement of run `number`."""
    row: dict[str, Any] = dict.fromkeys(_MEASUREMENT_NAMES)
    row |= {"run_number": number, "stage": stage}
    extra: dict[str, Any] = {}
    for name, value in asdict(measurement).items():
        if name in _PARTS and isinstance(value, dict):
            for part, figure in value.items():
                _place(row, extra, f"{name}_{part}", figure)
        elif name not in _PARTS:
            _place(row, extra, name, value)
    row["extra"] = extra
    return row


def _place(row: dict[str, Any], extra: dict[str, Any], name: str, value: Any) -> None:
    if name in _MEASUREMENT_NAMES:
        row[name] = value
    else:
        extra[name] = value


def measurement_from(row: Sequence[Any]) -> Measurement:
    """The measurement of a row of `MEASUREMENT_COLUMNS`."""
    # Positions instead of names: a list of many runs makes two of these for each.
    extra = row[2]
    figures = dict(zip(_FIGURES, row[3:_FIRST_ACCURACY], strict=True))
    figures["input_shape"] = _tuples(figures["input_shape"])
    if row[_COUNT] is not None:
        known = zip(_ACCURACY, row[_FIRST_ACCURACY:_FIRST_LATENCY], strict=True)
        figures["accuracy"] = Accuracy(**dict(known), **_extra(extra, Accuracy, _ACCURACY, "accuracy_"))
    if row[_MEDIAN] is not None:
        known = zip(_LATENCY, row[_FIRST_LATENCY:], strict=True)
        figures["latency"] = Latency(**dict(known), **_extra(extra, Latency, _LATENCY, "latency_"))
    return Measurement(**figures, **_extra(extra, Measurement, (*_FIGURES, *_PARTS), ""))


def _extra(extra: Mapping[str, Any], kind: type[Any], stored: Sequence[str], prefix: str) -> dict[str, Any]:
    """Fields that have no column (yet), as far as this version knows them."""
    if not extra:
        return {}
    return {
        field.name: _tuples(extra[prefix + field.name])
        for field in fields(kind)
        if field.name not in stored and prefix + field.name in extra
    }


def _tuples(value: Any) -> Any:
    """JSON knows only lists; frozen values hold tuples."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def layer_row(number: int, stage: str, position: int, layer: LayerStatistics) -> dict[str, Any]:
    """The row of one layer of run `number`."""
    values = asdict(layer)
    extra = {name: value for name, value in values.items() if name not in _LAYER_NAMES}
    return {
        "run_number": number,
        "stage": stage,
        "position": position,
        "extra": extra or None,
        **{name: value for name, value in values.items() if name in _LAYER_NAMES},
    }


def layer_from(row: RowMapping) -> LayerStatistics:
    """The layer of a row of `layers`."""
    known: dict[str, Any] = {**row, **(row["extra"] or {})}
    return LayerStatistics(
        **{field.name: _tuples(known[field.name]) for field in fields(LayerStatistics) if field.name in known}
    )


def artifact_from(row: ArtifactRow) -> Artifact:
    """The artifact of a row of `artifacts`."""
    return Artifact(row.kind, row.path, row.size, row.sha256)


def record_from(row: RowMapping, stages: Mapping[str, Measurement]) -> RunRecord:
    """The record of a row of `RUN_COLUMNS`, with the run's measurements by stage."""
    values: dict[str, Any] = dict(row)
    values["tags"] = tuple(values["tags"])
    values["notices"] = tuple(values["notices"])
    return RunRecord(**values, before=stages.get("before"), after=stages.get("after"))
