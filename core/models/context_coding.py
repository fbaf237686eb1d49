"""Entropy coding below what Huffman codes reach: binary arithmetic coding with mixed contexts, all in integers.

Each bit is predicted from several contexts, whose predictions a small online network mixes (Mahoney 2005, "Adaptive
weighing of context models for lossless data compression"); nothing about the statistics is stored, as the reader learns
them alike. Integers only, so that every machine decodes the same. Two users:

* *bytes*, such as indices of codebooks: bit by bit down a tree, in the context of what came before;
* *places* of weights that are not zero: in the context of their row (one output), their column (one input) and their
  neighbours, because pruning removes whole inputs almost entirely, such as the border pixels of digits.

The loops are compiled by numba where it is there; without it the same functions run as they are, slowly.
"""

import importlib
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration

Bytes = NDArray[np.uint8]

_LIMIT: Final = 255


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """ln(p / (1 − p)) for p of 12 bits in 256ths, its inverse, and 65536 / (n + 1.5)."""
    # The logistic curve at 33 points, as integers: a library's exp might round differently elsewhere.
    points = [1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047]
    points += [2549, 2994, 3348, 3607, 3785, 3901, 3975, 4024, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094]
    squash = np.empty(4096, np.int64)
    for index in range(4096):
        whole, part = index >> 7, index & 127
        after = points[whole + 1]
        squash[index] = (points[whole] * (128 - part) + after * part + 64) >> 7
    stretch = np.empty(4096, np.int64)
    place = 0
    for index in range(4096):
        value = int(squash[index])
        while place <= value:
            stretch[place] = index - 2048
            place += 1
    stretch[place:] = 2047
    rates = np.array([131072 // (2 * n + 3) for n in range(_LIMIT + 1)], np.int64)
    return stretch, squash, rates


_STRETCH, _SQUASH, _RATES = _tables()

_lock = threading.Lock()
_loaded: Any = None


def _loops() -> Any:
    """The module of loops."""
    global _loaded
    with _lock:
        if _loaded is None:
            acceleration.choose_cache()
            _loaded = importlib.import_module("core.models.context_kernels")
        return _loaded


def encode_places(kept: NDArray[np.bool_], columns: int) -> bytes | None:
    """Code where values are kept, flat with so many columns; None where that would not be smaller than a bitmask."""
    data = np.zeros((kept.size + 7) // 8, np.uint8)
    rows = -(-kept.size // columns)
    bits = kept.astype(np.uint8)
    length = _loops().code_places(bits, rows, columns, data, False, _STRETCH, _SQUASH, _RATES)
    return None if length < 0 else data[:length].tobytes()


def decode_places(data: bytes, size: int, columns: int) -> NDArray[np.bool_] | None:
    """The inverse of `encode_places`; None if there are more or fewer bytes than it takes."""
    bits = np.zeros(size, np.uint8)
    stored = np.frombuffer(bytearray(data), np.uint8)
    rows = -(-size // columns)
    length = _loops().code_places(bits, rows, columns, stored, True, _STRETCH, _SQUASH, _RATES)
    return bits.view(np.bool_) if length == len(data) else None


def encode_bytes(plain: Bytes) -> bytes | None:
    """Code bytes; None where that would not make them fewer."""
    data = np.zeros(plain.size, np.uint8)
    length = _loops().code_bytes(plain.copy(), data, False, _STRETCH, _SQUASH, _RATES)
    return None if length < 0 else data[:length].tobytes()


def decode_bytes(data: bytes, plain: int) -> Bytes | None:
    """The inverse of `encode_bytes`; None if there are more or fewer bytes than it takes."""
    found = np.zeros(plain, np.uint8)
    stored = np.frombuffer(bytearray(data), np.uint8)
    length = _loops().code_bytes(found, stored, True, _STRETCH, _SQUASH, _RATES)
    return found if length == len(data) else None
