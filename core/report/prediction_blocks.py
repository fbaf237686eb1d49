"""What reports tell of predictions: which answers flipped, and whether that is more than noise."""

from collections.abc import Sequence

from core.errors import StudioError
from core.history.flips import FlipPair, pair_between, pairs_within
from core.history.flips_text import HOLM, METHODS, by_class, otherwise_wrong, overview, square
from core.report.blocks import Block, Grid, Heading, Paragraph
from core.report.gathering import GatheredRun

MOST_CLASSES = 50
"""Longer tables of classes are left to the window and the command line."""


def blocks_within(run: GatheredRun) -> list[Block]:
    """Before against after of a run, and its teacher against the student; nothing where it kept no predictions."""
    if run.predictions is None:
        return []
    try:
        pairs = pairs_within(run.predictions)
    except StudioError:
        return []
    return _told(pairs)


def blocks_between(runs: Sequence[GatheredRun], baseline: int) -> list[Block]:
    """The baseline against every other run that judged the same examples."""
    base = runs[baseline]
    if base.predictions is None:
        return []
    pairs, reasons = [], []
    for index, run in enumerate(runs):
        if index == baseline or run.predictions is None:
            continue
        try:
            pairs.append(pair_between((base.record, base.predictions), (run.record, run.predictions)))
        except StudioError as error:
            reasons.append(Paragraph(error.message, muted=True))
    return [*_told(pairs), *reasons]


def _told(pairs: Sequence[FlipPair]) -> list[Block]:
    if not pairs:
        return []
    blocks: list[Block] = [Heading("Predictions")]
    for pair in pairs:
        if len(pairs) > 1:
            blocks.append(Heading(pair.title, 3))
        heads, rows = square(pair)
        blocks += [
            Paragraph(pair.sentence),
            Grid(heads, tuple(rows), frozenset({1, 2})),
            Paragraph(otherwise_wrong(pair)),
        ]
        if len(pair.predictions.class_names) <= MOST_CLASSES:
            heads, rows = by_class(pair)
            blocks.append(Grid(heads, tuple(rows), frozenset(range(1, len(heads)))))
    if len(pairs) > 1:
        heads, rows = overview(pairs)
        blocks += [
            Heading("All comparisons of predictions", 3),
            Grid(heads, tuple(rows), frozenset(range(1, len(heads)))),
            Paragraph(HOLM, muted=True),
        ]
    return [*blocks, Paragraph(METHODS, muted=True)]
