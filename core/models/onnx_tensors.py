"""Tensors of ONNX files: where their elements lie, whether raw, as typed numbers, or in a file beside the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from core.errors import StudioError
from core.models.neighbours import part_beside
from core.models.opened import Array
from core.models.tensor_file import LARGEST_RANK, StoredTensor, TensorFile, checked_shape
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_pickle import UnreadTensor
from core.models.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    MalformedWireError,
    WireReader,
    decode_varints,
)
from core.models.wording import shown

# TensorProto's fields (onnx.proto).
DIMS, DATA_TYPE, SEGMENT, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 3, 8, 9, 13, 14
FLOATS, INT32S, INT64S, DOUBLES, UINT64S = 4, 5, 7, 10, 11
EXTERNAL = 1
STRING_TYPE = 8
# TensorProto.DataType: the word here, and the field that holds typed numbers.
TYPES = {
    1: ("F32", FLOATS),
    2: ("U8", INT32S),
    3: ("I8", INT32S),
    4: ("U16", INT32S),
    5: ("I16", INT32S),
    6: ("I32", INT32S),
    7: ("I64", INT64S),
    9: ("BOOL", INT32S),
    10: ("F16", INT32S),
    11: ("F64", DOUBLES),
    12: ("U32", UINT64S),
    13: ("U64", UINT64S),
    14: ("C64", FLOATS),
    15: ("C128", DOUBLES),
    16: ("BF16", INT32S),
    17: ("F8_E4M3", INT32S),
    18: ("F8_E4M3FNUZ", INT32S),
    19: ("F8_E5M2", INT32S),
    20: ("F8_E5M2FNUZ", INT32S),
    21: ("U4", INT32S),
    22: ("I4", INT32S),
    23: ("F4", INT32S),
    24: ("F8_E8M0", INT32S),
    25: ("U2", INT32S),
    26: ("I2", INT32S),
}
# Each number as it lies in the file, where that is how it lies in memory.
FIXED = {FLOATS: FIXED32, DOUBLES: FIXED64}
# Writers pack their numbers into one run; single ones are read as well, but not millions of them.
MOST_RUNS = 100_000


@dataclass(frozen=True)
class _TypedNumbers:
    """Gives the bytes of a tensor whose elements are written as numbers; called with the file."""

    name: str
    word: str
    runs: tuple[tuple[int, int], ...]
    count: int
    fixed: bool

    def __call__(self, file: TensorFile) -> Array:
        packed = np.empty(sum(end - start for start, end in self.runs), dtype=np.uint8)
        filled = 0
        for start, end in self.runs:
            file.read_into(start, packed[filled : filled + end - start].data)
            filled += end - start
        if self.fixed:
            return packed
        try:
            values = decode_varints(packed, self.count)
        except MalformedWireError as error:
            raise StudioError(
                f"{file.name} is damaged: the tensor “{shown(self.name)}” cannot be read ({error}). Download or copy "
                "it again."
            ) from error
        itemsize = max(1, TENSOR_TYPES[self.word].bits // 8)
        elements: Array = values.astype(f"<u{itemsize}").view(np.uint8)
        return elements


def read_tensor_proto(
    file: TensorFile, reader: WireReader, message: Field
) -> tuple[str, StoredTensor | UnreadTensor]:
    """Name and place of a tensor.

    Raises:
        MalformedWireError: if the message is damaged.
        StudioError: if its shape, its data and its file do not fit each other.
    """
    if message.wire != BYTES:
        raise MalformedWireError("a tensor that is no message")
    dims: list[Field] = []
    numbers: dict[int, list[Field]] = {}
    external: list[Field] = []
    raw: Field | None = None
    name, data_type, location = "", 0, 0
    unread: UnreadTensor | None = None
    for field in reader.fields(message.start, message.end):
        if field.number == DIMS:
            dims.append(field)
        elif field.number == DATA_TYPE:
            data_type = field.value
        elif field.number == NAME:
            name = reader.text_of(field)
        elif field.number == RAW_DATA and field.wire == BYTES:
            raw = field
        elif field.number in (FLOATS, INT32S, INT64S, DOUBLES, UINT64S):
            numbers.setdefault(field.number, []).append(field)
        elif field.number == EXTERNAL_DATA:
            external.append(field)
        elif field.number == DATA_LOCATION:
            location = field.value
        elif field.number == SEGMENT:
            unread = UnreadTensor("in segments")
    shape = checked_shape(reader.whole_numbers(dims, LARGEST_RANK))
    if shape is None:
        _damaged(file, f"the shape of the tensor “{shown(name)}” is impossible")
    if data_type == STRING_TYPE:
        unread = UnreadTensor("text")
    if data_type not in TYPES:
        unread = unread or UnreadTensor("of an unknown type")
    if unread is not None:
        return name, unread
    word, typed = TYPES[data_type]
    tensor = StoredTensor(word, shape, 0)
    if location == EXTERNAL:
        return name, _external(file, reader, name, tensor, external)
    if raw is not None:
        if raw.end - raw.start != tensor.nbytes:
            _damaged(file, f"the tensor “{shown(name)}” has another size than its shape says")
        return name, StoredTensor(word, shape, raw.start)
    return name, _typed(file, name, tensor, typed, numbers.get(typed, []))


def _typed(
    file: TensorFile, name: str, tensor: StoredTensor, typed: int, fields: list[Field]
) -> StoredTensor:
    wire = FIXED.get(typed, VARINT)
    if any(field.wire not in (BYTES, wire) for field in fields) or len(fields) > MOST_RUNS:
        raise MalformedWireError("elements of an unknown sort")
    bits = TENSOR_TYPES[tensor.dtype].bits
    # Of types below a byte, one number holds a byte full.
    count = tensor.nbytes if bits < 8 else tensor.elements
    nbytes = sum(field.end - field.start for field in fields)
    fits = nbytes == tensor.nbytes if typed in FIXED else count <= nbytes <= 10 * count
    if not fits:
        _damaged(file, f"the tensor “{shown(name)}” has another size than its shape says")
    if typed in FIXED and len(fields) == 1:
        return StoredTensor(tensor.dtype, tensor.shape, fields[0].start)
    runs = tuple((field.start, field.end) for field in fields)
    return StoredTensor(
        tensor.dtype,
        tensor.shape,
        0,
        decode=_TypedNumbers(name, tensor.dtype, runs, count, typed in FIXED),
    )


def _external(
    file: TensorFile, reader: WireReader, name: str, tensor: StoredTensor, entries: list[Field]
) -> StoredTensor:
    said = read_entries(reader, entries)
    if "location" not in said:
        _damaged(file, f"the file of the tensor “{shown(name)}” is not named")
    part = file.part(part_beside(file, said["location"]))
    offset = _whole(said.get("offset", "0"))
    length = _whole(said.get("length", str(tensor.nbytes)))
    if offset is None or length != tensor.nbytes:
        _damaged(file, f"the tensor “{shown(name)}” has another size than its shape says")
    if offset + length > part.size:
        raise StudioError(
            f"{shown(said['location'])}, the data file of {file.name}, is cut off: the tensor “{shown(name)}” should "
            f"reach to byte {offset + length:,} and the file ends at {part.size:,}. Download or copy it again."
        )
    return StoredTensor(tensor.dtype, tensor.shape, offset, path=part.path)


def read_entries(reader: WireReader, entries: list[Field]) -> Mapping[str, str]:
    """Names and values of a list of pairs of texts (StringStringEntryProto).

    Raises:
        MalformedWireError: if they are no texts.
    """
    said: dict[str, str] = {}
    for entry in entries:
        if entry.wire != BYTES:
            raise MalformedWireError("an entry that is no message")
        pair = {1: "", 2: ""}
        for field in reader.fields(entry.start, entry.end):
            if field.number in pair:
                pair[field.number] = reader.text_of(field, 1 << 20)
        said[pair[1]] = pair[2]
    return said


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else None


def _damaged(file: TensorFile, what: str) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged ONNX file ({what}): download or copy it again.")
