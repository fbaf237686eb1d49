"""The store of runs: everything that the window and the command line ask of the history, as frozen values."""

import re
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from core.data.spec import task_from_json
from core.errors import StudioError
from core.events import Event, Finding, MetricPoint
from core.history.opening import OpenedDatabase, open_database
from core.history.orm import ArtifactRow, FindingRow, LayerRow, MeasurementRow, Metric, Run, RunDocument
from core.history.recording import (
    UNFINISHED,
    insert_run,
    mark_orphans,
    owner_of,
    record_events,
    take_over_record,
)
from core.history.records import Artifact, RunRecord
from core.history.rows import (
    MEASUREMENT_COLUMNS,
    METRIC_COLUMNS,
    RUN_COLUMNS,
    artifact_from,
    layer_from,
    measurement_from,
    record_from,
)
from core.history.sessions import Sessions
from core.measurement.records import LayerStatistics, Measurement
from core.models.source import source_from_json
from core.recipe import recipe_from_data
from core.request import RunRequest

if TYPE_CHECKING:
    from core.history.columns import RunColumns

RUN_FOLDERS = "runs"
CHUNK = 500  # runs in one IN list: far below every database's limit on parameters


def open_history(location: str | Path | None = None) -> "HistoryStore":
    """Open a history; it is created where there is none and upgraded (after a copy) where it is old.

    Args:
        location: a file, a SQLAlchemy URL of SQLite or PostgreSQL, or None for the user's own history.

    Runs that a process left running that no longer lives are marked as interrupted.

    Raises:
        StudioError: if the file is no history, was written by a newer version, or may not be written to.
    """
    store = HistoryStore(open_database(location))
    try:
        store.found_interrupted = store.interrupt_orphans()
    except BaseException:
        store.close()
        raise
    return store


