"""One-pass statistics of a tensor; what is not finite is counted and kept out of every other figure."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration
from core.analysis.chunks import CHUNK, Array, Check, Floats, float_chunks, only_finite, steps

Counts: TypeAlias = NDArray[np.int64]

NEAR_ZERO = 1e-3
"""Magnitude under which a weight that is not zero counts as near zero, unless the caller says otherwise."""

LARGE = 1 << 24
"""From so many elements on, float32's rounding within a block of them evens out."""


@dataclass(frozen=True)
class Statistics:
    """Figures of one tensor. All but the first six are over the finite elements and None where there is none.

    Attributes:
        count: all elements.
        zeros: elements that are exactly zero (of either sign).
        near_zeros: elements w with 0 < |w| < `near_zero`.
        nans, positive_infinities, negative_infinities: elements that are not finite.
        near_zero: the limit that `near_zeros` was counted with.
        mean, std: arithmetic mean and population standard deviation.
        l1, l2: sum of magnitudes; square root of the sum of squares.
        kurtosis: excess kurtosis m4 / m2² − 3 (0 for a normal distribution); None also for a constant tensor.
    """

    count: int
    zeros: int
    near_zeros: int
    nans: int
    positive_infinities: int
    negative_infinities: int
    near_zero: float
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    l1: float | None
    l2: float | None
    kurtosis: float | None

    @property
    def infinities(self) -> int:
        """Infinite elements of either sign."""
        return self.positive_infinities + self.negative_infinities

    @property
    def not_finite(self) -> int:
        """Elements that are NaN or infinite."""
        return self.nans + self.infinities

    @property
    def finite(self) -> int:
        """Elements that are ordinary numbers."""
        return self.count - self.not_finite

    @property
    def sparsity(self) -> float:
        """Fraction of the elements that are exactly zero (0 for an empty tensor)."""
        return self.zeros / self.count if self.count else 0.0


def statistics(values: Array, near_zero: float = NEAR_ZERO, check: Check | None = None) -> Statistics:
    """Statistics of all elements of `values` (any shape and real dtype; complex ones by magnitude).

    Moments are accumulated in float64, piece by piece, with the pairwise update of Pébay (2008,
    SAND2008-6212, eqs. 3.1 to 3.5), so that neither size nor a mean far from zero costs precision. `check`
    may raise to give up.
    """
    # Imported here, because patterns give figures of the kinds that are defined here.
    from core.analysis.bit_patterns import BitPatterns, countable

    if countable(values.dtype, values.size):
        patterns = BitPatterns(values.dtype)
        patterns.add(np.ravel(values, order="K"), check)
        return patterns.statistics(near_zero)
    counter = StatisticsCounter(near_zero, large=values.size >= LARGE)
    flat = np.ravel(values, order="K")
    for piece in steps(flat, check):
        counter.add(piece, check)
    return counter.statistics()


class StatisticsCounter:
    """Statistics of a tensor that comes in pieces.

    Args:
        large: the tensor has at least `LARGE` elements. Powers of float32 may then be summed in float32 over 2,048
            elements at a time, which is faster; over so many blocks rounding evens out to below 1e-9.
    """

    def __init__(self, near_zero: float = NEAR_ZERO, *, large: bool = False) -> None:
        self._near_zero = near_zero
        self._large = large
        # Results of every step go into arrays made once: in a worker thread, the C library gives freed memory
        # back to the system each time, and getting it again costs several times the arithmetic.
        self._scratch: tuple[Floats, Floats] | None = None
        self._moments = _Moments()
        self._counts = _Counts()
        self._size = 0

    def add(self, piece: Array, check: Check | None = None) -> None:
        """Add all elements of a flat piece (complex ones by magnitude). `check` may raise to give up."""
        self._size += piece.size
        if piece.dtype == np.complex64:
            piece = np.abs(piece)
        compiled = acceleration.kernels()
        if compiled is not None and piece.dtype == np.float32 and piece.dtype.isnative:
            self._add_compiled(compiled, np.require(piece, requirements=("C", "A")))
            return
        if self._scratch is None:
            self._scratch = (np.empty(CHUNK), np.empty(CHUNK))
        for part in float_chunks(piece, check):
            finite = only_finite(part)
            if finite.size != part.size:
                self._counts.add_not_finite(part)
            if finite.size:
                self._counts.add_finite(finite, self._near_zero, self._scratch[0])
                self._moments.add(finite, self._scratch)

    def _add_compiled(self, compiled: Any, piece: Array) -> None:
        moments, counts = np.zeros(8), np.zeros(5, np.int64)
        moments[1] = self._moments.mean
        moments[6:] = math.inf, -math.inf
        compiled.add_statistics(
            piece, piece.view(np.uint32), _pattern_of(self._near_zero), True, self._large, moments, counts
        )
        self._counts.absorb(counts)
        self._moments.absorb(moments)

    def merge(self, other: "StatisticsCounter") -> None:
        """Add what another one counted."""
        self._size += other._size
        self._counts.merge(other._counts)
        self._moments.merge(other._moments)

    def statistics(self) -> Statistics:
        """The figures of everything added so far."""
        counts = self._counts
        return Statistics(
            count=self._size,
            zeros=counts.zeros,
            near_zeros=counts.near_zeros,
            nans=counts.nans,
            positive_infinities=counts.positive,
            negative_infinities=counts.negative,
            near_zero=self._near_zero,
            **self._moments.figures(),
        )


