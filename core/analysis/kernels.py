"""Compiled loops over weights: what numpy needs several passes for, in one. Importing this module compiles them.

Import it through `core.analysis.acceleration` only: numba takes half a second to import, and where it is missing
numpy does the same work. All loops run without Python's lock, so that several threads share one tensor and the
window stays alive.
"""

from typing import Any

import numba
import numpy as np
from numba import types

BLOCK = 2048
"""Elements looked at together: each loop over them finds them in the nearest cache."""

BIN_BLOCK = 512
"""Likewise, where the places of bins are found and then counted."""

FINE_BLOCK = 64
"""Elements looked at one by one where one of them lies too close to an edge for arithmetic to tell its bin."""

# Sums may be reordered, which is what makes them parallel; NaN and infinities keep their meaning.
_SUMS = {"reassoc", "contract", "nsz"}

_ONE = np.uint32(1)
_SIGN = np.uint32(0x8000_0000)
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_INFINITY = np.uint32(0x7F80_0000)
_SMALLEST_NARROW = np.uint32(0x3780_0000)  # 2^-16
_LARGEST_NARROW = np.uint32(0x4B00_0000)  # 2^23


def _vector(dtype: Any) -> Any:
    # Weights that were read are read-only; a signature for those takes writable arrays too.
    return types.Array(dtype, 1, "C", readonly=True)


def _matrix(dtype: Any) -> Any:
    return types.Array(dtype, 2, "C", readonly=True)


_f4, _f8, _u1, _u2, _u4, _u8, _i8 = (
    types.float32,
    types.float64,
    types.uint8,
    types.uint16,
    types.uint32,
    types.uint64,
    types.int64,
)


# -- statistics ---------------------------------------------------------------------------------------------


@numba.njit(nogil=True, fastmath=_SUMS)
def _sums(values: Any, shift: Any) -> Any:
    """Sums of the first four powers of `values - shift`, and of the magnitudes of `values`, in float64."""
    first = second = third = fourth = magnitudes = 0.0
    for j in range(values.size):
        v = np.float64(values[j])
        d = v - shift
        square = d * d
        first += d
        second += square
        third += square * d
        fourth += square * square
        magnitudes += abs(v)
    return first, second, third, fourth, magnitudes


@numba.njit(nogil=True, fastmath=_SUMS)
def _sums_narrow(values: Any, shift: Any) -> Any:
    """As `_sums`, in float32: each sum of a block is right to some 1e-8, and blocks err in either direction."""
    first = second = third = fourth = magnitudes = np.float32(0)
    for j in range(values.size):
        v = values[j]
        d = v - shift
        square = d * d
        first += d
        second += square
        third += square * d
        fourth += square * square
        magnitudes += abs(v)
    return (
        np.float64(first),
        np.float64(second),
        np.float64(third),
        np.float64(fourth),
        np.float64(magnitudes),
    )


@numba.njit(nogil=True)
def _bit_extremes(bits: Any) -> Any:
    """Smallest and largest pattern, and the largest with the sign bit turned over.

    Positive floats are ordered like their patterns and negative ones, all above them, the other way round; so
    these three tell the range, and whether anything is not finite, without comparing a float.
    """
    low = np.uint32(0xFFFFFFFF)
    high = turned_high = np.uint32(0)
    for j in range(bits.size):
        u = bits[j]
        low = min(low, u)
        high = max(high, u)
        turned_high = max(turned_high, np.uint32(u ^ _SIGN))
    return low, high, turned_high


@numba.njit(nogil=True)
def _count_small(bits: Any, near: Any) -> Any:
    """How many are zero, and how many have a magnitude whose pattern is below `near` (zeros too)."""
    zeros = nears = np.uint32(0)
    for j in range(bits.size):
        m = np.uint32(bits[j] & _MAGNITUDE)
        # Named types throughout: numba widens sums of small integers, and halves the speed with that.
        zeros = np.uint32(zeros + np.uint32(m == 0))
        nears = np.uint32(nears + np.uint32(m < near))
    return zeros, nears


