"""What the layer table shows of one layer: its statistics and a histogram of a few bins."""

from dataclasses import dataclass

from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram, histogram
from core.analysis.statistics import NEAR_ZERO, Statistics, statistics

THUMBNAIL_BINS = 24


@dataclass(frozen=True, eq=False)
class LayerSummary:
    """Figures of one layer's weight. `thumbnail` has at most 24 bins over all finite weights."""

    statistics: Statistics
    thumbnail: Histogram


def summarize(weight: Array, near_zero: float = NEAR_ZERO, check: Check | None = None) -> LayerSummary:
    """Statistics and thumbnail of a weight of any shape. `check` may raise to give up."""
    figures = statistics(weight, near_zero, check)
    # The range is known by now, which saves the histogram a pass over the weights.
    if figures.minimum is None or figures.maximum is None:
        window = (0.0, 1.0)
    else:
        window = (figures.minimum, figures.maximum)
    return LayerSummary(figures, histogram(weight, THUMBNAIL_BINS, window, check))
