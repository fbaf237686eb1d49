"""Which modules of a network can be pruned or quantized, and what they cost for one example."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.models.description import Layer, ModelDescription
from core.models.source import ModelSource

KINDS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Conv1d, "conv1d"),
    (nn.Conv2d, "conv2d"),
    (nn.Conv3d, "conv3d"),
    (nn.ConvTranspose1d, "conv_transpose1d"),
    (nn.ConvTranspose2d, "conv_transpose2d"),
    (nn.ConvTranspose3d, "conv_transpose3d"),
    (nn.Linear, "linear"),
    (nn.Embedding, "embedding"),
    (nn.MultiheadAttention, "attention"),
)
DTYPE_WORDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int8: "I8",
    torch.uint8: "U8",
}


def kind_of(module: nn.Module) -> str | None:
    """The layer kind of a module (see `Layer.kind`), or None if it is no prunable layer."""
    for kind, word in KINDS:
        if isinstance(module, kind):
            if word == "attention" and getattr(module, "in_proj_weight", None) is None:
                return None
            return word
    return None


def weight_attribute(module: nn.Module) -> str:
    """The name of the weight within a prunable module: "weight", or "in_proj_weight" for attention."""
    return "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"


def weight_of(module: nn.Module) -> nn.Parameter:
    """The weight of a prunable module, in the layer's shape."""
    weight: nn.Parameter = getattr(module, weight_attribute(module))
    return weight


def prunable_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Convolutions, linear layers, embeddings and attention projections by path, in the order of the model.

    A weight that several modules share is listed once, under its first name.
    """
    found: dict[str, nn.Module] = {}
    weights: set[int] = set()
    for name, child in module.named_modules():
        if kind_of(child) is not None and id(weight_of(child)) not in weights:
            weights.add(id(weight_of(child)))
            found[name] = child
    return found


def describe_module(
    module: nn.Module,
    source: ModelSource,
    *,
    architecture: str | None,
    architecture_title: str,
    input_shape: tuple[int, ...] | None,
    num_classes: int | None = None,
    file_bytes: int | None = None,
    sha256: str | None = None,
    notes: Sequence[str] = (),
    recorded_accuracy: float | None = None,
) -> ModelDescription:
    """Layers and totals of a module.

    Positions are found by running one example of `input_shape` (C, H, W); where there is none, or the module cannot run
    it, they are None. The module is left as it was.
    """
    positions = weight_positions(module, input_shape) if input_shape is not None else {}
    layers = []
    for name, child in prunable_modules(module).items():
        weight = weight_of(child)
        bias = getattr(child, "in_proj_bias" if isinstance(child, nn.MultiheadAttention) else "bias", None)
        attribute = weight_attribute(child)
        layers.append(
            Layer(
                name=name,
                kind=kind_of(child) or "",
                weight_name=f"{name}.{attribute}" if name else attribute,
                shape=tuple(weight.shape),
                bias_count=0 if bias is None else bias.numel(),
                positions=positions.get(name),
                dtype=DTYPE_WORDS.get(weight.dtype, str(weight.dtype).removeprefix("torch.")),
            )
        )
    return ModelDescription(
        source=source,
        architecture=architecture,
        architecture_title=architecture_title,
        layers=tuple(layers),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        input_shape=input_shape,
        num_classes=num_classes,
        file_bytes=file_bytes,
        sha256=sha256,
        notes=tuple(notes),
        recorded_accuracy=recorded_accuracy,
    )


def without_positions(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The same layers for an input of unknown size."""
    return tuple(replace(layer, positions=None) for layer in layers)


def weight_positions(module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    """How often each weight is used for one example of `input_shape`, by layer name.

    One example runs in evaluation mode on torch's meta device, where nothing is computed; a network that needs real
    numbers runs on zeros instead. Layers that the example does not reach are missing.
    """
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for device in ("meta", "real"):
        tensors = {name: tensor.to("meta") for name, tensor in state.items()} if device == "meta" else state
        first = next(iter(state.values()), None)
        example = torch.zeros(
            1,
            *input_shape,
            device="meta" if device == "meta" or first is None else first.device,
            dtype=torch.float32 if first is None or not first.is_floating_point() else first.dtype,
        )
        try:
            return _positions(module, tensors, example)
        except Exception:
            # Whatever a network of unknown make raises, its cost is simply not known.
            continue
    return {}


def _positions(module: nn.Module, tensors: dict[str, Tensor], example: Tensor) -> dict[str, int]:
    layers = prunable_modules(module)
    names = {}
    for name, child in layers.items():
        attribute = f"{name}.{weight_attribute(child)}" if name else weight_attribute(child)
        names[id(tensors[attribute])] = name
    counter = _UseCounter(names)
    hooks = [
        child.register_forward_hook(counter.attention(name, layers), with_kwargs=True)
        for name, child in layers.items()
        if isinstance(child, nn.MultiheadAttention)
    ]
    try:
        with _evaluating(module), torch.no_grad(), counter:
            torch.func.functional_call(module, tensors, (example,))
    finally:
        for hook in hooks:
            hook.remove()
    return counter.positions


class _UseCounter(TorchFunctionMode):
    """Counts uses of weights at the functions that use them.

    Hooks on modules would miss Swin, which hands its weights to `F.linear` without calling a module.
    """

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self._names = names
        self.positions: dict[str, int] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in (*args, *(kwargs or {}).values()):
            name = self._names.get(id(value)) if isinstance(value, Tensor) else None
            if name is not None and isinstance(result, Tensor):
                self._count(name, function, value, args, result)
        return result

    def _count(self, name: str, function: Any, weight: Tensor, args: tuple[Any, ...], result: Tensor) -> None:
        called = getattr(function, "__name__", "")
        if called == "linear":
            uses = result.numel() // max(1, weight.shape[0])
        elif called.startswith("conv_transpose"):
            # There each weight meets each position of the input.
            uses = args[0].shape[2:].numel()
        elif called.startswith("conv"):
            uses = result.shape[2:].numel()
        elif called == "embedding":
            # A look-up multiplies nothing.
            uses = 0
        else:
            return
        self.positions[name] = self.positions.get(name, 0) + uses

    def attention(self, name: str, layers: dict[str, nn.Module]) -> Any:
        """A hook for `nn.MultiheadAttention`, whose projections run inside one fused function."""
        output = f"{name}.out_proj" if name else "out_proj"

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            query = args[0] if args else kwargs["query"]
            tokens = query.numel() // query.shape[-1]
            for used in (name, output):
                if used in layers:
                    self.positions[used] = self.positions.get(used, 0) + tokens

        return hook


@contextmanager
def _evaluating(module: nn.Module) -> Any:
    """Evaluation mode for a while; each module then gets back the mode it had."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, training in modes.items():
            child.training = training
