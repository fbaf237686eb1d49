"""The front of 100,000 points, their plot, and the comparison of 20 runs out of 100,000."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.history.pareto import on_front

from .test_history_many_benchmark import RUNS, many

__all__ = ["many"]
PROBE = Path(__file__).with_name("compare_probe.py")


def test_the_front_of_columns(against: Callable[..., float]) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(RUNS), rng.random(RUNS)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))

    def loop() -> list[bool]:
        """One point after the other, as one would write it without numpy."""
        front = [False] * len(pairs)
        best = -math.inf
        for index in sorted(range(len(pairs)), key=lambda n: (pairs[n][0], -pairs[n][1])):
            if pairs[index][1] > best:
                best, front[index] = pairs[index][1], True
        return front

    assert on_front(first, second).tolist() == loop()
    ratio = against("front of 100,000 points", lambda: on_front(first, second), "sorted loop", loop)
    assert ratio < 1


def test_charts_in_the_window(many: Path, tmp_path: Path, say: Callable[[str], None]) -> None:
    done = subprocess.run(
        [sys.executable, str(PROBE), str(many), str(tmp_path / "profile")],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["runs"] == RUNS
    say(
        f"Pareto plot of {found['points']:,} runs: first painted after {found['first_ms']:.0f} ms (pyqtgraph's import "
        f"included), with other axes after {found['again_ms']:.0f} ms"
    )
    say(
        f"pan step: median {found['pan_median_ms']:.1f} ms, p95 {found['pan_p95_ms']:.1f} ms; pyqtgraph's "
        f"ScatterPlotItem with the same points {found['their_pan_median_ms']:.0f} ms, ratio "
        f"{found['pan_median_ms'] / found['their_pan_median_ms']:.3f}"
    )
    say(
        f"comparison of 20 runs out of {RUNS:,}, each with 1,000 points and 100 layers: painted after "
        f"{found['compare_ms']:.0f} ms (the first {found['compare_first_ms']:.0f} ms); their curves after "
        f"{found['curves_ms']:.0f} ms and their layers after {found['layers_ms']:.0f} ms, when their tabs are opened"
    )
