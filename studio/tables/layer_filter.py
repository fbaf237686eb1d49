"""What a user types to find layers: words of the name or kind, and bounds such as `>1000` or `zeros>50%`."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BOUND = re.compile(
    r"(?P<what>[a-z]*)(?P<how><=|>=|<|>|=)(?P<number>\d[\d,]*\.?\d*|\.\d+)(?P<unit>[kmg%]?)", re.IGNORECASE
)
_HOW: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "%": 0.01}

HELP = (
    "Words are looked for in name and kind; all must be there. "
    "Bounds: >1000 or <2k weights, zeros>50%, macs>1M."
)


def matching(
    text: str, haystacks: Sequence[str], figures: dict[str, NDArray[np.float64]]
) -> NDArray[np.bool_]:
    """Which layers a filter lets through.

    Args:
        text: what was typed; terms are separated by spaces and all must hold.
        haystacks: for each layer, its searchable text in lower case.
        figures: columns by key, [layers]; NaN (not known yet) meets no bound. A bound without a key is about
            weights.

    A term that looks like a bound but names no known figure is taken as a word.
    """
    chosen = np.ones(len(haystacks), np.bool_)
    for term in text.lower().split():
        bound = _BOUND.fullmatch(term)
        column = figures.get(bound["what"] or "weights") if bound else None
        if bound is not None and column is not None:
            limit = float(bound["number"].replace(",", "")) * _UNITS[bound["unit"].lower()]
            chosen &= _HOW[bound["how"]](column, limit)
        else:
            chosen &= np.fromiter((term in text for text in haystacks), np.bool_, len(haystacks))
    return chosen