@numba.njit(nogil=True)
def _merge(moments: Any, n_b: Any, mean_b: Any, m2: Any, m3: Any, m4: Any) -> None:
    """Pébay (2008), eqs. 3.1 to 3.5; `moments` holds count, mean, and central moments 2 to 4."""
    n_a = moments[0]
    n = n_a + n_b
    d = mean_b - moments[1]
    moments[4] += (
        m4
        + d * d * d * d * n_a * n_b * (n_a * n_a - n_a * n_b + n_b * n_b) / (n * n * n)
        + 6.0 * d * d * (n_a * n_a * m2 + n_b * n_b * moments[2]) / (n * n)
        + 4.0 * d * (n_a * m3 - n_b * moments[3]) / n
    )
    moments[3] += (
        m3 + d * d * d * n_a * n_b * (n_a - n_b) / (n * n) + 3.0 * d * (n_a * m2 - n_b * moments[2]) / n
    )
    moments[2] += m2 + d * d * n_a * n_b / n
    moments[1] += d * n_b / n
    moments[0] = n


@numba.njit(nogil=True)
def _add_block(values: Any, shift: Any, narrow: Any, moments: Any) -> Any:
    """Merge a block of finite values into `moments`; returns its mean, a good shift for the next block."""
    n = np.float64(values.size)
    if narrow:
        # What is subtracted must be the same number in both.
        shift = np.float64(np.float32(shift))
        first, second, third, fourth, magnitudes = _sums_narrow(values, np.float32(shift))
    else:
        first, second, third, fourth, magnitudes = _sums(values, shift)
    d = first / n
    m2 = second - n * d * d
    if m2 < 0.1 * second and d != 0.0:
        # The shift lies far from this block: subtracting the sums again would cost digits.
        shift += d
        first, second, third, fourth, magnitudes = _sums(values, shift)
        d = first / n
        m2 = second - n * d * d
    m3 = third - 3.0 * d * second + 2.0 * n * d * d * d
    m4 = fourth - 4.0 * d * third + 6.0 * d * d * second - 3.0 * n * d * d * d * d
    mean = shift + d
    _merge(moments, n, mean, max(m2, 0.0), m3, max(m4, 0.0))
    moments[5] += magnitudes
    return mean


def _add_statistics(
    values: Any, bits: Any, near: Any, whole: Any, large: Any, moments: Any, counts: Any
) -> None:
    """Add all elements of `values`, whose patterns are `bits`, to `moments` and `counts`.

    Args:
        near: the pattern of the smallest magnitude that is not near zero.
        whole: False leaves the first six moments alone, which is faster.
        large: `values` are part of so many that rounding evens out: sums within a block may be in float32.
        moments: float64 [8]: count, mean, central moments 2 to 4, sum of magnitudes, minimum, maximum; over
            the finite elements.
        counts: int64 [5]: zeros, near zeros with the zeros, NaN, +infinity, -infinity.
    """
    finite = np.empty(BLOCK, values.dtype)
    end = np.empty(1, values.dtype)
    end_bits = end.view(bits.dtype)
    shift = moments[1]
    for start in range(0, values.size, BLOCK):
        stop = min(values.size, start + BLOCK)
        part = values[start:stop]
        pattern = bits[start:stop]
        zeros, nears = _count_small(pattern, near)
        counts[0] += np.int64(zeros)
        counts[1] += np.int64(nears)
        low, high, turned_high = _bit_extremes(pattern)
        highest = np.uint32(turned_high ^ _SIGN)
        if (high & _MAGNITUDE) >= _INFINITY or (highest & _MAGNITUDE) >= _INFINITY:
            kept = 0
            for j in range(part.size):
                v = part[j]
                if np.isnan(v):
                    counts[2] += 1
                elif v == np.inf:
                    counts[3] += 1
                elif v == -np.inf:
                    counts[4] += 1
                else:
                    finite[kept] = v
                    kept += 1
                    moments[6] = min(moments[6], np.float64(v))
                    moments[7] = max(moments[7], np.float64(v))
            if kept and whole:
                shift = _add_block(finite[:kept], shift, False, moments)
            continue
        end_bits[0] = high if high >= _SIGN else low
        moments[6] = min(moments[6], np.float64(end[0]))
        end_bits[0] = highest if highest < _SIGN else low
        moments[7] = max(moments[7], np.float64(end[0]))
        if whole:
            # Fourth powers must neither overflow nor vanish in float32.
            most = max(high & _MAGNITUDE, highest & _MAGNITUDE)
            narrow = large and _SMALLEST_NARROW < most < _LARGEST_NARROW
            shift = _add_block(part, shift, narrow, moments)