def _pattern_of(near_zero: float) -> np.uint32:
    """The pattern of the smallest float32 that is not below `near_zero`; 0 where nothing can be."""
    if not near_zero > 0:
        return np.uint32(0)
    limit = np.float32(min(near_zero, float(np.finfo(np.float32).max)))
    # The next pattern is that of the next larger number.
    return np.uint32(int(limit.view(np.uint32)) + (float(limit) < near_zero))


class _Counts:
    def __init__(self) -> None:
        self.zeros = self.near_zeros = self.nans = self.positive = self.negative = 0

    def add_not_finite(self, piece: Floats) -> None:
        self.nans += int(np.count_nonzero(np.isnan(piece)))
        self.positive += int(np.count_nonzero(piece == np.inf))
        self.negative += int(np.count_nonzero(piece == -np.inf))

    def absorb(self, counts: Counts) -> None:
        """Add what the compiled loop counted."""
        zeros, nears, nans, positive, negative = counts.tolist()
        self.zeros += zeros
        self.near_zeros += max(0, nears - zeros)
        self.nans += nans
        self.positive += positive
        self.negative += negative

    def merge(self, other: "_Counts") -> None:
        self.zeros += other.zeros
        self.near_zeros += other.near_zeros
        self.nans += other.nans
        self.positive += other.positive
        self.negative += other.negative

    def add_finite(self, piece: Floats, near_zero: float, scratch: Floats) -> None:
        zeros = int(np.count_nonzero(piece == 0))
        self.zeros += zeros
        if near_zero > 0:
            magnitudes = np.abs(piece, out=scratch[: piece.size])
            self.near_zeros += int(np.count_nonzero(magnitudes < near_zero)) - zeros


class _Moments:
    """Count, mean and central moments up to the fourth, merged piece by piece."""

    def __init__(self) -> None:
        self.count = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self.mean = self.m2 = self.m3 = self.m4 = 0.0
        self.l1 = self.squares = 0.0

    def add(self, piece: Floats, scratch: tuple[Floats, Floats]) -> None:
        # Values near the end of float64's range overflow their squares; the figures then say None.
        with np.errstate(over="ignore", invalid="ignore"):
            count = piece.size
            mean = float(piece.mean())
            deviation = np.subtract(piece, mean, out=scratch[0][:count])
            squared = np.multiply(deviation, deviation, out=scratch[1][:count])
            m2 = float(squared.sum())
            # Not np.dot: its library starts threads for pieces of this size, which fight with everything
            # else.
            m3 = float(np.einsum("i,i", squared, deviation))
            m4 = float(np.einsum("i,i", squared, squared))
            self.l1 += float(np.abs(piece, out=scratch[0][:count]).sum())
            self.squares += float(np.einsum("i,i", piece, piece))
        self.minimum = min(self.minimum, float(piece.min()))
        self.maximum = max(self.maximum, float(piece.max()))
        self._merge(count, mean, m2, m3, m4)

    def absorb(self, moments: Floats) -> None:
        """Merge what the compiled loop found: see `core.analysis.kernels`."""
        count, mean, m2, m3, m4, l1, low, high = moments.tolist()
        if count:
            self.l1 += l1
            self.squares += m2 + count * mean * mean
            self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
            self._merge(int(count), mean, m2, m3, m4)

    def merge(self, other: "_Moments") -> None:
        if other.count:
            self.l1 += other.l1
            self.squares += other.squares
            self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
            self._merge(other.count, other.mean, other.m2, other.m3, other.m4)

    def _merge(self, n_b: int, mean: float, m2: float, m3: float, m4: float) -> None:
        n_a, n = self.count, self.count + n_b
        d = mean - self.mean
        self.m4 += (
            m4
            + _power(d, 4) * n_a * n_b * (n_a * n_a - n_a * n_b + n_b * n_b) / n**3
            + 6 * _power(d, 2) * (n_a * n_a * m2 + n_b * n_b * self.m2) / n**2
            + 4 * d * (n_a * m3 - n_b * self.m3) / n
        )
        self.m3 += m3 + _power(d, 3) * n_a * n_b * (n_a - n_b) / n**2 + 3 * d * (n_a * m2 - n_b * self.m2) / n
        self.m2 += m2 + d * d * n_a * n_b / n
        self.mean += d * n_b / n
        self.count = n

    def figures(self) -> dict[str, float | None]:
        if not self.count:
            return dict.fromkeys(("minimum", "maximum", "mean", "std", "l1", "l2", "kurtosis"))
        variance = self.m2 / self.count
        kurtosis = None
        # A constant tensor has no shape; rounding leaves a trace of a variance in it.
        if self.minimum < self.maximum and variance > 0 and variance * variance > 0:
            kurtosis = _known(self.m4 / self.count / (variance * variance) - 3)
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": _known(self.mean),
            "std": _known(math.sqrt(variance)) if self.minimum < self.maximum else 0.0,
            "l1": _known(self.l1),
            "l2": _known(math.sqrt(self.squares)),
            "kurtosis": kurtosis,
        }


def _power(base: float, exponent: int) -> float:
    # `**` of floats raises OverflowError where multiplication gives infinity.
    result = 1.0
    for _ in range(exponent):
        result *= base
    return result


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
