"""Histograms of several layers on one axis, with the statistics of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram, automatic_bins, histogram
from core.analysis.statistics import NEAR_ZERO, Statistics, statistics


@dataclass(frozen=True)
class NamedWeights:
    """A layer to look at: its name, its index in the model, and how to get its weights."""

    name: str
    layer: int
    read: Callable[[], Array]


@dataclass(frozen=True, eq=False)
class LayerDistribution:
    """How the weights of one layer are distributed."""

    name: str
    layer: int
    statistics: Statistics
    histogram: Histogram


def distributions(
    layers: Sequence[NamedWeights],
    bins: int | None = None,
    near_zero: float = NEAR_ZERO,
    check: Check | None = None,
) -> tuple[LayerDistribution, ...]:
    """Statistics and histograms of `layers`, all with the same edges, which span the weights of all.

    `bins` of None chooses by the number of weights of the largest layer. One layer alone gets the edges that
    `numpy.histogram` gives it. `check` may raise to give up.
    """
    figures = [statistics(layer.read(), near_zero, check) for layer in layers]
    lows = [found.minimum for found in figures if found.minimum is not None]
    highs = [found.maximum for found in figures if found.maximum is not None]
    number = bins or automatic_bins(max((found.finite for found in figures), default=0))
    common = (min(lows), max(highs)) if lows and len(layers) > 1 else None
    return tuple(
        LayerDistribution(layer.name, layer.layer, found, histogram(layer.read(), number, common, check))
        for layer, found in zip(layers, figures, strict=True)
    )
