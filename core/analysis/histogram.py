"""Exact histograms with equal bins, in pieces and cancellable; NaN, infinities and zeros counted apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import CHUNK, Array, Check, Floats, float_chunks, only_finite

Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """How the elements of a tensor are distributed.

    Attributes:
        edges: float64 [bins + 1], strictly increasing. Bin i holds edges[i] <= w < edges[i + 1]; the last
            bin holds its right edge too, as in `numpy.histogram`.
        counts: int64 [bins], zeros included.
        below, above: finite elements outside the range.
        zeros: elements that are exactly zero, wherever they lie.
        nans, infinities: elements that are not finite; they are in no bin.
    """

    edges: Floats
    counts: Counts
    below: int
    above: int
    zeros: int
    nans: int
    infinities: int

    @property
    def bins(self) -> int:
        """The number of bins."""
        return int(self.counts.size)

    @property
    def total(self) -> int:
        """All elements of the tensor."""
        return int(self.counts.sum()) + self.below + self.above + self.nans + self.infinities

    @property
    def zero_bin(self) -> int | None:
        """The bin in which zero lies, or None if it lies outside."""
        return self.bin_of(0.0)

    @property
    def counts_without_zeros(self) -> Counts:
        """int64 [bins]: the counts without the elements that are exactly zero."""
        counts = self.counts.copy()
        if (place := self.zero_bin) is not None:
            counts[place] -= self.zeros
        return counts

    def bin_of(self, value: float) -> int | None:
        """The bin in which `value` lies, or None if it lies outside."""
        if not self.edges[0] <= value <= self.edges[-1]:
            return None
        return min(int(np.searchsorted(self.edges, value, side="right")) - 1, self.bins - 1)


def finite_range(arrays: Sequence[Array], check: Check | None = None) -> tuple[float, float] | None:
    """Smallest and largest finite element of all `arrays`, or None where there is none."""
    low, high = math.inf, -math.inf
    for values in arrays:
        for piece in float_chunks(values, check, keep_float32=True):
            finite = only_finite(piece)
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else None


def automatic_bins(count: int) -> int:
    """A number of bins for `count` elements: the square root, between 16 and 256."""
    return max(16, min(256, math.isqrt(max(0, count))))


def bin_edges(
    low: float, high: float, bins: int, dtype: np.dtype[np.generic], *, from_data: bool = False
) -> Floats:
    """Edges of at most `bins` equal bins over [low, high], the ones that `numpy.histogram` makes for `dtype`.

    For float32 they are rounded to float32, as numpy does, so that both agree on every element; float16 and
    all other types get float64 edges. A range without width is widened by one half to either side. Where the
    range has fewer representable numbers than bins, there are fewer bins (numpy raises there).

    Raises:
        ValueError: if `bins` < 1 or the range is reversed or not finite.
    """
    if bins < 1:
        raise ValueError(f"a histogram needs at least one bin, not {bins}")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{low} … {high} is not a range")
    if low == high:
        low, high = low - 0.5, high + 0.5
    # From 1e16 on, a half is below the spacing of float64.
    if low == high:
        low, high = float(np.nextafter(low, -np.inf)), float(np.nextafter(high, np.inf))
    if dtype == np.float32:
        with np.errstate(over="ignore", invalid="ignore"):
            # numpy divides a range taken from float32 data in float32, but one that is given in float64.
            first, last = (np.float32(low), np.float32(high)) if from_data else (low, high)
            edges = np.linspace(first, last, bins + 1, dtype=np.float32).astype(np.float64)
        if _increasing(edges):
            return edges
    while True:
        # Scaled down, because the width of the whole float64 range is no float64.
        edges = 4 * np.linspace(low / 4, high / 4, bins + 1)
        edges[0], edges[-1] = low, high
        if bins == 1 or _increasing(edges):
            return edges
        bins //= 2


def histogram(
    values: Array, bins: int, range: tuple[float, float] | None = None, check: Check | None = None
) -> Histogram:
    """The exact histogram of all elements of `values` (any shape and real dtype; complex ones by magnitude).

    Counts and edges equal those of `numpy.histogram(values, bins, range)` for float32, float64 and integers;
    float16 equals numpy's answer for the same values as float64, because numpy's float16 edges are too
    coarse to be equal bins.

    Args:
        bins: how many; fewer come back where the range cannot be divided so finely.
        range: (low, high); without one, from the smallest to the largest finite element.
        check: called between pieces; may raise to give up.

    Raises:
        ValueError: for fewer than one bin or an impossible range.
    """
    low, high = range or finite_range([values], check) or (0.0, 1.0)
    edges = bin_edges(low, high, bins, values.dtype, from_data=range is None)
    counter = _Counter(edges)
    # float32 is counted as it is, which costs half as much and loses nothing where the edges are float32
    # numbers.
    for piece in float_chunks(values, check, keep_float32=counter.fits_float32):
        counter.add(piece)
    return Histogram(
        edges, counter.counts, counter.below, counter.above, counter.zeros, counter.nans, counter.infinities
    )


class _Counter:
    """Counts pieces into equal bins: guess by arithmetic, then correct against the edges themselves."""

    def __init__(self, edges: Floats) -> None:
        self.edges = edges
        self.bins = edges.size - 1
        self.counts = np.zeros(self.bins, np.int64)
        self.below = self.above = self.zeros = self.nans = self.infinities = 0
        self.low, self.high = float(edges[0]), float(edges[-1])
        # Scaled down, so that the width of a huge range is finite.
        self.shrink = 1.0 if math.isfinite(self.high - self.low) else 0.25
        width = self.high * self.shrink - self.low * self.shrink
        self.scale = self.bins / width if width > 0 else math.inf
        spacing = float(np.diff(edges * self.shrink).min())
        rounding = np.spacing(np.float32(min(max(abs(self.low), abs(self.high)), 3e38)))
        # With bins only a few roundings wide the guess may be off by more than the one bin that is corrected.
        self.search = not math.isfinite(self.scale) or spacing < 16 * float(rounding) * self.shrink
        self.fits_float32 = width < 1e38 and bool((edges == edges.astype(np.float32)).all())
        self.upper = np.append(edges[1:-1], np.inf)
        self.narrow_edges = edges.astype(np.float32) if self.fits_float32 else np.zeros(0, np.float32)
        self.narrow_upper = self.upper.astype(np.float32) if self.fits_float32 else self.narrow_edges
        self.guess, self.narrow_guess = np.empty(CHUNK), np.empty(CHUNK, np.float32)
        self.places, self.lower = np.empty(CHUNK, np.intp), np.empty(CHUNK, np.bool_)

    def add(self, piece: Floats) -> None:
        finite = only_finite(piece)
        if finite.size != piece.size:
            nans = int(np.count_nonzero(np.isnan(piece)))
            self.nans += nans
            self.infinities += piece.size - finite.size - nans
        if not finite.size:
            return
        self.zeros += int(np.count_nonzero(finite == 0))
        if finite.min() < self.low or finite.max() > self.high:
            self.below += int(np.count_nonzero(finite < self.low))
            self.above += int(np.count_nonzero(finite > self.high))
            finite = finite[(finite >= self.low) & (finite <= self.high)]
        places = self._searched(finite) if self.search else self._guessed(finite)
        self.counts += np.bincount(places, minlength=self.bins)

    def _searched(self, piece: Floats) -> NDArray[np.intp]:
        places = np.searchsorted(self.edges, piece, side="right") - 1
        return np.minimum(places, self.bins - 1)

    def _guessed(self, piece: Floats) -> NDArray[np.intp]:
        narrow = piece.dtype == np.float32
        edges = self.narrow_edges if narrow else self.edges
        # Into arrays made once: in a worker thread, fresh ones cost more than the arithmetic (see
        # `statistics`).
        guess = (self.narrow_guess if narrow else self.guess)[: piece.size]
        places, lower = self.places[: piece.size], self.lower[: piece.size]
        if self.shrink == 1.0:
            np.subtract(piece, piece.dtype.type(self.low), out=guess)
        else:
            np.multiply(piece, self.shrink, out=guess)
            guess -= self.low * self.shrink
        guess *= piece.dtype.type(self.scale)
        np.copyto(places, guess, casting="unsafe")
        np.minimum(places, self.bins - 1, out=places)
        bounds = np.take(edges, places, out=guess, mode="clip")
        places -= np.less(piece, bounds, out=lower)
        # The last bin has no upper bound here, so that it keeps its right edge.
        bounds = np.take(self._upper(narrow), places, out=guess, mode="clip")
        places += np.greater_equal(piece, bounds, out=lower)
        return places

    def _upper(self, narrow: bool) -> NDArray[np.float32] | Floats:
        return self.narrow_upper if narrow else self.upper


def _increasing(edges: Floats) -> bool:
    return bool(np.isfinite(edges).all() and (edges[:-1] < edges[1:]).all())
