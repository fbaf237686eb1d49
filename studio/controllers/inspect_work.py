"""What the inspector has done on worker threads: pure functions over an open model, without Qt."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from core.analysis.chunks import Array, Check, float_chunks, only_finite
from core.analysis.distributions import LayerDistribution, NamedWeights, distributions
from core.analysis.magnitudes import MagnitudeTable, magnitude_table
from core.analysis.percentiles import percentiles
from core.models.description import Layer
from core.models.elements import ArrayElements, Elements
from core.models.opened import OpenedModel
from studio.views.references import Reference

_KEPT_BYTES = 512 << 20


class WeightCache:
    """The weights looked at last, so that zooming does not read the file again. Safe from any thread.

    Keeps at most half a gigabyte, or one layer if that is larger.
    """

    def __init__(self, model: OpenedModel) -> None:
        self.model = model
        self._arrays: OrderedDict[str, Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, layer: str) -> Array:
        """The weight of a layer.

        Raises:
            StudioError: if the file can no longer be read.
        """
        with self._lock:
            if layer in self._arrays:
                self._arrays.move_to_end(layer)
                return self._arrays[layer]
        weight = self.model.weight(layer)
        with self._lock:
            self._arrays[layer] = weight
            while len(self._arrays) > 1 and sum(a.nbytes for a in self._arrays.values()) > _KEPT_BYTES:
                self._arrays.popitem(last=False)
        return weight

    @contextmanager
    def elements(self, layer: str) -> Iterator[Elements]:
        """The weight of a layer in pieces: from the cache if it fits there, else straight from the file.

        Raises:
            StudioError: if the file can no longer be read.
        """
        name = self.model.description.layer(layer).weight_name
        with self.model.elements(name) as elements:
            # Short elements are counted as they are stored, which is faster than making numbers of them.
            small = elements.size * elements.dtype.itemsize <= _KEPT_BYTES // 2
            if small and elements.dtype.itemsize > 2 and not elements.in_memory:
                yield ArrayElements(self.get(layer))
            else:
                yield elements


@dataclass(frozen=True)
class Removal:
    """How many weights of the layers looked at a preview would take."""

    removed: int
    already_zero: int
    weights: int
    exact: bool


@dataclass(frozen=True, eq=False)
class Distributions:
    """The layers asked for, and the same layers of other models.

    Attributes:
        own_axes: only layers of one name share their edges; otherwise all do.
    """

    layers: tuple[LayerDistribution, ...]
    references: tuple[Reference, ...]
    own_axes: bool = False


def look_at_distributions(
    cache: WeightCache,
    layers: Sequence[tuple[int, Layer]],
    bins: int | None,
    others: Sequence[tuple[str, WeightCache]],
    check: Check,
    *,
    own_axes: bool = False,
) -> Distributions:
    """Histograms and statistics of layers, given with their index in the model, also in other models."""
    named = [
        NamedWeights(layer.name, place, partial(cache.get, layer.name), partial(cache.elements, layer.name))
        for place, layer in layers
    ]
    wanted = list(named)
    spans: list[tuple[str, int, int, tuple[str, ...]]] = []
    for title, other in others:
        there = {layer.name for layer in other.model.description.layers}
        found = [
            replace(one, read=partial(other.get, one.name), elements=partial(other.elements, one.name))
            for one in named
            if one.name in there
        ]
        missing = tuple(one.name for one in named if one.name not in there)
        spans.append((title, len(wanted), len(wanted) + len(found), missing))
        wanted += found
    own_axes = own_axes and len(named) > 1
    counted = distributions(wanted, bins, check=check, own_ranges=own_axes)
    return Distributions(
        counted[: len(named)],
        tuple(Reference(title, counted[first:last], missing) for title, first, last, missing in spans),
        own_axes,
    )


def look_at_percentiles(
    cache: WeightCache, layers: Sequence[str], check: Check
) -> dict[str, tuple[float, ...]]:
    """The usual percentiles of layers; those without a finite weight are left out."""
    found = {name: percentiles(cache.get(name), check=check) for name in layers}
    return {name: values for name, values in found.items() if values is not None}


def share_below(cache: WeightCache, layer: str, value: float, check: Check) -> float:
    """The share of a layer's finite weights (complex ones by magnitude) that are below `value`; 0 where none is."""
    below = finite = 0
    for piece in float_chunks(cache.get(layer), check):
        good = only_finite(piece)
        below += int(np.count_nonzero(good < value))
        finite += good.size
    return below / finite if finite else 0.0


def tables_of(cache: WeightCache, layers: Sequence[str], check: Check) -> dict[str, MagnitudeTable]:
    """The magnitude tables of layers."""
    found = {}
    for layer in layers:
        check()
        found[layer] = magnitude_table(cache.get(layer), check)
    return found


def removal(tables: Mapping[str, MagnitudeTable], thresholds: Mapping[str, float]) -> Removal:
    """What thresholds would take of the layers whose tables are given."""
    removed = zeros = weights = 0
    exact = True
    for layer, table in tables.items():
        weights += table.count
        threshold = thresholds.get(layer)
        if threshold is not None:
            removed += table.up_to(threshold)
            zeros += table.up_to(0.0)
            exact &= table.exact
    return Removal(removed, zeros, weights, exact)
