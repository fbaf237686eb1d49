"""A Lottery Ticket run whose program is killed (SIGKILL) again and again ends with the bits of one that was not."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.cli import main
from core.history.store import open_history

Outcome = tuple[str, dict[tuple[int, int, str, str], float]]

RECIPE = {
    "name": "Small lottery",
    "steps": [
        {"step": "fine-tune", "iterations": 60, "optimizer": "adam", "evaluate_every": 5, "keep": "last"},
        {"step": "prune", "sparsity": 0.2, "of": "remaining", "scope": "layer", "output_sparsity": 0.1},
        {"step": "rewind", "to": "random"},
        {"step": "fine-tune", "iterations": 60, "optimizer": "adam", "evaluate_every": 5, "keep": "last"},
        {"step": "rewind", "to": "initial"},
        {"step": "fine-tune", "iterations": 60, "optimizer": "adam", "evaluate_every": 5, "keep": "last"},
        {"step": "repeat", "steps": 5, "times": 2},
    ],
}
# A checkpoint at every chance instead of every 20 seconds: the runs are over within one.
PROGRAM = (
    "import sys, core.training.step as step; step.CHECKPOINT_SECONDS = 0.0\n"
    "from core.cli import main; sys.exit(main(sys.argv[1:]))"
)


def run(database: Path, *arguments: str, points: int | None = None) -> int:
    """Run the program; kill it after so many metric points. Returns its exit code, negative when killed."""
    command = [sys.executable, "-c", PROGRAM, "--db", str(database), "run", *arguments, "--json"]
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen += json.loads(line).get("event") == "MetricPoint"
            if points is not None and seen >= points:
                process.kill()
    return process.returncode


def outcome(database: Path, seed: int = 7) -> Outcome:
    """The hash of the saved model, and the curves without their times."""
    with open_history(database) as store:
        (record,) = [run for run in store.runs() if run.seed == seed]
        assert record.status == "finished"
        model = next(file.sha256 for file in store.artifacts(record.run_id) if file.kind == "model")
        found: dict[tuple[int, int, str, str], float] = {}
        points: Any = store.metrics(record.run_id)
        for point in points:
            key = (point.step, point.iteration, point.split, point.metric)
            assert key not in found, f"{key} is there twice"
            found[key] = point.value
        return model, found


def outcomes(database: Path) -> list[Outcome]:
    return [outcome(database, seed) for seed in (7, 8)]


def test_killed_again_and_again_it_ends_with_the_same_bits_and_points(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    given = [str(recipe), "--seed", "7", "--threads", "1", "--no-latency", "--device", "cpu"]
    whole, parts = tmp_path / "whole" / "history.db", tmp_path / "parts" / "history.db"
    for database in (whole, parts):
        database.parent.mkdir()
    assert run(whole, *given) == 0
    moments = random.Random(4)
    assert run(parts, *given, points=moments.randint(20, 60)) == -9
    assert run(parts, "--resume", "1", points=moments.randint(5, 40)) == -9
    assert run(parts, "--resume", "1") == 0
    assert outcome(parts) == outcome(whole)


def test_trials_that_were_killed_go_on_side_by_side_to_the_same_bits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    whole, parts = tmp_path / "whole" / "history.db", tmp_path / "parts" / "history.db"
    for database in (whole, parts):
        database.parent.mkdir()
    given = [str(recipe), "--threads", "1", "--no-latency", "--device", "cpu"]
    assert main(["--db", str(whole), "run", *given, "--trials", "2", "--seed", "7"]) == 0
    for seed in (7, 8):
        assert run(parts, *given, "--seed", str(seed), points=20 + seed) == -9
    capfd.readouterr()
    assert main(["--db", str(parts), "run", "--resume", "1", "2", "--jobs", "2"]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[:4] for line in out.splitlines()[1:3]] == [
        ["1", "7", "1", "finished"],
        ["2", "8", "2", "finished"],
    ]
    assert "trial 2 (seed 8): done." in err
    assert outcomes(parts) == outcomes(whole)
    with open_history(parts) as store:
        assert {run.tags for run in store.runs()} == {("trials of run 1",)}
    # What came to its end is not run again, and nothing of the others is started.
    assert main(["--db", str(parts), "run", "--resume", "1", "2"]) == 2
    assert "Run 1 is finished" in capfd.readouterr().err
    assert main(["--db", str(parts), "run", "--resume", "1", "2", "--seed", "3"]) == 2
    assert "leave out --seed" in capfd.readouterr().err
