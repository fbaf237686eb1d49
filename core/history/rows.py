"""Between database rows and the frozen values that the history takes in and hands out.

Fields that a value has and its table has not (yet) go into the row's JSON column `extra`, so that nothing measured
is lost before a migration gives it a column.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, cast

from sqlalchemy import Row, RowMapping

from core.events import MetricPoint
from core.history.orm import ArtifactRow, LayerRow, MeasurementRow, Metric, Run, RunDocument
from core.history.records import Artifact, RunRecord, Status
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
RUN_COLUMNS = tuple(
    column
    for column in Run.__table__.columns
    if column.name not in {"recipe_sha256", "host", "pid", "process_started"}
)
DOCUMENT_COLUMNS = tuple(
    column for column in RunDocument.__table__.columns if column.name not in {"run_number"}
)
MEASUREMENT_COLUMNS = tuple(MeasurementRow.__table__.columns)
_MEASUREMENT_NAMES = frozenset(column.name for column in MEASUREMENT_COLUMNS)
_LAYER_NAMES = frozenset(column.name for column in LayerRow.__table__.columns)
_PARTS: dict[str, type[Accuracy] | type[Latency]] = {"accuracy": Accuracy, "latency": Latency}


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


def measurement_from(row: RowMapping) -> Measurement:
    """The measurement of a row of `measurements`."""
    known: dict[str, Any] = {**row, **row["extra"]}
    arguments = _arguments(Measurement, known, "")
    arguments["accuracy"] = (
        Accuracy(**_arguments(Accuracy, known, "accuracy_")) if row["accuracy_count"] is not None else None
    )
    arguments["latency"] = (
        Latency(**_arguments(Latency, known, "latency_")) if row["latency_median_ms"] is not None else None
    )
    return Measurement(**arguments)


def _arguments(kind: type[Any], known: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        field.name: _tuples(known[prefix + field.name])
        for field in fields(kind)
        if prefix + field.name in known
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
    return LayerStatistics(**_arguments(LayerStatistics, {**row, **(row["extra"] or {})}, ""))


def artifact_from(row: ArtifactRow) -> Artifact:
    """The artifact of a row of `artifacts`."""
    return Artifact(row.kind, row.path, row.size, row.sha256)


def record_from(row: Row[Any], stages: Mapping[str, Measurement]) -> RunRecord:
    """The record of a row of `RUN_COLUMNS` and `DOCUMENT_COLUMNS`, with the run's measurements by stage."""
    return RunRecord(
        run_id=row.run_id,
        number=row.number,
        name=row.name,
        status=cast(Status, row.status),
        created=row.created,
        started=row.started,
        ended=row.ended,
        seed=row.seed,
        source=row.source,
        source_title=row.source_title,
        source_sha256=row.source_sha256,
        task=row.task,
        task_title=row.task_title,
        recipe=row.recipe,
        method=row.method,
        environment=row.environment,
        before=stages.get("before"),
        after=stages.get("after"),
        error=row.error,
        error_details=row.error_details,
        stopped_early=row.stopped_early,
        starred=row.starred,
        tags=tuple(row.tags),
        note=row.note,
        notices=tuple(row.notices),
        updated=row.updated,
        active_seconds=row.active_seconds,
        device=row.device,
        threads=row.threads,
        measure_latency=row.measure_latency,
        parent_run_id=row.parent_run_id,
        archived=row.archived,
        deleted_at=row.deleted_at,
    )
