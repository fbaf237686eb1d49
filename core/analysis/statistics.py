"""One-pass statistics of a tensor; what is not finite is counted and kept out of every other figure."""

import math
from dataclasses import dataclass

import numpy as np

from core.analysis.chunks import CHUNK, Array, Check, Floats, float_chunks, only_finite

NEAR_ZERO = 1e-3
"""Magnitude under which a weight that is not zero counts as near zero, unless the caller says otherwise."""


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
    # Results of every step go into arrays made once: in a worker thread, the C library gives freed memory
    # back to # the system each time, and getting it again costs several times the arithmetic.
    scratch = (np.empty(CHUNK), np.empty(CHUNK))
    moments = _Moments(scratch)
    counts = _Counts(scratch[0])
    for piece in float_chunks(values, check):
        finite = only_finite(piece)
        if finite.size != piece.size:
            counts.add_not_finite(piece)
        if finite.size:
            counts.add_finite(finite, near_zero)
            moments.add(finite)
    return Statistics(
        count=int(values.size),
        zeros=counts.zeros,
        near_zeros=counts.near_zeros,
        nans=counts.nans,
        positive_infinities=counts.positive,
        negative_infinities=counts.negative,
        near_zero=near_zero,
        **moments.figures(),
    )


class _Counts:
    def __init__(self, scratch: Floats) -> None:
        self.scratch = scratch
        self.zeros = self.near_zeros = self.nans = self.positive = self.negative = 0

    def add_not_finite(self, piece: Floats) -> None:
        self.nans += int(np.count_nonzero(np.isnan(piece)))
        self.positive += int(np.count_nonzero(piece == np.inf))
        self.negative += int(np.count_nonzero(piece == -np.inf))

    def add_finite(self, piece: Floats, near_zero: float) -> None:
        zeros = int(np.count_nonzero(piece == 0))
        self.zeros += zeros
        if near_zero > 0:
            magnitudes = np.abs(piece, out=self.scratch[: piece.size])
            self.near_zeros += int(np.count_nonzero(magnitudes < near_zero)) - zeros


class _Moments:
    """Count, mean and central moments up to the fourth, merged piece by piece."""

    def __init__(self, scratch: tuple[Floats, Floats]) -> None:
        self.scratch = scratch
        self.count = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self.mean = self.m2 = self.m3 = self.m4 = 0.0
        self.l1 = self.squares = 0.0

    def add(self, piece: Floats) -> None:
        # Values near the end of float64's range overflow their squares; the figures then say None.
        with np.errstate(over="ignore", invalid="ignore"):
            count = piece.size
            mean = float(piece.mean())
            deviation = np.subtract(piece, mean, out=self.scratch[0][:count])
            squared = np.multiply(deviation, deviation, out=self.scratch[1][:count])
            m2 = float(squared.sum())
            # Not np.dot: its library starts threads for pieces of this size, which fight with everything
            # else.
            m3 = float(np.einsum("i,i", squared, deviation))
            m4 = float(np.einsum("i,i", squared, squared))
            self.l1 += float(np.abs(piece, out=self.scratch[0][:count]).sum())
            self.squares += float(np.einsum("i,i", piece, piece))
        self.minimum = min(self.minimum, float(piece.min()))
        self.maximum = max(self.maximum, float(piece.max()))
        self._merge(count, mean, m2, m3, m4)

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
