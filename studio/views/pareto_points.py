"""Runs as points of two quantities, with their front: pure functions, tested without a window."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.history.columns import RunColumns
from core.history.pareto import on_front
from core.history.quantities import Quantity
from core.history.query import LONGEST
from core.history.ranges import range_search
from core.measurement.records import Measurement
from studio.views.compare_rows import Comparison, short_name

Figures = NDArray[np.float64]
Mask = NDArray[np.bool_]
_LONGEST = LONGEST // 2
"""Of a search that is added to what was typed."""
BEFORE = -1
"""The colour of a model as it was before a run."""


@dataclass(frozen=True, eq=False)
class ParetoPoints:
    """What a plot of two quantities shows; everything has one entry for each point.

    Attributes:
        xs, ys: the values in the quantities' own units, never NaN.
        low, high: the accuracy's 95 % interval where it is known, else NaN.
        front: whether nothing beats the point on both.
        colors: indices into the theme's series, `BEFORE` for models as they were; None where all are alike.
        marks: what stands beside a point; empty where there are too many.
        missing: how many runs are left out because they lack one of the two figures.
    """

    x: Quantity
    y: Quantity
    xs: Figures
    ys: Figures
    low: Figures
    high: Figures
    front: Mask
    run_ids: Sequence[str]
    numbers: NDArray[np.int64]
    labels: Sequence[str]
    colors: NDArray[np.intp] | None = None
    marks: Sequence[str] = ()
    missing: int = 0

    def __len__(self) -> int:
        return len(self.xs)

    def follows(self, before: "ParetoPoints") -> bool:
        """Whether these are the points of before with a few more, fewer or changed: a run went on, or was added."""
        few = 0.01 * len(self)
        return (before.x, before.y) == (self.x, self.y) and abs(len(before) - len(self)) <= few

    def find(self, run_id: str) -> int | None:
        """The point of a run's result, or None."""
        try:
            return self.run_ids.index(run_id)
        except ValueError:
            return None

    def told(self, point: int) -> str:
        """A point in a line: `#2 prune 90 %: accuracy 92.89 % (90.1 – 94.9 %), packed size 12.3 kB`."""
        parts = []
        for quantity, value in ((self.y, float(self.ys[point])), (self.x, float(self.xs[point]))):
            text = f"{quantity.title} {quantity.show(value)}"
            if quantity.name == "accuracy" and not np.isnan(self.low[point]):
                text += f" ({100 * self.low[point]:.2f} – {quantity.show(float(self.high[point]))})"
            parts.append(text)
        return f"{self.labels[point]}: {', '.join(parts)}"


def compared_points(comparison: Comparison, x: Quantity, y: Quantity) -> ParetoPoints:
    """Each run's result, and each distinct model that runs started from; runs without both figures are left out."""
    candidates: list[tuple[str, str, str, Measurement, int, bool]] = []
    started_from: set[tuple[str, float, float]] = set()
    missing = 0
    for record, color in zip(comparison.records, comparison.colors, strict=True):
        before = record.before
        if before is not None and before is not record.result and before.accuracy is not None:
            key = (record.source_title, before.accuracy.value, before.dense_bytes)
            if key not in started_from:
                started_from.add(key)
                label = f"before: {record.source_title}"
                candidates.append((record.run_id, label, "before", before, BEFORE, False))
        if record.result is None:
            missing += 1
            continue
        mark = f"#{record.number}"
        candidates.append((record.run_id, short_name(record), mark, record.result, color, True))
    runs = {record.run_id: record for record in comparison.records}
    rows, known = [], []
    for candidate in candidates:
        run_id, _label, _mark, measured, _color, is_result = candidate
        run = runs[run_id] if is_result else None
        values = (x.pick(run, measured), y.pick(run, measured))
        if None in values:
            missing += is_result
            continue
        accuracy = measured.accuracy
        interval = (np.nan, np.nan) if accuracy is None else (accuracy.low, accuracy.high)
        rows.append((*values, *interval))
        known.append(candidate)
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return ParetoPoints(
        x,
        y,
        *(np.ascontiguousarray(column) for column in table.T),
        on_front(table[:, 0], table[:, 1], smaller_is_better=(x.smaller_is_better, y.smaller_is_better)),
        [each[0] for each in known],
        np.array([runs[each[0]].number for each in known], dtype=np.int64),
        [each[1] for each in known],
        np.array([each[4] for each in known], dtype=np.intp),
        [each[2] for each in known],
        missing,
    )


class RunLabels(Sequence[str]):
    """Names of runs, made when they are asked for."""

    def __init__(self, columns: RunColumns, rows: NDArray[np.intp]) -> None:
        self._columns = columns
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        row = int(self._rows[index])
        return f"#{self._columns.numbers[row]} {self._columns.texts['name'][row]}"


class RunNames(RunLabels):
    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        return self._columns.run_ids[int(self._rows[index])]

    def index(self, value: str, start: int = 0, stop: int | None = None) -> int:
        # The rows ascend; looking through 100,000 names would take longer than drawing them.
        row = self._columns.position.get(value, -1)
        at = int(np.searchsorted(self._rows, row))
        if at >= len(self._rows) or self._rows[at] != row:
            raise ValueError(value)
        return at


def column_points(columns: RunColumns, rows: NDArray[np.intp], x: Quantity, y: Quantity) -> ParetoPoints:
    """The runs in `rows` (ascending) as points; those without both figures are left out.

    Raises:
        KeyError: if a quantity's column is not loaded.
    """
    xs, ys = columns.figure(x.column)[rows], columns.figure(y.column)[rows]
    known = np.isfinite(xs) & np.isfinite(ys)
    rows, xs, ys = rows[known], xs[known], ys[known]
    nothing = np.full(len(rows), np.nan)
    low, high = (
        columns.figures[name][rows] if name in columns.figures else nothing
        for name in ("accuracy_low", "accuracy_high")
    )
    return ParetoPoints(
        x,
        y,
        xs,
        ys,
        low,
        high,
        on_front(xs, ys, smaller_is_better=(x.smaller_is_better, y.smaller_is_better)),
        RunNames(columns, rows),
        columns.numbers[rows],
        RunLabels(columns, rows),
        missing=int((~known).sum()),
    )


def search_for(points: ParetoPoints, chosen: Mask) -> str | None:
    """The search of the history that finds exactly the chosen points among the points; None where it is too long.

    Where the points are all that lie in a box it names the box, else the runs by number.
    """
    parts = []
    inside = np.ones(len(points), dtype=np.bool_)
    for quantity, values in ((points.x, points.xs), (points.y, points.ys)):
        low, high = float(values[chosen].min()), float(values[chosen].max())
        parts.append(range_search(quantity.search, values, low, high))
        inside &= (values >= low) & (values <= high)
    if np.array_equal(inside, chosen):
        return " and ".join(parts)
    text = " or ".join(f"number={number}" for number in points.numbers[chosen].tolist())
    return f"({text})" if len(text) <= _LONGEST else None
