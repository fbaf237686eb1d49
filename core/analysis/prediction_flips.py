"""Two models' answers to the same examples: which flipped, and whether the difference can be told from noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.formatting import count, percent, significant

Z_95 = 1.959963984540054
SIGNIFICANT = 0.05
"""Below this probability a difference counts as told from noise, as the 95 % of the interval says."""

NEWLY_WRONG, NEWLY_RIGHT, OTHERWISE_WRONG = "newly wrong", "newly right", "changed, both wrong"
SAME_WRONG, BOTH_RIGHT = "both wrong, same answer", "both right"
KINDS = (NEWLY_WRONG, NEWLY_RIGHT, OTHERWISE_WRONG, SAME_WRONG, BOTH_RIGHT)
"""Every example is of exactly one kind."""

MOST_CONFUSED = 400

CHANGED = (NEWLY_WRONG, NEWLY_RIGHT, OTHERWISE_WRONG)


@dataclass(frozen=True)
class McNemar:
    """The exact test of McNemar (1947): under chance, either way of flipping is as likely.

    Attributes:
        only_first, only_second: examples that only the one, or only the other, gets right.
        p: the two-sided probability of so uneven a split or a more uneven one, from the binomial distribution.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, eq=False)
class Flips:
    """What changed from the first to the second model.

    Attributes:
        kinds: for each example, its place in `KINDS`, int8 [N].
        difference: accuracy of the second less that of the first, a fraction; `low` and `high` bound its 95 % interval.
        total_by_class, right_first_by_class, right_second_by_class: examples of each class, and how many of them the
            first and the second get right, int64 [C]; `newly_wrong_by_class` and `newly_right_by_class` likewise.
        confused: wrong answers counted, int64 [K, 4]: true class, answer, how often the first and the second give it;
            those whose number changed most come first, then the frequent ones; at most `MOST_CONFUSED`.
    """

    count: int
    kinds: NDArray[np.int8]
    counts: tuple[int, ...]
    test: McNemar
    difference: float
    low: float
    high: float
    total_by_class: NDArray[np.int64]
    right_first_by_class: NDArray[np.int64]
    right_second_by_class: NDArray[np.int64]
    newly_wrong_by_class: NDArray[np.int64]
    newly_right_by_class: NDArray[np.int64]
    confused: NDArray[np.int64]

    def number(self, kind: str) -> int:
        """How many examples are of this kind."""
        return self.counts[KINDS.index(kind)]

    def indices(self, *kinds: str) -> NDArray[np.intp]:
        """The examples of these kinds, in the order of the split."""
        wanted = [KINDS.index(kind) for kind in kinds]
        return np.flatnonzero(np.isin(self.kinds, wanted))

    @property
    def right_first(self) -> int:
        """How many examples the first gets right."""
        return self.number(BOTH_RIGHT) + self.number(NEWLY_WRONG)

    @property
    def right_second(self) -> int:
        """How many examples the second gets right."""
        return self.number(BOTH_RIGHT) + self.number(NEWLY_RIGHT)

    @property
    def told_from_noise(self) -> bool:
        """Whether chance alone would hardly make such a difference."""
        return self.test.p < SIGNIFICANT


