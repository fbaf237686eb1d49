"""What the inspector has done on worker threads: pure functions over an open model, without Qt."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.analysis.chunks import Array, Check
from core.analysis.colormaps import HeatmapColors, color_limit, paint
from core.analysis.distributions import LayerDistribution, NamedWeights, distributions
from core.analysis.magnitudes import MagnitudeTable, magnitude_table
from core.analysis.sparsity import as_matrix, heatmap
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio.views.heatmap_view import PaintedTile, TileRequest

_KEPT_BYTES = 512 << 20
PREVIEW_FROM = 4_000_000
"""Weights on show from which a coarse picture is shown before the exact one."""


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


@dataclass(frozen=True)
class Removal:
    """How many weights of the layers looked at a preview would take."""

    removed: int
    already_zero: int
    weights: int
    exact: bool


def look_at_distributions(
    cache: WeightCache, layers: Sequence[tuple[int, Layer]], bins: int | None, check: Check
) -> tuple[LayerDistribution, ...]:
    """Histograms and statistics of layers, given with their index in the model."""
    named = [NamedWeights(layer.name, place, partial(cache.get, layer.name)) for place, layer in layers]
    return distributions(named, bins, check=check)


def look_at_matrix(
    cache: WeightCache,
    request: TileRequest,
    threshold: float | None,
    colors: HeatmapColors,
    *,
    preview: bool,
    check: Check,
) -> PaintedTile:
    """One tile of a heatmap, painted."""
    matrix = as_matrix(cache.get(request.layer))
    tile = heatmap(
        matrix,
        request.rows,
        request.columns,
        request.height,
        request.width,
        request.mode,
        threshold=threshold,
        preview=preview,
        check=check,
    )
    # Single weights keep one scale wherever one looks; means depend on how many weights they are over.
    limit = layer_limit(matrix) if tile.block == (1, 1) and tile.mode != "sparsity" else color_limit(tile)
    return PaintedTile(request.layer, tile, paint(tile, limit, colors), limit, colors, matrix)


def layer_limit(matrix: Array) -> float:
    """The end of the colour scale for single weights of a layer, from at most about a million of them."""
    steps = [max(1, side // 1024) for side in matrix.shape]
    sample = matrix[:: steps[0], :: steps[1]]
    return color_limit(
        heatmap(sample, (0, sample.shape[0]), (0, sample.shape[1]), 1 << 20, 1 << 20, "magnitude")
    )


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


def weights_on_show(request: TileRequest) -> int:
    """How many weights a tile request covers."""
    spans = (request.rows[1] - request.rows[0], request.columns[1] - request.columns[0])
    return int(np.prod(spans, dtype=np.int64))
