"""Bytes of the dense file, and how many elements are not zero; `core.export.packed_file` counts the packed file."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from core.export.safetensors_file import header_bytes


def dense_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Bytes of the safetensors file that holds these tensors, without writing it."""
    data = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return len(header_bytes(tensors, metadata)) + data


def count_nonzeros(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, int]:
    """Elements that are not exactly zero (NaN counts as not zero), by tensor name."""
    return {name: int(torch.count_nonzero(tensors[name])) for name in names}
