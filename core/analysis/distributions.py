"""Histograms of several layers on one axis, with the statistics of each."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram, automatic_bins
from core.analysis.statistics import NEAR_ZERO, Statistics
from core.analysis.stream import analyse, histogram_of, statistics_of
from core.models.elements import ArrayElements, Elements

_WORTH_A_THREAD = 1 << 23


@dataclass(frozen=True)
class NamedWeights:
    """A layer to look at: its name, its index in the model, and how to get its weights.

    `elements`, where it is given, gives them in pieces instead, for layers that are too large to be kept.
    """

    name: str
    layer: int
    read: Callable[[], Array]
    elements: Callable[[], AbstractContextManager[Elements]] | None = None

    def opened(self) -> AbstractContextManager[Elements]:
        """The weights in pieces, however they come.

        Raises:
            StudioError: if the file can no longer be read.
        """
        return nullcontext(ArrayElements(self.read())) if self.elements is None else self.elements()


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
    *,
    own_ranges: bool = False,
) -> tuple[LayerDistribution, ...]:
    """Statistics and histograms of `layers`, all with the same edges, which span the weights of all.

    Args:
        bins: None chooses by the number of weights of the largest layer.
        check: may raise to give up.
        own_ranges: only layers of one name share edges (as many for all), which span just their weights.

    One layer alone gets the edges that `numpy.histogram` gives it.
    """
    if len(layers) == 1:
        with layers[0].opened() as elements:
            found = analyse(elements, bins, check, near_zero=near_zero, threads=_threads(elements))
        return (LayerDistribution(layers[0].name, layers[0].layer, found.statistics, found.histogram),)
    figures = []
    for layer in layers:
        with layer.opened() as elements:
            figures.append(statistics_of(elements, near_zero, check, _threads(elements)))
    number = bins or automatic_bins(max((found.finite for found in figures), default=0))
    found_all = []
    for layer, known in zip(layers, figures, strict=True):
        together = [
            found
            for other, found in zip(layers, figures, strict=True)
            if not own_ranges or other.name == layer.name
        ]
        with layer.opened() as elements:
            # Alone, the range comes from the weights themselves, as numpy takes it.
            span = _span(together) if len(together) > 1 else None
            counted = histogram_of(elements, known, number, span, check, _threads(elements))
        found_all.append(LayerDistribution(layer.name, layer.layer, known, counted))
    return tuple(found_all)


def _span(figures: Sequence[Statistics]) -> tuple[float, float] | None:
    lows = [found.minimum for found in figures if found.minimum is not None]
    highs = [found.maximum for found in figures if found.maximum is not None]
    return (min(lows), max(highs)) if lows else None


def _threads(elements: Elements) -> int:
    # A second thread has to earn what starting it costs, and more would take the window's own.
    return min(2, os.cpu_count() or 1) if elements.size >= _WORTH_A_THREAD else 1
