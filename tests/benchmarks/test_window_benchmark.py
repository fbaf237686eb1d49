"""Start-up and responsiveness of the real window, each in a process of its own."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PROBE = Path(__file__).with_name("window_probe.py")
ROUNDS = 3


def probe(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(PROBE), *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_start(tmp_path: Path, say: Callable[[str], None]) -> None:
    found = [probe("start", str(time.time()), str(tmp_path / str(n))) for n in range(6)][1:]
    painted = statistics.median(f["painted_s"] for f in found)
    usable = statistics.median(f["usable_s"] for f in found)
    say(f"window: painted {painted:.2f} s after the start, inspecting the sample after {usable:.2f} s")
    assert not any(f["torch_imported"] for f in found)
    assert painted <= 0.5
    assert usable <= 1.5


@pytest.mark.parametrize("network", ["lenet-300-100", "resnet20"])
def test_responsiveness_while_training(tmp_path: Path, say: Callable[[str], None], network: str) -> None:
    pairs = [
        (probe("window", network, str(tmp_path / str(n))), probe("alone", network)) for n in range(ROUNDS)
    ]
    ratio = statistics.median(w["updates_per_second"] / a["updates_per_second"] for w, a in pairs)
    p99 = statistics.median(w["p99_ms"] for w, _ in pairs)
    worst = max(w["max_ms"] for w, _ in pairs)
    say(
        f"window while {network} trains: 5-ms timer p99 {p99:.1f} ms, max {worst:.1f} ms, training at "
        f"{ratio:.2f} of the throughput of a process of its own"
    )
    assert p99 <= 16
    assert worst <= 100
    assert ratio >= 0.9
