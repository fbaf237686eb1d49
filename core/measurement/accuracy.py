"""Accuracy on a held-out split, with the interval that its number of examples allows."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.data.batches import evaluation_batches
from core.data.split import Split
from core.errors import StudioError
from core.measurement.keeping import answers_from
from core.measurement.predictions import Answers
from core.measurement.records import Accuracy
from core.training.losses import cross_entropy_sum

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """Counts on one split; `loss` is the mean over all examples (cross-entropy unless another was asked for).

    `answers` are those to each example, in the split's order, where they were to be kept.
    """

    correct: int
    count: int
    loss: float
    answers: Answers | None = None


def evaluate(
    module: nn.Module,
    split: Split,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
    batch_size: int = EVALUATION_BATCH,
    summed_loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy_sum,
    keep_answers: bool = False,
) -> Evaluation:
    """Top-1 hits and mean loss of `module` on `split`; leaves the module in evaluation mode.

    `on_batch` is called with the number of examples after each batch and may raise to give up; `summed_loss` maps
    outputs and labels to the sum over the batch.

    Raises:
        StudioError: if the split is empty or has labels beyond the model's outputs.
    """
    if len(split) == 0:
        raise StudioError(f"The {split.name} split is empty: there is nothing to measure accuracy on.")

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, labels in evaluation_batches(split, batch_size, device):
            yield inputs, labels
            if on_batch is not None:
                on_batch(labels.shape[0])

    return evaluate_batches(module, batches(), device, summed_loss, keep_answers)


def evaluate_batches(
    module: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    summed_loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy_sum,
    keep_answers: bool = False,
) -> Evaluation:
    """As `evaluate`, on any batches (at least one example) that lie on `device`."""
    module.eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    examples = 0
    kept: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for inputs, labels in batches:
            logits = module(inputs)
            loss += summed_loss(logits, labels)
            predicted = logits.argmax(1)
            correct += (predicted == labels).sum()
            examples += labels.shape[0]
            if keep_answers:
                probabilities = torch.softmax(logits.float(), 1)
                kept.append((predicted, probabilities.gather(1, predicted[:, None])[:, 0]))
    answers = None
    if kept:
        answers = answers_from(torch.cat([each[0] for each in kept]), torch.cat([each[1] for each in kept]))
    return Evaluation(int(correct), examples, float(loss) / examples, answers)


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
