"""Layers channel by channel: norms, dead channels, how alike output channels are, and how many directions they span."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import Array, Check, Floats

MOST_COMPARED = 512
"""Channels that are compared pairwise at most; of more, an even sample is."""
QUICK_SIDE = 1024
LARGEST_SIDE = 4096
"""The shorter side of matrices whose singular values take at most about a second, and the longest one possible."""
_DIRECT = 4_000_000
_PART = 1 << 20


@dataclass(frozen=True, eq=False)
class ChannelNorms:
    """Figures of every channel along one axis.

    Attributes:
        l1, l2: float64 [channels], over the finite weights.
        zeros: int64 [channels], weights that are exactly zero.
        weights: of each channel.
    """

    l1: Floats
    l2: Floats
    zeros: NDArray[np.int64]
    weights: int

    @property
    def dead(self) -> NDArray[np.intp]:
        """Indices of the channels whose weights are all zero."""
        return np.flatnonzero(self.zeros == self.weights) if self.weights else np.zeros(0, np.intp)


@dataclass(frozen=True, eq=False)
class Similarity:
    """Cosines between output channels.

    Attributes:
        channels: int64 [k], which channels were compared, rising.
        cosines: float32 [k, k]; NaN where a channel is all zero or not finite.
        of: how many channels there are.
    """

    channels: NDArray[np.intp]
    cosines: NDArray[np.float32]
    of: int

    @property
    def sampled(self) -> bool:
        """Whether channels were left out."""
        return len(self.channels) < self.of

    @property
    def most_alike(self) -> tuple[int, int, float] | None:
        """The two different channels whose cosine is largest, and it; None without a pair."""
        lower = np.tril(np.ones(self.cosines.shape, np.bool_), -1) & np.isfinite(self.cosines)
        if not lower.any():
            return None
        place = int(np.where(lower, self.cosines, -2).argmax())
        first, second = divmod(place, len(self.channels))
        cosine = float(self.cosines[first, second])
        return int(self.channels[second]), int(self.channels[first]), cosine


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of the output × input · kernel matrix.

    Attributes:
        values: float64, falling.
        shape: of the matrix.
        effective_rank: exp of the entropy of the normalised singular values (Roy and Vetterli 2007, "The
            effective rank: a measure of effective dimensionality"); 0 for a matrix of zeros.
    """

    values: Floats
    shape: tuple[int, int]
    effective_rank: float

    def rank_for(self, energy: float) -> int:
        """The fewest singular values whose squares add up to this fraction of all squares."""
        squares = np.square(self.values)
        total = float(squares.sum())
        if total <= 0:
            return 0
        reached = np.cumsum(squares) / total
        # Rounding may leave the last sum a hair below 1.
        return min(len(squares), int(np.searchsorted(reached, energy - 1e-12)) + 1)


def channel_norms(matrix: Array, unit: int, check: Check | None = None) -> tuple[ChannelNorms, ChannelNorms]:
    """Norms of the rows of a weight matrix, and of its groups of `unit` neighbouring columns.

    Args:
        matrix: [m, n], n a multiple of `unit` (kh · kw).
        check: may raise to give up.

    Returns:
        Norms along the first axis of the weight, and along the second.
    """
    rows, columns = matrix.shape
    channels = columns // unit if unit else 0
    by_row = np.zeros((3, rows))
    by_channel = np.zeros((3, channels))
    step = max(1, _PART // max(1, columns))
    for start in range(0, rows, step):
        if check is not None:
            check()
        part = matrix[start : start + step]
        sizes = np.abs(part if part.dtype.kind in "fc" else part.astype(np.float64)).astype(np.float64)
        sizes[~np.isfinite(sizes)] = 0
        for place, values in enumerate((sizes, np.square(sizes), part == 0)):
            by_row[place, start : start + step] = values.sum(axis=1)
            by_channel[place] += values.sum(axis=0).reshape(channels, unit).sum(axis=1)
    return _norms(by_row, columns), _norms(by_channel, rows * unit)


def cosine_similarities(matrix: Array, most: int = MOST_COMPARED, check: Check | None = None) -> Similarity:
    """Cosines between the rows of a matrix, exact; of more than `most` rows, between an even sample of them."""
    rows = matrix.shape[0]
    chosen = np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).round().astype(np.intp)
    total = np.zeros((len(chosen), len(chosen)))
    step = max(1, _PART // max(1, len(chosen)))
    for start in range(0, matrix.shape[1], step):
        if check is not None:
            check()
        part = _wide(matrix[chosen, start : start + step])
        total += (part @ part.conj().T).real
    norms = np.sqrt(np.diagonal(total).copy())
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        cosines = total / norms[:, None] / norms[None, :]
    cosines[~np.isfinite(cosines)] = np.nan
    return Similarity(chosen, np.clip(cosines, -1, 1).astype(np.float32), rows)


def spectrum(matrix: Array, check: Check | None = None) -> Spectrum | None:
    """Singular values of a weight matrix; weights that are not finite count as zero.

    Matrices of more than 4 million weights go by way of the Gram matrix of their shorter side, which loses
    singular values below about 1e-8 of the largest one.

    Returns:
        None if the shorter side is longer than `LARGEST_SIDE`, or the matrix is empty.
    """
    short = min(matrix.shape)
    if not short or short > LARGEST_SIDE:
        return None
    if check is not None:
        check()
    if matrix.size <= _DIRECT:
        wide = _wide(matrix)
        values: Floats = np.linalg.svd(np.where(np.isfinite(wide), wide, 0), compute_uv=False)
    else:
        values = _by_gram(matrix, check)
    rows, columns = matrix.shape
    return Spectrum(values, (rows, columns), effective_rank(values))


def effective_rank(values: Floats) -> float:
    """exp(−Σ p ln p) with p the singular values divided by their sum (Roy and Vetterli 2007); 0 for zeros."""
    total = float(values.sum())
    if total <= 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _norms(sums: Floats, weights: int) -> ChannelNorms:
    return ChannelNorms(sums[0], np.sqrt(sums[1]), sums[2].astype(np.int64), weights)


def _by_gram(matrix: Array, check: Check | None) -> Floats:
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    short = tall.shape[1]
    kind = np.complex128 if matrix.dtype.kind == "c" else np.float64
    gram = np.zeros((short, short), kind)
    step = max(1, _PART // short)
    for start in range(0, tall.shape[0], step):
        if check is not None:
            check()
        part = _wide(tall[start : start + step])
        part = np.where(np.isfinite(part), part, 0)
        gram += part.conj().T @ part
    squares = np.linalg.eigvalsh(gram)[::-1]
    values: Floats = np.sqrt(np.maximum(squares, 0))
    return values


def _wide(part: Array) -> Array:
    wide: Array = part.astype(np.complex128 if part.dtype.kind == "c" else np.float64)
    return wide
