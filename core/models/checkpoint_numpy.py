"""Reads numpy's `.npy` and `.npz` files: headers by a parser of our own, so that no pickle is ever loaded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from core.errors import StudioError
from core.models.opened import Array
from core.models.tensor_file import FileContents, StoredTensor, TensorFile, checked_shape
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_pickle import UnreadTensor
from core.models.wording import shown
from core.models.zip_members import MemberPlace, Members, member_bytes, member_place, member_start

MAGIC = b"\x93NUMPY"
# Headers of plain arrays have 118 bytes; numpy itself refuses more than this.
LARGEST_HEADER = 10_000
SUFFIX = ".npy"

WORDS = {"b1": "BOOL", "i1": "I8", "u1": "U8", "i2": "I16", "u2": "U16", "i4": "I32", "u4": "U32", "i8": "I64",
         "u8": "U64", "f2": "F16", "f4": "F32", "f8": "F64", "c8": "C64", "c16": "C128"}  # fmt: skip
# The types that ml_dtypes adds to numpy have no code of their own; of two bytes there is only one.
BFLOAT16 = "V2"
BFLOAT16_NOTE = "Arrays of two-byte elements without a type of numpy's were taken for bfloat16."
UNREAD_KINDS = {
    "O": "made of Python objects",
    "U": "text",
    "S": "text",
    "a": "text",
    "M": "dates",
    "m": "times",
    "V": "records",
}

_DESCRIPTION = re.compile(r"'descr':\s*(?:'([ -&(-~]{1,40})'|(\[|\())")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([\d\sL,]{0,999})\)")
_SIZE = re.compile(r"\d{1,20}")


@dataclass(frozen=True)
class _Header:
    """What a `.npy` header says; `start` is where the elements begin, counted from the header's first byte."""

    code: str
    big_endian: bool
    fortran: bool
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class _Rearranged:
    """Gives the bytes of an array that does not lie in the file as it is in memory; called with the file."""

    place: MemberPlace | int
    header: _Header
    nbytes: int

    def __call__(self, file: TensorFile) -> Array:
        if isinstance(self.place, MemberPlace):
            raw = member_bytes(file, self.place)[self.header.start : self.header.start + self.nbytes]
        else:
            raw = np.empty(self.nbytes, dtype=np.uint8)
            file.read_into(self.place + self.header.start, raw.data)
        code = "u2" if self.header.code == BFLOAT16 else self.header.code
        values = raw.view(np.dtype(f"{'>' if self.header.big_endian else '<'}{code}"))
        if self.header.big_endian:
            values = values.byteswap()
        if self.header.fortran:
            # The elements of the transposed array follow each other.
            values = np.ascontiguousarray(values.reshape(self.header.shape[::-1]).T).reshape(-1)
        plain: Array = values.view(np.uint8)
        return plain


def looks_like_npy(file: TensorFile, head: bytes) -> bool:
    """Six bytes that only numpy writes."""
    return head.startswith(MAGIC)


def looks_like_npz(members: Members) -> bool:
    """A zip archive of `.npy` files."""
    return bool(members) and next(iter(members)).endswith(SUFFIX)


def read_npy(file: TensorFile) -> FileContents:
    """The one array of a `.npy` file, under the file's own name.

    Raises:
        StudioError: if it is damaged or holds something else than numbers.
    """
    tensor = _tensor(file, file.name, file.read(0, LARGEST_HEADER + 12), 0, file.size)
    if isinstance(tensor, UnreadTensor):
        _nothing_to_read(file, tensor)
    return FileContents({file.path.stem or "array": tensor}, notes=_notes([tensor]), table=True)


