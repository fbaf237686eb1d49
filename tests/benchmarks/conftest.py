"""Benchmarks measure against something a user would pick instead, in turns in the same run, and print the ratio."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, Protocol

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_lines: list[str] = []


class Against(Protocol):
    """What the `against` fixture gives."""

    def __call__(
        self, what: str, ours: Callable[[], Any], other: str, theirs: Callable[[], Any], rounds: int = 7
    ) -> float: ...


@pytest.fixture
def against(benchmark: Any) -> Against:
    """Time `ours` and `theirs` in turns after one warm-up each; returns ours / theirs (of the medians)."""

    def measure(
        what: str, ours: Callable[[], Any], other: str, theirs: Callable[[], Any], rounds: int = 7
    ) -> float:
        theirs_taken: list[float] = []

        def time_theirs() -> None:
            start = time.perf_counter()
            theirs()
            theirs_taken.append(time.perf_counter() - start)

        time_theirs()
        theirs_taken.clear()
        benchmark.pedantic(ours, setup=time_theirs, rounds=rounds, warmup_rounds=1)
        mine = benchmark.stats.stats.median
        their = statistics.median(theirs_taken)
        benchmark.extra_info.update(other=other, other_median=their, ratio=mine / their)
        _lines.append(
            f"{what}: {1e3 * mine:.4g} ms, {other}: {1e3 * their:.4g} ms, ratio {mine / their:.3f} "
            f"(the other way {their / mine:.1f}×)"
        )
        return mine / their

    return measure


@pytest.fixture
def say() -> Callable[[str], None]:
    """Add a line to the figures printed at the end."""
    return _lines.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _lines:
        terminalreporter.section("figures")
        for line in _lines:
            terminalreporter.write_line(line)