add_statistics = numba.njit(
    [
        types.void(_vector(_f4), _vector(_u4), _u4, types.boolean, types.boolean, _f8[::1], _i8[::1]),
    ],
    nogil=True,
    cache=True,
)(_add_statistics)
"""See `_add_statistics`."""


# -- histograms ---------------------------------------------------------------------------------------------


@numba.njit(nogil=True)
def _places(values: Any, low: Any, scale: Any, shift: Any, around: Any, mask: Any, places: Any) -> Any:
    """The bins of `values` by arithmetic alone; returns how close the closest comes to an edge, and the highest.

    A place is a fixed-point number: bins above `shift` bits, the fraction below. `around` is added to fractions,
    so that places near an edge from either side get a small one.
    """
    closest = np.uint32(0xFFFFFFFF)
    highest = np.uint32(0)
    for j in range(values.size):
        # By way of int32, because that is the conversion that processors have.
        q = np.uint32(np.int32((np.float64(values[j]) - low) * scale))
        places[j] = np.uint16(q >> shift)
        closest = min(closest, np.uint32(np.uint32(q + around) & mask))
        highest = max(highest, q)
    return closest, highest


@numba.njit(nogil=True)
def _places_narrow(values: Any, low: Any, scale: Any, shift: Any, around: Any, mask: Any, places: Any) -> Any:
    """As `_places`, in float32 throughout: twice as many elements at a time, and less certain near edges."""
    closest = np.uint32(0xFFFFFFFF)
    highest = np.uint32(0)
    for j in range(values.size):
        q = np.uint32(np.int32((values[j] - low) * scale))
        places[j] = np.uint16(q >> shift)
        closest = min(closest, np.uint32(np.uint32(q + around) & mask))
        highest = max(highest, q)
    return closest, highest


@numba.njit(nogil=True)
def _settle(values: Any, edges: Any, low: Any, scale: Any, shift: Any, places: Any, outside: Any) -> None:
    """The exact bins of `values`: the guess, corrected by the edges themselves. What has none gets bin `bins`."""
    bins = edges.size - 1
    for j in range(values.size):
        v = np.float64(values[j])
        if v < edges[0]:
            outside[1 if v == -np.inf else 2] += 1
            places[j] = bins
        elif v > edges[bins]:
            outside[1 if v == np.inf else 3] += 1
            places[j] = bins
        elif v != v:
            outside[0] += 1
            places[j] = bins
        else:
            guess = min(bins - 1, np.int64((v - low) * scale) >> np.int64(shift))
            while v < edges[guess]:
                guess -= 1
            while guess < bins - 1 and v >= edges[guess + 1]:
                guess += 1
            places[j] = guess


@numba.njit(nogil=True)
def _tally(words: Any, tables: Any, width: Any) -> None:
    """Count places, four in a word, each into a table of its own: equal neighbours need not wait for each other."""
    third = width + width
    fourth = third + width
    for j in range(words.size):
        word = words[j]
        tables[word & np.uint64(0xFFFF)] += _ONE
        tables[((word >> np.uint64(16)) & np.uint64(0xFFFF)) + width] += _ONE
        tables[((word >> np.uint64(32)) & np.uint64(0xFFFF)) + third] += _ONE
        tables[(word >> np.uint64(48)) + fourth] += _ONE


