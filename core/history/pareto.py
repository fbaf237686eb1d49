"""Which runs no other run beats on both of two figures at once, fast enough for 100,000 of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.history.records import RunRecord

Point = tuple[float | None, float | None]


def pareto(
    points: Sequence[Point], *, smaller_is_better: tuple[bool, bool] = (True, False)
) -> tuple[bool, ...]:
    """Whether each point lies on the Pareto front.

    Args:
        points: pairs of figures, by default (size, accuracy); one with None or NaN is never on the front.
        smaller_is_better: for each of the two figures.

    A point is dominated if another is at least as good on both figures and better on one; equal points do not
    dominate each other. O(n log n).
    """
    signs = tuple(1.0 if smaller else -1.0 for smaller in smaller_is_better)
    costs = [
        (signs[0] * first, signs[1] * second, index)
        for index, (first, second) in enumerate(points)
        if first is not None and second is not None and not math.isnan(first) and not math.isnan(second)
    ]
    costs.sort()
    front = [False] * len(points)
    lowest = math.inf  # second cost among all points of smaller first cost
    at: tuple[float, float] | None = None
    for first, second, index in costs:
        if (first, second) == at:
            front[index] = True
        elif second < lowest or at is None:
            front[index] = True
            lowest, at = second, (first, second)
    return tuple(front)


@dataclass(frozen=True)
class SizePoint:
    """One run in the plot of accuracy against size. `low` and `high` bound the accuracy's 95 % interval."""

    run_id: str
    number: int
    name: str
    size: int  # bytes
    accuracy: float
    low: float
    high: float
    on_front: bool


def accuracy_against_size(records: Sequence[RunRecord], *, packed: bool = True) -> tuple[SizePoint, ...]:
    """The measured results of runs as points, packed or dense bytes against accuracy.

    A run that was only measured shows its model as it was; runs without both figures are left out.
    """
    measured = []
    for record in records:
        measurement = record.after or record.before
        if measurement is not None and measurement.accuracy is not None:
            size = measurement.packed_bytes if packed else measurement.dense_bytes
            measured.append((record, measurement.accuracy, size))
    flags = pareto([(size, accuracy.value) for _, accuracy, size in measured])
    return tuple(
        SizePoint(
            record.run_id,
            record.number,
            record.name,
            size,
            accuracy.value,
            accuracy.low,
            accuracy.high,
            on_front,
        )
        for (record, accuracy, size), on_front in zip(measured, flags, strict=True)
    )
