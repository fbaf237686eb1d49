"""What the loss would rise by without a weight, on a task's training examples: Optimal Brain Damage to look at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.catalog import TRAIN, check_fits, load_task
from core.data.spec import TaskSpec
from core.errors import StudioError
from core.measurement.activations import accepts
from core.models.opening import load_module
from core.models.source import ModelSource
from core.pruning.curvature import gauss_newton_diagonal

EXAMPLES = 256
MOST_CLASSES = 20
"""With more classes the curvature is estimated from one random column for each example instead of one a class."""

_BATCH = 64
_OUTPUTS_AT_ONCE = 1 << 24

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Saliencies:
    """½ · h · w² of every weight, h being the diagonal of the Gauss-Newton matrix of the mean cross-entropy.

    Attributes:
        values: float32 in the shape of the weight, by layer name.
        examples: how many training examples they were computed from.
        task: its title.
        sampled: whether h is a Monte-Carlo estimate.
    """

    values: Mapping[str, NDArray[np.float32]]
    examples: int
    task: str
    sampled: bool

    @property
    def protocol(self) -> str:
        """How they were obtained, for people."""
        estimate = " (estimated)" if self.sampled else ""
        return f"½ · h · w², h: Gauss-Newton diagonal{estimate} on {self.examples:,} training examples of {self.task}"


def saliencies_of(
    source: ModelSource,
    task: TaskSpec,
    examples: int = EXAMPLES,
    *,
    check: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> Saliencies:
    """Load a network of its own and training examples, and compute the saliency of every prunable weight.

    Args:
        examples: the first of an order that depends on nothing but the task.
        check: called between batches; may raise to give up.
        progress: told how many examples are done, of how many.

    Raises:
        StudioError: if the network is not known, the data are missing, or the two do not fit.
    """
    check = check or _never
    loaded = load_module(source, check=check)
    data = load_task(task, check, parts=frozenset({TRAIN}))
    split = data.train
    if split is None or len(split) == 0:
        raise StudioError(f"{data.title} has no training examples, which saliencies are computed from.")
    description = loaded.description
    check_fits(
        data,
        description.input_shape,
        description.num_classes,
        model=source.title,
        any_size=accepts(loaded.module, split.input_shape),
    )
    chosen = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:examples]
    outputs = sum(layer.shape[0] * (layer.positions or 1) for layer in description.layers)
    size = max(1, min(_BATCH, _OUTPUTS_AT_ONCE // max(1, outputs)))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        done = 0
        for indices in torch.split(chosen, size):
            check()
            yield split.batch(indices)
            done += len(indices)
            if progress is not None:
                progress(done, len(chosen))

    sampled = data.num_classes > MOST_CLASSES
    names = {layer.name: layer.weight_name for layer in description.layers}
    generator = torch.Generator().manual_seed(0) if sampled else None
    diagonal = gauss_newton_diagonal(loaded.module, names, batches(), "cross-entropy", generator)
    values = {
        layer: (0.5 * diagonal[layer] * loaded.module.get_parameter(weight).detach() ** 2).numpy()
        for layer, weight in names.items()
    }
    return Saliencies(values, len(chosen), data.title, sampled)


def _never() -> None:
    return None
