"""One-dimensional k-means, exact Lloyd steps on sorted values: clusters are intervals, so prefix sums do the rest."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Start = Literal["linear", "density", "random"]
MOST_ITERATIONS = 300


def cluster(values: NDArray[Any], count: int, start: Start = "linear", seed: int = 0) -> NDArray[np.float64]:
    """Centroids of values, float64, rising, at most `count` (fewer where values coincide or clusters run empty).

    Lloyd's iteration until no value changes its cluster: each value belongs to its nearest centroid, each centroid is
    the mean of its values. Costs O(n log n) once and O(count · log n) for each iteration.

    Args:
        values: at least one, finite.
        start: "linear": evenly from the smallest to the largest value; "density": at even quantiles; "random": distinct
            values drawn with `seed` (Han et al. 2016, section 3.1).
    """
    ordered = np.sort(values.astype(np.float64).reshape(-1))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = _start(ordered, count, start, seed)
    bounds: NDArray[np.int64] = np.empty(0, np.int64)
    for _ in range(MOST_ITERATIONS):
        middles = (centroids[1:] + centroids[:-1]) / 2
        new = np.concatenate([[0], np.searchsorted(ordered, middles), [ordered.size]]).astype(np.int64)
        filled = np.flatnonzero(np.diff(new) > 0)
        new = np.concatenate([new[filled], [ordered.size]])
        centroids = np.diff(sums[new]) / np.diff(new)
        if np.array_equal(new, bounds):
            break
        bounds = new
    return centroids


def _start(ordered: NDArray[np.float64], count: int, start: Start, seed: int) -> NDArray[np.float64]:
    if start == "linear":
        found = np.linspace(ordered[0], ordered[-1], count)
    elif start == "density":
        found = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    else:
        distinct = np.unique(ordered)
        chosen = np.random.default_rng(seed).choice(distinct.size, min(count, distinct.size), replace=False)
        found = distinct[chosen]
    return np.unique(found)
