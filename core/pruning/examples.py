"""The training examples that a criterion looks at: drawn once, in a fixed order, never from validation or test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.split import Split
from core.errors import StudioError
from core.job import JobContext
from core.run_state import RunState

Batch = tuple[Tensor, Tensor]
MOST_EXAMPLES = 1024
ACTIVATIONS_AT_ONCE = 1 << 26
"""So many outputs of layers (256 MB) may one batch have: what a network keeps for its gradients is a few times that."""


@dataclass(frozen=True)
class CriterionExamples:
    """So many examples of a split, in batches. Iterating gives the same examples each time.

    Attributes:
        on_batch: called after each batch with its number of examples; may raise to give up.
        batch_size: as many as fit into memory with this network.
    """

    split: Split
    chosen: Tensor
    device: torch.device
    on_batch: Callable[[int], None]
    batch_size: int

    def __len__(self) -> int:
        return len(self.chosen)

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """Inputs float32 [B, C, H, W] and labels int64 [B], without augmentation."""
        for indices in torch.split(self.chosen, size or self.batch_size):
            yield self.split.batch(indices, self.device)
            self.on_batch(len(indices))


def draw_examples(
    state: RunState,
    context: JobContext,
    *,
    examples: int,
    wanting: str,
    instead: str,
    title: str,
    cost: float,
) -> CriterionExamples:
    """The examples that a step of pruning may look at.

    Args:
        examples: how many, if there are as many.
        wanting: what needs them, for messages: `criterion “obd”`.
        instead: what needs none: `criterion “magnitude”`.
        title: for the progress bar.
        cost: work for one example in forward passes, for the progress bar.

    Raises:
        StudioError: without a task, and where the task has no training examples.
    """
    if state.task is None:
        raise StudioError(
            f"{state.place} ranks by the {wanting}, which needs data: choose a task, such as “digits”, or the "
            f"{instead}."
        )
    train = state.task.train
    if train is None or len(train) == 0:
        raise StudioError(
            f"{state.task.title} has no training examples, which the {wanting} of {state.place} needs: use a task "
            f"with a training part, or the {instead}."
        )
    generator = torch.Generator().manual_seed(state.step_seed())
    chosen = torch.randperm(len(train), generator=generator)[:examples]

    def seen(count: int) -> None:
        context.checkpoint()
        context.advance(cost * count, title)

    outputs = sum(layer.shape[0] * (layer.positions or 1) for layer in state.description.layers)
    fitting = max(1, min(MOST_EXAMPLES, ACTIVATIONS_AT_ONCE // max(1, outputs)))
    return CriterionExamples(train, chosen, state.device, seen, fitting)
