"""What a training step minimises: by default the loss on the labels; distillation puts its own in that place."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from core.data.split import Split
from core.training.loop import Batch

if TYPE_CHECKING:
    from core.data.batches import IndexedBatch
    from core.training.losses import LossFunction


class Objective:
    """The loss on the labels of the training split.

    Attributes:
        labelled: whether the examples have labels that mean something.
        parameters: what is trained beside the network, such as projections.
    """

    def __init__(self, loss: "LossFunction") -> None:
        self._loss = loss
        self.labelled = True
        self.parameters: list[nn.Parameter] = []

    @property
    def cost(self) -> float:
        """What an example costs beside training the network, in forward passes."""
        return 0.0

    def examples(self, train: Split) -> Split:
        """What is trained on, in place of the task's training split."""
        return train

    def begin(self) -> None:
        """Training is about to begin, or to go on; undone by `end`."""

    def end(self) -> None:
        """Training is over or interrupted."""

    def batches(self, batches: "Iterator[IndexedBatch]") -> Iterator[Batch]:
        """Batches for the loop, each made right before its own forward pass."""
        for _, inputs, labels in batches:
            yield inputs, labels

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch that was drawn last."""
        return self._loss(outputs, labels)

    def points(self) -> Sequence[tuple[str, str, float]]:
        """Split, metric and value of what is drawn at every look at the validation split besides the network's own."""
        return ()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of it."""
        return {}

    def take_up(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
