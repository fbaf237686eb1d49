"""The packed file: a container of our own for models with zeros or few distinct values; reads its directory.

Layout, all numbers little-endian: 32 bytes of magic, version, CRC-32 of the stored directory, its place and its two
lengths; then the streams of all tensors, one behind the other; then the directory, deflated JSON up to the end of the
file. The directory lists metadata (text by text) and, for each tensor in the order of the streams, its name, dtype,
shape, encoding and streams, with a CRC-32 over its stored bytes. The directory stands last so that a writer needs no
more memory than one tensor; tensors are read one by one, when they are asked for.
"""

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from core.errors import StudioError
from core.models.byte_coding import CODINGS, DEFLATE, RAW, CodingError, Stream, decode
from core.models.opened import Array
from core.models.packed_encoding import POSITIONS, UNSIGNED, VALUES, columns_of, decode_elements, is_plausible
from core.models.packed_grid import Grid, GridLayout, grid_layout, read_grid, values_of
from core.models.tensor_file import FileContents, StoredTensor, TensorFile, checked_shape
from core.models.tensor_types import TENSOR_TYPES

MAGIC: Final = b"\x8bCSPACK\n"
VERSION: Final = 2
"""1: until quantization. 2: tensors may be integers on a grid (`core.models.packed_grid`), and further codings."""
# Magic, version, CRC-32 of the stored directory, its offset, stored and plain length.
PREFIX: Final = struct.Struct("<8sIIQII")

LARGEST_DIRECTORY = 100_000_000
# Names and shapes are repetitive, but not more than this: beyond a megabyte, what claims to be is not believed.
_FREE_DIRECTORY = 1 << 20
_MOST_DEFLATED = 64


def looks_like_packed(file: TensorFile, head: bytes) -> bool:
    """Eight bytes that nothing else begins with."""
    return head.startswith(MAGIC)


def read_packed(file: TensorFile) -> FileContents:
    """Names, shapes, dtypes and places of all tensors.

    Raises:
        StudioError: for anything that the writer would not write.
    """
    start = file.read(0, PREFIX.size)
    if len(start) < PREFIX.size:
        _cut_off(file)
    _, version, crc, offset, stored, plain = PREFIX.unpack(start)
    if version > VERSION:
        raise StudioError(
            f"{file.name} was written by a newer version (packed format {version}; this studio knows {VERSION}): "
            "update Compression Studio to open it."
        )
    if version < 1 or offset < PREFIX.size:
        _damaged(file, "its first bytes make no sense")
    if offset + stored > file.size:
        _cut_off(file)
    if offset + stored != file.size:
        _damaged(file, f"{file.size - offset - stored:,} bytes at its end belong to nothing")
    directory = _directory(file, file.read(offset, stored), crc, plain)
    metadata = directory.get("metadata")
    entries = directory.get("tensors")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _damaged(file, "its metadata are not text")
    if not isinstance(entries, list):
        _damaged(file, "its directory lists no tensors")
    tensors: dict[str, StoredTensor] = {}
    place = PREFIX.size
    for entry in entries:
        name, tensor, length = _tensor(file, entry, place)
        if name in tensors:
            _damaged(file, f"the name “{name}” occurs twice in its directory")
        tensors[name] = tensor
        place += length
    if place != offset:
        _damaged(file, "its tensors do not fill it")
    return FileContents(tensors, metadata=metadata)


@dataclass(frozen=True)
class PackedTensor:
    """Reads one tensor; called with the file that it lies in."""

    name: str
    offset: int
    size: int
    unit: int
    positions: str
    values: str
    streams: tuple[tuple[str, int, int], ...]
    crc: int
    shape: tuple[int, ...]
    grid: GridLayout | None = None

    def __call__(self, file: TensorFile) -> Array:
        streams = self._streams(file)
        layout = self.grid
        own = len(streams) - (0 if layout is None else layout.streams)
        try:
            elements = decode_elements(
                self.positions, self.values, streams[:own], self.size, self.unit, columns_of(self.shape)
            )
            if layout is None:
                return elements
            return values_of(elements, read_grid(layout, streams[own:], self.shape), self.shape)
        except CodingError as error:
            self._refuse(file, str(error))

    def read_grid(self, file: TensorFile) -> Grid | None:
        """Scales and zero points of a tensor that is stored as integers; None for any other.

        Raises:
            StudioError: if they are damaged.
        """
        if self.grid is None:
            return None
        try:
            return read_grid(self.grid, self._streams(file)[-self.grid.streams :], self.shape)
        except CodingError as error:
            self._refuse(file, str(error))

    def _streams(self, file: TensorFile) -> list[Stream]:
        length = sum(stored for _, stored, _ in self.streams)
        data = file.read(self.offset, length)
        if len(data) != length or zlib.crc32(data) != self.crc:
            self._refuse(file, "its bytes have changed since they were written")
        streams = []
        place = 0
        for coding, stored, plain in self.streams:
            streams.append(Stream(coding, plain, data[place : place + stored]))
            place += stored
        return streams

    def _refuse(self, file: TensorFile, why: str) -> NoReturn:
        raise StudioError(
            f"{file.name} is damaged: the tensor “{self.name}” cannot be read ({why}). Download or copy it again."
        )


