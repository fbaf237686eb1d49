"""What layers in the middle compute, and how those of two networks are made comparable."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.distillation.losses import attention_loss, hint_loss, relational_loss
from core.errors import StudioError
from core.models.layers import prunable_modules

Shape = tuple[int, ...]


class LayerOutputs:
    """Keeps the outputs of some layers of a network at its last forward pass.

    Args:
        module: whose layers they are, whatever is around it.
        names: paths of the layers.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._module = module
        self._names = tuple(dict.fromkeys(names))
        self._found: dict[str, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def begin(self) -> None:
        """Keep outputs from now on."""
        for name in self._names:
            self._handles.append(self._module.get_submodule(name).register_forward_hook(self._keeper(name)))

    def end(self) -> None:
        """Keep none any more, and forget those that there are."""
        while self._handles:
            self._handles.pop().remove()
        self._found.clear()

    def take(self) -> dict[str, Tensor]:
        """The outputs of the last forward pass by layer, which are then forgotten."""
        found, self._found = self._found, {}
        return found

    def _keeper(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            value = output[0] if isinstance(output, tuple) else output
            if isinstance(value, Tensor):
                # Comparisons compute in float32, whatever the network computed in.
                self._found[name] = value.float()

        return hook


def output_shapes(module: nn.Module, input_shape: Shape, device: torch.device) -> dict[str, Shape]:
    """The shape of what each submodule gives for one example, without the batch, in the order in which they run.

    Submodules that the example does not reach, or that give no tensor with a batch, are missing.
    """
    shapes: dict[str, Shape] = {}
    handles = []

    def keeper(name: str) -> Any:
        def hook(child: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            value = output[0] if isinstance(output, tuple) else output
            if isinstance(value, Tensor) and value.ndim >= 2 and value.shape[0] == 2:
                shapes.setdefault(name, tuple(value.shape[1:]))

        return hook

    modes = {child: child.training for child in module.modules()}
    for name, child in module.named_modules():
        if name:
            handles.append(child.register_forward_hook(keeper(name)))
    try:
        with torch.no_grad():
            module.eval()(torch.zeros((2, *input_shape), device=device))
    finally:
        for handle in handles:
            handle.remove()
        for child, training in modes.items():
            child.training = training
    return shapes


def words(shape: Shape) -> str:
    """A shape for people: `64 maps of 8×8`, `800 numbers`, `197 tokens of 768`."""
    if len(shape) == 3:
        return f"{shape[0]} maps of {shape[1]}×{shape[2]}"
    if len(shape) == 2:
        return f"{shape[0]} tokens of {shape[1]}"
    return f"{shape[0]} numbers"


@dataclass(frozen=True)
class LayerPair:
    """A layer of the student and the one of a teacher that it learns from, with the shapes of their outputs."""

    student: str
    teacher: str
    student_shape: Shape
    teacher_shape: Shape

    def problem(self, method: str) -> str | None:
        """Why the two cannot be compared by a method, as the end of a sentence; None if they can."""
        ours, theirs = self.student_shape, self.teacher_shape
        if method == "relational":
            return None
        if method == "attention":
            if len(ours) != 3 or len(theirs) != 3:
                return f"attention needs maps on both sides, not {words(ours)} and {words(theirs)}"
            return None
        if len(ours) != len(theirs):
            return f"{words(ours)} cannot be projected to {words(theirs)}"
        if len(ours) == 2 and ours[0] != theirs[0]:
            return f"{words(ours)} cannot be projected to {words(theirs)}: the numbers of tokens differ"
        return None

    def adaptation(self, method: str) -> str:
        """What is put between the two, in words; empty where they fit as they are."""
        ours, theirs = self.student_shape, self.teacher_shape
        parts = []
        if method != "relational" and len(ours) == 3 and ours[1:] != theirs[1:]:
            side = "teacher's" if _area(theirs) > _area(ours) else "student's"
            height, width = min(ours[1], theirs[1]), min(ours[2], theirs[2])
            parts.append(f"the {side} maps are averaged to {height}×{width}")
        if method == "hints" and _channels(ours) != _channels(theirs):
            kind = "1×1 convolution" if len(ours) == 3 else "linear layer"
            parts.append(f"a learned {kind} takes {_channels(ours)} to {_channels(theirs)} channels")
        return " and ".join(parts)


def pair_layers(
    method: str,
    pairs: Mapping[str, str],
    student: nn.Module,
    teacher: nn.Module,
    input_shape: Shape,
    device: torch.device,
    place: str,
    teacher_name: str,
) -> tuple[LayerPair, ...]:
    """The pairs with their shapes; chosen here where none are given.

    Raises:
        StudioError: for a name that is no layer, and for a pair that cannot be compared.
    """
    ours = output_shapes(student, input_shape, device)
    theirs = output_shapes(teacher, input_shape, device)
    if not pairs:
        pairs = {_usual(method, student, ours): _usual(method, teacher, theirs)}
    found = []
    for name, other in pairs.items():
        for which, layer, shapes in (("student", name, ours), (f"teacher {teacher_name}", other, theirs)):
            if layer not in shapes:
                raise StudioError(
                    f"{place}, field “pairs”: the {which} has no layer “{layer}”{_nearest(layer, shapes)}."
                )
        pair = LayerPair(name, other, ours[name], theirs[other])
        if (problem := pair.problem(method)) is not None:
            raise StudioError(
                f"{place}, field “pairs”: “{name}” of the student cannot learn from “{other}” of the teacher: "
                f"{problem}. Pair other layers."
            )
        found.append(pair)
    return tuple(found)


class Comparison(nn.Module):
    """The loss between paired layers of the student and one teacher, with the projections that it needs.

    Args:
        generator: draws the projections' initial values.
    """

    def __init__(self, method: str, pairs: Sequence[LayerPair], generator: torch.Generator) -> None:
        super().__init__()
        self.method = method
        self.pairs = tuple(pairs)
        self.projections = nn.ModuleList(_projection(method, pair, generator) for pair in pairs)

    def loss(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
        """The mean over the pairs."""
        losses = [
            self._pair_loss(student[pair.student], teacher[pair.teacher], projection)
            for pair, projection in zip(self.pairs, self.projections)
        ]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def _pair_loss(self, ours: Tensor, theirs: Tensor, projection: nn.Module) -> Tensor:
        if self.method == "relational":
            return relational_loss(_vectors(ours), _vectors(theirs))
        if ours.ndim == 4:
            size = (min(ours.shape[2], theirs.shape[2]), min(ours.shape[3], theirs.shape[3]))
            ours, theirs = _averaged(ours, size), _averaged(theirs, size)
        if self.method == "attention":
            return attention_loss(ours, theirs)
        return hint_loss(projection(ours), theirs)


def _projection(method: str, pair: LayerPair, generator: torch.Generator) -> nn.Module:
    ours, theirs = _channels(pair.student_shape), _channels(pair.teacher_shape)
    if method != "hints" or ours == theirs:
        return nn.Identity()
    layer: nn.Conv2d | nn.Linear
    # Allocated without values, so that torch's global generator is not touched.
    if len(pair.student_shape) == 3:
        layer = nn.utils.skip_init(nn.Conv2d, ours, theirs, 1, bias=False)  # type: ignore[no-untyped-call]
    else:
        layer = nn.utils.skip_init(nn.Linear, ours, theirs, bias=False)  # type: ignore[no-untyped-call]
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=generator)
    return layer


def _averaged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if tuple(maps.shape[2:]) == size else functional.adaptive_avg_pool2d(maps, size)


def _vectors(values: Tensor) -> Tensor:
    """[B, D]: maps are averaged over their positions, tokens over their number."""
    if values.ndim == 4:
        return values.mean((2, 3))
    return values.mean(1) if values.ndim == 3 else values


def _channels(shape: Shape) -> int:
    return shape[-1] if len(shape) == 2 else shape[0]


def _area(shape: Shape) -> int:
    return shape[1] * shape[2]


def _usual(method: str, module: nn.Module, shapes: Mapping[str, Shape]) -> str:
    """Which layer is compared where the user has not said."""
    layers = [name for name in prunable_modules(module) if name in shapes]
    hidden = layers[:-1] or layers
    if method == "relational":
        return hidden[-1]
    if method == "attention":
        return next((name for name in reversed(hidden) if len(shapes[name]) == 3), hidden[-1])
    return hidden[len(hidden) // 2]


def _nearest(name: str, names: Mapping[str, Shape]) -> str:
    near = difflib.get_close_matches(name, list(names), n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(f'“{each}”' for each in near)}?)" if near else ""