def _add_counts(
    values: Any,
    edges: Any,
    low: Any,
    scale: Any,
    shift: Any,
    slack: Any,
    narrow: Any,
    tables: Any,
    outside: Any,
) -> None:
    """Count every element of `values` into the bin that the edges say.

    Args:
        edges: float64 [bins + 1].
        low, scale: (w - low) · scale is a place, see `_places`; below 2^31 for all w within the edges.
        shift: bits of the fraction of a place.
        slack: how many units of a place the arithmetic may be wrong near an edge; below 2^shift / 2.
        narrow: whether float32 is enough for the arithmetic, with that slack.
        tables: uint32 [4, bins + 1]; the sum over the first axis is the count. The last column is no bin.
        outside: int64 [4]: NaN, infinities, below and above the edges.
    """
    bins = edges.size - 1
    width = np.uint64(bins + 1)
    flat = tables.reshape(tables.size)
    places = np.empty(BIN_BLOCK, np.uint16)
    words = places.view(np.uint64)
    around = np.uint32(slack)
    mask = np.uint32((np.uint32(1) << shift) - np.uint32(1))
    top = np.uint32(np.uint32(bins) << shift)
    low_narrow, scale_narrow = np.float32(low), np.float32(scale)
    for start in range(0, values.size, BIN_BLOCK):
        stop = min(values.size, start + BIN_BLOCK)
        part = values[start:stop]
        if narrow:
            closest, highest = _places_narrow(part, low_narrow, scale_narrow, shift, around, mask, places)
        else:
            closest, highest = _places(part, low, scale, shift, around, mask, places)
        if closest <= np.uint32(2 * around) or highest >= top:
            for inner in range(0, part.size, FINE_BLOCK):
                end = min(part.size, inner + FINE_BLOCK)
                few = part[inner:end]
                if narrow:
                    closest, highest = _places_narrow(
                        few, low_narrow, scale_narrow, shift, around, mask, places[inner:end]
                    )
                else:
                    closest, highest = _places(few, low, scale, shift, around, mask, places[inner:end])
                if closest <= np.uint32(2 * around) or highest >= top:
                    _settle(few, edges, low, scale, shift, places[inner:end], outside)
        if part.size == BIN_BLOCK:
            _tally(words, flat, width)
        else:
            for j in range(part.size):
                flat[places[j]] += _ONE


add_counts = numba.njit(
    [
        types.void(_vector(_f4), _vector(_f8), _f8, _f8, _u4, _u4, types.boolean, _u4[:, ::1], _i8[::1]),
    ],
    nogil=True,
    cache=True,
)(_add_counts)
"""See `_add_counts`."""


# -- bit patterns -------------------------------------------------------------------------------------------


def _add_patterns_16(words: Any, tables: Any) -> None:
    """Count 16-bit patterns, four in a word of `words`, into `tables` (uint32 [4, 65536]; their sum counts)."""
    for j in range(words.size):
        word = words[j]
        tables[0, word & np.uint64(0xFFFF)] += _ONE
        tables[1, (word >> np.uint64(16)) & np.uint64(0xFFFF)] += _ONE
        tables[2, (word >> np.uint64(32)) & np.uint64(0xFFFF)] += _ONE
        tables[3, word >> np.uint64(48)] += _ONE


add_patterns_16 = numba.njit([types.void(_vector(_u8), _u4[:, ::1])], nogil=True, cache=True)(
    _add_patterns_16
)
"""See `_add_patterns_16`."""


def _add_patterns_8(words: Any, tables: Any) -> None:
    """Count 8-bit patterns, eight in a word of `words`, into `tables` (uint32 [4, 256]; their sum counts)."""
    mask = np.uint64(0xFF)
    for j in range(words.size):
        word = words[j]
        tables[0, word & mask] += _ONE
        tables[1, (word >> np.uint64(8)) & mask] += _ONE
        tables[2, (word >> np.uint64(16)) & mask] += _ONE
        tables[3, (word >> np.uint64(24)) & mask] += _ONE
        tables[0, (word >> np.uint64(32)) & mask] += _ONE
        tables[1, (word >> np.uint64(40)) & mask] += _ONE
        tables[2, (word >> np.uint64(48)) & mask] += _ONE
        tables[3, word >> np.uint64(56)] += _ONE


add_patterns_8 = numba.njit([types.void(_vector(_u8), _u4[:, ::1])], nogil=True, cache=True)(_add_patterns_8)
"""See `_add_patterns_8`."""


# -- magnitudes ---------------------------------------------------------------------------------------------


