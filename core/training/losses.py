"""The losses that training, judging and saliencies agree on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.steps import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits [B, C] for labels [B], summed over the batch."""
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over batch and outputs of (output − target)², target +1 for the class and −1 for the others."""
    return nn.functional.mse_loss(outputs, one_against_rest(outputs, labels))


def squared_error_sum(outputs: Tensor, labels: Tensor) -> Tensor:
    """As `squared_error`, summed over the batch (and still the mean over outputs)."""
    return squared_error(outputs, labels) * labels.shape[0]


def one_against_rest(outputs: Tensor, labels: Tensor) -> Tensor:
    """Targets in the shape of outputs [B, C]: +1 at the label, −1 elsewhere."""
    targets = torch.full_like(outputs, -1.0)
    return targets.scatter_(1, labels.unsqueeze(1), 1.0)


def mean_loss(name: Loss) -> LossFunction:
    """`(outputs, labels)` to the mean over the batch."""
    return nn.functional.cross_entropy if name == "cross-entropy" else squared_error


def summed_loss(name: Loss) -> LossFunction:
    """`(outputs, labels)` to the sum over the batch."""
    return cross_entropy_sum if name == "cross-entropy" else squared_error_sum