def find_flips(
    labels: NDArray[np.integer], first: NDArray[np.integer], second: NDArray[np.integer], classes: int
) -> Flips:
    """Compare two models' answers to the same examples.

    Args:
        labels, first, second: true classes and those that either model gives, integers [N] below `classes`.

    Raises:
        ValueError: if there are no examples or the lengths differ.
    """
    if not len(labels) or not len(labels) == len(first) == len(second):
        raise ValueError(f"{len(labels)} labels, {len(first)} and {len(second)} answers")
    right_first, right_second = first == labels, second == labels
    kinds = np.full(len(labels), KINDS.index(SAME_WRONG), np.int8)
    kinds[~right_first & ~right_second & (first != second)] = KINDS.index(OTHERWISE_WRONG)
    kinds[right_first & right_second] = KINDS.index(BOTH_RIGHT)
    kinds[right_first & ~right_second] = KINDS.index(NEWLY_WRONG)
    kinds[~right_first & right_second] = KINDS.index(NEWLY_RIGHT)
    found = np.bincount(kinds, minlength=len(KINDS))
    counts = dict(zip(KINDS, found.tolist(), strict=True))
    lost, won = counts[NEWLY_WRONG], counts[NEWLY_RIGHT]
    wrong = counts[SAME_WRONG] + counts[OTHERWISE_WRONG]
    low, high = paired_interval(counts[BOTH_RIGHT], won, lost, wrong)

    def by_class(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(labels[chosen], minlength=classes).astype(np.int64)

    return Flips(
        len(labels),
        kinds,
        tuple(counts.values()),
        McNemar(lost, won, mcnemar_exact(lost, won)),
        (won - lost) / len(labels),
        low,
        high,
        by_class(np.ones(len(labels), np.bool_)),
        by_class(right_first),
        by_class(right_second),
        by_class(kinds == KINDS.index(NEWLY_WRONG)),
        by_class(kinds == KINDS.index(NEWLY_RIGHT)),
        _confused(labels, first, second, classes),
    )


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: twice the binomial tail at one half, at most 1.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution in place of the χ² approximation.
    """
    flips, fewer = only_first + only_second, min(only_first, only_second)
    if 2 * fewer == flips:
        return 1.0
    # log C(n, k) by sums of logarithms, so that thousands of flips neither overflow nor vanish.
    places = np.arange(1, fewer + 1, dtype=np.float64)
    logs = np.concatenate(([0.0], np.cumsum(np.log((flips - places + 1) / places)))) - flips * math.log(2)
    most = float(logs.max())
    tail = math.exp(most + math.log(float(np.exp(logs - most).sum())))
    return min(1.0, 2 * tail)


def paired_interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two shares counted on the same examples, first less second.

    Newcombe, Statistics in Medicine 17 (1998) 2635-2650, method 10: Wilson's intervals of either share, squared and
    added with the correlation of the two.

    Args:
        both, only_first, only_second, neither: counts of the four outcomes; at least one is above 0.
    """
    n = both + only_first + only_second + neither
    first, second = (both + only_first) / n, (both + only_second) / n
    low_first, high_first = _wilson(both + only_first, n)
    low_second, high_second = _wilson(both + only_second, n)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    excess = both * neither - only_first * only_second
    if excess > 0:
        excess = max(0, excess - n / 2)  # type: ignore[assignment]
    correlation = excess / math.sqrt(margins) if margins else 0.0

    def reach(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down * down - 2 * correlation * down * up + up * up))

    difference = first - second
    return (
        max(-1.0, difference - reach(first - low_first, high_second - second)),
        min(1.0, difference + reach(high_first - first, second - low_second)),
    )


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities of several tests, raised so that together they err as often as one alone.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    raised = [0.0] * len(probabilities)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(probabilities)), key=lambda n: probabilities[n])):
        highest = max(highest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        raised[place] = highest
    return raised


def confusion(labels: NDArray[np.integer], given: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How often each class (rows) was given each name (columns), int64 [classes, classes]."""
    cells = labels.astype(np.int64) * classes + given
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def _confused(
    labels: NDArray[np.integer], first: NDArray[np.integer], second: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    # Only pairs that occur: a matrix of 1,000 classes has a million cells, nearly all of them empty.
    counted = []
    for given in (first, second):
        wrong = given != labels
        counted.append(np.unique(labels[wrong].astype(np.int64) * classes + given[wrong], return_counts=True))
    cells = np.union1d(counted[0][0], counted[1][0])
    often = np.zeros((len(cells), 2), np.int64)
    for column, (found, counts) in enumerate(counted):
        often[np.searchsorted(cells, found), column] = counts
    order = np.lexsort((-often.sum(1), -np.abs(often[:, 1] - often[:, 0])))[:MOST_CONFUSED]
    return np.column_stack((cells[order] // classes, cells[order] % classes, often[order]))


def sentence_of(flips: Flips, first: str, second: str, examples: str = "test examples") -> str:
    """What the comparison found, in one sentence, noise taken into account.

    Args:
        first, second: what the sentence calls the models, such as "the model before".
        examples: what was judged.
    """
    n, lost, won = flips.count, flips.number(NEWLY_WRONG), flips.number(NEWLY_RIGHT)
    begin = f"On {count(n)} {examples} {first} is right on {percent(flips.right_first / n)}, {second} on "
    begin += percent(flips.right_second / n)
    if lost + won == 0:
        return f"{begin}: both are right on the very same examples."
    flipped = f"{count(lost)} became wrong and {count(won)} became right"
    interval = (
        f"95 % interval {_signed(flips.low)} to {_signed(flips.high)} pp, p {probability(flips.test.p)}"
    )
    if flips.told_from_noise:
        word = "better" if flips.difference > 0 else "worse"
        verdict = (
            f"{second} is {word} by {abs(100 * flips.difference):.2f} pp, more than noise would make of it"
        )
    else:
        verdict = f"the difference of {_signed(flips.difference)} pp cannot be told from noise"
    return f"{begin} ({flipped}): {verdict} ({interval})."


def headline_of(flips: Flips) -> str:
    """The verdict on the second model in few words, for places with little room."""
    if flips.number(NEWLY_WRONG) + flips.number(NEWLY_RIGHT) == 0:
        return "right on the very same examples."
    p = f"p {probability(flips.test.p)}"
    if not flips.told_from_noise:
        return f"{_signed(flips.difference)} pp, which cannot be told from noise ({p})."
    word = "better" if flips.difference > 0 else "worse"
    return f"{word} by {abs(100 * flips.difference):.2f} pp, beyond noise ({p})."


def probability(p: float) -> str:
    """A probability as a sentence has it: "= 0.0312", or "< 0.0001"."""
    return "< 0.0001" if p < 1e-4 else f"= {significant(p)}"


def _signed(fraction: float) -> str:
    shown = round(100 * fraction, 2)
    return f"{'+' if shown > 0 else '−' if shown < 0 else '±'}{abs(shown):.2f}"


def _wilson(hits: int, n: int) -> tuple[float, float]:
    share = hits / n
    centre = share + Z_95 * Z_95 / (2 * n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95 * Z_95 / (4 * n * n))
    scale = 1 + Z_95 * Z_95 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
