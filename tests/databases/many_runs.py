"""A history of very many runs for benchmarks and window tests: `python tests/databases/many_runs.py FILE [RUNS]`.

Models, tasks, recipes and figures vary as they do in a group that has swept settings for years: a few thousand
recipes, accuracy that falls as sparsity rises, failures, runs without a latency, runs that start from another's result.
Rows go in by bulk statements, because the history's own way of one transaction for each run would take an hour.
"""

import contextlib
import hashlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np

from core.history.opening import open_database
from core.history.orm import LayerRow, MeasurementRow, Metric, Run, RunDocument
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.steps import FineTuneSettings, PruneSettings

RUNS, POINTS, LAYERS, DETAILED = 100_000, 1_000, 100, 200
FIRST_DAY = 1_760_000_000.0
MODELS = (
    ("resnet20-12fca82f.th", 272_474, 41_000_000, 0.926, "CIFAR-10"),
    ("resnet56-187c023a.th", 855_770, 126_000_000, 0.934, "CIFAR-10"),
    ("lenet-300-100", 266_610, 266_200, 0.983, "MNIST"),
    ("lenet-5", 61_706, 416_520, 0.991, "MNIST"),
    ("Digits sample", 56_938, 330_000, 0.972, "Digits 8×8"),
    ("resnet18", 11_689_512, 1_814_000_000, 0.698, "Images in /data/imagenet"),
)
TAGS = ("paper", "thesis", "baseline", "sweep", "final", "ablation")
RECIPES = 2_500


def run_id_of(number: int) -> str:
    """The run_id of a run, by its number from 1."""
    return f"{number:032x}"


def fill(
    path: Path, runs: int = RUNS, *, detailed: int = DETAILED, measured: bool = True, seed: int = 0
) -> None:
    """Make a history of `runs` runs; the newest `detailed` have 1,000 points and 100 layers each.

    Args:
        measured: whether all runs get the two rows of their measurements, or only the newest `detailed`.
    """
    open_database(path).engine.dispose()
    rng = np.random.default_rng(seed)
    recipes = _recipes(rng)
    which_model = rng.integers(0, len(MODELS), runs)
    which_recipe = rng.integers(0, len(recipes), runs)
    status = rng.choice(5, runs, p=(0.9, 0.04, 0.03, 0.03, 0.0))
    noise = rng.normal(0, 0.004, runs)
    timing = rng.lognormal(0, 0.3, runs)
    has_latency = rng.random(runs) < 0.7
    length = rng.lognormal(4, 1, runs)
    tagged = rng.random((runs, len(TAGS))) < 0.06
    starred = rng.random(runs) < 0.02
    archived = rng.random(runs) < 0.01
    child = rng.random(runs) < 0.2
    tags_of = {}
    narrow: list[dict[str, Any]] = []
    documents: list[dict[str, Any]] = []
    measurements: list[dict[str, Any]] = []
    source = json.dumps(SAMPLE.to_json())
    environment = json.dumps({"python": "3.11.2", "torch": "2.14.1", "device": "cpu", "threads": "2"})
    for n, (m, r, s) in enumerate(
        zip(which_model.tolist(), which_recipe.tolist(), status.tolist(), strict=True)
    ):
        title, parameters, macs, best, task = MODELS[m]
        sha256, text, name, sparsity, method = recipes[r]
        created = FIRST_DAY + 300.0 * n
        finished = s == 0
        accuracy = min(1.0, max(0.05, best - 0.3 * sparsity**8 + float(noise[n]))) if finished else None
        weights = parameters - parameters // 200
        nonzero = weights - round(weights * sparsity)
        packed = 4 * nonzero + weights // 8 + 2_000 if finished else 4 * parameters + 2_000
        latency = float(timing[n]) * macs / 4e7 if has_latency[n] and finished else None
        key = tuple(tagged[n].tolist())
        if key not in tags_of:
            tags_of[key] = json.dumps([tag for tag, on in zip(TAGS, key, strict=True) if on])
        narrow.append(
            {
                "number": n + 1,
                "run_id": run_id_of(n + 1),
                "name": f"{name} #{n % 40}",
                "status": ("finished", "failed", "cancelled", "interrupted", "running")[s],
                "created": created,
                "started": created + 1,
                "ended": created + 1 + float(length[n]),
                "updated": created + 2 + float(length[n]),
                "active_seconds": float(length[n]),
                "seed": n % 5,
                "device": "cpu",
                "threads": 2,
                "measure_latency": bool(has_latency[n]),
                "source_title": title,
                "source_sha256": None,
                "task_title": task,
                "recipe_sha256": sha256,
                "method": method,
                "parent_run_id": run_id_of(n + 1 - 7) if child[n] and n > 7 else None,
                "stopped_early": n % 50 == 0,
                "starred": bool(starred[n]),
                "archived": bool(archived[n]),
                "deleted_at": None,
                "tags": tags_of[key],
                "error": "The loss became infinite in epoch 1: lower the learning rate." if s == 1 else "",
                "host": "workstation",
                "pid": 1,
                "process_started": "",
                "accuracy_before": best,
                "accuracy_after": accuracy,
                "sparsity": sparsity if finished else 0.0,
                "dense_bytes": 4 * parameters + 2_000,
                "packed_bytes": packed,
                "macs": macs,
                "latency_ms": latency,
            }
        )
        documents.append(
            {
                "run_number": n + 1,
                "source": source,
                "task": None,
                "recipe": text,
                "environment": environment,
                "note": "See the **table** of the thesis." if n % 500 == 0 else "",
                "notices": "[]",
                "error_details": "",
            }
        )
        if measured or n >= runs - detailed:
            for stage in ("before", "after") if finished else ("before",):
                after = stage == "after"
                value = accuracy if after else best
                correct = round(10_000 * value)
                spread = 1.96 * (value * (1 - value) / 10_000) ** 0.5
                row = dict.fromkeys(MeasurementRow.__table__.columns.keys())
                row |= {
                    "run_number": n + 1,
                    "stage": stage,
                    "parameters": parameters,
                    "weights": weights,
                    "nonzero_weights": nonzero if after else weights,
                    "dense_bytes": 4 * parameters + 2_000,
                    "packed_bytes": packed if after else 4 * parameters + 2_000,
                    "packing": "bitmask + fp32",
                    "macs": macs,
                    "input_shape": "[3, 32, 32]",
                    "accuracy_correct": correct,
                    "accuracy_count": 10_000,
                    "accuracy_low": value - spread,
                    "accuracy_high": value + spread,
                    "accuracy_loss": 1 - value,
                    "accuracy_split": "test",
                    "accuracy_task": task,
                    "extra": "{}",
                }
                measurements.append(row)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        indices = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs' AND sql IS NOT NULL"
        ).fetchall()
        with connection:
            # Indices that are made after the rows cost a third of those that are kept while they come in.
            for name, _sql in indices:
                connection.execute(f"DROP INDEX {name}")
            _insert(connection, Run, narrow)
            _insert(connection, RunDocument, documents)
            _insert(connection, MeasurementRow, measurements)
            _details(connection, range(max(1, runs - detailed + 1), runs + 1))
            for _name, sql in indices:
                connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _recipes(rng: np.random.Generator) -> list[tuple[str, str, str, float, str]]:
    made = []
    for sparsity, epochs in zip(rng.uniform(0.1, 0.99, RECIPES), rng.integers(0, 40, RECIPES), strict=True):
        kept = round(float(sparsity), 4)
        steps: tuple[Any, ...] = (PruneSettings(sparsity=kept),)
        if epochs:
            steps = (*steps, FineTuneSettings(epochs=int(epochs)))
        recipe = Recipe(name=f"Prune {100 * kept:.1f} %", steps=steps)
        data = recipe.model_dump(mode="json")
        sha256 = hashlib.sha256(json.dumps(data["steps"], sort_keys=True).encode()).hexdigest()
        made.append((sha256, json.dumps(data), recipe.name, kept, " + ".join(step.step for step in steps)))
    return made


