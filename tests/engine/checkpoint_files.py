"""Files that tests of the readers start from, made by the libraries that users make theirs with."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from core.models.checkpoint import Checkpoint

FORMATS = ("safetensors", "zip", "legacy")


def save(path: Path, state: dict[str, Any], file_format: str) -> Path:
    """Write a state dict in one of the formats that the readers know."""
    if file_format == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=file_format == "zip")
    return path


def small_state() -> dict[str, torch.Tensor]:
    """A few tensors of several types, small enough that every byte of their files can be tried."""
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(2, 3, 3, 3, generator=generator),
        "conv.bias": torch.randn(2, generator=generator),
        "bn.running_var": torch.rand(2, generator=generator, dtype=torch.float64),
        "bn.num_batches_tracked": torch.tensor(7),
        "mask": torch.tensor([True, False, True]),
        "half": torch.randn(4, generator=generator).to(torch.bfloat16),
    }


def as_numpy(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """What a reader should give for a tensor: bf16 and fp8 as float32."""
    if tensor.dtype == torch.bfloat16 or "float8" in str(tensor.dtype):
        tensor = tensor.to(torch.float32)
    return tensor.detach().numpy()


def read_all(checkpoint: Checkpoint) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a file."""
    return {name: checkpoint.read(name) for name in checkpoint.tensors}


class Bomb:
    """A pickle of this creates a file when it is executed."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


def pickled_by_hand(value: Any, path: Path) -> Path:
    """A plain pickle, as `pickle.dump` writes it."""
    path.write_bytes(pickle.dumps(value, protocol=2))
    return path


def zip_of(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip archive with these members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def ordered(state: dict[str, Any]) -> "OrderedDict[str, Any]":
    """The same entries as training scripts save them."""
    return OrderedDict(state)
