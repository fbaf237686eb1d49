"""Predicted against measured loss while more and more weights go: the figures of Optimal Brain Damage.

Nothing is retrained here, and the network is as it was afterwards.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.measurement.accuracy import evaluate_batches
from core.steps import Loss
from core.training.losses import summed_loss

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DeletionPoint:
    """The mean loss with the `removed` lowest-ranked weights at zero.

    Attributes:
        predicted: the loss before any deletion plus the saliencies of what went.
        measured: the loss that the examples really give.
        accuracy: the fraction of them that is classified rightly.
    """

    removed: int
    predicted: float
    measured: float
    accuracy: float


def deletion_curve(
    module: nn.Module,
    saliencies: Mapping[str, Tensor],
    batches: Callable[[], Iterable[Batch]],
    counts: Sequence[int],
    *,
    ranking: Mapping[str, Tensor] | None = None,
    loss: Loss = "cross-entropy",
    check: Callable[[], None] | None = None,
) -> tuple[DeletionPoint, ...]:
    """What deleting the lowest-ranked weights of all layers together does to the loss.

    Args:
        module: on the batches' device.
        saliencies: of the weights, by parameter name, in their shapes: how much the loss is said to rise.
        batches: gives the same batches each time it is called.
        counts: how many weights go, one point for each; the order does not matter.
        ranking: scores of which the lowest go first, such as magnitudes; the saliencies where not given.
        check: called before each point; may raise to give up, and the network is still put back.
    """
    names = list(saliencies)
    foretold = torch.cat([saliencies[name].reshape(-1).double().cpu() for name in names])
    scores = (
        foretold if ranking is None else torch.cat([ranking[n].reshape(-1).double().cpu() for n in names])
    )
    order = scores.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), foretold[order].cumsum(0)])
    weights = [module.get_parameter(name) for name in names]
    originals = [weight.detach().clone() for weight in weights]
    ranks = [
        part.view(weight.shape).to(weight.device)
        for part, weight in zip(
            torch.split(rank, [weight.numel() for weight in weights]), weights, strict=True
        )
    ]
    device = weights[0].device
    total = summed_loss(loss)
    points = []
    try:
        before = evaluate_batches(module, batches(), device, total).loss
        for count in sorted(counts):
            if check is not None:
                check()
            with torch.no_grad():
                for weight, original, place in zip(weights, originals, ranks, strict=True):
                    weight.copy_(torch.where(place < count, 0.0, original))
            found = evaluate_batches(module, batches(), device, total)
            predicted = before + float(sums[min(count, len(order))])
            points.append(DeletionPoint(count, predicted, found.loss, found.correct / found.count))
    finally:
        with torch.no_grad():
            for weight, original in zip(weights, originals, strict=True):
                weight.copy_(original)
    return tuple(points)
