"""How one tensor is written in a packed file and read back bit by bit: where its values stand, and what they are.

An element is zero only if all its bits are: −0.0 and NaN are values like any other, so that what is read back is what
was written. Two choices are made apart, each the smaller one:

* *positions* of the values that are kept: `all` of them, a `bitmask` (1 bit per element), or `gaps` (the number of
  zeros before each value, a byte each; 255 means 255 zeros and no value yet), or `contexts` (arithmetically coded by
  row, column and neighbours).
* *values*: `plain` as they lie in memory, in byte `planes` (first bytes of all, then second bytes, …: exponents
  compress, mantissas do not), or by a `codebook` of at most 256 and an index of one byte each, as shared weights are.

Every part is a stream with a coding of its own (`core.models.byte_coding`). A further way is one line in `POSITIONS`
or `VALUES`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.models.byte_coding import RAW, Bytes, CodingError, Stream, code, decode, stored_raw
from core.models.context_coding import decode_places, encode_places

Elements = NDArray[np.unsignedinteger[Any]]
Places = NDArray[np.bool_] | NDArray[np.int64] | None
"""Where values stand: a mask over all elements, flat indices, or None for everywhere."""

UNSIGNED: Final[Mapping[int, Any]] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""The types as which elements of 1, 2, 4 and 8 bytes are compared and moved; others are stored byte by byte."""

FREE_ELEMENTS: Final = 1 << 20
ELEMENTS_PER_BYTE: Final = 1 << 10
"""A file must hold a byte for every so many elements of a tensor beyond `FREE_ELEMENTS`, so that a small damaged or
malicious file cannot ask for any amount of memory. The writer keeps to it."""

LARGEST_CODEBOOK: Final = 256
MOST_PLACES: Final = 1 << 24
"""Beyond so many elements places are not coded by their contexts, which takes a fifth of a microsecond each."""

_GAP = 255
_SAMPLE = 4096
# Below this everything is tried; above it only what can win at that sparsity.
_SMALL = 1 << 16


@dataclass(frozen=True)
class EncodedTensor:
    """A tensor ready to be stored: names in `POSITIONS` and `VALUES`, and the streams of both in that order."""

    positions: str
    values: str
    streams: tuple[Stream, ...]

    @property
    def stored(self) -> int:
        """Bytes of its streams."""
        return sum(len(stream.data) for stream in self.streams)


def columns_of(shape: tuple[int, ...]) -> int:
    """Elements in a row of a tensor of this shape (weights of one output), at least 1."""
    return max(1, prod(shape[1:]))


def encode(elements: Elements, columns: int = 1) -> EncodedTensor:
    """The smallest encoding of flat elements (unsigned, in memory order), always the same for the same elements.

    Args:
        columns: elements in a row: zeros are often alike along rows and along columns.
    """
    size = elements.size
    kept = elements != 0
    count = int(np.count_nonzero(kept))
    candidates: list[tuple[str, tuple[Stream, ...], Elements]] = []
    if count > size // 2 or size <= _SMALL:
        candidates.append(("all", (), elements))
    if count < size:
        where = _smallest_positions(kept, count, columns)
        candidates.append((*where, elements[kept]))
    encoded = []
    for positions, streams, values in candidates:
        named, parts = _smallest_values(values)
        encoded.append(EncodedTensor(positions, named, (*streams, *parts)))
    best = min(encoded, key=lambda each: (each.stored, len(each.streams)))
    if not is_plausible(size, best.stored):
        named, parts = _smallest_values(elements[kept])
        best = EncodedTensor("bitmask", named, (stored_raw(np.packbits(kept)), *parts))
    return best


def decode_elements(
    positions: str, values: str, streams: Sequence[Stream], size: int, itemsize: int, columns: int = 1
) -> Elements:
    """The inverse of `encode`: flat elements as a new array.

    Raises:
        CodingError: if the streams are not what `encode` writes for `size` elements of `itemsize` bytes.
    """
    where = POSITIONS[positions]
    what = VALUES[values]
    places, count = where.read(streams[: where.streams], size, columns)
    kept = what.read(streams[where.streams :], count, itemsize)
    if places is None:
        return kept
    elements: Elements = np.zeros(size, UNSIGNED[itemsize])
    elements[places] = kept
    return elements


def is_plausible(size: int, stored: int) -> bool:
    """Whether so few stored bytes may stand for `size` elements (see `ELEMENTS_PER_BYTE`)."""
    return size <= FREE_ELEMENTS or stored * ELEMENTS_PER_BYTE >= size


# -- positions


@dataclass(frozen=True)
class PositionReader:
    """`read` gives places and their number from `streams` streams, the number of elements and how many are a row."""

    streams: int
    read: Callable[[Sequence[Stream], int, int], tuple[Places, int]]


def _smallest_positions(kept: NDArray[np.bool_], count: int, columns: int) -> tuple[str, tuple[Stream, ...]]:
    candidates = [("bitmask", (code(np.packbits(kept)),))]
    if count < kept.size // 2 or kept.size <= _SMALL:
        candidates.append(("gaps", (code(_gaps(kept)),)))
    sparse = count < kept.size // 2 or kept.size <= _SMALL
    if sparse and kept.size <= MOST_PLACES and (found := encode_places(kept, columns)) is not None:
        candidates.append(("contexts", (Stream(RAW, len(found), found),)))
    return min(candidates, key=lambda each: len(each[1][0].data))


