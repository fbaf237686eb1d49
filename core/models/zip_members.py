"""The directory of a zip archive, and where a member's bytes lie; nothing is unpacked and no name becomes a path."""

import errno
import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from core.errors import StudioError
from core.models.opened import Array
from core.models.tensor_file import TensorFile

LOCAL_HEADER = 30
# `torch.save` writes one record per storage; a directory of more entries than this is no model.
MOST_MEMBERS = 1_000_000
# Deflate makes at most 1032 bytes of one.
MOST_INFLATED = 1032
# Beyond this, members that claim to be very much larger than what is stored are not believed.
LARGEST_SUSPICIOUS = 1 << 30
SUSPICIOUS_RATIO = 200
CHUNK = 1 << 18

Members = dict[str, zipfile.ZipInfo]


@dataclass(frozen=True)
class MemberPlace:
    """Where a member's stored bytes lie in the archive.

    Attributes:
        offset: of the first one.
        stored: bytes in the archive.
        plain: bytes once unpacked; the same where it is not compressed.
        deflated: whether it is compressed.
        crc: CRC-32 of the unpacked bytes.
    """

    offset: int
    stored: int
    plain: int
    deflated: bool
    crc: int


def looks_like_zip(file: TensorFile, head: bytes) -> bool:
    """Zip archives begin with their first member's header."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


class _Section(io.RawIOBase):
    """Some bytes of a file as a stream of their own."""

    def __init__(self, file: TensorFile, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + (0, self._position, self._size)[whence]
        if place < 0:
            # What a real file raises, and what zipfile waits for.
            raise OSError(errno.EINVAL, "a place before the beginning")
        self._position = place
        return place

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self._size - self._position)
        count = left if count is None or count < 0 else min(count, left)
        data = self._file.read(self._start + self._position, count)
        self._position += len(data)
        return data


def zip_members(file: TensorFile, start: int = 0, size: int | None = None) -> Members:
    """The archive's members by name; their `header_offset` counts from the start of the file.

    Args:
        start, size: where the archive lies, if it is itself a member of another one.

    Raises:
        StudioError: if its directory cannot be read or lists a name twice.
    """
    try:
        with zipfile.ZipFile(_Section(file, start, file.size if size is None else size)) as archive:
            listed = archive.infolist()
    except (
        zipfile.BadZipFile,
        struct.error,
        OSError,
        ArithmeticError,
        EOFError,
        LookupError,
        RuntimeError,
        ValueError,
    ) as error:
        raise StudioError(
            f"{file.name} is a damaged or cut off archive (its zip directory cannot be read): download or copy it "
            "again.",
            details=str(error),
        ) from error
    if listed and min(member.header_offset for member in listed) != 0:
        # The directory belongs to an archive inside of this one, whose own directory is missing.
        raise StudioError(
            f"{file.name} is a damaged or cut off archive (its own directory is missing): download or copy it again."
        )
    for member in listed:
        member.header_offset += start
    members = {member.filename: member for member in listed}
    if len(members) != len(listed) or len(listed) > MOST_MEMBERS:
        raise StudioError(
            f"{file.name} is a damaged zip archive (a name occurs twice): download or copy it again."
        )
    return members


def member_place(file: TensorFile, member: zipfile.ZipInfo) -> MemberPlace:
    """Where a member's bytes lie, compressed or not.

    The checksum of what is not compressed is never looked at: it would mean reading everything, and torch can be told
    to write none.

    Raises:
        StudioError: if it is encrypted, compressed otherwise than by deflate, cut off or impossibly large.
    """
    deflated = member.compress_type == zipfile.ZIP_DEFLATED
    if member.flag_bits & 1 or not (deflated or member.compress_type == zipfile.ZIP_STORED):
        raise StudioError(
            f"{file.name} is encrypted, or compressed in a way that is not read: unpack it, or save it without that."
        )
    header = file.read(member.header_offset, LOCAL_HEADER) if member.header_offset >= 0 else b""
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        _damaged(file)
    name_length = int.from_bytes(header[26:28], "little")
    extra_length = int.from_bytes(header[28:30], "little")
    offset = member.header_offset + LOCAL_HEADER + name_length + extra_length
    stored, plain = member.compress_size, member.file_size
    if offset + stored > file.size:
        cut_off(file, offset + stored)
    if not deflated and stored != plain:
        _damaged(file)
    if plain > MOST_INFLATED * (stored + 1) or plain > max(LARGEST_SUSPICIOUS, SUSPICIOUS_RATIO * stored):
        raise StudioError(
            f"{file.name} has a member that would unpack to {plain:,} bytes from {stored:,}: it was not unpacked, and "
            "this file should not be trusted."
        )
    return MemberPlace(offset, stored, plain, deflated, member.CRC)


def stored_place(file: TensorFile, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Offset and size of a member's bytes, which must lie in the file as they are.

    Raises:
        StudioError: as `member_place`, and if the member is compressed.
    """
    place = member_place(file, member)
    if place.deflated:
        raise StudioError(
            f"{file.name} is compressed or encrypted, as torch.save never writes it: unpack it or save it again with "
            "torch.save."
        )
    return place.offset, place.plain


def member_start(file: TensorFile, place: MemberPlace, count: int) -> bytes:
    """The first `count` unpacked bytes of a member; fewer where it has fewer.

    Raises:
        StudioError: if they cannot be unpacked.
    """
    if not place.deflated:
        return file.read(place.offset, min(count, place.plain))
    try:
        return zlib.decompressobj(-15).decompress(
            file.read(place.offset, min(place.stored, count + 1024)), count
        )
    except zlib.error as error:
        _damaged(file, str(error))


def member_bytes(file: TensorFile, place: MemberPlace) -> Array:
    """All unpacked bytes of a member, as a new array of bytes that is exactly as long as the directory says.

    Raises:
        StudioError: if they are fewer or more, or not what was written.
    """
    plain = np.empty(place.plain, dtype=np.uint8)
    if not place.deflated:
        file.read_into(place.offset, plain.data)
        return plain
    unpacker = zlib.decompressobj(-15)
    filled, offset, end = 0, place.offset, place.offset + place.stored
    try:
        while filled < plain.size and not unpacker.eof:
            packed = unpacker.unconsumed_tail
            if not packed and offset < end:
                packed = file.read(offset, min(CHUNK, end - offset))
                offset += len(packed)
            piece = unpacker.decompress(packed, min(4 * CHUNK, plain.size - filled))
            if not piece and not packed:
                break
            plain[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            filled += len(piece)
    except zlib.error as error:
        _damaged(file, str(error))
    if filled != plain.size or zlib.crc32(plain.data) != place.crc:
        _damaged(file)
    return plain


def cut_off(file: TensorFile, needed: int) -> NoReturn:
    """Refuse a file that ends before its data.

    Raises:
        StudioError: always.
    """
    raise StudioError(
        f"{file.name} is damaged or cut off: its data should reach to byte {needed:,} and the file ends at "
        f"{file.size:,}. Download or copy it again."
    )


def _damaged(file: TensorFile, details: str = "") -> NoReturn:
    raise StudioError(f"{file.name} is a damaged archive: download or copy it again.", details=details)