def read_npz(file: TensorFile, members: Members) -> FileContents:
    """The arrays of an `.npz` file; of compressed ones just the headers are unpacked.

    Raises:
        StudioError: if it is damaged or holds no numbers at all.
    """
    tensors: dict[str, StoredTensor | UnreadTensor] = {}
    for name, member in members.items():
        if not name.endswith(SUFFIX):
            continue
        place = member_place(file, member)
        start = member_start(file, place, LARGEST_HEADER + 12)
        tensors[name.removesuffix(SUFFIX)] = _tensor(file, name, start, place, place.plain)
    unread = [tensor for tensor in tensors.values() if isinstance(tensor, UnreadTensor)]
    if unread and len(unread) == len(tensors):
        _nothing_to_read(file, unread[0])
    return FileContents(tensors, notes=_notes(tensors.values()), table=True)


def _notes(tensors: Iterable[StoredTensor | UnreadTensor]) -> tuple[str, ...]:
    guessed = any(isinstance(tensor, StoredTensor) and tensor.dtype == "BF16" for tensor in tensors)
    return (BFLOAT16_NOTE,) if guessed else ()


def _tensor(
    file: TensorFile, name: str, start: bytes, place: MemberPlace | int, size: int
) -> StoredTensor | UnreadTensor:
    header = _header(file, name, start)
    if header is None:
        return UnreadTensor("records")
    word = "BF16" if header.code == BFLOAT16 else WORDS.get(header.code)
    if word is None:
        return UnreadTensor(UNREAD_KINDS.get(header.code[:1], f"of the type {header.code}"))
    kind = TENSOR_TYPES[word]
    tensor = StoredTensor(word, header.shape, 0)
    if header.start + tensor.nbytes > size:
        raise StudioError(
            f"{file.name} is cut off: the array “{shown(name)}” should have {tensor.nbytes:,} bytes and has "
            f"{max(0, size - header.start):,}. Download or copy it again."
        )
    fortran = header.fortran and len(header.shape) > 1
    deflated = isinstance(place, MemberPlace) and place.deflated
    if deflated or (header.big_endian and kind.itemsize > 1):
        return StoredTensor(word, header.shape, 0, decode=_Rearranged(_from(place), header, tensor.nbytes))
    offset = (place if isinstance(place, int) else place.offset) + header.start
    return StoredTensor(word, header.shape, offset, _fortran_strides(header.shape) if fortran else None)


def _from(place: MemberPlace | int) -> MemberPlace | int:
    """Only what is compressed has to be unpacked."""
    return place.offset if isinstance(place, MemberPlace) and not place.deflated else place


def _fortran_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in shape:
        strides.append(step)
        step *= max(size, 1)
    return tuple(strides)


def _header(file: TensorFile, name: str, start: bytes) -> _Header | None:
    """The header that begins with `start`; None for records of several fields."""
    if len(start) < 12 or not start.startswith(MAGIC) or start[6] not in (1, 2, 3):
        _damaged(file, name)
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > LARGEST_HEADER or 8 + width + length > len(start):
        _damaged(file, name)
    text = start[8 + width : 8 + width + length].decode("latin-1")
    described, order, sizes = _DESCRIPTION.search(text), _ORDER.search(text), _SHAPE.search(text)
    if described is None or order is None or sizes is None:
        _damaged(file, name)
    if described[2]:
        return None
    shape = checked_shape([int(size) for size in _SIZE.findall(sizes[1])])
    if shape is None:
        raise StudioError(
            f"{file.name} is damaged: the shape of the array “{shown(name)}” is impossible. Download or copy it again."
        )
    code = described[1]
    return _Header(code.lstrip("<>|="), code[0] == ">", order[1] == "True", shape, 8 + width + length)


def _nothing_to_read(file: TensorFile, tensor: UnreadTensor) -> NoReturn:
    raise StudioError(
        f"{file.name} holds only arrays that are {tensor.why}, which were not read: save the weights as arrays of "
        "numbers."
    )


def _damaged(file: TensorFile, name: str) -> NoReturn:
    raise StudioError(
        f"{file.name} is damaged (the header of the array “{shown(name)}” cannot be read): download or copy it again."
    )
