"""Saving models as safetensors with the metadata that lets them reopen recognised, and checking what was written."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.errors import StudioError
from core.files import written_whole
from core.models.checkpoint import open_checkpoint
from core.models.description import ModelDescription
from core.models.opened import OpenedModel

_DTYPE_WORDS = {
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
    return {**metadata, **more}


def header_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The length word and the JSON header of the safetensors file for these tensors, to the byte.

    A test compares its length with files that the safetensors library writes.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    words = {name: _DTYPE_WORDS[tensor.dtype] for name, tensor in tensors.items()}
    offset = 0
    for name in sorted(tensors, key=lambda name: (_ORDER.index(words[name]), name)):
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": words[name], "shape": list(tensor.shape), "data_offsets": [offset, end]}
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
    # Tied weights are written once for each name: safetensors refuses shared memory.
    seen: set[int] = set()
    for name, tensor in plain.items():
        if tensor.numel() and tensor.data_ptr() in seen:
            plain[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    with written_whole(path) as temporary:
        try:
            save_file(plain, temporary, metadata=dict(metadata))
        except OSError:
            raise
        except Exception as error:
            # The library wraps the system's error in one of its own and keeps only the text.
            raise OSError(str(error)) from error
        _check_written(temporary, plain, path.name)


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


def _check_written(path: Path, tensors: Mapping[str, Tensor], name: str) -> None:
    checkpoint = open_checkpoint(path)
    try:
        if set(checkpoint.tensors) != set(tensors):
            raise StudioError(f"{name} was not written: reading it back gave other tensors than were saved.")
        for key, tensor in tensors.items():
            if tensor.dtype == torch.bfloat16:
                tensor = tensor.float()
            if not np.array_equal(
                checkpoint.read(key).reshape(-1).view(np.uint8), tensor.numpy().reshape(-1).view(np.uint8)
            ):
                raise StudioError(f"{name} was not written: the tensor {key} read back differently.")
    finally:
        checkpoint.close()
