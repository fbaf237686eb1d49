"""Saving models as safetensors with the metadata that lets them reopen recognised, and checking what was written."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import StudioError
from core.files import written_whole
from core.models.checkpoint import open_checkpoint
from core.models.description import ModelDescription
from core.models.opened import OpenedModel
from core.models.recognise import CHANNELS, CHANNELS_REMOVED

DTYPE_WORDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""safetensors' words for the element types that models are saved in."""

# Wider dtypes stand first in the file, so that every tensor is aligned; this is the library's order.
_ORDER = ("I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL")


def metadata_of(description: ModelDescription, **more: str) -> dict[str, str]:
    """What a saved model carries beside its tensors: architecture, classes, input shape, and whatever is added."""
    metadata = {"format": "compression-studio"}
    if description.architecture is not None:
        metadata["architecture"] = description.architecture
    if description.num_classes is not None:
        metadata["num_classes"] = str(description.num_classes)
    if description.input_shape is not None:
        metadata["input_shape"] = json.dumps(list(description.input_shape))
    if description.channels_removed:
        metadata[CHANNELS] = CHANNELS_REMOVED
    return {**metadata, **more}


def header_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The length word and the JSON header of the safetensors file for these tensors.

    As long as the one that the safetensors library writes (a test compares), but always with the same bytes: the
    library orders metadata at random, and a file with another SHA-256 looks like another result.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name in _file_order(tensors):
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        word = DTYPE_WORDS[tensor.dtype]
        header[name] = {"dtype": word, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors whole or not at all, then read the file back and compare every bit.

    Raises:
        StudioError: if the file cannot be written, or reads back differently.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(header_bytes(plain, metadata))
            for name in _file_order(plain):
                stream.write(_raw(plain[name]))
        check_written(temporary, plain, path.name)


def _file_order(tensors: Mapping[str, Tensor]) -> list[str]:
    return sorted(tensors, key=lambda name: (_ORDER.index(DTYPE_WORDS[tensors[name].dtype]), name))


def _raw(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor, viewed."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def save_opened(opened: OpenedModel, path: Path, check: Callable[[], None] | None = None) -> None:
    """Save the model that is open in the window, every tensor as it is.

    Raises:
        StudioError: if it cannot be read or written.
    """
    tensors: dict[str, Tensor] = {}
    for name in opened.tensor_names:
        if check is not None:
            check()
        array = opened.tensor(name)
        tensors[name] = torch.from_numpy(array if array.flags.writeable else array.copy())
    save_tensors(tensors, path, metadata_of(opened.description))


def check_written(
    path: Path, tensors: Mapping[str, Tensor], name: str, check: Callable[[], None] | None = None
) -> None:
    """Open a file that was just written, in any format, and compare every bit of it with contiguous CPU tensors.

    Args:
        name: what messages call the file.
        check: called between tensors; may raise to give up.

    Raises:
        StudioError: if anything reads back differently.
    """
    checkpoint = open_checkpoint(path)
    try:
        if set(checkpoint.tensors) != set(tensors):
            raise StudioError(f"{name} was not written: reading it back gave other tensors than were saved.")
        for key, tensor in tensors.items():
            if check is not None:
                check()
            if tensor.dtype == torch.bfloat16:
                tensor = tensor.float()
            if not np.array_equal(
                checkpoint.read(key).reshape(-1).view(np.uint8), tensor.numpy().reshape(-1).view(np.uint8)
            ):
                raise StudioError(f"{name} was not written: the tensor {key} read back differently.")
    finally:
        checkpoint.close()