@numba.njit(nogil=True)
def _upper_halves(bits: Any, places: Any) -> None:
    for j in range(bits.size):
        places[j] = np.uint16((bits[j] >> np.uint32(16)) & np.uint32(0x7FFF))


def _add_magnitudes(bits: Any, tables: Any) -> None:
    """Count float32 patterns without their sign by their upper 15 bits, into `tables` (uint32 [4, 32768])."""
    places = np.empty(BLOCK, np.uint16)
    words = places.view(np.uint64)
    flat = tables.reshape(tables.size)
    for start in range(0, bits.size, BLOCK):
        stop = min(bits.size, start + BLOCK)
        _upper_halves(bits[start:stop], places)
        if stop - start == BLOCK:
            _tally(words, flat, np.uint64(32768))
        else:
            for j in range(stop - start):
                flat[places[j]] += _ONE


add_magnitudes = numba.njit([types.void(_vector(_u4), _u4[:, ::1])], nogil=True, cache=True)(_add_magnitudes)
"""See `_add_magnitudes`."""


def _add_within(bits: Any, bucket: Any, counts: Any) -> None:
    """Count float32 patterns of one bucket (upper 15 bits without the sign) by their lower 16, into `counts`."""
    first = np.uint32(bucket << np.uint32(16))
    for start in range(0, bits.size, FINE_BLOCK):
        stop = min(bits.size, start + FINE_BLOCK)
        found = np.uint32(0)
        for j in range(start, stop):
            # What lies below the bucket wraps around to a large number.
            offset = np.uint32((bits[j] & _MAGNITUDE) - first)
            found = np.uint32(found + np.uint32(offset <= np.uint32(0xFFFF)))
        if found:
            for j in range(start, stop):
                offset = np.uint32((bits[j] & _MAGNITUDE) - first)
                if offset <= np.uint32(0xFFFF):
                    counts[offset] += 1


add_within = numba.njit([types.void(_vector(_u4), _u4, _i8[::1])], nogil=True, cache=True)(_add_within)
"""See `_add_within`."""


# -- masks --------------------------------------------------------------------------------------------------


def _hold(bits: Any, lives: Any) -> None:
    """Set float32 patterns to zero where `lives` (uint8, 0 or 1) is 0, in place."""
    for j in range(bits.size):
        # All ones or all zeros: what is removed becomes +0.0, NaN too.
        bits[j] &= np.uint32(-np.int32(lives[j]))


hold = numba.njit([types.void(_u4[::1], _vector(_u1))], nogil=True, cache=True)(_hold)
"""See `_hold`."""


# -- pictures -----------------------------------------------------------------------------------------------


@numba.njit(nogil=True)
def _add_rows(rows: Any, bits: Any, signed: Any, sums: Any, zeros: Any) -> Any:
    """Add four rows' values (or magnitudes) and zeros to those of the rows above; returns the largest magnitude.

    Four at once, because reading and writing the sums costs more than adding.
    """
    largest = np.uint32(0)
    first, second, third, fourth = rows
    b1, b2, b3, b4 = bits
    if signed:
        for j in range(sums.size):
            sums[j] += (np.float64(first[j]) + np.float64(second[j])) + (
                np.float64(third[j]) + np.float64(fourth[j])
            )
    else:
        for j in range(sums.size):
            sums[j] += (abs(np.float64(first[j])) + abs(np.float64(second[j]))) + (
                abs(np.float64(third[j])) + abs(np.float64(fourth[j]))
            )
    for j in range(sums.size):
        m1, m2 = np.uint32(b1[j] & _MAGNITUDE), np.uint32(b2[j] & _MAGNITUDE)
        m3, m4 = np.uint32(b3[j] & _MAGNITUDE), np.uint32(b4[j] & _MAGNITUDE)
        empty = np.uint32(np.uint32(m1 == 0) + np.uint32(m2 == 0))
        empty = np.uint32(empty + np.uint32(np.uint32(m3 == 0) + np.uint32(m4 == 0)))
        zeros[j] = np.uint32(zeros[j] + empty)
        largest = max(largest, max(max(m1, m2), max(m3, m4)))
    return largest


