"""How bytes are stored inside a packed file: as they are, deflated or coded; nothing here knows of tensors.

A further coding (an arithmetic coder, say) is one line in `CODINGS`; files name the coding of every stream.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.models.context_coding import decode_bytes, encode_bytes

Bytes = NDArray[np.uint8]

RAW: Final = "raw"
DEFLATE: Final = "deflate"
MIXED: Final = "mixed"
"""Arithmetic coding with mixed contexts (`core.models.context_coding`)."""

MOST_MIXED: Final = 1 << 22
"""Longer streams are never coded so: a file must not keep its reader busy for long."""

# Shorter runs gain nothing over what naming their coding costs.
_WORTH_TRYING = 24
# Order-0 entropy in bits per byte from which only repetitions could gain.
_INCOMPRESSIBLE = 7.9
# Up to here every way is tried; beyond, repetitions are searched for only where they gain on samples.
_SMALL = 1 << 12
_SAMPLE = 1 << 12
_SAMPLES = 8
_REPETITIVE = 0.97
_BLOCK = 1 << 20
# Long streams pay for the tables of Huffman codes easily, and would take seconds.
_WORTH_MIXING = 1 << 20


class CodingError(ValueError):
    """Stored bytes are not what a correct writer would have written; the text says in what way."""


@dataclass(frozen=True)
class Stream:
    """One stored run of bytes.

    Attributes:
        coding: a name in `CODINGS`.
        plain: length in bytes before coding.
        data: the bytes as stored.
    """

    coding: str
    plain: int
    data: bytes


def code(plain: Bytes, *, mixed: bool = True) -> Stream:
    """The bytes in whichever coding is smallest; the same bytes always give the same stream.

    `mixed` allows arithmetic coding.
    """
    raw = plain.tobytes()
    best = Stream(RAW, len(raw), raw)
    if len(raw) < _WORTH_TRYING:
        return best
    # Positions and values of weights are almost random: a search for repetitions takes fifty times as long there and
    # loses to Huffman codes alone (deflate cannot do both well at once).
    strategies = []
    sample = _sample(plain)
    if len(raw) <= _SMALL or _gains_by_repetition(sample):
        strategies.append(zlib.Z_DEFAULT_STRATEGY)
    if _entropy(sample) < _INCOMPRESSIBLE:
        strategies += [zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]
    smallest = min((_deflated(raw, strategy) for strategy in strategies), key=len, default=raw)
    if len(smallest) < len(raw):
        best = Stream(DEFLATE, len(raw), smallest)
    # What Huffman codes and repetitions leave as it is has no statistics to learn either.
    if mixed and strategies and len(raw) <= _WORTH_MIXING:
        found = encode_bytes(plain)
        if found is not None and len(found) < len(best.data):
            best = Stream(MIXED, len(raw), found)
    return best


def stored_raw(plain: Bytes) -> Stream:
    """The bytes as they are."""
    return Stream(RAW, plain.size, plain.tobytes())


def decode(stream: Stream) -> Bytes:
    """The bytes before coding, never more than the stream says that there are.

    Raises:
        CodingError: if the stored bytes give other than `stream.plain` bytes.
    """
    return np.frombuffer(CODINGS[stream.coding](stream.data, stream.plain), np.uint8)


def _decode_raw(data: bytes, plain: int) -> bytes:
    if len(data) != plain:
        raise CodingError("its length is wrong")
    return data


def _inflate(data: bytes, plain: int) -> bytes:
    inflater: Any = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than expected: a stream that goes on must not fill the memory to be found out.
        found: bytes = inflater.decompress(data, plain + 1)
    except zlib.error as error:
        raise CodingError("its data cannot be decompressed") from error
    if len(found) != plain or not inflater.eof or inflater.unused_data:
        raise CodingError("its data decompress to another length")
    return found


def _unmix(data: bytes, plain: int) -> bytes:
    if plain > MOST_MIXED:
        raise CodingError("its length is impossible")
    found = decode_bytes(data, plain)
    if found is None:
        raise CodingError("its data decode to another length")
    return found.tobytes()


CODINGS: Mapping[str, Callable[[bytes, int], bytes]] = {RAW: _decode_raw, DEFLATE: _inflate, MIXED: _unmix}
"""Decoders by name: `(stored bytes, length before coding) -> bytes`, raising CodingError."""


def _deflated(raw: bytes, strategy: int) -> bytes:
    """Raw deflate (RFC 1951) without the framing of zlib."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    view = memoryview(raw)
    parts = [deflater.compress(view[start : start + _BLOCK]) for start in range(0, len(raw), _BLOCK)]
    return b"".join((*parts, deflater.flush()))


def _sample(plain: Bytes) -> Bytes:
    """A few stretches spread over the whole."""
    if plain.size <= _SAMPLE * _SAMPLES:
        return plain
    starts = np.linspace(0, plain.size - _SAMPLE, _SAMPLES).astype(np.int64)
    return np.concatenate([plain[start : start + _SAMPLE] for start in starts])


def _entropy(sample: Bytes) -> float:
    """Order-0 entropy in bits per byte."""
    frequencies = np.bincount(sample, minlength=256) / sample.size
    occurring = frequencies[frequencies > 0]
    return float(-(occurring * np.log2(occurring)).sum())


def _gains_by_repetition(sample: Bytes) -> bool:
    part = sample.tobytes()
    by_repetition = len(_deflated(part, zlib.Z_DEFAULT_STRATEGY))
    return by_repetition < _REPETITIVE * min(len(_deflated(part, zlib.Z_HUFFMAN_ONLY)), len(part))
