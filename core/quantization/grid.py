"""Grids of weights: finding scale and zero point, rounding to them, and back to the same float32 bits.

Rows are the indices along `axis` (a single row without one), in the order of that dimension; a row's weights are taken
in memory order after `axis` has been moved to the front, and divided into groups.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from core.quantization.record import QuantizedWeight, highest_of, lowest_of

WeightRanges = Literal["min-max", "percentile", "mse"]
SHRINKS = 100
"""So many narrower ranges does the search for the least squared error try, down to a fifth of the widest."""

_NARROWEST = 0.2
_TINY = torch.finfo(torch.float32).tiny


def grouped(weight: Tensor, axis: int | None, group_size: int) -> Tensor:
    """The weight as [rows, groups, group size]; the last group of a row is filled up with zeros."""
    rows = weight.reshape(1, -1) if axis is None else weight.movedim(axis, 0).flatten(1)
    width = group_size or max(1, rows.shape[1])
    rows = functional.pad(rows, (0, -rows.shape[1] % width))
    return rows.reshape(rows.shape[0], -1, width)


def ungrouped(groups: Tensor, shape: torch.Size, axis: int | None) -> Tensor:
    """The inverse of `grouped`."""
    if axis is None:
        return groups.reshape(-1)[: shape.numel()].reshape(shape)
    moved = [shape[axis], *(size for dimension, size in enumerate(shape) if dimension != axis)]
    columns = shape.numel() // max(1, shape[axis])
    return groups.reshape(shape[axis], -1)[:, :columns].reshape(moved).movedim(0, axis)


def find_grid(
    weight: Tensor,
    bits: int,
    *,
    symmetric: bool = True,
    axis: int | None = None,
    group_size: int = 0,
    ranges: WeightRanges = "min-max",
    percentile: float = 99.9,
) -> QuantizedWeight:
    """The affine grid of a weight; zero always lies on it.

    Args:
        bits: 2 to 8.
        ranges: "min-max": nothing is clipped; "percentile": what lies beyond `percentile` % of the group's magnitudes
            is; "mse": the range with the least squared error among `SHRINKS` (symmetric: a line search, otherwise both
            ends shrink together).
    """
    groups = grouped(weight.detach().to(torch.float32), axis, group_size)
    low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
    if ranges == "percentile":
        limit = _magnitude_at(groups, percentile)
        low, high = torch.maximum(low, -limit), torch.minimum(high, limit)
    grid = QuantizedWeight(
        "affine", bits, symmetric, axis, group_size, *steps_for(low, high, bits, symmetric)
    )
    if ranges != "mse":
        return grid
    best = _squared_error(groups, grid)
    assert grid.scale is not None
    assert grid.zero_point is not None
    scale, zero_point = grid.scale, grid.zero_point
    for index in range(1, SHRINKS):
        factor = 1 - (1 - _NARROWEST) * index / SHRINKS
        tried = replace(grid)
        steps = steps_for(low * factor, high * factor, bits, symmetric)
        tried = replace(grid, scale=steps[0], zero_point=steps[1])
        error = _squared_error(groups, tried)
        better = error < best
        best = torch.where(better, error, best)
        scale, zero_point = (
            torch.where(better, steps[0], scale),
            torch.where(better, steps[1], zero_point),
        )
    return replace(grid, scale=scale, zero_point=zero_point)


def quantize(weight: Tensor, record: QuantizedWeight) -> Tensor:
    """The integers of a weight on an affine grid, int32 of the weight's shape."""
    groups = grouped(weight.detach().to(torch.float32), record.axis, record.group_size)
    return ungrouped(_integers(groups, record), weight.shape, record.axis)


def dequantize(integers: Tensor, record: QuantizedWeight) -> Tensor:
    """scale · (integer − zero point), float32; the same integers always give the same bits, and zero is +0.0."""
    assert record.scale is not None
    assert record.zero_point is not None
    groups = grouped(integers, record.axis, record.group_size)
    values = (groups - record.zero_point[..., None]).to(torch.float32) * record.scale[..., None]
    return ungrouped(values, integers.shape, record.axis).contiguous()


def on_grid(weight: Tensor, record: QuantizedWeight) -> Tensor:
    """The nearest values that the record allows, float32, detached; zeros stay zeros."""
    weight = weight.detach()
    match record.scheme:
        case "affine":
            return dequantize(quantize(weight, record), record)
        case "float16":
            # Beyond the largest half there is only infinity.
            return weight.clamp(-65504.0, 65504.0).to(torch.float16).to(torch.float32)
        case "bfloat16":
            return weight.to(torch.bfloat16).to(torch.float32)
        case _:
            assert record.book is not None
            return nearest_shared(weight, record.book)


def nearest_shared(weight: Tensor, book: Tensor) -> Tensor:
    """Each weight's nearest value of a rising codebook; weights that are exactly zero stay zero."""
    if book.numel() == 0:
        return torch.zeros_like(weight)
    middles = (book[1:] + book[:-1]) / 2
    values = book[torch.bucketize(weight.contiguous(), middles)]
    return torch.where(weight == 0, torch.zeros_like(weight), values)


def clipped(weight: Tensor, record: QuantizedWeight) -> Tensor:
    """Which weights lie beyond the ends of an affine grid (bool, the weight's shape)."""
    assert record.scale is not None
    assert record.zero_point is not None
    groups = grouped(weight.detach(), record.axis, record.group_size)
    low = (record.lowest - record.zero_point - 0.5) * record.scale
    high = (record.highest - record.zero_point + 0.5) * record.scale
    beyond = (groups < low[..., None]) | (groups > high[..., None])
    return ungrouped(beyond, weight.shape, record.axis)


def _integers(groups: Tensor, record: QuantizedWeight) -> Tensor:
    assert record.scale is not None
    assert record.zero_point is not None
    rounded = torch.round(groups / record.scale[..., None]) + record.zero_point[..., None]
    return rounded.clamp(record.lowest, record.highest).to(torch.int32)


def steps_for(low: Tensor, high: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point for ranges that contain zero."""
    lowest, highest = lowest_of(bits, symmetric), highest_of(bits, symmetric)
    width = torch.maximum(-low, high) if symmetric else high - low
    scale = width / (highest if symmetric else highest - lowest)
    # A group of zeros (or of almost nothing) needs no steps; any scale represents it.
    scale = torch.where(scale < _TINY, torch.ones_like(scale), scale)
    if symmetric:
        return scale, torch.zeros_like(scale, dtype=torch.int32)
    return scale, torch.round(-low / scale).clamp(lowest, highest).to(torch.int32)


def _squared_error(groups: Tensor, record: QuantizedWeight) -> Tensor:
    assert record.scale is not None
    assert record.zero_point is not None
    integers = _integers(groups, record) - record.zero_point[..., None]
    return (integers * record.scale[..., None] - groups).square().sum(2, dtype=torch.float64)


def _magnitude_at(groups: Tensor, percentile: float) -> Tensor:
    """The magnitude at a percentile of each group, by the nearest rank: [rows, groups]."""
    magnitudes = groups.abs()
    rank = max(1, min(groups.shape[2], int(-(-percentile * groups.shape[2] // 100))))
    return magnitudes.kthvalue(rank, 2).values
