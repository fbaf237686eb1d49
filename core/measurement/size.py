"""Bytes: of the safetensors file, and of the same tensors packed without their zeros."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from core.export.safetensors_file import header_bytes

PACKING = "sparse-packed: 1 bit per weight + the non-zeros"
"""The encoding whose bytes are counted: per tensor a bitmask and the non-zero values in their dtype; a tensor that
would grow stays dense."""


def dense_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Bytes of the safetensors file that holds these tensors, without writing it."""
    data = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return len(header_bytes(tensors, metadata)) + data


def packed_bytes(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], nonzeros: Mapping[str, int]
) -> int:
    """Bytes of the encoding `PACKING`: the same header, then each tensor dense or packed, whichever is smaller.

    `nonzeros` gives the non-zero elements of those tensors that are worth packing.
    """
    total = len(header_bytes(tensors, metadata))
    for name, tensor in tensors.items():
        dense = tensor.numel() * tensor.element_size()
        if name in nonzeros:
            dense = min(dense, (tensor.numel() + 7) // 8 + nonzeros[name] * tensor.element_size())
        total += dense
    return total


def count_nonzeros(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, int]:
    """Elements that are not exactly zero (NaN counts as not zero), by tensor name."""
    return {name: int(torch.count_nonzero(tensors[name])) for name in names}
