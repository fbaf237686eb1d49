"""Smoothing of noisy curves, for looking at them; figures are never taken from a smoothed curve."""

import numpy as np
from numpy.typing import NDArray


def smoothed(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """The exponential moving average of a curve without the pull of its beginning towards zero.

    s_t = (1 - w) · Σ w^k · y_{t-k} / (1 - w^t): the bias correction of Kingma and Ba (2015), algorithm 1.

    Args:
        weight: w in [0, 1); 0 leaves the curve as it is.

    Returns:
        As long as `values`; NaN where the curve has none, which does not spread.

    Raises:
        ValueError: for another weight.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"the weight {weight} does not lie in [0, 1)")
    if weight == 0:
        return values.copy()
    total = share = 0.0
    result = np.full(len(values), np.nan)
    for at, value in enumerate(values.tolist()):
        if not np.isfinite(value):
            continue
        total = weight * total + (1 - weight) * value
        share = weight * share + (1 - weight)
        result[at] = total / share
    return result
