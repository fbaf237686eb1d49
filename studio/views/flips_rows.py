"""What the predictions' tables show, as cells: pure functions, tested without a window."""

from collections.abc import Sequence

import numpy as np

from core import formatting
from core.analysis.prediction_flips import (
    BOTH_RIGHT,
    NEWLY_RIGHT,
    NEWLY_WRONG,
    OTHERWISE_WRONG,
    SAME_WRONG,
    SIGNIFICANT,
    confusion,
    holm,
    probability,
)
from core.findings import Matrix
from core.history.flips import FlipPair
from studio.tables.grid import Cell, Head

MCNEMAR = (
    "McNemar's exact test (McNemar, Psychometrika 12, 1947): were either way of flipping as likely, how probable "
    "would so uneven a split be?"
)
NEWCOMBE = (
    "The 95 % interval of a difference measured on the same examples (Newcombe, Statistics in Medicine 17, 1998, "
    "method 10)."
)
HOLM = (
    "p raised for the number of comparisons, so that one of many does not look like progress by chance (Holm, "
    "Scandinavian Journal of Statistics 6, 1979)."
)
ALL_THAT_CHANGED = 3
"""The place among `kinds_offered` of everything that changed."""


def square(pair: FlipPair) -> tuple[list[Head], list[tuple[Cell, ...]]]:
    """How many examples either, both or none gets right."""
    flips = pair.flips
    heads = [
        Head("Examples"),
        Head(f"{pair.second}: right", f"How many {pair.second} gets right", right=True),
        Head(f"{pair.second}: wrong", f"How many {pair.second} gets wrong", right=True),
        Head("together", right=True),
    ]
    wrong = flips.number(SAME_WRONG) + flips.number(OTHERWISE_WRONG)
    lost, won, both = flips.number(NEWLY_WRONG), flips.number(NEWLY_RIGHT), flips.number(BOTH_RIGHT)
    rows = [
        (Cell(f"{pair.first}: right"), _number(both), _number(lost, "bad", "▼"), _number(both + lost)),
        (Cell(f"{pair.first}: wrong"), _number(won, "good", "▲"), _number(wrong), _number(won + wrong)),
        (Cell("together"), _number(both + won), _number(lost + wrong), _number(flips.count)),
    ]
    return heads, rows


def facts(pair: FlipPair) -> tuple[list[Head], list[tuple[Cell, ...]]]:
    """What the test and the interval say, each with its source in the tooltip."""
    flips = pair.flips
    first, second = flips.right_first / flips.count, flips.right_second / flips.count
    interval = f"{formatting.points(flips.low)} to {formatting.points(flips.high)}"
    rows = [
        (f"Accuracy, {pair.first}", formatting.percent(first), repr(first)),
        (f"Accuracy, {pair.second}", formatting.percent(second), repr(second)),
        ("Difference", formatting.points(flips.difference), repr(flips.difference)),
        ("95 % interval", interval.replace("▲ ", "").replace("▼ ", ""), NEWCOMBE),
        (
            "McNemar’s exact p",
            probability(flips.test.p).removeprefix("= "),
            f"{MCNEMAR} p = {flips.test.p!r}",
        ),
        (
            "Newly wrong",
            formatting.count(flips.number(NEWLY_WRONG)),
            "Right before the arrow, wrong after it",
        ),
        (
            "Newly right",
            formatting.count(flips.number(NEWLY_RIGHT)),
            "Wrong before the arrow, right after it",
        ),
        (
            "Changed, both wrong",
            formatting.count(flips.number(OTHERWISE_WRONG)),
            "Wrong both times, with different answers",
        ),
    ]
    return [Head("What"), Head("Value", right=True)], [
        (Cell(name, tip), Cell(text, tip, right=True)) for name, text, tip in rows
    ]


def by_class(pair: FlipPair) -> tuple[list[Head], list[tuple[Cell, ...]]]:
    """Accuracy by class of both; classes without examples are left out."""
    flips = pair.flips
    heads = [
        Head("Class"),
        Head(pair.first, f"Share of the class that {pair.first} gets right", right=True),
        Head(pair.second, f"Share of the class that {pair.second} gets right", right=True),
        Head("Difference", "In percentage points", right=True),
        Head("▼", "Newly wrong", right=True),
        Head("▲", "Newly right", right=True),
        Head("Examples", "How many examples of the class were judged", right=True),
    ]
    rows = []
    totals = flips.total_by_class
    for place, name in enumerate(pair.predictions.class_names):
        total = int(totals[place])
        if not total:
            continue
        first = int(flips.right_first_by_class[place]) / total
        second = int(flips.right_second_by_class[place]) / total
        shown = formatting.points(second - first, 1)
        tone = "good" if "▲" in shown else "bad" if "▼" in shown else ""
        rows.append(
            (
                Cell(name),
                Cell(formatting.percent(first, 1), repr(first), right=True),
                Cell(formatting.percent(second, 1), repr(second), right=True),
                Cell(shown, repr(second - first), tone, right=True),
                _number(int(flips.newly_wrong_by_class[place])),
                _number(int(flips.newly_right_by_class[place])),
                _number(total),
            )
        )
    return heads, rows