def unit_of(dtype: str) -> int:
    """Bytes of the unit in which a type's elements are packed: an element, or a byte where elements are wider."""
    size = TENSOR_TYPES[dtype].itemsize
    return size if size in UNSIGNED else 1


def _directory(file: TensorFile, stored: bytes, crc: int, plain: int) -> dict[str, Any]:
    if zlib.crc32(stored) != crc:
        _damaged(file, "its directory has changed since it was written")
    if plain > LARGEST_DIRECTORY or plain > max(_FREE_DIRECTORY, _MOST_DEFLATED * len(stored)):
        _damaged(file, "its directory is impossibly long")
    coding = RAW if plain == len(stored) else DEFLATE
    try:
        directory = json.loads(decode(Stream(coding, plain, stored)).tobytes().decode("utf-8"))
    except CodingError as error:
        _damaged(file, f"the directory: {error}")
    except (ValueError, RecursionError) as error:
        _damaged(file, "its directory is not JSON", str(error))
    if not isinstance(directory, dict):
        _damaged(file, "its directory is not a JSON object")
    return directory


def _tensor(file: TensorFile, entry: Any, offset: int) -> tuple[str, StoredTensor, int]:
    """Name and place of a tensor whose streams begin at `offset`, and their length together."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        _damaged(file, "its directory lists something that is no tensor")
    name = entry["name"]
    word = entry.get("dtype")
    kind = TENSOR_TYPES.get(word) if isinstance(word, str) else None
    if kind is None or kind.stored is None:
        raise StudioError(
            f"{file.name} has a tensor “{name}” of the type “{word}”, which is not known here: save it as another type."
        )
    shape = checked_shape(entry.get("shape"))
    if shape is None:
        _damaged(file, f"the shape of the tensor “{name}” is impossible")
    positions, values = entry.get("positions"), entry.get("values")
    if not isinstance(positions, str) or not isinstance(values, str):
        _damaged(file, f"the encoding of the tensor “{name}” is missing")
    if positions not in POSITIONS or values not in VALUES:
        raise StudioError(
            f"{file.name} has a tensor “{name}” in the encoding “{positions}, {values}”, which is not known here: "
            "update Compression Studio to open it."
        )
    streams = _streams(file, name, entry.get("streams"))
    unit = unit_of(kind.word)
    layout = None
    if "grid" in entry:
        layout = grid_layout(entry["grid"])
        if layout is None or word != "F32":
            _damaged(file, f"the grid of the tensor “{name}” makes no sense")
        unit = 1
    grid_streams = 0 if layout is None else layout.streams
    if len(streams) != POSITIONS[positions].streams + VALUES[values].streams(unit) + grid_streams:
        _damaged(file, f"parts of the tensor “{name}” are missing")
    crc = entry.get("crc32")
    if type(crc) is not int:
        _damaged(file, f"the checksum of the tensor “{name}” is missing")
    length = sum(stored for _, stored, _ in streams)
    plain = StoredTensor(kind.word, shape, offset)
    size = plain.nbytes // unit if layout is None else plain.elements
    if not is_plausible(size, length):
        _damaged(file, f"the tensor “{name}” is impossibly large for its {length:,} bytes")
    reader = PackedTensor(name, offset, size, unit, positions, values, streams, crc, shape, layout)
    return name, StoredTensor(kind.word, shape, offset, decode=reader), length


def _streams(file: TensorFile, name: str, listed: Any) -> tuple[tuple[str, int, int], ...]:
    """Coding, stored and plain length of each stream."""
    streams = []
    for stream in listed if isinstance(listed, list) else [None]:
        if not isinstance(stream, list) or len(stream) != 3 or not isinstance(stream[0], str):
            _damaged(file, f"parts of the tensor “{name}” are missing")
        coding, stored, plain = stream
        if type(stored) is not int or type(plain) is not int or not 0 <= stored <= file.size or plain < 0:
            _damaged(file, f"the length of the tensor “{name}” is impossible")
        if coding not in CODINGS:
            raise StudioError(
                f"{file.name} stores the tensor “{name}” by “{coding}”, which is not known here: update Compression "
                "Studio to open it."
            )
        streams.append((coding, stored, plain))
    return tuple(streams)


def _cut_off(file: TensorFile) -> NoReturn:
    raise StudioError(
        f"{file.name} is cut off: its directory, which stands at the end, is missing. Download or copy it again."
    )


def _damaged(file: TensorFile, what: str, details: str = "") -> NoReturn:
    raise StudioError(
        f"{file.name} is a damaged packed file ({what}): download or copy it again.", details=details
    )
