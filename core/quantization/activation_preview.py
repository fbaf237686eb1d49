"""What a quantization grid would do to activations of which only the histogram is known.

Within a bin values are taken to lie evenly, so counts and decibels are estimates; exact zeros are known apart, and lie
on every grid.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.analysis.histogram import Histogram
from core.quantization.ranges import entropy_ends, least_squares_ends, percentile_ends
from core.quantization.record import ActivationRange

Check = Callable[[], None]
POINTS: Final = 64
"""So many points of each bin stand for its values."""
FINE: Final = 8
"""Into so many parts is each bin divided where a range is searched for: 256 bins are as many as there are integers."""


@dataclass(frozen=True)
class ActivationChoice:
    """A grid that is looked at.

    Attributes:
        bits: 2 to 8.
        ranges: how the ends are found where they are not given: "min-max", "percentile", "entropy" or "mse".
        ends: (low, high) as they were dragged; None: found by `ranges`.
        percentile: so many per cent stay unclipped by "percentile".
    """

    bits: int = 8
    symmetric: bool = False
    ranges: str = "min-max"
    ends: tuple[float, float] | None = None
    percentile: float = 99.99


@dataclass(frozen=True, eq=False)
class ActivationPreview:
    """One grid for all values of an output.

    Attributes:
        low, high: the smallest and the largest value on the grid.
        levels: float64, rising: all values on the grid.
        used: on about how many of them values come to lie.
        clipped: about how many values lie farther than half a step beyond the ends.
        count: all finite values, zeros included.
        sqnr: 10 · log10(Σ x² / Σ (x − q(x))²) in dB; infinite where nothing is lost.
    """

    choice: ActivationChoice
    low: float
    high: float
    scale: float
    zero_point: int
    levels: NDArray[np.float64]
    used: int
    clipped: float
    count: int
    sqnr: float


def preview_activations(
    histogram: Histogram,
    minimum: float,
    maximum: float,
    choice: ActivationChoice,
    check: Check = lambda: None,
) -> ActivationPreview:
    """Measure a grid on a histogram.

    Args:
        minimum, maximum: of the finite values, which the outermost bins surround.
        check: called between passes; may raise to give up.
    """
    edges = np.clip(histogram.edges, minimum, maximum)
    counts = histogram.counts_without_zeros.astype(np.float64)
    low, high = choice.ends or _found(histogram.counts, edges, choice)
    check()
    grid = ActivationRange(min(0.0, low), max(0.0, high), choice.bits, choice.symmetric)
    scale, zero = grid.scale, grid.zero_point
    middles = (np.arange(POINTS) + 0.5) / POINTS
    values = edges[:-1, None] + np.diff(edges)[:, None] * middles
    integers = np.round(values / scale) + zero
    rounded = np.clip(integers, grid.lowest, grid.highest)
    beyond = (values < (grid.lowest - zero - 0.5) * scale) | (values > (grid.highest - zero + 0.5) * scale)
    each = counts[:, None] / POINTS
    noise = float((each * ((rounded - zero) * scale - values) ** 2).sum())
    signal = float((each * values**2).sum())
    used = set(np.unique(rounded[counts > 0]).tolist()) | ({float(zero)} if histogram.zeros else set())
    levels = np.arange(grid.lowest - zero, grid.highest - zero + 1, dtype=np.float64) * scale
    return ActivationPreview(
        choice,
        float(levels[0]),
        float(levels[-1]),
        scale,
        zero,
        levels,
        len(used),
        float((each * beyond).sum()),
        int(histogram.counts.sum()),
        _decibels(signal, noise),
    )


def _found(
    counts: NDArray[np.int64], edges: NDArray[np.float64], choice: ActivationChoice
) -> tuple[float, float]:
    whole = float(edges[0]), float(edges[-1])
    if choice.ranges == "min-max" or not counts.any() or whole[0] >= whole[1]:
        return whole
    # Integers, as everywhere; what cannot be divided evenly goes to the first parts.
    fine, rest = np.divmod(counts[:, None], FINE)
    fine = (fine + (np.arange(FINE) < rest)).reshape(-1)
    places = np.linspace(edges[:-1], edges[1:], FINE, endpoint=False).T.reshape(-1)
    places = np.append(places, edges[-1])
    match choice.ranges:
        case "percentile":
            return percentile_ends(fine, places, choice.percentile)
        case "mse":
            return least_squares_ends(fine, places, choice.bits, choice.symmetric)
        case _:
            return entropy_ends(fine, places, choice.bits)


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
