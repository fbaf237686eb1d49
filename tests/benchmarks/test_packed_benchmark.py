"""Packing resnet18 with 90 % zeros beside numpy's compressed archive: bytes, and time to write and to read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from core.export.packed_file import packed_size, save_packed
from core.measurement.size import dense_bytes
from core.models.checkpoint import open_checkpoint


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    for tensor in state.values():
        if tensor.dim() > 1:
            threshold = tensor.abs().flatten().kthvalue(round(0.9 * tensor.numel())).values
            tensor[tensor.abs() <= threshold] = 0
    return state


def test_writing(
    tensors: dict[str, torch.Tensor],
    tmp_path: Path,
    against: Callable[..., float],
    say: Callable[[str], None],
) -> None:
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    ours, theirs = tmp_path / "m.packed", tmp_path / "m.npz"
    ratio = against(
        "write resnet18, 90 % zeros, packed and read back",
        lambda: save_packed(tensors, ours, {}),
        "savez_compressed",
        lambda: np.savez_compressed(theirs, **arrays),
        rounds=5,
    )
    dense = dense_bytes(tensors, {})
    sizes = ours.stat().st_size, theirs.stat().st_size
    say(
        f"resnet18, 90 % zeros: packed {sizes[0]:,} bytes ({dense / sizes[0]:.1f}× smaller than dense), "
        f"npz {sizes[1]:,} ({dense / sizes[1]:.1f}×)"
    )
    assert packed_size(tensors, {}) == sizes[0]
    assert sizes[0] < 0.75 * sizes[1]
    assert ratio < 3


def test_reading(tensors: dict[str, torch.Tensor], tmp_path: Path, against: Callable[..., float]) -> None:
    ours, theirs = tmp_path / "m.packed", tmp_path / "m.npz"
    save_packed(tensors, ours, {})
    np.savez_compressed(theirs, **{name: tensor.numpy() for name, tensor in tensors.items()})

    def read_ours() -> None:
        with open_checkpoint(ours) as checkpoint:
            for name in checkpoint.tensors:
                checkpoint.read(name)

    def read_theirs() -> None:
        with np.load(theirs) as archive:
            for name in archive.files:
                archive[name]

    assert against("read it", read_ours, "np.load", read_theirs, rounds=5) < 1
