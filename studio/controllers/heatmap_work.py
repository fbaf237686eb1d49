"""What the heatmap has done on worker threads: pure functions over weights, without Qt."""

from math import prod

import numpy as np

from core.analysis.chunks import Array, Check
from core.analysis.colormaps import HeatmapColors, color_limit, paint
from core.analysis.patterns import PatternCount, count_broken
from core.analysis.pictures import (
    Broken,
    Difference,
    Saliency,
    Squares,
    Subject,
    Weights,
    cell_of,
    input_axis,
    picture,
    profiles,
)
from core.analysis.positions import columns_per_channel
from core.analysis.sparsity import HeatmapMode, as_matrix
from core.models.description import Layer
from studio.views.heatmap_request import Look, PaintedTile, TileRequest

PREVIEW_FROM = 4_000_000
"""Weights on show from which a coarse picture is shown before the exact one."""

_SAMPLE = 1024
_TILE_MODES: dict[str, HeatmapMode] = {
    "sparsity": "sparsity",
    "mask": "sparsity",
    "magnitude": "magnitude",
    "square": "magnitude",
    "saliency": "magnitude",
    "signed": "signed",
    "difference": "signed",
    "rounding": "signed",
}


def look_at_matrix(
    layer: Layer,
    weight: Array,
    other: Array | None,
    request: TileRequest,
    threshold: float | None,
    colors: HeatmapColors,
    *,
    preview: bool,
    check: Check,
) -> PaintedTile:
    """One tile of a heatmap, painted.

    Args:
        other: in the weight's shape: that of the other model, for a difference; the saliencies.
        threshold: up to which magnitude weights would go, for looks that show weights.
    """
    look, matrix = request.look, as_matrix(weight)
    compared = as_matrix(other) if other is not None and (look.compares or look.salient) else None
    subject = _subject(layer, matrix, compared, look)
    breaks = look.grouping == "pattern"
    mode: HeatmapMode = "magnitude" if breaks else _TILE_MODES[look.mode]
    tile = picture(
        subject,
        request.rows,
        request.columns,
        request.height,
        request.width,
        mode,
        cell=cell_of(look.grouping, layer.kind, layer.shape, look.block)
        if look.grouping != "pattern"
        else (1, 1),
        threshold=threshold if isinstance(subject, Weights) else None,
        preview=preview,
        check=check,
    )
    if breaks or mode == "sparsity":
        limit = 1.0
    else:
        # Single weights keep one scale wherever one looks; means depend on how many weights they are over.
        limit = layer_limit(subject) if tile.block == (1, 1) else color_limit(tile)
    table = "breaks" if breaks else "mask" if look.mode == "mask" else mode
    by_row, by_column = profiles(tile)
    if breaks:
        by_row, by_column = 1 - by_row, 1 - by_column
    pixels = paint(tile, limit, colors, table)
    return PaintedTile(
        request.layer, look, tile, pixels, table, limit, colors, matrix, compared, by_row, by_column
    )


def rounded(layer: Layer, weight: Array, bits: int, by_channel: bool) -> Array:
    """The weight on the grid that the quantize step finds for it: symmetric, from the smallest to the largest."""
    # torch comes along here, off the GUI thread.
    import torch

    from core.quantization.grid import find_grid, on_grid
    from core.quantization.step_records import output_axis

    tensor = torch.from_numpy(np.array(weight, dtype=np.float32))
    axis = output_axis(layer) if by_channel and tensor.ndim > 1 else None
    found: Array = on_grid(tensor, find_grid(tensor, bits, axis=axis)).numpy()
    return found


def layer_limit(subject: Subject) -> float:
    """The end of the colour scale for single weights of a layer, from at most about a million of them."""
    (rows, columns) = subject.shape
    steps = (max(1, rows // _SAMPLE), max(1, columns // _SAMPLE))
    sample = Weights(subject.part(slice(0, rows, steps[0]), slice(0, columns, steps[1])))
    height, width = sample.shape
    return color_limit(picture(sample, (0, height), (0, width), 1 << 20, 1 << 20, "magnitude"))


def count_pattern(layer: Layer, weight: Array, look: Look, check: Check) -> PatternCount:
    """How many groups of a whole layer break the pattern looked at."""
    axis = input_axis(layer.kind, layer.shape)
    return count_broken(as_matrix(weight), look.pattern, _unit(layer, axis), axis, check)


def weights_on_show(request: TileRequest) -> int:
    """How many weights a tile request covers."""
    return prod((request.rows[1] - request.rows[0], request.columns[1] - request.columns[0]))


def _subject(layer: Layer, matrix: Array, other: Array | None, look: Look) -> Subject:
    if look.grouping == "pattern":
        axis = input_axis(layer.kind, layer.shape)
        return Broken(matrix, look.pattern, _unit(layer, axis), axis)
    if look.compares:
        return Difference(matrix, np.zeros_like(matrix) if other is None else other)
    if look.salient and other is not None:
        return Saliency(other)
    return Squares(matrix) if look.mode == "square" else Weights(matrix)


def _unit(layer: Layer, axis: int) -> int:
    return columns_per_channel(layer.shape) if axis == 1 else 1
