"""What the layer table shows of one layer: its statistics and a histogram of a few bins."""

from dataclasses import dataclass

from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram
from core.analysis.statistics import NEAR_ZERO, Statistics
from core.analysis.stream import analyse
from core.models.elements import ArrayElements, Elements
from core.models.opened import OpenedModel

THUMBNAIL_BINS = 72
"""Enough for a picture a hand wide; the layer table joins every three of them."""


@dataclass(frozen=True, eq=False)
class LayerSummary:
    """Figures of one layer's weight. `thumbnail` has at most 72 bins over all finite weights."""

    statistics: Statistics
    thumbnail: Histogram


def summarize(weight: Array, near_zero: float = NEAR_ZERO, check: Check | None = None) -> LayerSummary:
    """Statistics and thumbnail of a weight of any shape. `check` may raise to give up."""
    return _summary(ArrayElements(weight), near_zero, check)


def summarize_tensor(
    model: OpenedModel, name: str, near_zero: float = NEAR_ZERO, check: Check | None = None
) -> LayerSummary:
    """As `summarize`, of a tensor of an open model, without having all of it in memory.

    Raises:
        StudioError: if the file can no longer be read.
    """
    with model.elements(name) as elements:
        return _summary(elements, near_zero, check)


def _summary(elements: Elements, near_zero: float, check: Check | None) -> LayerSummary:
    found = analyse(elements, THUMBNAIL_BINS, check, near_zero=near_zero)
    return LayerSummary(found.statistics, found.histogram)