class HistoryStore:
    """One open history. Every method is one transaction and may be called from any thread.

    All methods raise StudioError if the database cannot be read or written (full disk, read-only, damaged), and
    leave it as it was.

    Attributes:
        found_interrupted: how many runs a process that ended without a word had left running when this was opened.
    """

    def __init__(self, database: OpenedDatabase) -> None:
        self.place = database.place
        self.backup = database.backup
        self.found_interrupted = 0
        self._folder = database.folder
        self._snapshot = database.snapshot
        self._sessions = Sessions(database.engine, database.place)

    def close(self) -> None:
        """Close the database; may be called twice."""
        self._sessions.close()

    def __enter__(self) -> "HistoryStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing -----------------------------------------------------------------------------------------------

    def add_run(self, request: RunRequest) -> RunRecord:
        """Add a run as queued. An interrupted or failed run of the same `run_id` is queued again to be resumed.

        Raises:
            StudioError: if a run of that `run_id` has finished or was cancelled.
        """
        with self._sessions.writing() as session:
            insert_run(session, request)
            session.flush()
            return _records(session, Run.run_id == request.run_id)[0]

    def add_finished(self, request: RunRequest, events: Sequence[Event], record: RunRecord) -> RunRecord:
        """Add a run that ended elsewhere, with all that it left, in one transaction (`core.history.archive`).

        Args:
            events: what is recorded of it; its end is taken from `record`, as are its times and the user's words.

        Raises:
            StudioError: if the history has a run of that `run_id`.
        """
        with self._sessions.writing() as session:
            if session.scalar(select(Run.number).where(Run.run_id == request.run_id)) is not None:
                raise StudioError("The history has this run already.")
            insert_run(session, request)
            session.flush()
            record_events(session, events)
            take_over_record(session, record)
            session.flush()
            return _records(session, Run.run_id == request.run_id)[0]

    def number_of(self, run_id: str) -> int | None:
        """The number of the run with exactly that `run_id`, deleted ones included; None if there is none."""
        with self._sessions.reading() as session:
            return session.scalar(select(Run.number).where(Run.run_id == run_id))

    def record(self, events: Sequence[Event]) -> None:
        """Write events of any runs in one transaction. Recording the same events again changes nothing.

        A run has exactly one end: end events after the first are ignored. Events of unknown runs are dropped.
        """
        if events:
            with self._sessions.writing() as session:
                record_events(session, events)

    def update(
        self,
        run_id: str,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Iterable[str] | None = None,
        starred: bool | None = None,
        archived: bool | None = None,
    ) -> None:
        """Change what the user says about a run; None leaves a field as it is.

        Raises:
            StudioError: if there is no such run, or the name is empty.
        """
        if name is not None and not name.strip():
            raise StudioError("A run's name must not be empty: type one.")
        with self._sessions.writing() as session:
            run = session.scalar(select(Run).where(Run.run_id == run_id))
            if run is None:
                raise _unknown(run_id)
            if name is not None:
                run.name = name.strip()
            if tags is not None:
                run.tags = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
            if starred is not None:
                run.starred = starred
            if archived is not None:
                run.archived = archived
            if note is not None:
                session.get_one(RunDocument, run.number).note = note
            run.updated = time.time()

    def delete(self, run_ids: Iterable[str]) -> None:
        """Take runs out of every list; `restore` brings them back as they were, files included."""
        self._set_deleted(run_ids, time.time())

    def restore(self, run_ids: Iterable[str]) -> None:
        """Undo `delete`."""
        self._set_deleted(run_ids, None)

    def purge(self, run_ids: Iterable[str]) -> None:
        """Remove runs for ever, with everything in their folders.

        Raises:
            StudioError: if one of them is queued or running; then none is removed.
        """
        names = list(dict.fromkeys(run_ids))
        with self._sessions.writing() as session:
            for chunk in _chunks(names):
                busy = session.scalar(select(Run).where(Run.run_id.in_(chunk), Run.status.in_(UNFINISHED)))
                if busy is not None:
                    raise StudioError(f"Run {busy.number} is {busy.status}: cancel it before you remove it.")
                session.execute(delete(Run).where(Run.run_id.in_(chunk)))
        for run_id in names:
            shutil.rmtree(self.run_folder(run_id), ignore_errors=True)

    def interrupt_orphans(self) -> int:
        """Mark runs as interrupted whose process no longer lives; returns how many.

        Runs of other hosts are left alone: nothing is known about their processes.
        """
        with self._sessions.reading() as session:
            unfinished = session.scalars(select(Run).where(Run.status.in_(UNFINISHED))).all()
            gone = [(run.number, owner_of(run)) for run in unfinished if owner_of(run).is_gone]
        if not gone:
            return 0
        with self._sessions.writing() as session:
            return mark_orphans(session, gone)

    # -- reading -----------------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        include_archived: bool = False,
        include_deleted: bool = False,
        changed_since: float | None = None,
    ) -> list[RunRecord]:
        """All runs, newest first.

        Args:
            changed_since: only runs with `updated` at or after this time, for a list that is kept up to date.
        """
        conditions: list[ColumnElement[bool]] = []
        if not include_archived:
            conditions.append(Run.archived.is_(False))
        if not include_deleted:
            conditions.append(Run.deleted_at.is_(None))
        if changed_since is not None:
            conditions.append(Run.updated >= changed_since)
        with self._sessions.reading() as session:
            return _records(session, *conditions)

    def runs_named(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """The records of runs in the order of their names; names that do not exist (any more) are left out."""
        found: dict[str, RunRecord] = {}
        with self._sessions.reading() as session:
            for chunk in _chunks(run_ids):
                found |= {record.run_id: record for record in _records(session, Run.run_id.in_(chunk))}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def latest(self, limit: int, *, status: str | None = None) -> list[RunRecord]:
        """The newest runs, at most `limit`, that are neither archived nor deleted; only of one status where given."""
        newest = select(Run.number).where(Run.archived.is_(False), Run.deleted_at.is_(None))
        if status is not None:
            newest = newest.where(Run.status == status)
        with self._sessions.reading() as session:
            return _records(session, Run.number.in_(newest.order_by(Run.number.desc()).limit(limit)))

    def columns(
        self,
        run_ids: Sequence[str] | None = None,
        *,
        changed_since: float | None = None,
        include_deleted: bool = False,
    ) -> "RunColumns":
        """All runs (archived ones included), or those named, as columns in order of number: 100,000 in half a second.

        Args:
            changed_since: only runs with `updated` at or after this time, deleted ones included.
        """
        # Imported here, because numpy is not needed to record a run or to list a few.
        from core.history.column_queries import read_columns
        from core.history.columns import RunColumns
        from core.history.snapshot import read_with_snapshot

        conditions = [] if changed_since is None else [Run.updated >= changed_since]
        with self._sessions.reading() as session:
            if run_ids is None and changed_since is None and self._snapshot is not None:
                found = read_with_snapshot(session, self._snapshot)
            elif run_ids is None:
                found = read_columns(session, *conditions)
            else:
                found = RunColumns.empty()
                for chunk in _chunks(list(dict.fromkeys(run_ids))):
                    found = found.merged(read_columns(session, *conditions, Run.run_id.in_(chunk)))
        # Left out here and not in the database, where it would choose an index and then have to sort.
        return found if include_deleted or changed_since is not None else found.without_deleted()

    def with_fields(self, columns: "RunColumns", names: Iterable[str]) -> "RunColumns":
        """`columns` with further ones that are not yet there.

        Args:
            names: what the narrow table holds besides ("seed", "threads", "active", "device", "error", "parent",
                "source_sha256", "recipe_sha256"); "note"; "recipe" (its name); settings as "prune.sparsity"
                ("step.sparsity" for steps of any kind); figures of the result's measurement as "loss" or
                "parameters" (`column_queries.measurement_names()` lists them), of the model before as "before.loss".
                Others are left out.
        """
        from core.history.column_queries import read_fields

        with self._sessions.reading() as session:
            return read_fields(session, columns, names)

    def count(self) -> int:
        """How many runs there are, deleted ones included."""
        with self._sessions.reading() as session:
            return session.scalar(select(func.count()).select_from(Run)) or 0

    def run(self, name: str) -> RunRecord:
        """The run with that `run_id`, number ("12"), or unique beginning of a `run_id`; deleted ones included.

        Raises:
            StudioError: if there is none, or several begin so.
        """
        text = name.strip()
        with self._sessions.reading() as session:
            conditions: list[ColumnElement[bool]] = [Run.run_id == text]
            if re.fullmatch(r"[0-9]{1,9}", text):
                conditions.append(Run.number == int(text))
            if re.fullmatch(r"[0-9A-Za-z_-]+", text):
                # Nothing in the pattern has a meaning for LIKE but the underscore, which is escaped.
                conditions.append(Run.run_id.startswith(text, autoescape=True))
            for condition in conditions:
                found = session.execute(select(Run.number, Run.run_id).where(condition).limit(6)).all()
                if len(found) == 1:
                    return _records(session, Run.number == found[0].number)[0]
                if found:
                    several = ", ".join(str(row.number) for row in found[:5]) + (
                        " …" if len(found) > 5 else ""
                    )
                    raise StudioError(
                        f"Several runs begin with “{text}” (runs {several}): give more letters."
                    )
        raise _unknown(text)

    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]:
        """All points of all curves of a run in the order of the training."""
        statement = (
            select(*METRIC_COLUMNS)
            .join(Run, Run.number == Metric.run_number)
            .where(Run.run_id == run_id)
            .order_by(Metric.run_number, Metric.step, Metric.iteration, Metric.split, Metric.metric)
        )
        with self._sessions.reading() as session:
            return tuple(MetricPoint(run_id, *row) for row in session.execute(statement))

    def layers(self, run_id: str, stage: str) -> tuple[LayerStatistics, ...]:
        """The layers of a run's model "before" or "after", in the model's order; empty where not measured."""
        statement = (
            select(*LayerRow.__table__.columns)
            .join(Run, Run.number == LayerRow.run_number)
            .where(Run.run_id == run_id, LayerRow.stage == stage)
            .order_by(LayerRow.position)
        )
        with self._sessions.reading() as session:
            return tuple(layer_from(row) for row in session.execute(statement).mappings())

    def findings(self, run_id: str, kind: str | None = None) -> tuple[Finding, ...]:
        """What a run found out, sorted by kind and key; only of one `kind` where that is given."""
        statement = (
            select(FindingRow.kind, FindingRow.key, FindingRow.title, FindingRow.data)
            .join(Run, Run.number == FindingRow.run_number)
            .where(Run.run_id == run_id)
            .order_by(FindingRow.kind, FindingRow.key)
        )
        if kind is not None:
            statement = statement.where(FindingRow.kind == kind)
        with self._sessions.reading() as session:
            return tuple(Finding(run_id, *row) for row in session.execute(statement))

    def artifacts(self, run_id: str) -> tuple[Artifact, ...]:
        """The files that a run wrote, in the order in which it did."""
        statement = (
            select(ArtifactRow)
            .join(Run, Run.number == ArtifactRow.run_number)
            .where(Run.run_id == run_id)
            .order_by(ArtifactRow.position)
        )
        with self._sessions.reading() as session:
            return tuple(artifact_from(row) for row in session.scalars(statement))

    def request_of(self, run_id: str) -> RunRequest:
        """What the run was asked to do, under its own `run_id`: as it is to resume, with a new one to run again.

        Raises:
            StudioError: if there is no such run, or a newer version wrote a recipe that this one cannot read.
        """
        record = self.run(run_id)
        return RunRequest(
            recipe=recipe_from_data(record.recipe, f"The recipe of run {record.number}"),
            source=source_from_json(record.source),
            task=None if record.task is None else task_from_json(record.task),
            seed=record.seed,
            name=record.name,
            device=record.device,
            threads=record.threads,
            measure_latency=record.measure_latency,
            run_id=record.run_id,
        )

    def run_folder(self, run_id: str) -> Path:
        """The folder that belongs to a run alone; not created here.

        Raises:
            ValueError: if `run_id` could lead out of the folder of all runs.
        """
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", run_id):
            raise ValueError(f"{run_id!r} is no name of a run")
        return self._folder / RUN_FOLDERS / run_id

    def _set_deleted(self, run_ids: Iterable[str], moment: float | None) -> None:
        names = list(dict.fromkeys(run_ids))
        with self._sessions.writing() as session:
            for chunk in _chunks(names):
                session.execute(
                    update(Run).where(Run.run_id.in_(chunk)).values(deleted_at=moment, updated=time.time())
                )


def _records(session: Session, *conditions: ColumnElement[bool]) -> list[RunRecord]:
    """The runs that satisfy all conditions, newest first, with their measurements."""
    # The connection gives plain rows; the session would look for objects in each.
    connection = session.connection()
    stages: dict[int, dict[str, Measurement]] = {}
    measured = (
        select(*MEASUREMENT_COLUMNS).join(Run, Run.number == MeasurementRow.run_number).where(*conditions)
    )
    for row in connection.execute(measured):
        stages.setdefault(row[0], {})[row[1]] = measurement_from(row)
    listed = (
        select(*RUN_COLUMNS)
        .join(RunDocument, RunDocument.run_number == Run.number)
        .where(*conditions)
        .order_by(Run.created.desc(), Run.number.desc())
    )
    rows = connection.execute(listed).mappings()
    return [record_from(row, stages.get(row["number"], {})) for row in rows]


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))


def _unknown(name: str) -> StudioError:
    return StudioError(f"There is no run “{name}” in this history: see the numbers in its list of runs.")


__all__ = ["HistoryStore", "open_history"]
