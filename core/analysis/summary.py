"""What the layer table shows of one layer: its statistics and a histogram of a few bins."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram
from core.analysis.statistics import NEAR_ZERO, Statistics
from core.analysis.stream import Analysis, analyse
from core.models.elements import ArrayElements
from core.models.opened import OpenedModel

THUMBNAIL_BINS = 72
"""Enough for a picture a hand wide; the layer table joins every three of them."""


_TOGETHER = 1 << 18
_MOST_LOOKED_AT = 1 << 28
"""Weights compared with zero at once; weights of a layer whose channels are looked at."""


@dataclass(frozen=True, eq=False)
class LayerSummary:
    """Figures of one layer's weight.

    Attributes:
        thumbnail: at most 72 bins over all finite weights.
        dead_channels: output channels of which every weight is exactly zero; None where there are no channels, or
            where looking would take too much memory.
    """

    statistics: Statistics
    thumbnail: Histogram
    dead_channels: int | None = None


def summarize(
    weight: Array, near_zero: float = NEAR_ZERO, check: Check | None = None, output_axis: int = 0
) -> LayerSummary:
    """Statistics and thumbnail of a weight of any shape, whose output channels lie along `output_axis`.

    `check` may raise to give up.
    """
    found = analyse(ArrayElements(weight), THUMBNAIL_BINS, check, near_zero=near_zero)
    return _summary(found, weight.shape, lambda: weight, output_axis, check)


def summarize_tensor(
    model: OpenedModel,
    name: str,
    near_zero: float = NEAR_ZERO,
    check: Check | None = None,
    *,
    shape: tuple[int, ...] | None = None,
    output_axis: int = 0,
) -> LayerSummary:
    """As `summarize`, of a tensor of an open model, without having all of it in memory.

    Args:
        shape: of the tensor, for its output channels; without it they are not looked at.

    Raises:
        StudioError: if the file can no longer be read.
    """
    with model.elements(name) as elements:
        found = analyse(elements, THUMBNAIL_BINS, check, near_zero=near_zero)
    return _summary(found, shape or (), lambda: model.tensor(name), output_axis, check)


def dead_channels(weight: Array, output_axis: int = 0, check: Check | None = None) -> int:
    """How many output channels consist of exact zeros only (NaN is none). `check` may raise to give up."""
    channels = np.moveaxis(weight, output_axis, 0)
    others = tuple(range(1, channels.ndim))
    together = max(1, _TOGETHER // max(1, math.prod(channels.shape[1:])))
    dead = 0
    for first in range(0, channels.shape[0], together):
        if check is not None:
            check()
        part = channels[first : first + together]
        dead += part.shape[0] - int(np.count_nonzero((part != 0).any(axis=others)))
    return dead


def _summary(
    found: Analysis, shape: tuple[int, ...], read: Callable[[], Array], output_axis: int, check: Check | None
) -> LayerSummary:
    return LayerSummary(
        found.statistics, found.histogram, _dead(found.statistics, shape, read, output_axis, check)
    )


def _dead(
    figures: Statistics,
    shape: tuple[int, ...],
    read: Callable[[], Array],
    output_axis: int,
    check: Check | None,
) -> int | None:
    if len(shape) < 2 or not figures.count:
        return None
    if figures.zeros < figures.count // shape[output_axis]:
        # Fewer zeros than a channel has weights: there is no need to look.
        return 0
    return dead_channels(read(), output_axis, check) if figures.count <= _MOST_LOOKED_AT else None
