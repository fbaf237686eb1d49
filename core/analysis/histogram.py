"""Exact histograms with equal bins, in pieces and cancellable; NaN, infinities and zeros counted apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration
from core.analysis.chunks import CHUNK, Array, Check, Floats, float_chunks, only_finite, steps

Counts: TypeAlias = NDArray[np.int64]

_MOST_COMPILED_BINS = 1 << 14
_FLUSH = 1 << 31

NARROW_ROUNDINGS = 3.5
"""Three roundings of float32 between an element and its place, each of at most 2^-24 of it, and a bit to spare."""


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
        found, _ = _scan(np.ravel(values, order="K"), check)
        low, high = min(low, found[0]), max(high, found[1])
    return (low, high) if low <= high else None


def _scan(flat: Array, check: Check | None) -> tuple[tuple[float, float], int]:
    """Smallest and largest finite element, (inf, -inf) where there is none, and how many are zero."""
    low, high, zeros = math.inf, -math.inf, 0
    for step in steps(flat, check):
        piece = np.abs(step) if step.dtype == np.complex64 else step
        compiled = acceleration.kernels()
        if compiled is not None and piece.dtype == np.float32 and piece.dtype.isnative:
            moments, counts = np.zeros(8), np.zeros(5, np.int64)
            moments[6:] = low, high
            piece = np.require(piece, requirements=("C", "A"))
            compiled.add_statistics(piece, piece.view(np.uint32), np.uint32(0), False, False, moments, counts)
            low, high, zeros = float(moments[6]), float(moments[7]), zeros + int(counts[0])
            continue
        zeros += piece.size - int(np.count_nonzero(piece))
        for part in float_chunks(piece, keep_float32=True):
            finite = only_finite(part)
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high), zeros


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
    # Imported here, because patterns give figures of the kinds that are defined here.
    from core.analysis.bit_patterns import BitPatterns, countable

    flat = np.ravel(values, order="K")
    if countable(values.dtype, values.size):
        patterns = BitPatterns(values.dtype)
        patterns.add(flat, check)
        return patterns.histogram(bins, range)
    zeros: int | None = None
    low, high = range or (0.0, 1.0)
    if range is None:
        found, zeros = _scan(flat, check)
        if found[0] <= found[1]:
            low, high = found
    counter = HistogramCounter(bin_edges(low, high, bins, values.dtype, from_data=range is None), zeros)
    for piece in steps(flat, check):
        counter.add(piece, check)
    return counter.histogram()


class HistogramCounter:
    """The histogram of a tensor that comes in pieces, with edges that are known beforehand.

    Args:
        edges: as `bin_edges` gives them.
        zeros: of the whole tensor, if they are counted already, which saves looking for them; None if not.
    """

    def __init__(self, edges: Floats, zeros: int | None = None) -> None:
        self._edges = edges
        self._known_zeros = zeros
        self._counter = _Counter(edges, count_zeros=zeros is None)
        self._compiled: _CompiledCounter | None = None

    def add(self, piece: Array, check: Check | None = None) -> None:
        """Add all elements of a flat piece (complex ones by magnitude). `check` may raise to give up."""
        if piece.dtype == np.complex64:
            piece = np.abs(piece)
        compiled = acceleration.kernels()
        if compiled is not None and piece.dtype == np.float32 and piece.dtype.isnative:
            if self._compiled is None:
                self._compiled = _CompiledCounter(self._edges)
            if self._compiled.possible:
                if self._known_zeros is None:
                    self._counter.zeros += piece.size - int(np.count_nonzero(piece))
                self._compiled.add(compiled, np.require(piece, requirements=("C", "A")))
                if self._compiled.full:
                    self._compiled.flush(self._counter)
                return
        # float32 is counted as it is, which costs half as much and loses nothing where the edges are float32
        # numbers.
        for part in float_chunks(piece, check, keep_float32=self._counter.fits_float32):
            self._counter.add(part)

    def merge(self, other: "HistogramCounter") -> None:
        """Add what another one with the same edges counted."""
        found = other.histogram()
        self._counter.absorb(found.counts, (found.nans, found.infinities, found.below, found.above))
        if self._known_zeros is None:
            self._counter.zeros += found.zeros

    def histogram(self) -> Histogram:
        """The histogram of everything added so far."""
        counter = self._counter
        if self._compiled is not None and self._compiled.possible:
            self._compiled.flush(counter)
        zeros = counter.zeros if self._known_zeros is None else self._known_zeros
        return Histogram(
            self._edges,
            counter.counts.copy(),
            counter.below,
            counter.above,
            zeros,
            counter.nans,
            counter.infinities,
        )


class _CompiledCounter:
    """Counts float32 pieces by the compiled loop, which guesses bins by fixed-point arithmetic.

    A guess is a place: the bin, then as many bits of fraction as 31 bits leave. `slack` is how far the edges,
    which are rounded, may lie from where the arithmetic has them; what is closer is compared with the edges.
    """

    def __init__(self, edges: Floats) -> None:
        self.edges = np.ascontiguousarray(edges)
        bins = edges.size - 1
        self.low, width = float(edges[0]), float(edges[-1]) - float(edges[0])
        self.shift = 31 - int(bins + 1).bit_length()
        self.possible = bins <= _MOST_COMPILED_BINS and math.isfinite(width) and math.isfinite(bins / width)
        self.scale = self.slack = 0.0
        if self.possible:
            self.scale = bins / width * (1 << self.shift)
            ideal = (edges - self.low) * self.scale - np.arange(bins + 1) * float(1 << self.shift)
            self.slack = float(np.abs(ideal).max()) + 3
            # Where most elements would need the comparison, numpy's way is as good.
            self.possible = math.isfinite(self.scale) and self.slack < (1 << self.shift) / 64
        self.narrow = self.possible and self._fits_float32(width)
        if self.narrow:
            self.slack += self._narrow_slack()
        self.tables = np.zeros((4, bins + 1 if self.possible else 1), np.uint32)
        self.outside = np.zeros(4, np.int64)
        self.waiting = 0

    def _fits_float32(self, width: float) -> bool:
        """Whether float32 tells the bins of nearly all elements."""
        exact = float(np.float32(self.low)) == self.low
        return (
            exact
            and 1e-30 < width < 1e30
            and self.scale < 1e30
            and self.slack + self._narrow_slack() < (1 << self.shift) / 4096
        )

    def _narrow_slack(self) -> float:
        """Units of a place by which float32 may be wrong, at most."""
        return NARROW_ROUNDINGS * ((self.edges.size - 1) << self.shift) / (1 << 24)

    def add(self, compiled: Any, piece: Array) -> None:
        compiled.add_counts(
            piece,
            self.edges,
            self.low,
            self.scale,
            np.uint32(self.shift),
            np.uint32(math.ceil(self.slack)),
            self.narrow,
            self.tables,
            self.outside,
        )
        self.waiting += piece.size

    @property
    def full(self) -> bool:
        """Whether the counters, of 32 bits, should be handed over."""
        return self.waiting > _FLUSH

    def flush(self, counter: "_Counter") -> None:
        """Hand over what was counted."""
        counts = self.tables.sum(axis=0, dtype=np.int64)[:-1]
        counter.absorb(counts, tuple(self.outside.tolist()))
        self.tables[:] = 0
        self.outside[:] = 0
        self.waiting = 0


class _Counter:
    """Counts pieces into equal bins: guess by arithmetic, then correct against the edges themselves."""

    def __init__(self, edges: Floats, *, count_zeros: bool = True) -> None:
        self.edges = edges
        self.count_zeros = count_zeros
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
        self.fits_float32 = (
            width < 1e38 and self.scale < 1e38 and bool((edges == edges.astype(np.float32)).all())
        )
        self.upper = np.append(edges[1:-1], np.inf)
        self.narrow_edges = edges.astype(np.float32) if self.fits_float32 else np.zeros(0, np.float32)
        self.narrow_upper = self.upper.astype(np.float32) if self.fits_float32 else self.narrow_edges
        self.scratch: _Scratch | None = None

    def absorb(self, counts: Counts, outside: tuple[int, ...]) -> None:
        """Add what was counted elsewhere; `outside` are NaN, infinities, elements below and above."""
        self.counts += counts
        self.nans += outside[0]
        self.infinities += outside[1]
        self.below += outside[2]
        self.above += outside[3]

    def add(self, piece: Floats) -> None:
        finite = only_finite(piece)
        if finite.size != piece.size:
            nans = int(np.count_nonzero(np.isnan(piece)))
            self.nans += nans
            self.infinities += piece.size - finite.size - nans
        if not finite.size:
            return
        if self.count_zeros:
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
        scratch = self.scratch = self.scratch or _Scratch()
        guess = (scratch.narrow_guess if narrow else scratch.guess)[: piece.size]
        places, lower = scratch.places[: piece.size], scratch.lower[: piece.size]
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


class _Scratch:
    def __init__(self) -> None:
        self.guess, self.narrow_guess = np.empty(CHUNK), np.empty(CHUNK, np.float32)
        self.places, self.lower = np.empty(CHUNK, np.intp), np.empty(CHUNK, np.bool_)


def _increasing(edges: Floats) -> bool:
    return bool(np.isfinite(edges).all() and (edges[:-1] < edges[1:]).all())
