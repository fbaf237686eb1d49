"""How a quantized model lies in files, and how its record is read back from them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from core.models.checkpoint import Checkpoint, open_checkpoint
from core.models.opening import path_of
from core.models.source import ModelSource
from core.models.trust import NeedsTrustError
from core.quantization.record import (
    METADATA,
    NOT_QUANTIZED,
    Quantization,
    QuantizedWeight,
    quantization_from_json,
)

_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def stored_tensors(tensors: Mapping[str, Tensor], quantization: Quantization) -> dict[str, Tensor]:
    """A state dict as files hold it: weights of 16 bits in their own type, all else as it is.

    Values are on their grids, so nothing is lost.
    """
    stored = dict(tensors)
    for name, record in quantization.weights.items():
        if record.scheme in _FLOATS:
            stored[name] = tensors[name].to(_FLOATS[record.scheme])
    return stored


def read_quantization(checkpoint: Checkpoint) -> Quantization:
    """What an open file (safetensors or packed) says of its quantization; empty where it says nothing.

    Raises:
        StudioError: if that is damaged.
    """
    text = checkpoint.metadata.get(METADATA)
    if text is None:
        return NOT_QUANTIZED
    found = quantization_from_json(text, checkpoint.path.name)
    weights = {name: _completed(checkpoint, name, record) for name, record in found.weights.items()}
    return replace(found, weights=weights)


def quantization_of(source: ModelSource) -> Quantization:
    """What the file of a source says of its quantization; empty where there is no file or it says nothing.

    Raises:
        StudioError: if it cannot be read.
    """
    if source.kind != "file":
        return NOT_QUANTIZED
    try:
        with open_checkpoint(path_of(source)) as checkpoint:
            return read_quantization(checkpoint)
    except NeedsTrustError:
        # A program or a pickled module: no format of ours.
        return NOT_QUANTIZED


def _completed(checkpoint: Checkpoint, name: str, record: QuantizedWeight) -> QuantizedWeight:
    """The record with what a packed file keeps in its streams."""
    if record.scheme == "affine" and record.scale is None:
        grid = checkpoint.grid(name)
        if grid is not None:
            scale, zero_point = torch.from_numpy(grid.scale), torch.from_numpy(grid.zero_point)
            return replace(record, scale=scale, zero_point=zero_point)
    if record.scheme == "codebook" and record.book is None:
        values = np.unique(checkpoint.read(name))
        return replace(record, book=torch.from_numpy(values[values != 0]))
    return record
