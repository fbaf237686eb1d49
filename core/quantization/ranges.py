"""Ranges of activations: what calibration examples showed, and where to clip it."""

from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.quantization.record import ActivationRange

ActivationRanges = Literal["min-max", "percentile", "entropy", "mse"]
BINS: Final = 2048
_CANDIDATES = 128


class Observer:
    """Smallest and largest value in a first pass, a histogram between them in a second."""

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0
        self.finite = True
        self._histogram: NDArray[np.int64] | None = None

    def see_ends(self, values: Tensor) -> None:
        """First pass: any shape."""
        if values.numel():
            low, high = torch.aminmax(values.detach())
            self.finite &= bool(torch.isfinite(low) & torch.isfinite(high))
            self.low, self.high = min(self.low, float(low)), max(self.high, float(high))

    def see_values(self, values: Tensor) -> None:
        """Second pass: the same values again."""
        if self._histogram is None:
            self._histogram = np.zeros(BINS, np.int64)
        if self.high > self.low:
            flat = values.detach().reshape(-1).float()
            counts = torch.histc(flat, BINS, self.low, self.high)
            self._histogram += counts.cpu().numpy().astype(np.int64)

    def range(self, how: ActivationRanges, bits: int, symmetric: bool, percentile: float) -> ActivationRange:
        """Where to clip; always contains zero."""
        whole = ActivationRange(self.low, self.high, bits, symmetric)
        histogram = self._histogram
        if how == "min-max" or self.high <= self.low or histogram is None or not histogram.any():
            return whole
        edges = np.linspace(self.low, self.high, BINS + 1)
        if how == "percentile":
            low, high = percentile_ends(histogram, edges, percentile)
        elif how == "mse":
            low, high = least_squares_ends(histogram, edges, bits, symmetric)
        else:
            low, high = entropy_ends(histogram, edges, bits)
        return ActivationRange(min(0.0, low), max(0.0, high), bits, symmetric)


def percentile_ends(
    histogram: NDArray[np.int64], edges: NDArray[np.float64], percentile: float
) -> tuple[float, float]:
    """The range that leaves out (100 − percentile) % of the values, half of them at each end (none at an end of zero).

    Within a bin values are taken to lie evenly.
    """
    cumulative = np.concatenate([[0], np.cumsum(histogram)]) / histogram.sum()
    cut = (100 - percentile) / 100
    one_sided = edges[0] >= 0 or edges[-1] <= 0
    low_cut = 0.0 if edges[0] >= 0 else (cut if one_sided else cut / 2)
    high_cut = 0.0 if edges[-1] <= 0 else (cut if one_sided else cut / 2)
    # Of a stretch without values the inner end counts.
    low = edges[0] if low_cut == 0 else float(np.interp(low_cut, cumulative, edges))
    high = edges[-1] if high_cut == 0 else float(np.interp(1 - high_cut, cumulative, edges))
    return float(low), float(high)


def least_squares_ends(
    histogram: NDArray[np.int64], edges: NDArray[np.float64], bits: int, symmetric: bool
) -> tuple[float, float]:
    """The range with the least squared error of clipping and rounding, each end searched for in turn."""
    centres = (edges[1:] + edges[:-1]) / 2

    def error(low: float, high: float) -> float:
        side = ActivationRange(low, high, bits, symmetric)
        steps = np.clip(np.round(centres / side.scale) + side.zero_point, side.lowest, side.highest)
        return float(histogram @ ((steps - side.zero_point) * side.scale - centres) ** 2)

    low, high = min(0.0, float(edges[0])), max(0.0, float(edges[-1]))
    if symmetric:
        widest = max(-low, high)
        low, high = -widest, widest
        shrunk = [widest * index / _CANDIDATES for index in range(1, _CANDIDATES + 1)]
        best = min(shrunk, key=lambda limit: error(-limit, limit))
        return -best, best
    for _ in range(3):
        highs = [float(edges[-1]) * index / _CANDIDATES for index in range(1, _CANDIDATES + 1)]
        if edges[-1] > 0:
            high = min(highs, key=lambda limit: error(low, limit))
        lows = [float(edges[0]) * index / _CANDIDATES for index in range(1, _CANDIDATES + 1)]
        if edges[0] < 0:
            low = min(lows, key=lambda limit: error(limit, high))
    return low, high


def entropy_ends(histogram: NDArray[np.int64], edges: NDArray[np.float64], bits: int) -> tuple[float, float]:
    """The range whose quantized distribution diverges least from the clipped one (Migacz 2017; Kullback-Leibler).

    Candidates are widths around zero; what is beyond counts at the outermost bin of the clipped distribution.
    """
    width = edges[1] - edges[0]
    zero = int(np.clip(round(-edges[0] / width), 0, histogram.size))
    levels = 2**bits - 1
    best, found = np.inf, (float(edges[0]), float(edges[-1]))
    reach = max(zero, histogram.size - zero)
    for half in np.unique(np.linspace(max(1, reach // 16), reach, _CANDIDATES).astype(np.int64)):
        begin, end = max(0, zero - int(half)), min(histogram.size, zero + int(half))
        inside = histogram[begin:end].astype(np.float64)
        if inside.sum() == 0 or end - begin < levels:
            continue
        clipped = inside.copy()
        clipped[0] += histogram[:begin].sum()
        clipped[-1] += histogram[end:].sum()
        divergence = _divergence(clipped, _levelled(inside, levels))
        if divergence < best:
            best, found = divergence, (float(edges[begin]), float(edges[end]))
    return found


def _levelled(counts: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """The distribution after quantization: each level's counts spread evenly over its bins that are not empty."""
    level = np.arange(counts.size) * levels // counts.size
    filled = counts > 0
    total = np.bincount(level, counts, levels)
    bins = np.bincount(level, filled, levels)
    spread = np.divide(total, bins, out=np.zeros(levels), where=bins > 0)
    return np.where(filled, spread[level], 0.0)


def _divergence(wanted: NDArray[Any], got: NDArray[Any]) -> float:
    """Kullback-Leibler divergence of two histograms after smoothing both a little."""
    tiny = 1e-6
    p = wanted / wanted.sum() + tiny
    q = got / got.sum() + tiny
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())
