"""Independent trials in processes of their own, beside the same trials one after the other."""

import json
from collections.abc import Callable
from pathlib import Path

from core.cli import main

RECIPE = {
    "name": "Trial",
    "steps": [
        {"step": "fine-tune", "iterations": 6000, "batch_size": 60, "learning_rate": 0.0012, "keep": "last"}
    ],
}


def test_two_trials_at_once(against: Callable[..., float], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    database = str(tmp_path / "history.db")
    arguments = ["--db", database, "run", str(recipe), "--model", "zoo:lenet-300-100", "--task", "mnist"]
    arguments += ["--trials", "2", "--threads", "1", "--no-latency"]
    ratio = against(
        "two trials of 6,000 iterations of LeNet-300-100 at once",
        lambda: main([*arguments, "--jobs", "2"]),
        "one after the other",
        lambda: main([*arguments, "--jobs", "1"]),
        rounds=3,
    )
    assert ratio <= 1 / 1.7
