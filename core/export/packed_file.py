"""Saving models as packed files, really small where there are zeros or shared values, and counting what one weighs.

The format is described in `core.models.checkpoint_packed`, which reads it.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from core.export.safetensors_file import DTYPE_WORDS, check_written, metadata_of
from core.files import written_whole
from core.models.byte_coding import Stream, code
from core.models.checkpoint_packed import MAGIC, PREFIX, VERSION, unit_of
from core.models.opened import OpenedModel
from core.models.packed_encoding import UNSIGNED, Elements, EncodedTensor, columns_of, encode
from core.models.packed_grid import Grid, grid_streams, values_of
from core.quantization.grid import grouped, quantize, ungrouped
from core.quantization.record import METADATA, NOT_QUANTIZED, Quantization, QuantizedWeight

SUFFIX: Final = ".packed"

PACKING: Final = (
    "packed file: of each tensor only the values that are not zero, with a bitmask or gaps, in byte planes, by a "
    "codebook or as integers on a grid, deflated or arithmetically coded where that helps"
)
"""The encoding whose bytes are counted and saved, in words."""


def packed_size(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    check: Callable[[], None] | None = None,
    quantization: Quantization = NOT_QUANTIZED,
) -> int:
    """Bytes of the packed file that holds these tensors, without writing it; one encoded tensor in memory at a time.

    `check` is called between tensors and may raise to give up.
    """
    entries = []
    total = 0
    for entry, encoded in _encoded(tensors, check, quantization):
        entries.append(entry)
        total += encoded.stored
    return PREFIX.size + total + len(_directory(entries, metadata, quantization).data)


def save_packed(
    tensors: Mapping[str, Tensor],
    path: Path,
    metadata: Mapping[str, str],
    check: Callable[[], None] | None = None,
    quantization: Quantization = NOT_QUANTIZED,
) -> None:
    """Write tensors whole or not at all, then read the file back and compare every bit.

    The same tensors always give the same bytes, as many as `packed_size` says.

    Raises:
        StudioError: if the file cannot be written, or reads back differently.
    """
    with written_whole(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(bytes(PREFIX.size))
            entries = []
            for entry, encoded in _encoded(tensors, check, quantization):
                entries.append(entry)
                for part in encoded.streams:
                    stream.write(part.data)
            offset = stream.tell()
            directory = _directory(entries, metadata, quantization)
            stream.write(directory.data)
            stream.seek(0)
            crc = zlib.crc32(directory.data)
            stream.write(
                PREFIX.pack(MAGIC, VERSION, crc, offset, len(directory.data), directory.plain),
            )
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        check_written(temporary, plain, path.name, check)


def save_opened_packed(opened: OpenedModel, path: Path, check: Callable[[], None] | None = None) -> None:
    """Save the model that is open in the window as a packed file, every tensor as it is.

    Raises:
        StudioError: if it cannot be read or written.
    """
    tensors: dict[str, Tensor] = {}
    for name in opened.tensor_names:
        if check is not None:
            check()
        array = opened.tensor(name)
        tensors[name] = torch.from_numpy(array if array.flags.writeable else array.copy())
    save_packed(tensors, path, metadata_of(opened.description), check)


def _encoded(
    tensors: Mapping[str, Tensor], check: Callable[[], None] | None, quantization: Quantization
) -> Iterator[tuple[dict[str, Any], EncodedTensor]]:
    for name, tensor in tensors.items():
        if check is not None:
            check()
        word = DTYPE_WORDS[tensor.dtype]
        grid, encoded = _smallest(tensor, word, quantization.weights.get(name))
        crc = 0
        for stream in encoded.streams:
            crc = zlib.crc32(stream.data, crc)
        yield (
            {
                "name": name,
                "dtype": word,
                "shape": list(tensor.shape),
                "positions": encoded.positions,
                "values": encoded.values,
                "streams": [[stream.coding, len(stream.data), stream.plain] for stream in encoded.streams],
                "crc32": crc,
                **grid,
            },
            encoded,
        )


def _smallest(
    tensor: Tensor, word: str, record: QuantizedWeight | None
) -> tuple[dict[str, Any], EncodedTensor]:
    """What the directory says of the tensor's grid (nothing for a tensor without one), and its streams.

    Integers and scales are stored where they give back the very bits of the tensor.
    """
    if record is not None and record.scheme == "affine" and word == "F32" and record.bits <= 8:
        assert record.scale is not None
        assert record.zero_point is not None
        grid = Grid(
            record.symmetric,
            record.axis,
            record.group_size,
            record.scale.cpu().numpy(),
            record.zero_point.cpu().numpy(),
        )
        codes = (quantize(tensor, record) - _zero_points(tensor, record)).to(torch.uint8).cpu().numpy()
        shape = tuple(tensor.shape)
        if np.array_equal(values_of(codes.reshape(-1), grid, shape), _elements(tensor, 4)):
            encoded = encode(codes.reshape(-1), columns_of(shape))
            parts = (*encoded.streams, *grid_streams(grid))
            return {"grid": grid.to_data()}, replace(encoded, streams=parts)
    return {}, encode(_elements(tensor, unit_of(word)), columns_of(tuple(tensor.shape)))


def _zero_points(tensor: Tensor, record: QuantizedWeight) -> Tensor:
    assert record.zero_point is not None
    groups = grouped(torch.zeros_like(tensor, dtype=torch.int32), record.axis, record.group_size)
    return ungrouped(groups + record.zero_point[..., None], tensor.shape, record.axis)


def _elements(tensor: Tensor, unit: int) -> Elements:
    """The bits of a tensor as flat unsigned integers, in memory order."""
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    elements: Elements = raw.view(UNSIGNED[unit])
    return elements


def _directory(
    entries: list[dict[str, Any]], metadata: Mapping[str, str], quantization: Quantization
) -> Stream:
    if METADATA in metadata:
        # Scales that stand in the streams need not be said twice.
        gridded = frozenset(entry["name"] for entry in entries if "grid" in entry)
        books = frozenset(name for name, each in quantization.weights.items() if each.scheme == "codebook")
        metadata = {**metadata, METADATA: quantization.to_json(gridded | books)}
    text = json.dumps(
        {"metadata": dict(metadata), "tensors": entries}, separators=(",", ":"), ensure_ascii=False
    )
    # Its coding is not told: it is deflated where it is shorter than it would be.
    return code(np.frombuffer(text.encode(), np.uint8), mixed=False)
