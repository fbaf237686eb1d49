"""The one training loop: batches in, updates out. Everything else is done by whoever listens."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


class RunningSums:
    """Loss × examples, correct and seen examples, added up on the device so that no update waits for a number."""

    def __init__(self, device: torch.device, start: Tensor | None = None) -> None:
        self.tensor = torch.zeros(3, dtype=torch.float64, device=device)
        if start is not None:
            self.tensor.copy_(start)
        self._seen = 0.0 if start is None else float(start[2])
        self._loss = self.tensor[0]
        self._correct = self.tensor[1]

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch. `loss` is its mean."""
        count = labels.shape[0]
        self._loss.add_(loss, alpha=count)
        self._correct.add_((logits.argmax(1) == labels).sum())
        self._seen += count

    def snapshot(self) -> Tensor:
        """The sums as a CPU tensor of three numbers."""
        sums = self.tensor.detach().cpu().clone()
        sums[2] = self._seen
        return sums

    def take(self) -> tuple[float, float]:
        """Mean loss and accuracy since the last call, and start over."""
        sums = self.snapshot()
        self.tensor.zero_()
        self._seen = 0.0
        seen = max(float(sums[2]), 1.0)
        return float(sums[0]) / seen, float(sums[1]) / seen


def train_batches(
    module: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    *,
    before_update: Callable[[], None],
    after_update: Callable[[Tensor, Tensor, Tensor], None],
) -> None:
    """One update per batch.

    Args:
        module: in training mode, on the batches' device; maps [B, …] to logits [B, classes].
        batches: pairs of inputs [B, …] and labels [B].
        loss_function: `(logits, labels)` to a scalar.
        before_update: called before each batch; may raise to end the loop between updates.
        after_update: called with (loss, logits, labels) after each update, detached.
    """
    for inputs, labels in batches:
        before_update()
        logits = module(inputs)
        loss = loss_function(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after_update(loss.detach(), logits.detach(), labels)
