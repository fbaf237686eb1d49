"""Everything that a report tells of a run, fetched from a history."""

from dataclasses import dataclass
from typing import Protocol

from core.events import Finding, MetricPoint
from core.history.records import Artifact, RunRecord
from core.history.rounds import round_findings, rounds_of
from core.measurement.records import LayerStatistics


class Store(Protocol):
    """What is needed of `core.history.store.HistoryStore`."""

    def run(self, name: str) -> RunRecord: ...
    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]: ...
    def layers(self, run_id: str, stage: str) -> tuple[LayerStatistics, ...]: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...
    def findings(self, run_id: str, kind: str | None = None) -> tuple[Finding, ...]: ...


@dataclass(frozen=True)
class GatheredRun:
    """One run with its curves, layers, files and findings."""

    record: RunRecord
    points: tuple[MetricPoint, ...]
    before: tuple[LayerStatistics, ...]
    after: tuple[LayerStatistics, ...]
    artifacts: tuple[Artifact, ...]
    findings: tuple[Finding, ...]


def gather(store: Store, name: str) -> GatheredRun:
    """All of the run with this number, id or beginning of an id.

    Raises:
        StudioError: if there is none, or the history cannot be read.
    """
    record = store.run(name)
    run_id = record.run_id
    points = store.metrics(run_id)
    return GatheredRun(
        record,
        points,
        store.layers(run_id, "before"),
        store.layers(run_id, "after"),
        store.artifacts(run_id),
        (*store.findings(run_id), *round_findings(run_id, [rounds_of(record.recipe, points)])),
    )