def confusions(pair: FlipPair) -> tuple[list[Head], list[tuple[Cell, ...]]]:
    """Wrong answers by true and given class, those whose number changed most first."""
    heads = [
        Head("True class"),
        Head("Answered"),
        Head(pair.first, "How often", right=True),
        Head(pair.second, "How often", right=True),
        Head("Change", right=True),
    ]
    names = pair.predictions.class_names
    rows = []
    for label, given, first, second in pair.flips.confused.tolist():
        value = second - first
        sign = "+" if value > 0 else "−" if value < 0 else "±"
        rows.append(
            (
                Cell(names[label]),
                Cell(names[given]),
                _number(first),
                _number(second),
                Cell(f"{sign}{abs(value):,}", right=True),
            )
        )
    return heads, rows


def confusion_matrix(pair: FlipPair, which: str) -> Matrix:
    """Wrong answers as a matrix: of "first", of "second", or how they "change"."""
    names, labels = tuple(pair.predictions.class_names), pair.predictions.labels
    first, second = (
        confusion(labels, answers.predicted, len(names))
        for answers in (pair.first_answers, pair.second_answers)
    )
    values = {"first": first, "second": second, "change": second - first}[which]
    np.fill_diagonal(values, 0)
    return Matrix(
        tuple(tuple(float(value) for value in row) for row in values.tolist()),
        names,
        names,
        "true class",
        "answer",
        diverging=which == "change",
        note="Right answers are left out.",
    )


def overview(
    choices: Sequence[tuple[str, FlipPair | None, str]],
) -> tuple[list[Head], list[tuple[Cell, ...]]]:
    """One row for each comparison: title, pair, and why there is none where there is none."""
    heads = [
        Head("Comparison"),
        Head("Difference", "Of the accuracies, in percentage points", right=True),
        Head("95 % interval", NEWCOMBE, right=True),
        Head("p", MCNEMAR, right=True),
        Head("p (Holm)", HOLM, right=True),
        Head("▼", "Newly wrong", right=True),
        Head("▲", "Newly right", right=True),
    ]
    raised = iter(holm([pair.flips.test.p for _, pair, _ in choices if pair is not None]))
    rows = []
    for title, pair, why in choices:
        if pair is None:
            rows.append(
                (Cell(title, why, "muted"), *(Cell("–", why, "muted", right=True) for _ in heads[1:]))
            )
            continue
        flips, corrected = pair.flips, next(raised)
        tone = "" if corrected >= SIGNIFICANT else "good" if flips.difference > 0 else "bad"
        low, high = (formatting.points(end).split(" ")[-2] for end in (flips.low, flips.high))
        rows.append(
            (
                Cell(title, pair.sentence),
                Cell(formatting.points(flips.difference), repr(flips.difference), tone, right=True),
                Cell(f"{low} … {high}", f"{flips.low!r} to {flips.high!r}", right=True),
                Cell(probability(flips.test.p).removeprefix("= "), repr(flips.test.p), right=True),
                Cell(probability(corrected).removeprefix("= "), repr(corrected), right=True),
                _number(flips.number(NEWLY_WRONG)),
                _number(flips.number(NEWLY_RIGHT)),
            )
        )
    return heads, rows


def kinds_offered(pair: FlipPair) -> Sequence[tuple[str, tuple[str, ...]]]:
    """The filters: title with count, and the kinds that it lets through."""
    offered = (
        ("Newly wrong", (NEWLY_WRONG,)),
        ("Newly right", (NEWLY_RIGHT,)),
        ("Changed, both wrong", (OTHERWISE_WRONG,)),
        ("All that changed", (NEWLY_WRONG, NEWLY_RIGHT, OTHERWISE_WRONG)),
        ("Same wrong answer", (SAME_WRONG,)),
    )
    return [
        (f"{title} ({formatting.count(sum(pair.flips.number(kind) for kind in kinds))})", kinds)
        for title, kinds in offered
    ]


def _number(value: int, tone: str = "", sign: str = "") -> Cell:
    text = f"{sign} {formatting.count(value)}" if sign and value else formatting.count(value)
    return Cell(text, "", tone if value else "", right=True)
