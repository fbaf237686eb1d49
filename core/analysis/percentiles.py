"""Exact percentiles of a tensor of any size in two passes, without sorting or copying it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import Array, Check

USUAL = (1.0, 5.0, 50.0, 95.0, 99.0)
"""The percentiles that are drawn over a histogram, in percent."""

_CHUNK = 1 << 18
_DIGITS = 1 << 16
_FIRST_FINITE, _LAST_FINITE = 0x0080, 0xFF7F
_SIGN = np.uint32(0x8000_0000)

Keys: TypeAlias = NDArray[np.uint32]


def percentiles(
    values: Array, wanted: Sequence[float] = USUAL, check: Check | None = None
) -> tuple[float, ...] | None:
    """The percentiles of the finite elements of `values` (any shape and real dtype; complex ones by magnitude).

    They are those of `numpy.percentile` with its linear interpolation, computed in float64: a whole order
    statistic is found exactly, by radix selection on the floats' bits.

    Args:
        wanted: in percent, each in [0, 100].
        check: called between pieces; may raise to give up.

    Returns:
        One number for each of `wanted`, or None where no element is finite.

    Raises:
        ValueError: if a percentage is not in [0, 100].
    """
    for one in wanted:
        if not 0 <= one <= 100:
            raise ValueError(f"{one} is no percentage")
    flat: NDArray[Any] = np.ravel(values, order="K")
    if flat.dtype.kind == "c":
        flat = np.abs(flat)
    if flat.dtype not in (np.float32, np.float16, np.bool_) and not _fits_float32(flat.dtype):
        finite = flat[np.isfinite(flat)].astype(np.float64)
        return tuple(np.percentile(finite, list(wanted)).tolist()) if finite.size else None
    upper = np.zeros(_DIGITS, np.int64)
    for keys in _keys(flat, check):
        upper += np.bincount((keys >> np.uint32(16)).astype(np.intp), minlength=_DIGITS)
    upper[:_FIRST_FINITE] = 0
    upper[_LAST_FINITE + 1 :] = 0
    through = np.cumsum(upper)
    count = int(through[-1])
    if not count:
        return None
    places = [one / 100 * (count - 1) for one in wanted]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    found = _order_statistics(flat, ranks, through, check)
    return tuple(_between(found, place) for place in places)


def _between(found: dict[int, float], place: float) -> float:
    low, high = found[math.floor(place)], found[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _order_statistics(
    flat: Array, ranks: Sequence[int], through: NDArray[np.int64], check: Check | None
) -> dict[int, float]:
    """The elements of these ranks (from 0), given how many lie in each bucket of the upper bits and below."""
    buckets = {rank: int(np.searchsorted(through, rank, side="right")) for rank in ranks}
    chosen = sorted(set(buckets.values()))
    slots = np.full(_DIGITS, -1, np.intp)
    slots[chosen] = np.arange(len(chosen))
    lower = np.zeros(len(chosen) * _DIGITS, np.int64)
    for keys in _keys(flat, check):
        slot = slots[keys >> np.uint32(16)]
        inside = slot >= 0
        if inside.any():
            digits = (keys[inside] & np.uint32(0xFFFF)).astype(np.intp)
            lower += np.bincount(slot[inside] * _DIGITS + digits, minlength=lower.size)
    found = {}
    for rank, bucket in buckets.items():
        place = int(slots[bucket])
        before = int(through[bucket - 1]) if bucket else 0
        inside_through = np.cumsum(lower[place * _DIGITS : (place + 1) * _DIGITS])
        digit = int(np.searchsorted(inside_through, rank - before, side="right"))
        found[rank] = _value(bucket << 16 | digit)
    return found


def _fits_float32(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" and dtype.itemsize <= 2


def _keys(flat: Array, check: Check | None) -> Iterator[Keys]:
    """Pieces of the elements as unsigned integers that order like the floats do."""
    for start in range(0, flat.size, _CHUNK):
        if check is not None:
            check()
        bits: Keys = np.ascontiguousarray(flat[start : start + _CHUNK], dtype=np.float32).view(np.uint32)
        # Negative numbers order backwards by their bits: all of these are turned over, of others only the sign.
        turned = (bits.view(np.int32) >> np.int32(31)).view(np.uint32) | _SIGN
        yield bits ^ turned


def _value(key: int) -> float:
    bits = key ^ 0x8000_0000 if key & 0x8000_0000 else key ^ 0xFFFF_FFFF
    return float(np.uint32(bits).view(np.float32))
