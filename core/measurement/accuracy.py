"""Accuracy on a held-out split, with the interval that its number of examples allows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from core.data.batches import evaluation_batches
from core.data.split import Split
from core.errors import StudioError
from core.measurement.records import Accuracy

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Counts on one split; `loss` is the mean cross-entropy over all examples."""

    correct: int
    count: int
    loss: float


def evaluate(
    module: nn.Module,
    split: Split,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
    batch_size: int = EVALUATION_BATCH,
) -> Evaluation:
    """Top-1 hits and mean cross-entropy of `module` on `split`; leaves the module in evaluation mode.

    `on_batch` is called with the number of examples after each batch and may raise to give up.

    Raises:
        StudioError: if the split is empty or has labels beyond the model's outputs.
    """
    if len(split) == 0:
        raise StudioError(f"The {split.name} split is empty: there is nothing to measure accuracy on.")
    module.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    with torch.inference_mode():
        for inputs, labels in evaluation_batches(split, batch_size, device):
            logits = module(inputs)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
            if on_batch is not None:
                on_batch(labels.shape[0])
    return Evaluation(int(correct), len(split), float(loss) / len(split))


def wilson_interval(correct: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927), by default at 95 %.

    Unlike the normal approximation it stays in [0, 1] and is right near 0 and 1.
    """
    if count == 0:
        return (0.0, 1.0)
    share = correct / count
    denominator = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (max(0.0, centre - half), min(1.0, centre + half))


def accuracy_record(result: Evaluation, split: str, task: str) -> Accuracy:
    """The figure with its interval, its sample count and where it was measured."""
    low, high = wilson_interval(result.correct, result.count)
    return Accuracy(result.correct, result.count, low, high, result.loss, split, task)