@numba.njit(nogil=True)
def _add_row(row: Any, bits: Any, signed: Any, sums: Any, zeros: Any) -> Any:
    """As `_add_rows`, of one."""
    largest = np.uint32(0)
    for j in range(row.size):
        v = np.float64(row[j])
        sums[j] += v if signed else abs(v)
        m = np.uint32(bits[j] & _MAGNITUDE)
        zeros[j] = np.uint32(zeros[j] + np.uint32(m == 0))
        largest = max(largest, m)
    return largest


@numba.njit(nogil=True)
def _add_going(bits: Any, threshold: Any, going: Any) -> None:
    for j in range(bits.size):
        m = np.uint32(bits[j] & _MAGNITUDE)
        # One less, so that zero wraps around and is not counted.
        going[j] = np.uint32(going[j] + np.uint32(np.uint32(m - _ONE) < threshold))


def _add_pixels(
    matrix: Any,
    bits: Any,
    top: Any,
    left: Any,
    right: Any,
    block_rows: Any,
    block_columns: Any,
    signed: Any,
    threshold: Any,
    sums: Any,
    zeros: Any,
    going: Any,
) -> Any:
    """Sums over the blocks of some rows of pixels: values (or magnitudes), zeros, what would go.

    Args:
        matrix, bits: float32 [m, n], its patterns.
        top, left, right: of the part that is shown; its bottom is cut to the matrix.
        threshold: the pattern of a magnitude; 0 counts nothing.
        sums, zeros, going: float64 [height, width], filled.

    Returns:
        The pattern of the largest magnitude; from 0x7F800000 on there is NaN or an infinity, and `sums` are void.
    """
    # Whole rows are added up first, strip by strip of the nearest cache, because that is what vectors do best.
    strip = max(1, BLOCK // block_columns) * block_columns
    row_sums = np.empty(strip, np.float64)
    row_zeros = np.empty(strip, np.uint32)
    row_going = np.empty(strip, np.uint32)
    largest = np.uint32(0)
    for y in range(sums.shape[0]):
        first = top + y * block_rows
        last = min(matrix.shape[0], first + block_rows)
        for begin in range(left, right, strip):
            end = min(right, begin + strip)
            size = end - begin
            row_sums[:size] = 0.0
            row_zeros[:size] = 0
            row_going[:size] = 0
            fours = first + (last - first) // 4 * 4
            for i in range(first, fours, 4):
                rows = (
                    matrix[i, begin:end],
                    matrix[i + 1, begin:end],
                    matrix[i + 2, begin:end],
                    matrix[i + 3, begin:end],
                )
                patterns = (
                    bits[i, begin:end],
                    bits[i + 1, begin:end],
                    bits[i + 2, begin:end],
                    bits[i + 3, begin:end],
                )
                found = _add_rows(rows, patterns, signed, row_sums[:size], row_zeros[:size])
                largest = max(largest, found)
            for i in range(fours, last):
                pattern = bits[i, begin:end]
                found = _add_row(matrix[i, begin:end], pattern, signed, row_sums[:size], row_zeros[:size])
                largest = max(largest, found)
            if threshold > 0:
                for i in range(first, last):
                    _add_going(bits[i, begin:end], threshold, row_going[:size])
            for inner in range(0, size, block_columns):
                x = (begin - left + inner) // block_columns
                total = 0.0
                empty = gone = np.int64(0)
                for j in range(inner, min(size, inner + block_columns)):
                    total += row_sums[j]
                    empty += np.int64(row_zeros[j])
                    gone += np.int64(row_going[j])
                sums[y, x] = total
                zeros[y, x] = empty
                going[y, x] = gone
    return largest


add_pixels = numba.njit(
    [
        _u4(
            _matrix(_f4),
            _matrix(_u4),
            _i8,
            _i8,
            _i8,
            _i8,
            _i8,
            types.boolean,
            _u4,
            _f8[:, ::1],
            _f8[:, ::1],
            _f8[:, ::1],
        )
    ],
    nogil=True,
    cache=True,
)(_add_pixels)
"""See `_add_pixels`."""
