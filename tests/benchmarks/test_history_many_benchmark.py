"""100,000 runs: start-up, search, sort, scrolling, comparison; the database is made once and kept."""

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.history.compare import compare_table
from core.history.query import parse_query, search
from core.history.store import open_history

from ..databases.many_runs import RUNS, fill

PROBE = Path(__file__).with_name("history_probe.py")
QUERY = "accuracy > 97 % and size < 100 kB tag:paper not status:failed prune"


@pytest.fixture(scope="module")
def many() -> Path:
    folder = Path(tempfile.gettempdir()) / "compression-studio-benchmarks"
    path = folder / f"history-{RUNS}.db"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".part.db")
        unfinished.unlink(missing_ok=True)
        fill(unfinished)
        unfinished.rename(path)
    return path


def test_loading_as_columns(many: Path, against: Callable[..., float]) -> None:
    bare = sqlite3.connect(many)
    with open_history(many) as store:
        store.columns()
        against(
            "100,000 runs as columns",
            store.columns,
            "bare sqlite3, the same columns as rows",
            lambda: bare.execute(
                "SELECT number, run_id, created, started, ended, updated, stopped_early, starred, archived, "
                "deleted_at, accuracy_after, accuracy_before, sparsity, packed_bytes, dense_bytes, macs, latency_ms, "
                "name, status, source_title, task_title, method, tags FROM runs ORDER BY number"
            ).fetchall(),
        )
    bare.close()


def test_searching(many: Path, against: Callable[..., float]) -> None:
    bare = sqlite3.connect(many)
    with open_history(many) as store:
        columns = store.columns()
        query = parse_query(QUERY)
        found = search(columns, query).sum()
        sql = (
            "SELECT number FROM runs WHERE deleted_at IS NULL AND NOT archived AND accuracy_after > 0.97 AND "
            "packed_bytes < 100000 AND status = 'finished' AND tags LIKE '%paper%' AND status <> 'failed' AND "
            "(name LIKE '%prune%' OR tags LIKE '%prune%' OR source_title LIKE '%prune%' OR task_title LIKE '%prune%' "
            "OR method LIKE '%prune%') ORDER BY created DESC"
        )
        assert len(bare.execute(sql).fetchall()) == found > 0
        ratio = against(
            f"“{QUERY}” in 100,000 runs",
            lambda: search(columns, query),
            "SQL",
            lambda: bare.execute(sql).fetchall(),
        )
        assert ratio < 1
    bare.close()


def test_comparing_twenty_runs(many: Path, say: Callable[[str], None]) -> None:
    with open_history(many) as store:
        columns = store.columns()
        names = [columns.run_ids[-n] for n in range(1, 21)]
        took = []
        for _ in range(5):
            start = time.perf_counter()
            records = store.runs_named(names)
            table = compare_table(records)
            curves = [store.metrics(name) for name in names]
            layers = [store.layers(name, "after") for name in names]
            took.append(time.perf_counter() - start)
        assert table.rows
        assert sum(map(len, curves)) == 20_000
        assert sum(map(len, layers)) == 2_000
        say(f"20 runs compared, with 20,000 points and 2,000 layers: {1e3 * sorted(took)[2]:.0f} ms")


def test_the_window(many: Path, tmp_path: Path, say: Callable[[str], None]) -> None:
    empty = tmp_path / "empty.db"
    open_history(empty).close()
    found = {}
    for database in (empty, many, many):
        done = subprocess.run(
            [sys.executable, str(PROBE), str(time.time()), str(database), str(tmp_path / "profile")],
            capture_output=True, text=True, timeout=180, check=True,
        )  # fmt: skip
        found[database] = json.loads(done.stdout.strip().splitlines()[-1])
    ours = found[many]
    assert ours["runs"] == RUNS
    say(
        f"window with 100,000 runs: table {ours['table_s']:.2f} s after the process started (with none "
        f"{found[empty]['table_s']:.2f} s), {1e3 * ours['loading_s']:.0f} ms after the history was opened"
    )
    say(
        f"search at most {ours['search_ms']:.0f} ms, sort {ours['sort_ms']:.0f} ms, group {ours['group_ms']:.0f} ms, "
        f"painting included; the first search for figures that are not loaded: {max(ours['first_search_ms']):.0f} ms"
    )
    say(
        f"scroll step: median {ours['scroll_median_ms']:.1f} ms, p99 {ours['scroll_p99_ms']:.1f} ms, "
        f"longest {ours['scroll_max_ms']:.1f} ms"
    )
