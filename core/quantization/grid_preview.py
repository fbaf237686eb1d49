"""What a grid would do to one weight, before anything is quantized: its levels, what it clips, how much it loses."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.quantization.grid import WeightRanges, clipped, find_grid, on_grid, quantize, steps_for
from core.quantization.record import QuantizedWeight


@dataclass(frozen=True)
class GridChoice:
    """A grid that is looked at.

    Attributes:
        bits: 2 to 8.
        ranges: how the ends are found where they are not given.
        ends: (low, high) as they were dragged; None: found by `ranges`. A symmetric grid takes the larger magnitude.
    """

    bits: int = 8
    symmetric: bool = True
    ranges: WeightRanges = "min-max"
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class GridPreview:
    """One scale for the whole weight, and what a scale for each channel would make of it.

    Attributes:
        low, high: the smallest and the largest value on the grid.
        levels: float64, rising: all values on the grid.
        used: on how many of them at least one weight comes to lie.
        clipped: weights farther than half a step beyond the ends.
        sqnr: 10 · log10(Σ w² / Σ (w − q(w))²) in dB; infinite where nothing is lost.
        by_channel: the same with the same bits, and a scale found by `ranges` for each output channel; None where
            the weight has no channels.
    """

    choice: GridChoice
    low: float
    high: float
    scale: float
    zero_point: int
    levels: NDArray[np.float64]
    used: int
    clipped: int
    count: int
    sqnr: float
    by_channel: float | None


def chosen_grid(weight: Tensor, choice: GridChoice) -> QuantizedWeight:
    """The grid of a choice with one scale for the whole weight; what lies beyond its ends is clipped."""
    if choice.ends is None:
        return find_grid(weight, choice.bits, symmetric=choice.symmetric, ranges=choice.ranges)
    low, high = min(0.0, choice.ends[0]), max(0.0, choice.ends[1])
    ends = torch.tensor([[low]]), torch.tensor([[high]])
    scale, zero_point = steps_for(*ends, choice.bits, choice.symmetric)
    return QuantizedWeight("affine", choice.bits, choice.symmetric, None, 0, scale, zero_point)


def preview_grid(weight: Tensor, choice: GridChoice, check: Callable[[], None] = lambda: None) -> GridPreview:
    """Measure a grid on a weight of any shape (finite values).

    Args:
        check: called between passes; may raise to give up.
    """
    weight = weight.detach().to(torch.float32)
    grid = chosen_grid(weight, choice)
    assert grid.scale is not None
    assert grid.zero_point is not None
    scale, zero_point = float(grid.scale.item()), int(grid.zero_point.item())
    check()
    integers = quantize(weight, grid)
    levels = np.arange(grid.lowest - zero_point, grid.highest - zero_point + 1, dtype=np.float64) * scale
    check()
    by_channel = None
    if weight.ndim > 1 and weight.shape[0] > 1:
        channels = find_grid(weight, choice.bits, symmetric=choice.symmetric, axis=0, ranges=choice.ranges)
        check()
        by_channel = sqnr(weight, channels)
    return GridPreview(
        replace(choice),
        float(levels[0]),
        float(levels[-1]),
        scale,
        zero_point,
        levels,
        int(torch.unique(integers).numel()),
        int(clipped(weight, grid).sum()),
        weight.numel(),
        sqnr(weight, grid),
        by_channel,
    )


def sqnr(weight: Tensor, grid: QuantizedWeight) -> float:
    """Signal to quantization noise of a weight on a grid, in dB, summed in float64."""
    noise = float((weight.double() - on_grid(weight, grid).double()).square().sum())
    signal = float(weight.double().square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
