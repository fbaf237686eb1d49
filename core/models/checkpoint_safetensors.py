"""Reads the header of a safetensors file and believes nothing in it before it is checked."""

import json
from typing import Any, NoReturn

from core.errors import StudioError
from core.models.tensor_file import FileContents, StoredTensor, TensorFile, checked_shape
from core.models.tensor_types import TENSOR_TYPES
from core.models.wording import shown

# The format's own limit.
LARGEST_HEADER = 100_000_000
PREFIX = 8
METADATA = "__metadata__"


def looks_like_safetensors(file: TensorFile, head: bytes) -> bool:
    """Eight bytes of length, then a JSON object: also true for one that is cut off."""
    return (
        len(head) > PREFIX
        and head[PREFIX : PREFIX + 1] == b"{"
        and int.from_bytes(head[:PREFIX], "little") <= LARGEST_HEADER
    )


def read_safetensors(file: TensorFile) -> FileContents:
    """Names, shapes, dtypes and places of all tensors (format: https://huggingface.co/docs/safetensors).

    Raises:
        StudioError: for anything that a correct writer would not write.
    """
    length = int.from_bytes(file.read(0, PREFIX), "little")
    start = PREFIX + length
    if start > file.size:
        raise StudioError(
            f"{file.name} is cut off: its header should have {length:,} bytes and the file ends after {file.size:,}. "
            "Download or copy it again."
        )
    header = _header(file, file.read(PREFIX, length))
    metadata = header.pop(METADATA, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _damaged(file, "its metadata is not text")
    tensors = {name: _tensor(file, name, entry, start) for name, entry in header.items()}
    _check_places(file, tensors, start)
    # The header lists names alphabetically; the data lie in the order in which the tensors were given.
    ordered = dict(sorted(tensors.items(), key=lambda item: item[1].offset))
    return FileContents(ordered, metadata=metadata)


def _header(file: TensorFile, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except _DuplicateNameError as error:
        _damaged(file, f"the name “{shown(str(error))}” occurs twice in its header")
    except UnicodeDecodeError:
        _damaged(file, "its header is not UTF-8 text")
    except (ValueError, RecursionError) as error:
        _damaged(file, "its header is not JSON", str(error))
    if not isinstance(header, dict):
        _damaged(file, "its header is not a JSON object")
    return header


class _DuplicateNameError(Exception):
    """Two entries of one name: which of them counts would be a guess."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DuplicateNameError(name)
            seen.add(name)
    return unique


def _tensor(file: TensorFile, name: str, entry: Any, start: int) -> StoredTensor:
    if not isinstance(entry, dict):
        _damaged(file, f"its header does not describe the tensor “{shown(name)}”")
    word = entry.get("dtype")
    kind = TENSOR_TYPES.get(word) if isinstance(word, str) else None
    if kind is None:
        raise StudioError(
            f"{file.name} has a tensor “{shown(name)}” of the type “{shown(str(word))}”, which is not known "
            "here: save it as another type."
        )
    shape = checked_shape(entry.get("shape"))
    if shape is None:
        _damaged(file, f"the shape of the tensor “{shown(name)}” is impossible")
    places = entry.get("data_offsets")
    if not (isinstance(places, list) and len(places) == 2 and all(type(place) is int for place in places)):
        _damaged(file, f"the place of the tensor “{shown(name)}” is missing")
    begin, end = places
    tensor = StoredTensor(kind.word, shape, start + begin)
    if begin < 0 or end < begin or (tensor.elements * kind.bits) % 8 or end - begin != tensor.nbytes:
        _damaged(file, f"the place of the tensor “{shown(name)}” does not fit its shape")
    if start + end > file.size:
        raise StudioError(
            f"{file.name} is cut off: the tensor “{shown(name)}” ends {start + end - file.size:,} bytes after the end "
            "of the file. Download or copy it again."
        )
    return tensor


def _check_places(file: TensorFile, tensors: dict[str, StoredTensor], start: int) -> None:
    """Tensors must follow each other without gap or overlap, as the format asks."""
    expected = start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].nbytes)):
        if tensor.offset < expected:
            _damaged(file, f"the tensor “{shown(name)}” overlaps another one")
        if tensor.offset > expected:
            _damaged(file, f"there is a hole before the tensor “{shown(name)}”")
        expected = tensor.offset + tensor.nbytes
    if expected != file.size:
        _damaged(file, f"{file.size - expected:,} bytes at its end belong to no tensor")


def _damaged(file: TensorFile, what: str, details: str = "") -> NoReturn:
    raise StudioError(
        f"{file.name} is a damaged safetensors file ({what}): download or copy it again.", details=details
    )
