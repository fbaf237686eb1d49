"""How many weights lie within a magnitude, answered at once for any threshold while someone drags it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration
from core.analysis.bit_patterns import BitPatterns, countable
from core.analysis.chunks import Array, Check

EXACT_UP_TO = 1 << 23
"""Elements up to which all magnitudes are kept sorted (4 bytes each for float32)."""

_CHUNK = 1 << 18
_BUCKETS = 1 << 15
_FLUSH = 1 << 12
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)

Magnitudes32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MagnitudeTable:
    """The magnitudes of one tensor, as float32 as the engine judges them, ready for any threshold.

    Attributes:
        count: all elements, those that are not finite included; they lie above every threshold.
        exact: whether `up_to` counts exactly at any threshold. Tensors of more than `EXACT_UP_TO` elements of
            more than 16 bits keep a table of 32,768 buckets, each less than 1 % wide, and interpolate inside
            one bucket until `refined` has counted what is in it.
    """

    count: int
    exact: bool
    _sorted: Magnitudes32
    _through: NDArray[np.int64]
    _zeros: int = 0
    _inside: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)

    def exact_at(self, threshold: float) -> bool:
        """Whether `up_to` counts exactly at this threshold."""
        return self.exact or not threshold > 0 or _bucket(threshold)[0] in self._inside

    def refined(self, threshold: float, values: Array, check: Check | None = None) -> "MagnitudeTable":
        """A table that is exact at this threshold, and up to 1 % around it.

        Args:
            values: the tensor that the table is of.
            check: called now and then; may raise to give up.
        """
        if self.exact_at(threshold):
            return self
        bucket, _ = _bucket(threshold)
        counts = np.zeros(1 << 16, np.int64)
        compiled = acceleration.kernels()
        for bits in _patterns(np.ravel(values, order="K"), check):
            if compiled is not None:
                compiled.add_within(bits, np.uint32(bucket), counts)
                continue
            # What lies below the bucket wraps around to a large number.
            offsets = (bits & _MAGNITUDE) - np.uint32(bucket << 16)
            counts += np.bincount(offsets[offsets < 1 << 16], minlength=1 << 16)
        return replace(self, _inside={**self._inside, bucket: np.cumsum(counts)})

    def up_to(self, threshold: float) -> int:
        """How many finite elements have |w| <= threshold: what magnitude pruning at that threshold takes."""
        if not threshold >= 0 or not self.count:
            return 0
        if self.exact:
            smaller = int(np.searchsorted(self._sorted, np.float32(threshold), side="right"))
            # Patterns are listed once each, with how many there are up to each.
            return smaller if not self._through.size else int(self._through[smaller - 1]) if smaller else 0
        bucket, digit = _bucket(threshold)
        if not (bucket or digit):
            return self._zeros
        before = int(self._through[bucket - 1]) if bucket else 0
        if (inside := self._inside.get(bucket)) is not None:
            return before + int(inside[digit])
        # Next to nothing but zeros is in the first bucket: numbers below 1e-40.
        if not bucket:
            return int(self._through[0])
        return before + round((int(self._through[bucket]) - before) * (digit + 1) / (1 << 16))

    def fraction_up_to(self, threshold: float) -> float:
        """`up_to` as a fraction of all elements."""
        return self.up_to(threshold) / self.count if self.count else 0.0


def magnitude_table(
    values: Array, check: Check | None = None, exact_up_to: int = EXACT_UP_TO
) -> MagnitudeTable:
    """The table of all elements of `values` (any shape and real dtype). `check` may raise to give up."""
    flat: NDArray[Any] = np.ravel(values, order="K")
    if flat.size <= exact_up_to:
        # Made float32 first: the magnitude of the smallest integer of a type is not in that type.
        with np.errstate(over="ignore"):
            magnitudes = np.abs(flat if flat.dtype.kind == "c" else flat.astype(np.float32)).astype(
                np.float32
            )
        magnitudes = magnitudes[np.isfinite(magnitudes)]
        if check is not None:
            check()
        magnitudes.sort()
        return MagnitudeTable(int(flat.size), True, magnitudes, np.zeros(0, np.int64))
    if countable(flat.dtype, flat.size):
        return _by_pattern(flat, check)
    counts = np.zeros(_BUCKETS, np.int64)
    compiled = acceleration.kernels()
    tables = np.zeros((4, _BUCKETS), np.uint32)
    for place, bits in enumerate(_patterns(flat, check)):
        if compiled is None:
            counts += np.bincount(((bits & _MAGNITUDE) >> np.uint32(16)).astype(np.intp), minlength=_BUCKETS)
            continue
        compiled.add_magnitudes(bits, tables)
        if place % _FLUSH == _FLUSH - 1:
            counts += tables.sum(axis=0, dtype=np.int64)
            tables[:] = 0
    counts += tables.sum(axis=0, dtype=np.int64)
    # From the first bucket of infinities on, nothing is finite.
    counts[int(_INFINITY) >> 16 :] = 0
    zeros = int(flat.size) - int(np.count_nonzero(flat))
    return MagnitudeTable(int(flat.size), False, np.zeros(0, np.float32), np.cumsum(counts), zeros)


def _by_pattern(flat: Array, check: Check | None) -> MagnitudeTable:
    patterns = BitPatterns(flat.dtype)
    patterns.add(flat, check)
    with np.errstate(over="ignore", invalid="ignore"):
        magnitudes = np.abs(patterns.values).astype(np.float32)
    counts = patterns.counts
    there = np.flatnonzero(np.isfinite(magnitudes) & (counts > 0))
    order = there[np.argsort(magnitudes[there], kind="stable")]
    return MagnitudeTable(int(flat.size), True, magnitudes[order], np.cumsum(counts[order]))


def _patterns(flat: Array, check: Check | None) -> Iterator[NDArray[np.uint32]]:
    """Pieces of the elements, complex ones as their magnitude, as the bits of float32."""
    for start in range(0, flat.size, _CHUNK):
        if check is not None:
            check()
        part = flat[start : start + _CHUNK]
        with np.errstate(over="ignore"):
            piece = np.abs(part) if part.dtype.kind == "c" else part
            yield np.require(piece, np.float32, ("C", "A")).view(np.uint32)


def _bucket(threshold: float) -> tuple[int, int]:
    """The bucket of a positive threshold, and its place in there."""
    bits = int(np.float32(min(threshold, float(np.finfo(np.float32).max))).view(np.uint32))
    return bits >> 16, bits & 0xFFFF
