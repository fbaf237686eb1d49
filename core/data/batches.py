"""Batches straight from memory: one index_select each, no worker processes, no per-example code.

Every random choice is drawn from the generator that the caller gives, on the CPU and in a fixed order (the
permutation of the epoch, then per batch: vertical shifts, horizontal shifts, flips), so that a seed means the
same batches on every device.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from core.data.split import Split

Augmentation = Literal["none", "shift", "shift-and-flip"]
Batch = tuple[Tensor, Tensor]
IndexedBatch = tuple[Tensor, Tensor, Tensor]

SHIFT_FRACTION = 8
"""Images are shifted by up to a `SHIFT_FRACTION`-th of their size: 4 of 32 pixels, as in He et al. 2015."""


def training_batches(
    split: Split,
    batch_size: int,
    generator: torch.Generator,
    augmentation: str = "none",
    device: torch.device | str = "cpu",
    reach: int | None = None,
) -> Iterator[Batch]:
    """One epoch in an order drawn from `generator` (of the CPU); the last batch may be smaller.

    Args:
        augmentation: "none", "shift" (random shift, black where nothing was) or "shift-and-flip" (and
            mirrored left to right half of the time).
        reach: the farthest shift in pixels; None: an eighth of the size.

    Yields:
        (x, y): normalised float32 [B, C, H, W] and int64 [B], on `device`.

    Raises:
        ValueError: for an unknown augmentation.
    """
    for _, x, y in indexed_batches(split, batch_size, generator, augmentation, device, reach):
        yield x, y


def indexed_batches(
    split: Split,
    batch_size: int,
    generator: torch.Generator,
    augmentation: str = "none",
    device: torch.device | str = "cpu",
    reach: int | None = None,
) -> Iterator[IndexedBatch]:
    """As `training_batches`, each batch with the places of its examples in the split, int64 [B] on `device`."""
    if augmentation not in ("none", "shift", "shift-and-flip"):
        raise ValueError(f"unknown augmentation {augmentation!r}")
    device = torch.device(device)
    order = torch.randperm(len(split), generator=generator).to(device)
    black = split.black(device)
    for indices in torch.split(order, batch_size):
        x, y = split.batch(indices, device)
        if augmentation != "none":
            x = augmented(x, black, generator, flip=augmentation == "shift-and-flip", reach=reach)
        yield indices, x, y


def evaluation_batches(split: Split, batch_size: int, device: torch.device | str = "cpu") -> Iterator[Batch]:
    """All examples in their own order. The batches may be views of the split's memory: do not change them.

    Yields:
        (x, y): normalised float32 [B, C, H, W] and int64 [B], on `device`.
    """
    device = torch.device(device)
    everything = split.normalised(device)
    for start in range(0, len(split), batch_size):
        stop = min(start + batch_size, len(split))
        if everything is not None:
            yield everything[start:stop], split.labels_on(device)[start:stop]
        else:
            yield split.batch(torch.arange(start, stop), device)


def augmented(
    x: Tensor, black: Tensor, generator: torch.Generator, flip: bool, reach: int | None = None
) -> Tensor:
    """Each image of a batch shifted by its own random distance, and mirrored at random if `flip`.

    Args:
        x: float32 [B, C, H, W].
        black: the value that fills what a shift uncovers, [C, 1, 1].
        generator: of the CPU; draws B vertical shifts, B horizontal shifts and, if `flip`, B coins.
        reach: the farthest shift in pixels, at most the image's size; None: an eighth of it.

    Returns:
        float32 [B, C, H, W].
    """
    count, channels, height, width = x.shape
    reach_y = max(1, height // SHIFT_FRACTION) if reach is None else min(reach, height)
    reach_x = max(1, width // SHIFT_FRACTION) if reach is None else min(reach, width)
    top = torch.randint(0, 2 * reach_y + 1, (count,), generator=generator).to(x.device)
    left = torch.randint(0, 2 * reach_x + 1, (count,), generator=generator).to(x.device)
    padded = black.expand(count, channels, height + 2 * reach_y, width + 2 * reach_x).contiguous()
    padded[:, :, reach_y : reach_y + height, reach_x : reach_x + width] = x
    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    if flip:
        mirrored = torch.randint(0, 2, (count, 1), generator=generator).to(x.device).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    # One flat gather: much faster than advanced indexing over a strided view.
    positions = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    flat = positions.view(count, 1, -1).expand(-1, channels, -1)
    return padded.view(count, channels, -1).gather(2, flat).view(x.shape)
