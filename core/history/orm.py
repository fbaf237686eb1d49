"""The tables of the history as typed SQLAlchemy classes; rows never leave `core.history`.

Scalars that lists sort and filter by stand in the narrow table `runs`; JSON documents that only details need stand
in `run_documents`, so that scanning 100,000 runs reads some 30 MB instead of some hundred. The bulk tables
(`metrics`, `layers`) are clustered by their primary key (WITHOUT ROWID in SQLite): one run's rows lie side by side.
Change a table only together with a new file in `migrations/versions`.
"""

import math
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Words(TypeDecorator[str]):
    """Text that may hold anything a file name or an error message can: what databases refuse is escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape NUL and lone surrogates (file names that are not UTF-8) as backslash sequences."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


class Figure(TypeDecorator[float]):
    """A float that is always there and may be NaN (a loss that diverged); SQLite would turn NaN into NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Write NaN as NULL."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """Read NULL as NaN."""
        return math.nan if value is None else value


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {float: Double, str: Words}  # noqa: RUF012 - declared by SQLAlchemy as it is


class Run(Base):
    """One run: what lists show, sort and filter by. Times are seconds since the epoch, UTC.

    `sparsity`, `dense_bytes`, `packed_bytes`, `macs` and `latency_ms` repeat the latest measurement (after, else
    before), so that sorting needs no join. `host`, `pid` and `process_started` name the process that works on the
    run; `updated` is the time of the last change to any part of the run.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_shown_created", "deleted_at", "archived", "created"),
        # Autoincrement: the number of a purged run is never given to another one.
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    run_id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(String(16), index=True)
    created: Mapped[float]
    started: Mapped[float | None] = mapped_column(index=True)
    ended: Mapped[float | None] = mapped_column(index=True)
    updated: Mapped[float] = mapped_column(index=True)
    active_seconds: Mapped[float | None] = mapped_column(index=True)
    seed: Mapped[int] = mapped_column(BigInteger)
    device: Mapped[str] = mapped_column(String(32))
    threads: Mapped[int | None]
    measure_latency: Mapped[bool]
    source_title: Mapped[str] = mapped_column(index=True)
    source_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    task_title: Mapped[str] = mapped_column(index=True)
    recipe_sha256: Mapped[str] = mapped_column(String(64), index=True)
    method: Mapped[str] = mapped_column(index=True)
    parent_run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    stopped_early: Mapped[bool]
    starred: Mapped[bool] = mapped_column(index=True)
    archived: Mapped[bool]
    deleted_at: Mapped[float | None]
    tags: Mapped[list[str]] = mapped_column(JSON)
    error: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    process_started: Mapped[str] = mapped_column(String(128))
    accuracy_before: Mapped[float | None] = mapped_column(index=True)
    accuracy_after: Mapped[float | None] = mapped_column(index=True)
    sparsity: Mapped[float | None] = mapped_column(index=True)
    dense_bytes: Mapped[int | None] = mapped_column(BigInteger, index=True)
    packed_bytes: Mapped[int | None] = mapped_column(BigInteger, index=True)
    macs: Mapped[int | None] = mapped_column(BigInteger, index=True)
    latency_ms: Mapped[float | None] = mapped_column(index=True)


def _run_number(**options: Any) -> Mapped[int]:
    return mapped_column(ForeignKey(Run.number, ondelete="CASCADE"), primary_key=True, **options)


class RunDocument(Base):
    """What one run was asked and told in full; one row for each run."""

    __tablename__ = "run_documents"

    run_number: Mapped[int] = _run_number(autoincrement=False)
    source: Mapped[dict[str, Any]] = mapped_column(JSON)
    task: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    recipe: Mapped[dict[str, Any]] = mapped_column(JSON)
    environment: Mapped[dict[str, str]] = mapped_column(JSON)
    note: Mapped[str]
    notices: Mapped[list[str]] = mapped_column(JSON)
    error_details: Mapped[str]


class Metric(Base):
    """One point of one curve. The key makes a point that a resumed run computes again replace the earlier one."""

    __tablename__ = "metrics"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_number: Mapped[int] = _run_number(autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    iteration: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    split: Mapped[str] = mapped_column(String(32), primary_key=True)
    metric: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[float]
    value: Mapped[float] = mapped_column(Figure, nullable=True)
    seconds: Mapped[float]


class MeasurementRow(Base):
    """One model of one run at one stage. Accuracy and latency columns are NULL where they were not measured."""

    __tablename__ = "measurements"

    run_number: Mapped[int] = _run_number(autoincrement=False)
    stage: Mapped[str] = mapped_column(String(32), primary_key=True)
    parameters: Mapped[int] = mapped_column(BigInteger)
    weights: Mapped[int] = mapped_column(BigInteger)
    nonzero_weights: Mapped[int] = mapped_column(BigInteger)
    dense_bytes: Mapped[int] = mapped_column(BigInteger)
    packed_bytes: Mapped[int] = mapped_column(BigInteger)
    packing: Mapped[str]
    macs: Mapped[int | None] = mapped_column(BigInteger)
    input_shape: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    accuracy_correct: Mapped[int | None] = mapped_column(BigInteger)
    accuracy_count: Mapped[int | None] = mapped_column(BigInteger)
    accuracy_low: Mapped[float | None]
    accuracy_high: Mapped[float | None]
    accuracy_loss: Mapped[float] = mapped_column(Figure, nullable=True)
    accuracy_split: Mapped[str | None]
    accuracy_task: Mapped[str | None]
    latency_median_ms: Mapped[float | None]
    latency_lower_quartile_ms: Mapped[float | None]
    latency_upper_quartile_ms: Mapped[float | None]
    latency_minimum_ms: Mapped[float | None]
    latency_batch_size: Mapped[int | None]
    latency_threads: Mapped[int | None]
    latency_warmup: Mapped[int | None]
    latency_repetitions: Mapped[int | None]
    latency_runtime: Mapped[str | None]
    latency_device: Mapped[str | None]
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)


class LayerRow(Base):
    """One prunable layer of one run at one stage; `position` counts the model's layers from 0."""

    __tablename__ = "layers"
    __table_args__ = ({"sqlite_with_rowid": False},)

    run_number: Mapped[int] = _run_number(autoincrement=False)
    stage: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(String(64))
    shape: Mapped[list[int]] = mapped_column(JSON)
    weights: Mapped[int] = mapped_column(BigInteger)
    nonzero_weights: Mapped[int] = mapped_column(BigInteger)
    macs: Mapped[int | None] = mapped_column(BigInteger)
    extra: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class FindingRow(Base):
    """One thing that a run found out: the data of a plot, a table, the result of a check."""

    __tablename__ = "findings"

    run_number: Mapped[int] = _run_number(autoincrement=False)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    title: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class ArtifactRow(Base):
    """One file that a run wrote, complete on disk."""

    __tablename__ = "artifacts"
    __table_args__ = (Index("ix_artifacts_sha256", "sha256"), Index("ix_artifacts_path", "path"))

    run_number: Mapped[int] = _run_number(autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
