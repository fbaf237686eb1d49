"""Lists of runs for other programs: JSON with everything, CSV with one line for each run."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from core.history.records import NO_STEPS, RunRecord
from core.measurement.records import Measurement, measurement_to_json

CSV_COLUMNS = (
    "number",
    "run_id",
    "name",
    "status",
    "created",
    "started",
    "ended",
    "model",
    "model_sha256",
    "task",
    "method",
    "seed",
    "tags",
    "starred",
    "note",
    "error",
    "accuracy_before",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "accuracy_count",
    "loss",
    "sparsity",
    "parameters",
    "dense_bytes",
    "packed_bytes",
    "packing",
    "macs",
    "latency_ms",
    "latency_runtime",
)


def record_to_json(record: RunRecord) -> dict[str, Any]:
    """A JSON-ready dict of a run, measurements with their derived figures."""
    data = asdict(record)
    for stage in ("before", "after"):
        measurement: Measurement | None = getattr(record, stage)
        data[stage] = None if measurement is None else measurement_to_json(measurement)
    return data


def records_csv(records: Sequence[RunRecord]) -> str:
    """The runs as CSV with a head; fractions and bytes in full precision, times as ISO 8601 in UTC."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: _harmless(value) for name, value in _csv_row(record).items()} for record in records
    )
    return text.getvalue()


def _csv_row(record: RunRecord) -> dict[str, Any]:
    measured_only = record.status == "finished" and record.method == NO_STEPS
    result = record.after or (record.before if measured_only else None)
    row: dict[str, Any] = {
        "number": record.number,
        "run_id": record.run_id,
        "name": record.name,
        "status": record.status,
        "created": _moment(record.created),
        "started": _moment(record.started),
        "ended": _moment(record.ended),
        "model": record.source_title,
        "model_sha256": record.source_sha256,
        "task": record.task_title,
        "method": record.method,
        "seed": record.seed,
        "tags": ", ".join(record.tags),
        "starred": "yes" if record.starred else "no",
        "note": record.note,
        "error": record.error,
    }
    if record.before is not None and record.before.accuracy is not None:
        row["accuracy_before"] = record.before.accuracy.value
    if result is not None:
        row |= {
            name: getattr(result, name) for name in ("sparsity", "parameters", "dense_bytes", "packed_bytes")
        }
        row |= {"packing": result.packing, "macs": result.macs}
        if (accuracy := result.accuracy) is not None:
            row |= {f"accuracy_{name}": getattr(accuracy, name) for name in ("low", "high", "count")}
            row |= {"accuracy": accuracy.value, "loss": accuracy.loss}
        if (latency := result.latency) is not None:
            row |= {"latency_ms": latency.median_ms, "latency_runtime": latency.runtime}
    return row


def _moment(time: float | None) -> str:
    return "" if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