def _insert(connection: sqlite3.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        names = list(rows[0])
        places = ", ".join("?" * len(names))
        connection.executemany(
            f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES ({places})",
            [tuple(row.values()) for row in rows],
        )


def _details(connection: sqlite3.Connection, numbers: range) -> None:
    """Curves and layers, written for the first of the runs and multiplied inside the database."""
    if not numbers:
        return
    first = numbers[0]
    loss = [1.5 / (1 + n / 60) + 0.05 * ((n * 7919) % 13) / 13 for n in range(POINTS)]
    points = [(first, 2, n, "train", "loss", n / 100, value, n / 10) for n, value in enumerate(loss)]
    connection.executemany(f"INSERT INTO {Metric.__tablename__} (run_number, step, iteration, split, metric, epoch, "
                           "value, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", points)  # fmt: skip
    layers = [
        (
            first,
            "after",
            n,
            f"layer{n // 10}.{n % 10}.conv",
            "conv2d",
            "[16, 16, 3, 3]",
            2_304,
            23 * n,
            2_359_296,
            None,
        )
        for n in range(LAYERS)
    ]
    connection.executemany(f"INSERT INTO {LayerRow.__tablename__} (run_number, stage, position, name, kind, shape, "
                           "weights, nonzero_weights, macs, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           layers)  # fmt: skip
    connection.execute("CREATE TEMP TABLE numbers (i)")
    connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in numbers[1:]])
    for table in (Metric.__tablename__, LayerRow.__tablename__):
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        changed = {"run_number": "i", "value": "value * (0.7 + 0.6 * ((i * 7919) % 101) / 101)"}
        chosen = ", ".join(changed.get(column, column) for column in columns)
        connection.execute(
            f"INSERT INTO {table} SELECT {chosen} FROM numbers, {table} WHERE run_number = {first} ORDER BY i"
        )


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
