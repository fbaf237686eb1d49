"""Ranges of figures written as searches of the history, with no more digits than tell the runs apart."""

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]


def range_search(field: str, values: Figures, low: float, high: float) -> str:
    """The search for `low <= field <= high` that finds the same among `values`.

    Args:
        values: of all runs that the search may meet; NaN is never found.
    """
    return f"{field} >= {_shortest(values, low, lower=True)} and {field} <= {_shortest(values, high, lower=False)}"


def _shortest(values: Figures, bound: float, *, lower: bool) -> str:
    """The bound with as few digits as find the same values."""
    inside = values >= bound if lower else values <= bound
    for digits in range(3, 17):
        text = f"{bound:.{digits}g}"
        tried = values >= float(text) if lower else values <= float(text)
        if (tried == inside).all():
            return _plain(text)
    return _plain(repr(bound))


def _plain(text: str) -> str:
    """Without an exponent where that is short: 12300 rather than 1.23e+04."""
    value = float(text)
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else text
