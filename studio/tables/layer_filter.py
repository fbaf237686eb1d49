"""What a user types to find layers: words of the name or kind, and bounds such as `>1000` or `zeros>50%`."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_BOUND = re.compile(
    r"(?P<what>[a-z_]*)(?P<how><=|>=|<|>|=)(?P<number>\d[\d,]*\.?\d*|\.\d+)(?P<unit>[kmg%]?)", re.IGNORECASE
)
_HOW: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_OTHER_NAMES = {
    "": "weights",
    "size": "weights",
    "params": "parameters",
    "sparsity": "zeros",
    "near": "near_zeros",
    "dead": "dead_channels",
    "min": "minimum",
    "max": "maximum",
    "nan": "not_finite",
}
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "%": 0.01}

HELP = (
    "Words are looked for in name, kind and number format; all must be there. "
    "Bounds: >1000 or <2k weights, zeros>50%, macs>1M, dead>0, std<0.01, kurtosis>3, near>10, share>5%, max>1, nan>0."
)

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("conv", "Convolutions"),
    ("linear", "Linear layers"),
    (">100k", "Layers of more than 100,000 weights"),
    ("share>5%", "Layers with more than 5 % of all weights"),
    ("zeros>50%", "Layers of which more than half is zero"),
    ("zeros=0", "Layers without a zero"),
    ("dead>0", "Layers with dead output channels"),
    ("kurtosis>3", "Layers with heavy tails"),
    ("nan>0", "Layers with NaN or infinite weights"),
    ("conv >10k zeros<10%", "Several conditions: all must hold"),
)
"""What can be typed, and what it finds: offered in a menu so that nobody has to guess the rules."""


class Figures(Protocol):
    """Columns of figures by key; a dict will do."""

    def get(self, key: str, /) -> NDArray[np.float64] | None: ...


def matching(text: str, haystacks: Sequence[str], figures: Figures) -> NDArray[np.bool_]:
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
        column = figures.get(_OTHER_NAMES.get(bound["what"], bound["what"])) if bound else None
        if bound is not None and column is not None:
            limit = float(bound["number"].replace(",", "")) * _UNITS[bound["unit"].lower()]
            chosen &= _HOW[bound["how"]](column, limit)
        else:
            chosen &= np.fromiter((term in text for text in haystacks), np.bool_, len(haystacks))
    return chosen
