"""The loops of `core.models.context_coding`: compiled by numba on first use where it is there, else as they are.

Import it through `core.models.context_coding` only: numba takes half a second to import.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])


def _compiled(function: _F) -> _F:
    try:
        import numba
    except ImportError:
        return function
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(_F, compiled)


@_compiled
def _predict(chances: Any, slots: Any, inputs: Any, weights: Any, at: int, stretch: Any, squash: Any) -> int:
    """The chance of a 1 in 65536ths."""
    total = 0
    for index in range(inputs.size):
        inputs[index] = stretch[chances[slots[index]] >> 4]
        total += inputs[index] * weights[at + index]
    mixed = total >> 16
    if mixed > 2047:
        mixed = 2047
    if mixed < -2047:
        mixed = -2047
    return squash[mixed + 2048] * 16 + 8  # type: ignore[no-any-return]


@_compiled
def _learn(
    bit: int,
    chance: int,
    chances: Any,
    seen: Any,
    slots: Any,
    inputs: Any,
    weights: Any,
    at: int,
    rates: Any,
) -> None:
    error = ((bit << 12) - (chance >> 4)) * 6
    for index in range(inputs.size):
        weights[at + index] += (inputs[index] * error + 0x2000) >> 14
        slot = slots[index]
        count = seen[slot]
        target = 65535 if bit else 0
        chances[slot] += ((target - chances[slot]) * rates[count]) >> 16
        if count < 255:
            seen[slot] = count + 1


@_compiled
def code_places(
    bits: Any,
    rows: int,
    columns: int,
    data: Any,
    decoding: bool,
    stretch: Any,
    squash: Any,
    rates: Any,
) -> int:
    """Encode or decode `bits` (uint8, rows · columns or fewer); returns how many bytes of `data` it is about."""
    base_rows, base_near, base_class = columns, columns + rows, columns + rows + 64
    size = base_class + 1024 + 256
    chances = np.full(size, 6000, np.int64)
    seen = np.zeros(size, np.int64)
    slots = np.zeros(5, np.int64)
    inputs = np.zeros(5, np.int64)
    weights = np.full(5 * 3, 18000, np.int64)
    low, high, place, code = 0, 0xFFFFFFFF, 0, 0
    if decoding:
        for _ in range(4):
            code = (code << 8) | (int(data[place]) if place < data.size else 0)
            place += 1
    for index in range(bits.size):
        row = index // columns
        column = index - row * columns
        left = int(bits[index - 1]) if column >= 1 else 0
        left2 = int(bits[index - 2]) if column >= 2 else 0
        above = int(bits[index - columns]) if row >= 1 else 0
        above2 = int(bits[index - 2 * columns]) if row >= 2 else 0
        beside = int(bits[index - columns + 1]) if row >= 1 and column + 1 < columns else 0
        slots[0] = column
        slots[1] = base_rows + row
        slots[2] = base_near + left + 2 * left2 + 4 * above + 8 * above2 + 16 * beside
        by_column = (stretch[chances[column] >> 4] + 2048) >> 7
        by_row = (stretch[chances[base_rows + row] >> 4] + 2048) >> 7
        slots[3] = base_class + by_column * 32 + by_row
        # Inputs that are neighbours are often alike.
        nearby = 0
        if column >= 1:
            nearby += stretch[chances[column - 1] >> 4]
        if column + 1 < columns:
            nearby += stretch[chances[column + 1] >> 4]
        slots[4] = base_class + 1024 + ((nearby // 2 + 2048) >> 7) * 4 + left + 2 * above
        at = 5 * (0 if row == 0 else (1 if row < 8 else 2))
        chance = _predict(chances, slots, inputs, weights, at, stretch, squash)
        middle = low + ((high - low) >> 16) * chance + ((((high - low) & 0xFFFF) * chance) >> 16)
        if decoding:
            bit = 1 if code <= middle else 0
            bits[index] = bit
        else:
            bit = int(bits[index])
        if bit:
            high = middle
        else:
            low = middle + 1
        _learn(bit, chance, chances, seen, slots, inputs, weights, at, rates)
        while (low ^ high) & 0xFF000000 == 0:
            if decoding:
                code = ((code << 8) & 0xFFFFFFFF) | (int(data[place]) if place < data.size else 0)
            else:
                if place >= data.size:
                    return -1
                data[place] = high >> 24
            place += 1
            low = (low << 8) & 0xFFFFFFFF
            high = ((high << 8) & 0xFFFFFFFF) | 0xFF
    if decoding:
        return place - 3
    if place >= data.size:
        return -1
    data[place] = (low >> 24) + 1
    return place + 1


@_compiled
def code_bytes(plain: Any, data: Any, decoding: bool, stretch: Any, squash: Any, rates: Any) -> int:
    """Encode or decode bytes; returns how many bytes of `data` it is about."""
    chances = np.full(256 + 65536 + 4096, 32768, np.int64)
    seen = np.zeros(256 + 65536 + 4096, np.int64)
    slots = np.zeros(3, np.int64)
    inputs = np.zeros(3, np.int64)
    weights = np.full(3 * 256, 22000, np.int64)
    weights[0::3] = 40000
    weights[1::3] = 14000
    weights[2::3] = 14000
    low, high, place, code = 0, 0xFFFFFFFF, 0, 0
    if decoding:
        for _ in range(4):
            code = (code << 8) | (int(data[place]) if place < data.size else 0)
            place += 1
    before, before2 = 0, 0
    for index in range(plain.size):
        node = 1
        value = int(plain[index])
        for level in range(8):
            slots[0] = node
            slots[1] = 256 + before * 256 + node
            slots[2] = 256 + 65536 + (((before2 * 5 + before * 3) & 15) * 256 + node)
            at = 3 * level
            chance = _predict(chances, slots, inputs, weights, at, stretch, squash)
            middle = low + ((high - low) >> 16) * chance + ((((high - low) & 0xFFFF) * chance) >> 16)
            if decoding:
                bit = 1 if code <= middle else 0
            else:
                bit = (value >> (7 - level)) & 1
            if bit:
                high = middle
            else:
                low = middle + 1
            _learn(bit, chance, chances, seen, slots, inputs, weights, at, rates)
            node = 2 * node + bit
            while (low ^ high) & 0xFF000000 == 0:
                if decoding:
                    code = ((code << 8) & 0xFFFFFFFF) | (int(data[place]) if place < data.size else 0)
                else:
                    if place >= data.size:
                        return -1
                    data[place] = high >> 24
                place += 1
                low = (low << 8) & 0xFFFFFFFF
                high = ((high << 8) & 0xFFFFFFFF) | 0xFF
        before2 = before
        before = node & 255
        if decoding:
            plain[index] = before
    if decoding:
        return place - 3
    if place >= data.size:
        return -1
    data[place] = (low >> 24) + 1
    return place + 1
