"""Flips as rows of text, for the command line and reports."""

from collections.abc import Sequence

from core import formatting
from core.analysis.prediction_flips import (
    BOTH_RIGHT,
    NEWLY_RIGHT,
    NEWLY_WRONG,
    OTHERWISE_WRONG,
    SAME_WRONG,
    holm,
    probability,
)
from core.history.flips import FlipPair

METHODS = (
    "p: McNemar's exact test of the examples that only one of the two gets right (McNemar 1947); interval: Newcombe's "
    "of the difference of two shares counted on the same examples (1998, method 10)."
)

HOLM = (
    "p (Holm) is raised for the number of comparisons, so that one of many does not look like progress by chance "
    "(Holm 1979)."
)

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Heads and rows."""


def square(pair: FlipPair) -> Rows:
    """How many examples both, one or none gets right."""
    flips = pair.flips
    wrong = flips.number(OTHERWISE_WRONG) + flips.number(SAME_WRONG)
    rows = (
        (f"{pair.first} right", flips.number(BOTH_RIGHT), flips.number(NEWLY_WRONG)),
        (f"{pair.first} wrong", flips.number(NEWLY_RIGHT), wrong),
    )
    return ("", f"{pair.second} right", f"{pair.second} wrong"), [
        (name, formatting.count(right), formatting.count(wrong)) for name, right, wrong in rows
    ]


def otherwise_wrong(pair: FlipPair) -> str:
    """How many examples have another wrong answer, as a sentence."""
    number = pair.flips.number(OTHERWISE_WRONG)
    if number == 1:
        return "1 example is wrong both times, with different answers."
    return f"{formatting.count(number)} examples are wrong both times, with different answers."


def by_class(pair: FlipPair) -> Rows:
    """Accuracy by class of both; classes without examples are left out."""
    flips = pair.flips
    heads = ("Class", "Examples", f"{pair.first} right", f"{pair.second} right", NEWLY_WRONG, NEWLY_RIGHT)
    rows: list[tuple[str, ...]] = []
    for place, name in enumerate(pair.predictions.class_names):
        total = int(flips.total_by_class[place])
        if total:
            rows.append(
                (
                    name,
                    formatting.count(total),
                    formatting.percent(int(flips.right_first_by_class[place]) / total),
                    formatting.percent(int(flips.right_second_by_class[place]) / total),
                    formatting.count(int(flips.newly_wrong_by_class[place])),
                    formatting.count(int(flips.newly_right_by_class[place])),
                )
            )
    return heads, rows


def overview(pairs: Sequence[FlipPair]) -> Rows:
    """One row for each of several comparisons."""
    heads = ("Comparison", "Difference", "95 % interval", "p", "p (Holm)", NEWLY_WRONG, NEWLY_RIGHT)
    raised = holm([pair.flips.test.p for pair in pairs])
    return heads, [
        (
            pair.title,
            formatting.points(pair.flips.difference),
            f"{_end(pair.flips.low)} … {_end(pair.flips.high)} pp",
            probability(pair.flips.test.p).removeprefix("= "),
            probability(corrected).removeprefix("= "),
            formatting.count(pair.flips.number(NEWLY_WRONG)),
            formatting.count(pair.flips.number(NEWLY_RIGHT)),
        )
        for pair, corrected in zip(pairs, raised, strict=True)
    ]


def _end(fraction: float) -> str:
    """The end of an interval in percentage points, with its sign and without arrow and unit."""
    return formatting.points(fraction).split(" ")[-2]
