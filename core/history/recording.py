"""What each event of a run changes in the database; all functions work inside the caller's transaction."""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.errors import StudioError
from core.events import (
    ArtifactWritten,
    Cancelled,
    EndEvent,
    Event,
    Failed,
    Finding,
    Finished,
    Interrupted,
    LayersMeasured,
    Measured,
    MetricPoint,
    Notice,
    PausedChanged,
    Progress,
    RunStarted,
    StepStarted,
)
from core.history.orm import ArtifactRow, FindingRow, LayerRow, MeasurementRow, Metric, Run, RunDocument
from core.history.processes import ProcessIdentity, this_process
from core.history.records import NO_STEPS, RunRecord
from core.history.rows import layer_row, measurement_row, metric_row
from core.history.sessions import upsert
from core.measurement.records import Measurement
from core.recipe import Recipe
from core.request import RunRequest

UNFINISHED = ("queued", "running")
RESUMABLE = ("interrupted", "failed")


def insert_run(session: Session, request: RunRequest) -> None:
    """Add a queued run, or queue an interrupted or failed one of the same name again.

    Raises:
        StudioError: if a run of that `run_id` exists and has ended for good.
    """
    now = time.time()
    owner = this_process()
    existing = session.scalar(select(Run).where(Run.run_id == request.run_id))
    if existing is not None:
        if existing.status not in (*UNFINISHED, *RESUMABLE):
            ended = "been cancelled" if existing.status == "cancelled" else existing.status
            raise StudioError(f"Run {existing.number} has already {ended}: run it again as a new one.")
        if existing.status in RESUMABLE:
            existing.status, existing.ended, existing.error, existing.updated = "queued", None, "", now
        _take_over(existing, owner)
        return
    recipe = request.recipe.model_dump(mode="json")
    run = Run(
        run_id=request.run_id,
        name=request.title,
        status="queued",
        created=now,
        started=None,
        ended=None,
        updated=now,
        active_seconds=None,
        seed=request.seed,
        device=request.device,
        threads=request.threads,
        measure_latency=request.measure_latency,
        source_title=request.source.title,
        source_sha256=None,
        task_title=request.task.title if request.task is not None else "",
        recipe_sha256=_steps_sha256(request.recipe),
        method=" + ".join(step.step for step in request.recipe.steps) or NO_STEPS,
        parent_run_id=None,
        stopped_early=False,
        starred=False,
        archived=False,
        deleted_at=None,
        tags=[],
        error="",
    )
    _take_over(run, owner)
    session.add(run)
    session.flush()
    session.add(
        RunDocument(
            run_number=run.number,
            source=request.source.to_json(),
            task=request.task.to_json() if request.task is not None else None,
            recipe=recipe,
            environment={},
            note="",
            notices=[],
            error_details="",
        )
    )


def record_events(session: Session, events: Sequence[Event]) -> None:
    """Write a batch of events; those of runs that are not in the history (any more) are dropped."""
    wanted = {
        event.run_id for event in events if not isinstance(event, Progress | PausedChanged | StepStarted)
    }
    if not wanted:
        return
    runs = {run.run_id: run for run in session.scalars(select(Run).where(Run.run_id.in_(wanted)))}
    points: list[MetricPoint] = []
    for event in events:
        run = runs.get(event.run_id)
        if run is None:
            continue
        if isinstance(event, MetricPoint):
            points.append(event)
            continue
        if isinstance(event, RunStarted):
            # A fresh start clears what an earlier one left, so what came before it must be written first.
            _write_points(session, runs, points)
            points.clear()
        _record(session, run, event)
    _write_points(session, runs, points)
    now = time.time()
    for run in runs.values():
        run.updated = now


def take_over_record(session: Session, record: RunRecord) -> None:
    """Give a run the end, the times and the words of the record of a run that ended elsewhere."""
    run = session.scalars(select(Run).where(Run.run_id == record.run_id)).one()
    for name in (
        "name",
        "status",
        "created",
        "started",
        "ended",
        "active_seconds",
        "source_title",
        "source_sha256",
        "task_title",
        "method",
        "parent_run_id",
        "stopped_early",
        "starred",
        "error",
    ):
        setattr(run, name, getattr(record, name))
    run.tags = list(record.tags)
    run.updated = time.time()
    document = _document(session, run)
    document.note, document.error_details = record.note, record.error_details
    document.environment = dict(record.environment)


def mark_orphans(session: Session, gone: Iterable[tuple[int, ProcessIdentity]]) -> int:
    """Mark runs of dead processes as interrupted, if they still belong to those; returns how many."""
    marked = 0
    for number, owner in gone:
        run = session.get(Run, number, populate_existing=True)
        if run is None or run.status not in UNFINISHED or owner_of(run) != owner:
            continue
        # Nobody saw the end; the last sign of life is the nearest that is known.
        run.status, run.ended, run.updated = "interrupted", run.updated, time.time()
        marked += 1
    return marked


def owner_of(run: Run) -> ProcessIdentity:
    """The process that works on a run."""
    return ProcessIdentity(run.host, run.pid, run.process_started)


