"""Everything that a report tells of a run, fetched from a history."""

from dataclasses import dataclass
from typing import Protocol

from core.errors import StudioError
from core.events import Finding, MetricPoint
from core.history.flips import predictions_of
from core.history.records import Artifact, RunRecord
from core.history.rounds import round_findings, rounds_of
from core.measurement.predictions import Predictions
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
    """One run with its curves, layers, files, findings, and its predictions where it kept any that are still there."""

    record: RunRecord
    points: tuple[MetricPoint, ...]
    before: tuple[LayerStatistics, ...]
    after: tuple[LayerStatistics, ...]
    artifacts: tuple[Artifact, ...]
    findings: tuple[Finding, ...]
    predictions: Predictions | None = None


def gather(store: Store, name: str) -> GatheredRun:
    """All of the run with this number, id or beginning of an id.

    Raises:
        StudioError: if there is none, or the history cannot be read.
    """
    record = store.run(name)
    run_id = record.run_id
    points = store.metrics(run_id)
    artifacts = store.artifacts(run_id)
    try:
        predictions = predictions_of(record, artifacts)
    except StudioError:
        predictions = None
    return GatheredRun(
        record,
        points,
        store.layers(run_id, "before"),
        store.layers(run_id, "after"),
        artifacts,
        (*store.findings(run_id), *round_findings(run_id, [rounds_of(record.recipe, points)])),
        predictions,
    )
