"""The difference of two measured accuracies with its interval, so that noise is nowhere read as progress."""

import math
from dataclasses import dataclass

from core.measurement.records import Accuracy

NEWCOMBE = "Newcombe's 95 % interval of the difference of two shares (1998, method 10)"
MAY_BE_CHANCE = "The 95 % interval of the difference includes zero: this may be chance."


@dataclass(frozen=True)
class Difference:
    """By how much one accuracy exceeds another, as fractions, with the 95 % interval.

    `method` names how the interval was obtained.
    """

    value: float
    low: float
    high: float
    method: str = NEWCOMBE

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def difference(ours: tuple[float, float, float], base: tuple[float, float, float]) -> Difference:
    """The difference of two shares, each given with its Wilson interval as (low, share, high).

    Newcombe's hybrid score interval (Newcombe 1998, method 10): with shares p, q and their intervals [l, u], [m, v] it
    reaches from p - q - sqrt((p - l)² + (v - q)²) to p - q + sqrt((u - p)² + (q - m)²). It treats both counts as
    independent, which is cautious for two models that were judged on the same examples.
    """
    value = ours[1] - base[1]
    below = math.hypot(ours[1] - ours[0], base[2] - base[1])
    above = math.hypot(ours[2] - ours[1], base[1] - base[0])
    return Difference(value, max(-1.0, value - below), min(1.0, value + above))


def accuracy_difference(ours: Accuracy, base: Accuracy) -> Difference:
    """`difference` of two accuracies."""
    return difference((ours.low, ours.value, ours.high), (base.low, base.value, base.high))


def may_be_chance(one: Accuracy | None, other: Accuracy | None) -> bool:
    """Whether the interval of the difference includes zero, so that it must not be shown as progress."""
    return one is not None and other is not None and not accuracy_difference(one, other).distinguishable
