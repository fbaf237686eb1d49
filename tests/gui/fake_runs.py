"""Runs made up for the tests of the job strip, the history and the comparison."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.data.spec import TaskSpec
from core.events import Event, Finding, Finished, MetricPoint
from core.findings import Table
from core.history.columns import RunColumns
from core.history.records import Artifact, RunRecord
from core.job import JobContext
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement
from core.models.source import SAMPLE, ModelSource
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings

LAYERS = (("conv1", 144), ("conv2", 4608), ("conv3", 18432), ("fc1", 32768), ("fc2", 1280))
WEIGHTS = sum(count for _name, count in LAYERS)


def recipe(sparsity: float = 0.8, epochs: int = 3) -> Recipe:
    """Prune, then fine-tune."""
    return Recipe(
        name=f"Prune {100 * sparsity:.0f} % and fine-tune",
        steps=(PruneSettings(sparsity=sparsity), FineTuneSettings(epochs=epochs)),
    )


def request(name: str = "", *, run_id: str = "", sparsity: float = 0.8, seed: int = 0) -> RunRequest:
    """A request on the sample."""
    made = RunRequest(recipe(sparsity), SAMPLE, TaskSpec("digits"), seed=seed, name=name)
    return replace(made, run_id=run_id) if run_id else made


def measurement(accuracy: float | None, sparsity: float = 0.0, *, latency: bool = True) -> Measurement:
    """A measurement of the sample; no accuracy at all with None."""
    nonzero = WEIGHTS - round(WEIGHTS * sparsity)
    judged = None
    if accuracy is not None:
        spread = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 450)
        judged = Accuracy(
            round(accuracy * 450), 450, accuracy - spread, min(1.0, accuracy + spread), 0.1, "test", "digits"
        )
    timed = Latency(0.41, 0.40, 0.43, 0.39, 1, 2, 3, 30, "torch 2.14 eager", "cpu") if latency else None
    return Measurement(
        parameters=WEIGHTS + 250,
        weights=WEIGHTS,
        nonzero_weights=nonzero,
        dense_bytes=4 * WEIGHTS + 2000,
        packed_bytes=4 * nonzero + WEIGHTS // 8 + 2000,
        packing="bitmask + float32",
        macs=1_234_560,
        input_shape=(1, 8, 8),
        accuracy=judged,
        latency=timed,
    )


def layers(sparsity: float) -> tuple[LayerStatistics, ...]:
    """Per-layer figures in which later layers lose more."""
    result = []
    for index, (name, count) in enumerate(LAYERS):
        share = min(0.99, sparsity * (0.6 + 0.12 * index))
        kind = "linear" if name.startswith("fc") else "conv2d"
        result.append(LayerStatistics(name, kind, (count,), count, count - round(count * share), count * 10))
    return tuple(result)


def metrics(
    run_id: str, epochs: int = 3, per_epoch: int = 20, *, pace: float = 1.0
) -> tuple[MetricPoint, ...]:
    """Curves that fall and rise as they should."""
    points = []
    for n in range(epochs * per_epoch):
        epoch = (n + 1) / per_epoch
        loss = 0.9 * math.exp(-pace * epoch) + 0.08 + 0.02 * math.sin(n)
        points.append(MetricPoint(run_id, 1, epoch, n + 1, "train", "loss", loss, 0.1 * n))
        if (n + 1) % per_epoch == 0:
            for split, gap in (("train", 0.0), ("validation", 0.01)):
                value = 0.985 - gap - 0.2 * math.exp(-pace * epoch)
                points.append(MetricPoint(run_id, 1, epoch, n + 1, split, "accuracy", value, 0.1 * n))
            points.append(MetricPoint(run_id, 1, epoch, n + 1, "validation", "loss", loss + 0.06, 0.1 * n))
    return tuple(points)


def record(
    number: int, *, sparsity: float = 0.8, accuracy: float | None = 0.962, **changes: object
) -> RunRecord:
    """A finished run; `changes` replace fields."""
    made = RunRecord(
        run_id=f"{number:032x}",
        number=number,
        name=f"prune {100 * sparsity:.0f} %",
        status="finished",
        created=1_750_000_000.0 + 600 * number,
        started=1_750_000_001.0 + 600 * number,
        ended=1_750_000_031.0 + 600 * number + number,
        seed=number,
        source=SAMPLE.to_json(),
        source_title=SAMPLE.title,
        source_sha256="ab" * 32,
        task=TaskSpec("digits").to_json(),
        task_title=TaskSpec("digits").title,
        recipe=recipe(sparsity).model_dump(mode="json"),
        method="prune + fine-tune",
        environment={"python": "3.11.2", "torch": "2.14.0", "device": "cpu", "threads": "2"},
        before=measurement(0.971),
        after=measurement(accuracy, sparsity),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


class FakeStore:
    """A history in a dict, with the methods of the real one that the window uses."""

    def __init__(self, records: Iterable[RunRecord] = (), folder: Path = Path("runs")) -> None:
        self.records = {record.run_id: record for record in records}
        self.deleted: set[str] = set()
        self.folder = folder
        self.added: list[str] = []
        self.updates: list[tuple[str, dict[str, object]]] = []

    def add_run(self, request: RunRequest) -> None:
        self.added.append(request.run_id)

    def run_folder(self, run_id: str) -> Path:
        return self.folder / run_id

    def runs(self) -> list[RunRecord]:
        return [record for run_id, record in self.records.items() if run_id not in self.deleted]

    def columns(
        self,
        run_ids: Iterable[str] | None = None,
        *,
        changed_since: float | None = None,
        include_deleted: bool = False,
    ) -> RunColumns:
        wanted = None if run_ids is None else set(run_ids)
        everything = {each.run_id: each for each in self.runs()}
        if include_deleted or changed_since is not None:
            everything |= {run_id: replace(self.records[run_id], deleted_at=1.0) for run_id in self.deleted}
        return RunColumns.from_records(
            each for run_id, each in everything.items() if wanted is None or run_id in wanted
        )

    def with_fields(self, columns: RunColumns, names: Iterable[str]) -> RunColumns:
        return columns.adding({name: np.full(len(columns), 1.0) for name in names if not columns.holds(name)})

    def count(self) -> int:
        return len(self.records)

    def run(self, run_id: str) -> RunRecord:
        return self.records[run_id]

    def latest(self, limit: int, *, status: str | None = None) -> list[RunRecord]:
        found = [each for each in self.runs() if status in (None, each.status)]
        return sorted(found, key=lambda each: -each.number)[:limit]

    def runs_named(self, run_ids: Iterable[str]) -> list[RunRecord]:
        return [self.records[run_id] for run_id in run_ids if run_id in self.records]

    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]:
        return metrics(run_id, pace=0.5 + 0.3 * self.records[run_id].number)

    def findings(self, run_id: str, kind: str | None = None) -> tuple[Finding, ...]:
        table = Table((("Class", ""), ("Right", "%")), (("zero", 99.5), ("one", 97.0)))
        return (Finding(run_id, "classes", "Step 2", "Accuracy by class", table.to_data()),)

    def layers(self, run_id: str, stage: str) -> tuple[LayerStatistics, ...]:
        after = self.records[run_id].after
        return layers(after.sparsity if stage == "after" and after is not None else 0.0)

    def artifacts(self, run_id: str) -> tuple[Artifact, ...]:
        return (Artifact("model", str(self.folder / run_id / "model.safetensors"), 231_120, "cd" * 32),)

    def request_of(self, run_id: str) -> RunRequest:
        return request(self.records[run_id].name, run_id=run_id)

    def update(self, run_id: str, **changes: object) -> None:
        self.updates.append((run_id, changes))
        self.records[run_id] = replace(self.records[run_id], **changes)  # type: ignore[arg-type]

    def delete(self, run_ids: Iterable[str]) -> None:
        self.deleted |= set(run_ids)

    def restore(self, run_ids: Iterable[str]) -> None:
        self.deleted -= set(run_ids)


class FakeWriter:
    """Keeps what would be written."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        """Every event is there at once."""


def finish(request: RunRequest, context: JobContext) -> None:
    """A run that does nothing and finishes."""
    context.emit(Finished(context.run_id, 1.0))


SOURCE_FILE = ModelSource("file", "/models/resnet20.th")