def _record(session: Session, run: Run, event: Event) -> None:
    match event:
        case RunStarted():
            _start(session, run, event)
        case Measured():
            upsert(session, MeasurementRow, [measurement_row(run.number, event.stage, event.measurement)])
            _summarise(session, run, event.stage, event.measurement)
        case LayersMeasured():
            session.execute(
                delete(LayerRow).where(LayerRow.run_number == run.number, LayerRow.stage == event.stage)
            )
            rows = [layer_row(run.number, event.stage, n, layer) for n, layer in enumerate(event.layers)]
            upsert(session, LayerRow, rows)
        case ArtifactWritten():
            _add_artifact(session, run, event)
        case Notice():
            document = _document(session, run)
            if event.text not in document.notices:
                document.notices = [*document.notices, event.text]
        case Finding():
            upsert(session, FindingRow, [_finding_row(run.number, event)])
        case Finished() | Failed() | Cancelled() | Interrupted():
            _end(session, run, event)
        case MetricPoint() | StepStarted() | Progress() | PausedChanged():
            pass


def _start(session: Session, run: Run, event: RunStarted) -> None:
    if run.status not in (*UNFINISHED, *RESUMABLE):
        return
    again = run.started is not None and run.status != "running"
    if again and not event.resumed:
        for table in (Metric, MeasurementRow, LayerRow, FindingRow, ArtifactRow):
            session.execute(delete(table).where(table.run_number == run.number))
        run.accuracy_before = run.accuracy_after = run.sparsity = run.latency_ms = run.active_seconds = None
        run.dense_bytes = run.packed_bytes = run.macs = None
    if run.started is None or (again and not event.resumed):
        run.started = event.time
    run.status, run.ended, run.error, run.stopped_early = "running", None, "", False
    _take_over(run, this_process())
    document = _document(session, run)
    document.environment = dict(event.environment)
    document.error_details = ""
    if event.source_sha256 is not None:
        run.source_sha256 = event.source_sha256
        run.parent_run_id = _run_that_wrote(session, run, event.source_sha256)


def _run_that_wrote(session: Session, run: Run, sha256: str) -> str | None:
    """The newest run whose saved model is the file that `run` starts from."""
    return session.scalar(
        select(Run.run_id)
        .join(ArtifactRow, ArtifactRow.run_number == Run.number)
        .where(ArtifactRow.sha256 == sha256, ArtifactRow.kind == "model", Run.number != run.number)
        .order_by(Run.number.desc())
        .limit(1)
    )


def _summarise(session: Session, run: Run, stage: str, measurement: Measurement) -> None:
    accuracy = measurement.accuracy.value if measurement.accuracy is not None else None
    if stage == "before":
        run.accuracy_before = accuracy
        after = select(MeasurementRow.stage).where(
            MeasurementRow.run_number == run.number, MeasurementRow.stage == "after"
        )
        if session.scalar(after) is not None:
            return
    elif stage == "after":
        run.accuracy_after = accuracy
    else:
        return
    run.sparsity = measurement.sparsity
    run.dense_bytes = measurement.dense_bytes
    run.packed_bytes = measurement.packed_bytes
    run.macs = measurement.macs
    run.latency_ms = measurement.latency.median_ms if measurement.latency is not None else None


def _finding_row(number: int, finding: Finding) -> dict[str, Any]:
    return {
        "run_number": number,
        "kind": finding.kind,
        "key": finding.key,
        "title": finding.title,
        "data": _finite(finding.data),
    }


def _finite(value: Any) -> Any:
    """The same JSON values with None in the place of NaN and infinity, which JSON has no words for."""
    match value:
        case dict():
            return {str(key): _finite(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_finite(entry) for entry in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _add_artifact(session: Session, run: Run, event: ArtifactWritten) -> None:
    of_run = ArtifactRow.run_number == run.number
    session.execute(delete(ArtifactRow).where(of_run, ArtifactRow.path == event.path))
    last = session.scalar(select(func.max(ArtifactRow.position)).where(of_run))
    row = {
        "run_number": run.number,
        "position": 0 if last is None else last + 1,
        "kind": event.kind,
        "path": event.path,
        "size": event.size,
        "sha256": event.sha256,
    }
    upsert(session, ArtifactRow, [row])


def _end(session: Session, run: Run, event: EndEvent) -> None:
    # Exactly one end: whatever comes after the first is an echo.
    if run.status not in UNFINISHED:
        return
    run.ended = event.time
    match event:
        case Finished():
            run.status, run.stopped_early = "finished", event.stopped_early
        case Failed():
            run.status, run.error = "failed", event.message
            _document(session, run).error_details = event.details
        case Cancelled():
            run.status = "cancelled"
        case Interrupted():
            run.status = "interrupted"


def _write_points(session: Session, runs: dict[str, Run], points: Sequence[MetricPoint]) -> None:
    if not points:
        return
    upsert(session, Metric, [metric_row(runs[point.run_id].number, point) for point in points])
    for point in points:
        run = runs[point.run_id]
        run.active_seconds = max(run.active_seconds or 0.0, float(point.seconds))


def _document(session: Session, run: Run) -> RunDocument:
    return session.get_one(RunDocument, run.number)


def _take_over(run: Run, owner: ProcessIdentity) -> None:
    run.host, run.pid, run.process_started = owner.host, owner.pid, owner.started


def _steps_sha256(recipe: Recipe) -> str:
    """Names what a recipe does, whatever it is called: runs of equal steps can be grouped."""
    steps = [step.model_dump(mode="json") for step in recipe.steps]
    return hashlib.sha256(json.dumps(steps, sort_keys=True).encode()).hexdigest()
