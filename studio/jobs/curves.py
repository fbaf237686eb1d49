"""Training curves as arrays, built from metric points as they come: no widget, no thread."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.events import MetricPoint

Axis = Literal["epoch", "iteration", "time"]
FloatArray = NDArray[np.float64]

AXIS_TITLES: dict[Axis, tuple[str, str]] = {
    "epoch": ("epoch", ""),
    "iteration": ("update", ""),
    "time": ("training time", "s"),
}


@dataclass(frozen=True)
class Curve:
    """One curve: `x` and `y` of equal length."""

    x: FloatArray
    y: FloatArray


class RunCurves:
    """All curves of one run.

    Several training steps of one recipe follow each other on one axis: epochs, which each step counts from 0, go on
    where the step before ended. Updates and time count from the start of the run anyway.
    """

    def __init__(self, points: Iterable[MetricPoint] = ()) -> None:
        self._columns: dict[tuple[str, str], list[tuple[int, float, int, float, float]]] = {}
        self._ends: dict[int, float] = {}  # step -> its last epoch
        self._cache: dict[tuple[str, str, Axis], Curve] = {}
        self.extend(points)

    def extend(self, points: Iterable[MetricPoint]) -> None:
        """Append points, in the order in which they were emitted."""
        for point in points:
            key = (point.metric, point.split)
            row = (point.step, point.epoch, point.iteration, point.seconds, point.value)
            self._columns.setdefault(key, []).append(row)
            self._ends[point.step] = max(self._ends.get(point.step, 0.0), point.epoch)
            for axis in AXIS_TITLES:
                self._cache.pop((*key, axis), None)

    @property
    def empty(self) -> bool:
        """Whether there is no point at all."""
        return not self._columns

    def keys(self) -> tuple[tuple[str, str], ...]:
        """The (metric, split) pairs that have points."""
        return tuple(self._columns)

    def curve(self, metric: str, split: str, axis: Axis = "epoch") -> Curve | None:
        """The curve of a metric on a split, or None without points."""
        key = (metric, split, axis)
        if key not in self._cache:
            rows = self._columns.get((metric, split))
            if not rows:
                return None
            self._cache[key] = self._build(rows, axis)
        return self._cache[key]

    def _build(self, rows: list[tuple[int, float, int, float, float]], axis: Axis) -> Curve:
        table: NDArray[Any] = np.asarray(rows, dtype=np.float64)
        if axis == "epoch":
            starts, total = {}, 0.0
            for step in sorted(self._ends):
                starts[step] = total
                total += self._ends[step]
            x = table[:, 1] + np.array([starts[int(step)] for step in table[:, 0]])
        else:
            x = table[:, 2 if axis == "iteration" else 3]
        return Curve(np.ascontiguousarray(x), np.ascontiguousarray(table[:, 4]))