def _gaps(kept: NDArray[np.bool_]) -> Bytes:
    zeros_before = np.diff(np.flatnonzero(kept), prepend=-1) - 1
    longer = zeros_before // _GAP
    stored = np.full(int(longer.sum()) + zeros_before.size, _GAP, np.uint8)
    stored[np.cumsum(longer + 1) - 1] = zeros_before % _GAP
    return stored


def _read_contexts(streams: Sequence[Stream], size: int, columns: int) -> tuple[Places, int]:
    if size > MOST_PLACES:
        raise CodingError("it is larger than places are coded so")
    kept = decode_places(decode(streams[0]).tobytes(), size, columns)
    if kept is None:
        raise CodingError("its places have another length")
    return kept, int(np.count_nonzero(kept))


def _read_all(streams: Sequence[Stream], size: int, columns: int) -> tuple[Places, int]:
    return None, size


def _read_bitmask(streams: Sequence[Stream], size: int, columns: int) -> tuple[Places, int]:
    if streams[0].plain != (size + 7) // 8:
        raise CodingError("its bitmask has the wrong length")
    bits = decode(streams[0])
    kept = np.unpackbits(bits, count=size).view(np.bool_)
    if size % 8 and bits[-1] & (0xFF >> size % 8):
        raise CodingError("its bitmask marks elements that do not exist")
    return kept, int(np.count_nonzero(kept))


def _read_gaps(streams: Sequence[Stream], size: int, columns: int) -> tuple[Places, int]:
    if streams[0].plain > size:
        raise CodingError("it marks more elements than there are")
    stored = decode(streams[0])
    ends = np.flatnonzero(stored != _GAP)
    if stored.size and (not ends.size or ends[-1] != stored.size - 1):
        raise CodingError("its last gap leads to no value")
    # Each value stands after all gaps up to it and the values before it.
    places = np.cumsum(stored, dtype=np.int64)[ends] + np.arange(ends.size)
    if places.size and places[-1] >= size:
        raise CodingError("it marks elements that do not exist")
    return places, places.size


POSITIONS: Mapping[str, PositionReader] = {
    "all": PositionReader(0, _read_all),
    "bitmask": PositionReader(1, _read_bitmask),
    "gaps": PositionReader(1, _read_gaps),
    "contexts": PositionReader(1, _read_contexts),
}


# -- values


@dataclass(frozen=True)
class ValueReader:
    """`read` gives `count` values from its streams, `streams(itemsize)` of them."""

    streams: Callable[[int], int]
    read: Callable[[Sequence[Stream], int, int], Elements]


def _smallest_values(values: Elements) -> tuple[str, tuple[Stream, ...]]:
    small = values.size <= _SMALL
    candidates: list[tuple[str, tuple[Stream, ...]]] = []
    if values.itemsize == 1 or small:
        candidates.append(("plain", (code(_as_bytes(values)),)))
    if values.itemsize > 1:
        planes = _as_bytes(values).reshape(-1, values.itemsize)
        candidates.append(
            ("planes", tuple(code(np.ascontiguousarray(planes[:, i])) for i in range(values.itemsize)))
        )
        if (shared := _shared_values(values)) is not None:
            book, indices = shared
            candidates.append(("codebook", (stored_raw(_as_bytes(book)), code(indices))))

    def cost(candidate: tuple[str, tuple[Stream, ...]]) -> tuple[int, int]:
        # Naming a stream takes a few bytes as well.
        return sum(len(stream.data) + 4 for stream in candidate[1]), len(candidate[1])

    return min(candidates, key=cost)


def _shared_values(values: Elements) -> tuple[Elements, Bytes] | None:
    """The distinct values in rising order and the index of each; None where there are too many to gain."""
    sample = values[:: max(1, values.size // _SAMPLE)]
    if values.size < 2 * values.itemsize or np.unique(sample).size > LARGEST_CODEBOOK:
        return None
    book = np.unique(values)
    if book.size > LARGEST_CODEBOOK:
        return None
    return book, np.searchsorted(book, values).astype(np.uint8)


def _read_plain(streams: Sequence[Stream], count: int, itemsize: int) -> Elements:
    elements: Elements = np.array(_decoded(streams[0], count * itemsize)).view(UNSIGNED[itemsize])
    return elements


def _read_planes(streams: Sequence[Stream], count: int, itemsize: int) -> Elements:
    data = np.empty((count, itemsize), np.uint8)
    for index, stream in enumerate(streams):
        data[:, index] = _decoded(stream, count)
    elements: Elements = data.reshape(-1).view(UNSIGNED[itemsize])
    return elements


def _read_codebook(streams: Sequence[Stream], count: int, itemsize: int) -> Elements:
    entries = streams[0].plain // itemsize
    if streams[0].plain != entries * itemsize or entries > LARGEST_CODEBOOK:
        raise CodingError("its codebook has the wrong length")
    book = decode(streams[0]).view(UNSIGNED[itemsize])
    indices = _decoded(streams[1], count)
    if count and int(indices.max()) >= entries:
        raise CodingError("it uses codebook entries that do not exist")
    elements: Elements = book[indices]
    return elements


VALUES: Mapping[str, ValueReader] = {
    "plain": ValueReader(lambda itemsize: 1, _read_plain),
    "planes": ValueReader(lambda itemsize: itemsize, _read_planes),
    "codebook": ValueReader(lambda itemsize: 2, _read_codebook),
}


def _as_bytes(elements: Elements) -> Bytes:
    return elements.view(np.uint8)


def _decoded(stream: Stream, expected: int) -> Bytes:
    if stream.plain != expected:
        raise CodingError("its values have the wrong length")
    return decode(stream)
