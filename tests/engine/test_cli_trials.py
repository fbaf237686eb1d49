"""Trials on the command line: several seeds at once, each a run of its own, and their rounds laid over each other."""

import json
from pathlib import Path

import pytest

from core.cli import main
from core.cli.trials import rounds_table, without_options
from core.history.rounds import Round
from core.history.store import open_history

RECIPE = {
    "name": "Small lottery",
    "steps": [
        {"step": "fine-tune", "iterations": 6, "evaluate_every": 3, "keep": "last"},
        {"step": "prune", "sparsity": 0.2, "of": "remaining", "scope": "layer"},
        {"step": "rewind", "to": "initial"},
        {"step": "fine-tune", "iterations": 6, "evaluate_every": 3, "keep": "last"},
    ],
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    return path


def test_trials_run_side_by_side_and_are_told_together(
    tmp_path: Path, recipe: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database = str(tmp_path / "history.db")
    arguments = ["--db", database, "run", str(recipe), "--trials", "2", "--seed", "5", "--no-latency"]
    assert main([*arguments, "--name", "Lottery", "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["1", "5"], ["2", "6"]]
    assert "trial 1 (seed 5): done." in err
    with open_history(database) as store:
        runs = sorted(store.runs(), key=lambda record: record.seed)
        assert [(run.seed, run.name, run.status) for run in runs] == [
            (5, "Lottery, trial 1", "finished"),
            (6, "Lottery, trial 2", "finished"),
        ]
        assert len({run.tags for run in runs}) == 1
        assert runs[0].tags
        assert runs[0].environment["threads"] == runs[1].environment["threads"]
        # The same run alone gives the same bits: trials change nothing but the time that they take.
        saved = next(file.sha256 for file in store.artifacts(runs[0].run_id) if file.kind == "model")
    alone = ["--db", database, "run", str(recipe), "--seed", "5", "--no-latency", "--device", "cpu"]
    assert main([*alone, "--threads", runs[0].environment["threads"]]) == 0
    with open_history(database) as store:
        again = store.runs()[0]
        assert saved == next(file.sha256 for file in store.artifacts(again.run_id) if file.kind == "model")
    assert (tmp_path / "out" / "trial-2" / "model.safetensors").exists()
    capfd.readouterr()
    assert main(["--db", database, "trials", "1", "2", "--out", str(tmp_path / "plot.svg")]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["Remaining", "Start", "Trials"]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["100.00", "%", "ticket", "2"],
        ["80.00", "%", "ticket", "2"],
    ]
    assert (tmp_path / "plot-early-stop.svg").read_text().startswith("<svg")


def test_a_trial_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, recipe: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--db",
        str(tmp_path / "history.db"),
        "run",
        str(recipe),
        "--trials",
        "1",
        "--model",
        "zoo:lenet-5",
    ]
    assert main([*arguments, "--task", "folder:/nowhere"]) == 2
    out, err = capfd.readouterr()
    assert "/nowhere is not a folder" in err
    assert "Traceback" not in err
    assert "failed" in out


@pytest.mark.parametrize("option", [["--no-history"], ["--resume", "1"]])
def test_options_that_trials_cannot_have(
    recipe: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(recipe), "--trials", "2", *option]) == 2
    assert f"leave out {option[0]}" in capsys.readouterr().err


def test_runs_without_rounds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "history.db")
    recipe = tmp_path / "plain.json"
    recipe.write_text('{"name": "Plain", "steps": [{"step": "prune"}]}')
    assert main(["--db", database, "run", str(recipe), "--no-latency"]) == 0
    capsys.readouterr()
    assert main(["--db", database, "trials", "1"]) == 2
    assert "Run 1 has no rounds of pruning and rewinding" in capsys.readouterr().err


def test_options_are_taken_out_in_both_forms() -> None:
    given = ["run", "r.json", "--trials=3", "--seed", "4", "--model", "sample", "--json", "--name=--seed"]
    assert without_options(given, ("--trials", "--seed", "--name"), ("--json",)) == [
        "run",
        "r.json",
        "--model",
        "sample",
    ]


def test_the_table_has_means_and_ends() -> None:
    def one(stop: int, accuracy: float) -> Round:
        return Round(0, "ticket", 0.8, stop, accuracy, accuracy, "test")

    table = rounds_table([[one(100, 0.97)], [one(300, 0.99)]])
    assert "200 (100 – 300)" in table
    assert "98.00 (97.00 – 99.00)" in table
