"""How many weights lie within a magnitude, answered at once for any threshold while someone drags it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import Array, Check

EXACT_UP_TO = 1 << 23
"""Elements up to which all magnitudes are kept sorted (4 bytes each for float32)."""

_CHUNK = 1 << 18
_BUCKETS = 1 << 15
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)

Magnitudes32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MagnitudeTable:
    """The magnitudes of one tensor, as float32 as the engine judges them, ready for any threshold.

    Attributes:
        count: all elements, those that are not finite included; they lie above every threshold.
        exact: whether `up_to` counts exactly. Tensors of more than `EXACT_UP_TO` elements keep a table of
            32,768 buckets, each less than 1 % wide, and interpolate inside one bucket.
    """

    count: int
    exact: bool
    _sorted: Magnitudes32
    _through: NDArray[np.int64]

    def up_to(self, threshold: float) -> int:
        """How many finite elements have |w| <= threshold: what magnitude pruning at that threshold takes."""
        if not threshold >= 0 or not self.count:
            return 0
        if self.exact:
            return int(np.searchsorted(self._sorted, np.float32(threshold), side="right"))
        bits = int(np.float32(min(threshold, float(np.finfo(np.float32).max))).view(np.uint32))
        bucket, inside = bits >> 16, (bits & 0xFFFF) + 1
        # Nothing but zeros and numbers below 1e-40 is in the first bucket, and zeros are to be counted exactly.
        if bucket == 0:
            return int(self._through[0])
        before = int(self._through[bucket - 1])
        return before + round((int(self._through[bucket]) - before) * inside / (1 << 16))

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
    counts = np.zeros(_BUCKETS, np.int64)
    for start in range(0, flat.size, _CHUNK):
        if check is not None:
            check()
        with np.errstate(over="ignore"):
            part = flat[start : start + _CHUNK]
            piece = np.ascontiguousarray(np.abs(part) if part.dtype.kind == "c" else part, dtype=np.float32)
        bits = piece.view(np.uint32) & _MAGNITUDE
        bits = bits[bits < _INFINITY]
        counts += np.bincount((bits >> np.uint32(16)).astype(np.intp), minlength=_BUCKETS)
    return MagnitudeTable(int(flat.size), False, np.zeros(0, np.float32), np.cumsum(counts))
