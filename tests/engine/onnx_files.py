"""Writes ONNX files byte by byte, rightly and wrongly, so that the reader's tests need no other library."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

Value = int | bytes | str


def varint(value: int) -> bytes:
    """A whole number as protobuf writes it; negative ones in ten bytes."""
    value &= (1 << 64) - 1
    written = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            return bytes([*written, byte])
        written.append(byte | 0x80)


def field(number: int, value: Value) -> bytes:
    """One field: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, Value]) -> bytes:
    """A message of these fields in their order."""
    return b"".join(field(number, value) for number, value in fields)


def pair(key: str, value: str) -> bytes:
    """An entry of a list of texts."""
    return message((1, key), (2, value))


def tensor(name: str, shape: Sequence[int], data_type: int, *data: tuple[int, Value]) -> bytes:
    """A TensorProto; `data` are the fields that hold its elements."""
    dims = b"".join(varint(size) for size in shape)
    return message((1, dims), (2, data_type), *data, (8, name))


def raw(name: str, values: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    """A float tensor as raw bytes."""
    return tensor(name, values.shape, 1, (9, values.astype("<f4").tobytes()))


def beside(name: str, shape: Sequence[int], *entries: tuple[str, str]) -> bytes:
    """A float tensor in another file."""
    return tensor(name, shape, 1, (14, 1), *((13, pair(key, value)) for key, value in entries))


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], *attributes: bytes) -> bytes:
    """A NodeProto."""
    return message(
        *((1, name) for name in inputs),
        *((2, name) for name in outputs),
        (4, op),
        *((5, attribute) for attribute in attributes),
    )


def constant(output: str, value: bytes) -> bytes:
    """A node that holds a tensor."""
    return node("Constant", [], [output], message((1, "value"), (5, value), (20, 4)))


def model(
    tensors: Sequence[bytes] = (),
    nodes: Sequence[bytes] = (),
    sparse: Sequence[bytes] = (),
    extra: bytes = b"",
) -> bytes:
    """A ModelProto with one graph."""
    graph = message(
        *((1, each) for each in nodes),
        (2, "graph"),
        *((5, each) for each in tensors),
        *((15, each) for each in sparse),
    )
    return message(
        (1, 8), (2, "tests"), (7, graph + extra), (8, message((1, ""), (2, 17))), (14, pair("epoch", "3"))
    )


def write(path: Path, data: bytes) -> Path:
    """A file with these bytes."""
    path.write_bytes(data)
    return path
