"""The examples that quantization may look at, and what they show of a network's activations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import StudioError
from core.job import JobContext
from core.quantization.ranges import Observer
from core.quantization.record import LayerActivations
from core.quantization.settings import GridSettings
from core.run_state import RunState

BATCH = 64


class Calibration:
    """So many examples of the training split (of validation where there is none); the same ones each time.

    Raises:
        StudioError: without a task, or where it has neither.
    """

    def __init__(
        self, examples: int, state: RunState, context: JobContext, title: str, passes: float = 1.0
    ) -> None:
        task = state.task
        if task is None:
            raise StudioError(
                f"{state.place} needs calibration examples: choose a task, such as “digits” or an image folder."
            )
        split = next((each for each in (task.train, task.validation) if each is not None and len(each)), None)
        if split is None:
            raise StudioError(
                f"{task.title} has neither training nor validation examples, which {state.place} needs to calibrate: "
                "use a task with a training part; the test split is for judging alone."
            )
        generator = torch.Generator().manual_seed(state.step_seed())
        self._split = split
        self._chosen = torch.randperm(len(split), generator=generator)[:examples]
        self._state = state
        self._context = context
        self._title = title

    def __len__(self) -> int:
        return len(self._chosen)

    def batches(self, activity: str = "calibration", cost: float = 1.0) -> Iterator[Tensor]:
        """Inputs float32 [B, C, H, W]; looks for a cancel between them and reports work."""
        for indices in torch.split(self._chosen, BATCH):
            self._context.checkpoint()
            yield self._split.batch(indices, self._state.device)[0]
            self._context.advance(cost * len(indices), f"{self._title}: {activity}")


def observe(
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    calibration: Calibration,
    *,
    histograms: bool,
) -> dict[str, tuple[Observer, Observer]]:
    """What goes into and comes out of each layer over the calibration examples.

    Raises:
        StudioError: if an activation is NaN or infinite.
    """
    observers = {name: (Observer(), Observer()) for name in layers}

    def see(name: str, method: str) -> Callable[..., None]:
        def hook(_: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            for side, values in zip(observers[name], (arguments, output)):
                for each in values if isinstance(values, tuple) else (values,):
                    if isinstance(each, Tensor) and each.is_floating_point():
                        getattr(side, method)(each)

        return hook

    for method in ("see_ends", "see_values") if histograms else ("see_ends",):
        with (
            hooked({name: (layer, see(name, method)) for name, layer in layers.items()}),
            torch.inference_mode(),
        ):
            for inputs in calibration.batches():
                module(inputs)
        for name, sides in observers.items():
            if not all(side.finite for side in sides):
                raise StudioError(
                    f"The activations of “{name}” are NaN or infinite on the calibration examples: use an earlier "
                    "checkpoint, or check the task's normalisation."
                )
    return observers


def activations_of(
    observers: Mapping[str, tuple[Observer, Observer]], settings: GridSettings
) -> dict[str, LayerActivations]:
    """Ranges as the settings want them."""
    how, bits = settings.activation_ranges, settings.activation_bits
    found = {}
    for name, sides in observers.items():
        ranges = [
            side.range(how, bits, settings.symmetric_activations, settings.percentile) for side in sides
        ]
        found[name] = LayerActivations(*ranges)
    return found


@contextmanager
def hooked(hooks: Mapping[str, tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Forward hooks on layers for a while."""
    handles = [layer.register_forward_hook(hook) for layer, hook in hooks.values()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
