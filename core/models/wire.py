"""Walks through protobuf messages in a file without reading what it is not asked for, and decodes packed numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.models.opened import Array
from core.models.tensor_file import TensorFile

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# Enough for graphs of some 200,000 nodes; a file with more fields would only keep the reader busy.
MOST_FIELDS = 2_000_000
LONGEST_VARINT = 10
BLOCK = 1 << 16


class MalformedWireError(Exception):
    """The bytes are no message, or not one that a sane program writes."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: in the message's definition.
        wire: VARINT, FIXED64, BYTES or FIXED32.
        value: of a varint, without sign; 0 for others.
        start, end: where its value lies in the file; for BYTES without the length.
    """

    number: int
    wire: int
    value: int
    start: int
    end: int

    @property
    def signed(self) -> int:
        """A varint that may be negative."""
        return self.value - (1 << 64) if self.value >> 63 else self.value


class WireReader:
    """Reads the fields of messages in a file, a block at a time; one reader has one budget of fields.

    Args:
        file: that holds the messages.
    """

    def __init__(self, file: TensorFile) -> None:
        self._file = file
        self._block = b""
        self._first = 0
        self._left = MOST_FIELDS

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in [start, end), in their order.

        Raises:
            MalformedWireError: if they do not fill it exactly.
        """
        position = start
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise MalformedWireError("too many fields")
            tag, position = self._varint(position, end)
            number, wire = tag >> 3, tag & 7
            value, begin = 0, position
            if wire == VARINT:
                value, position = self._varint(position, end)
            elif wire == BYTES:
                length, begin = self._varint(position, end)
                position = begin + length
            elif wire in (FIXED32, FIXED64):
                position += 4 if wire == FIXED32 else 8
            else:
                raise MalformedWireError(f"a field of unknown sort {wire}")
            if number == 0:
                raise MalformedWireError("a field without a number")
            yield Field(number, wire, value, begin, position)
            # After the field, so that whoever looks for a field finds it even where the file is cut off in it.
            if position > end:
                raise MalformedWireError("a field that reaches beyond its message")

    def bytes_of(self, field: Field, most: int) -> bytes:
        """The value of a BYTES field.

        Raises:
            MalformedWireError: if it is of another sort, or longer than `most`.
        """
        if field.wire != BYTES or field.end - field.start > most:
            raise MalformedWireError("a value that is too long or no text")
        return self._slice(field.start, field.end - field.start)

    def text_of(self, field: Field, most: int = 4096) -> str:
        """The value of a text field.

        Raises:
            MalformedWireError: if it is no text in UTF-8.
        """
        try:
            return self.bytes_of(field, most).decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedWireError("a name that is not UTF-8 text") from None

    def whole_numbers(self, fields: Sequence[Field], most: int) -> list[int]:
        """The values of a repeated int64 field, packed or not.

        Raises:
            MalformedWireError: if they are more than `most`, or no whole numbers.
        """
        numbers: list[int] = []
        for field in fields:
            if field.wire == VARINT:
                numbers.append(field.signed)
            elif field.wire == BYTES:
                position = field.start
                while position < field.end:
                    if len(numbers) > most:
                        break
                    value, position = self._varint(position, field.end)
                    numbers.append(value - (1 << 64) if value >> 63 else value)
            else:
                raise MalformedWireError("a size that is no whole number")
        if len(numbers) > most:
            raise MalformedWireError("too many sizes")
        return numbers

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        data = self._slice(position, min(LONGEST_VARINT, end - position))
        value = 0
        for count, byte in enumerate(data):
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + count + 1
        raise MalformedWireError("a number that does not end")

    def _slice(self, position: int, count: int) -> bytes:
        begin = position - self._first
        if begin < 0 or begin + count > len(self._block):
            self._block = self._file.read(position, max(BLOCK, count))
            self._first = position
            begin = 0
        return self._block[begin : begin + count]


def decode_varints(packed: Array, count: int) -> Array:
    """The uint64 values of `count` varints that fill `packed` (uint8) exactly.

    Raises:
        MalformedWireError: if they are fewer or more, or one is too long.
    """
    ends = np.flatnonzero(packed < 0x80)
    if len(ends) != count or (count and ends[-1] != packed.size - 1) or (not count and packed.size):
        raise MalformedWireError("another number of values than there are elements")
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    if count and int(lengths.max()) > LONGEST_VARINT:
        raise MalformedWireError("a number that does not end")
    values: Array = np.zeros(count, dtype=np.uint64)
    for place in range(int(lengths.max()) if count else 0):
        longer = np.flatnonzero(lengths > place)
        digits = (packed[starts[longer] + place] & 0x7F).astype(np.uint64)
        values[longer] |= digits << np.uint64(7 * place)
    return values
