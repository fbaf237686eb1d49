"""What the history costs beside bare sqlite3: writing a run's points, listing 10,000 runs, the event loop's side."""

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import pytest

from core.events import Finished, LayersMeasured, Measured, MetricPoint, RunStarted
from core.history.pareto import pareto
from core.history.store import HistoryStore, open_history
from core.history.writer import HistoryWriter
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import FineTuneSettings, PruneSettings

RUNS, POINTS, LAYERS = 10_000, 1_000, 100
RECIPE = Recipe(name="Prune and fine-tune", steps=(PruneSettings(), FineTuneSettings()))
MEASUREMENT = Measurement(
    parameters=270_000,
    weights=268_000,
    nonzero_weights=53_600,
    dense_bytes=1_090_000,
    packed_bytes=250_000,
    packing="bitmask + fp32",
    macs=41_000_000,
    input_shape=(3, 32, 32),
    accuracy=Accuracy(8_103, 10_000, 0.802, 0.818, 0.6, "test", "cifar10"),
    latency=Latency(1.5, 1.4, 1.6, 1.3, 1, 2, 5, 50, "torch 2.14 eager", "cpu"),
)
ENVIRONMENT = tuple((f"package {n}", "1.2.3") for n in range(12))


def points(run_id: str, count: int = POINTS) -> list[MetricPoint]:
    return [MetricPoint(run_id, 1, n / 100, n, "train", "loss", 1 / (n + 1), n / 10) for n in range(count)]


def fill(path: Path, runs: int) -> None:
    """A history of `runs` equal runs, the first with curves and layers, multiplied inside the database."""
    with open_history(path) as store:
        asked = RunRequest(RECIPE, SAMPLE, None)
        store.add_run(asked)
        layers = tuple(LayerStatistics(f"l{n}", "conv2d", (16, 16, 3, 3), 2_304, n, 9) for n in range(LAYERS))
        store.record(
            [
                RunStarted(asked.run_id, 1.0, ENVIRONMENT, "5" * 64),
                *(Measured(asked.run_id, stage, MEASUREMENT) for stage in ("before", "after")),
                LayersMeasured(asked.run_id, "after", layers),
                *points(asked.run_id),
                Finished(asked.run_id, 2.0),
            ]
        )
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 "
                           f"FROM n WHERE i < {runs}) SELECT i FROM n")  # fmt: skip
        for table, key in (
            ("runs", "number"),
            ("run_documents", "run_number"),
            ("measurements", "run_number"),
        ):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            changed = {
                key: "i",
                "run_id": "printf('%032x', i)",
                "accuracy_after": "abs(random() % 10000) / 10000.0",
                "created": "created + i",
            }
            chosen = ", ".join(changed.get(column, column) for column in columns)
            connection.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table}, numbers WHERE {key} = 1")
        connection.execute("ANALYZE")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.db"
    fill(path, RUNS)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_history(tmp_path / "history.db") as opened:
        yield opened


def test_writing_points(store: HistoryStore, tmp_path: Path, against: Callable[..., float]) -> None:
    bare = sqlite3.connect(tmp_path / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=NORMAL")
    bare.execute("CREATE TABLE metrics (run INTEGER, step INTEGER, iteration INTEGER, split TEXT, metric TEXT, "
                 "epoch REAL, value REAL, seconds REAL, PRIMARY KEY (run, step, iteration, split, metric)) "
                 "WITHOUT ROWID")  # fmt: skip
    number = 0

    def ours() -> None:
        asked = RunRequest(RECIPE, SAMPLE, None)
        store.add_run(asked)
        line = points(asked.run_id)
        for first in range(0, POINTS, 100):
            store.record(line[first : first + 100])

    def theirs() -> None:
        nonlocal number
        number += 1
        line = points("r")
        for first in range(0, POINTS, 100):
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany(
                "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, p.step, p.iteration, p.split, p.metric, p.epoch, p.value, p.seconds)
                    for p in line[first : first + 100]
                ],
            )
            bare.execute("COMMIT")

    against("1,000 points in 10 transactions", ours, "bare sqlite3", theirs)
    bare.close()


def test_handing_an_event_over(store: HistoryStore, against: Callable[..., float]) -> None:
    """What a training loop pays for each point: `put`, while the writer writes."""
    asked = RunRequest(RECIPE, SAMPLE, None)
    store.add_run(asked)
    writer = HistoryWriter(store)
    line = points(asked.run_id)
    queue: Queue[MetricPoint] = Queue()

    def ours() -> None:
        for point in line:
            writer.put(point)

    def theirs() -> None:
        for point in line:
            queue.put(point)

    against("1,000 points handed to the writer", ours, "put into a queue.Queue", theirs)
    writer.close()


def test_listing_runs(full: Path, against: Callable[..., float]) -> None:
    bare = sqlite3.connect(full)

    def theirs() -> int:
        rows = bare.execute(
            "SELECT * FROM runs JOIN run_documents AS d ON d.run_number = number "
            "LEFT JOIN measurements AS before ON before.run_number = number AND before.stage = 'before' "
            "LEFT JOIN measurements AS after ON after.run_number = number AND after.stage = 'after' "
            "ORDER BY created DESC"
        ).fetchall()
        documents = [
            text for row in rows for text in row if isinstance(text, str) and text.startswith(("[", "{"))
        ]
        return len([json.loads(text) for text in documents])

    with open_history(full) as store:
        assert len(store.runs()) == RUNS
        against("10,000 runs listed with their measurements", store.runs, "bare sqlite3 and json", theirs)
    bare.close()


def test_sorting_in_the_database(full: Path, against: Callable[..., float]) -> None:
    """The columns that lists sort by are indexed: the best hundred of 10,000 come without a scan."""
    bare = sqlite3.connect(full)

    def best(index: str) -> Callable[[], object]:
        sql = f"SELECT number FROM runs {index} WHERE accuracy_after > 0.5 ORDER BY accuracy_after DESC LIMIT 100"
        return lambda: bare.execute(sql).fetchall()

    against("the best hundred runs by the index", best(""), "by scanning all", best("NOT INDEXED"))
    bare.close()


def test_opening(full: Path, against: Callable[..., float]) -> None:
    def theirs() -> None:
        with contextlib.closing(sqlite3.connect(full)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("SELECT number FROM runs WHERE status IN ('queued', 'running')").fetchall()

    against("a history of 10,000 runs opened", lambda: open_history(full).close(), "bare sqlite3", theirs)


def test_reading_one_run(full: Path, say: Callable[[str], None], benchmark: object) -> None:
    with open_history(full) as store:
        run_id = store.run("1").run_id
        assert len(store.metrics(run_id)) == POINTS
        benchmark(lambda: (store.metrics(run_id), store.layers(run_id, "after")))  # type: ignore[operator]


def test_the_front_of_many_runs(benchmark: object) -> None:
    places = [((n * 7919) % 100_003 / 1e5, (n * 104_729) % 99_991 / 1e5) for n in range(100_000)]
    benchmark(lambda: pareto(places))  # type: ignore[operator]


if (
    __name__ == "__main__"
):  # python tests/benchmarks/test_history_benchmark.py FILE RUNS: a large history to try out
    fill(Path(sys.argv[1]), int(sys.argv[2]))
