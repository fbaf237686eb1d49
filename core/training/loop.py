"""The one training loop: batches in, updates out. Everything else is done by whoever listens."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


class RunningSums:
    """Loss × examples, correct and seen examples since the last point of a curve.

    Batches are only put aside and counted together now and then: an update then neither waits for a number from the
    device nor pays for counting hits (about a tenth of an update of a small network).
    """

    PUT_ASIDE = 32

    def __init__(self, start: Tensor | None = None) -> None:
        sums: list[float] = [0.0, 0.0, 0.0] if start is None else start.tolist()
        self._loss, self._correct, self._seen = sums
        self._batches: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch. `loss` is its mean."""
        self._batches.append((loss, logits, labels))
        if len(self._batches) >= self.PUT_ASIDE:
            self._count()

    def snapshot(self) -> Tensor:
        """The sums as a float64 CPU tensor of three numbers."""
        self._count()
        return torch.tensor([self._loss, self._correct, self._seen], dtype=torch.float64)

    def take(self) -> tuple[float, float]:
        """Mean loss and accuracy since the last call, and start over."""
        self._count()
        seen = max(self._seen, 1.0)
        means = self._loss / seen, self._correct / seen
        self._loss = self._correct = self._seen = 0.0
        return means

    def _count(self) -> None:
        if not self._batches:
            return
        losses, logits, labels = zip(*self._batches)
        self._batches.clear()
        self._correct += float((torch.cat(logits).argmax(1) == torch.cat(labels)).sum())
        # One after the other: the sum must not depend on how often a checkpoint made us count.
        for loss, batch in zip(torch.stack(losses).tolist(), labels):
            self._loss += loss * len(batch)
            self._seen += len(batch)


def train_batches(
    forward: Callable[[Tensor], Tensor],
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    loss_function: Callable[[Tensor, Tensor], Tensor],
    *,
    before_update: Callable[[], None],
    after_update: Callable[[Tensor, Tensor, Tensor], None],
) -> None:
    """One update per batch.

    Args:
        forward: a module in training mode, on the batches' device, or what calls it; maps [B, …] to logits
            [B, classes].
        batches: pairs of inputs [B, …] and labels [B].
        loss_function: `(logits, labels)` to a scalar.
        before_update: called before each batch; may raise to end the loop between updates.
        after_update: called with (loss, logits, labels) after each update, detached.
    """
    for inputs, labels in batches:
        before_update()
        logits = forward(inputs)
        loss = loss_function(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after_update(loss.detach(), logits.detach(), labels)
