"""Teachers: models that are only asked, loaded as any model is opened, or taken from the run itself."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.data.batches import evaluation_batches
from core.data.split import Split
from core.distillation.settings import SELF, SOURCE, DistillSettings
from core.errors import StudioError
from core.models.description import ModelDescription
from core.models.opening import load_module
from core.models.source import ModelSource, parse_source
from core.quantization.record import Quantization
from core.quantization.simulate import simulated
from core.quantization.stored import quantization_of
from core.run_state import RunState

FORWARD_BATCH = 256


@dataclass(frozen=True, eq=False)
class Teacher:
    """One model to learn from.

    Attributes:
        name: for people.
        module: whose layers are looked at; in evaluation mode, without gradients.
        network: what is to be asked; the module itself unless its activations are quantized.
        description: of the model that it is.
        quantization: of the module.
    """

    name: str
    module: nn.Module
    network: nn.Module
    description: ModelDescription
    quantization: Quantization

    def logits(self, inputs: Tensor, forward: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Outputs [B, classes] for inputs [B, C, H, W], without gradients; by `forward` in place of the network."""
        with torch.no_grad():
            return (forward or self.network)(inputs)

    def fingerprint(self) -> str:
        """A digest of the weights and of how they are quantized."""
        digest = hashlib.sha256(self.quantization.to_json().encode() if self.quantization else b"")
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def load_teachers(
    settings: DistillSettings, state: RunState, check: Callable[[], None] | None = None
) -> tuple[Teacher, ...]:
    """The teachers of a step, on the run's device.

    Raises:
        StudioError: if one cannot be opened, or does not fit the task (`require_fit`).
    """
    teachers = tuple(load_teacher(text, state, check) for text in settings.teachers)
    for teacher in teachers:
        require_fit(teacher, state)
    return teachers


def require_fit(teacher: Teacher, state: RunState) -> None:
    """Check that a teacher computes on the run's images and tells its classes apart.

    Raises:
        StudioError: naming sizes or numbers of classes that differ.
    """
    task = state.require_task()
    shape = task.input_shape
    expected = teacher.description.input_shape
    try:
        outputs = teacher.logits(torch.zeros((1, *shape), device=state.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        wants = f" expects images of {_size(expected)}" if expected else " cannot compute on such images"
        raise StudioError(
            f"The teacher {teacher.name}{wants}, but {task.title} has {_size(shape)}, as the student takes them: "
            "choose a teacher for images of that size, or set the task's image size.",
            details=str(error),
        ) from error
    classes = outputs.shape[-1] if outputs.ndim == 2 else None
    if classes != task.num_classes:
        raise StudioError(
            f"The teacher {teacher.name} tells {classes} classes apart, but {task.title} has {task.num_classes}, as "
            "the student: choose a teacher that was trained for the same classes."
        )


def outputs_on(
    network: nn.Module, split: Split, device: torch.device, on_batch: Callable[[int], None]
) -> Tensor:
    """Outputs for all examples of a split, float32 [N, classes] on the CPU; leaves the network in evaluation mode."""
    network.eval()
    found = []
    with torch.inference_mode():
        for inputs, labels in evaluation_batches(split, FORWARD_BATCH, device):
            found.append(network(inputs).float().cpu())
            on_batch(labels.shape[0])
    return torch.cat(found)


def load_teacher(text: str, state: RunState, check: Callable[[], None] | None = None) -> Teacher:
    """One teacher, as the settings name it, on the run's device.

    Raises:
        StudioError: if it cannot be opened.
    """
    if text == SELF:
        module = copy.deepcopy(state.module)
        quantization = state.quantization
        return _teacher("the model itself", module, state.description, quantization)
    source = state.request.source if text == SOURCE else _parsed(text)
    loaded = load_module(source, seed=state.request.seed, check=check)
    quantization = quantization_of(source).to(state.device)
    module = loaded.module.to(state.device)
    name = f"{source.title} (the source)" if text == SOURCE else source.title
    return _teacher(name, module, loaded.description, quantization)


def _parsed(text: str) -> ModelSource:
    try:
        return parse_source(text)
    except StudioError as error:
        raise StudioError(
            f"The teacher {text} does not exist: give “source”, “self”, a model file, zoo:NAME or torchvision:NAME."
        ) from error


def _teacher(
    name: str, module: nn.Module, description: ModelDescription, quantization: Quantization
) -> Teacher:
    module.eval().requires_grad_(False)
    network = simulated(module, quantization)
    network.eval()
    return Teacher(name, module, network, description, quantization)


def _size(shape: tuple[int, ...]) -> str:
    if len(shape) != 3:
        return "×".join(map(str, shape))
    return f"{shape[1]} × {shape[2]} pixels with {shape[0]} {'channel' if shape[0] == 1 else 'channels'}"
