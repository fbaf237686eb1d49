"""Which runs no other run beats on both of two figures at once, fast enough for 100,000 of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.history.records import RunRecord

Point = tuple[float | None, float | None]


def on_front(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    smaller_is_better: tuple[bool, bool] = (True, False),
) -> NDArray[np.bool_]:
    """Whether each point lies on the Pareto front.

    Args:
        first, second: the two figures of every point, by default size and accuracy; a point with NaN in either is
            never on the front.
        smaller_is_better: for each of the two figures.

    A point is dominated if another is at least as good on both figures and better on one; equal points do not
    dominate each other. O(n log n): sorted by the first cost, a point is on the front where its second cost is
    below all those before it (Kung, Luccio and Preparata 1975, two dimensions).
    """
    front = np.zeros(len(first), dtype=np.bool_)
    known = np.flatnonzero(~(np.isnan(first) | np.isnan(second)))
    if not len(known):
        return front
    costs = [
        figure[known] if smaller else -figure[known]
        for figure, smaller in zip((first, second), smaller_is_better, strict=True)
    ]
    order = np.lexsort((costs[1], costs[0]))
    one, two = costs[0][order], costs[1][order]
    lowest = np.minimum.accumulate(two)
    # Of points that coincide the first one decides for all: they do not dominate each other.
    leads = np.ones(len(order), dtype=np.bool_)
    leads[1:] = (one[1:] != one[:-1]) | (two[1:] != two[:-1])
    at = np.flatnonzero(leads)
    good = np.ones(len(at), dtype=np.bool_)
    good[1:] = two[at[1:]] < lowest[at[1:] - 1]
    front[known[order]] = good[np.cumsum(leads) - 1]
    return front


def pareto(
    points: Sequence[Point], *, smaller_is_better: tuple[bool, bool] = (True, False)
) -> tuple[bool, ...]:
    """`on_front` for pairs of figures, where None is NaN."""
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return tuple(on_front(table[:, 0], table[:, 1], smaller_is_better=smaller_is_better).tolist())


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
            front,
        )
        for (record, accuracy, size), front in zip(measured, flags, strict=True)
    )
