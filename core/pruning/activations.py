"""What flows into and out of layers: caught by hooks while a batch runs, for criteria that need it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle


class ActivationTape:
    """Inputs and outputs of linear layers and convolutions while one batch runs, for differentiation by the outputs."""

    def __init__(self, module: nn.Module, weight_names: Mapping[str, str]) -> None:
        self._module = module
        self._layers = {name: module.get_submodule(name) for name in weight_names}
        self._weight_names = weight_names
        self._calls = dict.fromkeys(weight_names, 0)
        self._versions: dict[str, int] = {}
        self._outputs: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}

    def run(self, inputs: Tensor) -> Tensor | None:
        """The network's outputs [B, C], with gradients; None if a layer is of another kind or not used exactly once."""
        if not all(self._is_simple(name) for name in self._layers):
            return None
        handles = [layer.register_forward_hook(self._note(name)) for name, layer in self._layers.items()]
        try:
            outputs: Tensor = self._module(inputs)
        finally:
            for handle in handles:
                handle.remove()
        once = all(calls == 1 for calls in self._calls.values())
        # A layer whose input is overwritten later on was not seen as it was.
        whole = once and all(self.inputs[name]._version == at for name, at in self._versions.items())
        return outputs if whole else None

    def outputs(self) -> list[Tensor]:
        """The outputs of all layers in their order."""
        return [self._outputs[name] for name in self._layers]

    def is_plain(self, name: str) -> bool:
        """Whether a layer is linear on one vector for each example."""
        return isinstance(self._layers[name], nn.Linear) and self.inputs[name].ndim == 2

    def _is_simple(self, name: str) -> bool:
        layer = self._layers[name]
        if type(layer) not in (nn.Linear, nn.Conv2d) or not self._weight_names[name].endswith("weight"):
            return False
        weight = layer.get_parameter("weight")
        shared = sum(other is weight for _, other in self._module.named_parameters(remove_duplicate=False))
        return shared == 1

    def _note(self, name: str) -> Callable[[nn.Module, Any, Any], Tensor]:
        def hook(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self._calls[name] += 1
            # Detached tensors share their version counter, so that later changes in place show.
            self.inputs[name] = arguments[0].detach()
            self._versions[name] = arguments[0]._version
            if not output.requires_grad:
                output.requires_grad_()
            self._outputs[name] = output
            # A copy goes on, because what follows may overwrite it in place.
            return output.clone()

        return hook


def layer_inputs(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What each weight of a linear layer or convolution is multiplied with.

    Args:
        inputs: of the layer, [B, …].

    Returns:
        [B, G, features, positions]: features in the order of the weight's flat dimensions after the first, G groups.
    """
    if isinstance(layer, nn.Conv2d):
        padded = functional.pad(
            inputs, _padding(layer), mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode
        )
        patches = functional.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
        return patches.reshape(patches.shape[0], layer.groups, -1, patches.shape[-1])
    return inputs.reshape(inputs.shape[0], -1, inputs.shape[-1]).transpose(1, 2)[:, None]


def _padding(layer: nn.Conv2d) -> list[int]:
    """Padding as `torch.nn.functional.pad` wants it: left, right, top, bottom."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    if isinstance(layer.padding, str):
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2]
    height, width = layer.padding
    return [width, width, height, height]


class InputNorms:
    """Sums of squared inputs of each weight over all examples that run while it is entered (for Wanda).

    Linear layers, convolutions in one and two dimensions, and the joint projection of attention are known.
    """

    def __init__(self, module: nn.Module, names: Mapping[str, str]) -> None:
        self._layers = {name: module.get_submodule(name) for name in names}
        self._handles: list[RemovableHandle] = []
        self._squares: dict[str, Tensor] = {}

    def __enter__(self) -> "InputNorms":
        self._handles = [
            layer.register_forward_pre_hook(self._note(name), with_kwargs=True)
            for name, layer in self._layers.items()
        ]
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def of(self, name: str) -> Tensor | None:
        """The norm of the inputs that each weight saw, broadcastable to the weight; None where the layer saw none."""
        squares = self._squares.get(name)
        return None if squares is None else squares.sqrt()

    @staticmethod
    def knows(layer: nn.Module) -> bool:
        """Whether the layer's inputs can be told apart by weight."""
        return isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.MultiheadAttention)

    def _note(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, arguments: tuple[Tensor, ...], more: dict[str, Any]) -> None:
            given = arguments[0] if arguments else next(iter(more.values()))
            squares = _squared_inputs(layer, given.detach())
            self._squares[name] = self._squares[name] + squares if name in self._squares else squares

        return hook


def _squared_inputs(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Sums of squares over examples and positions, broadcastable to the layer's weight."""
    if isinstance(layer, nn.Conv2d):
        sums = layer_inputs(layer, inputs.square()).sum((0, 3))  # [G, features]
        per_group = layer.out_channels // layer.groups
        return sums.repeat_interleave(per_group, 0).reshape(layer.weight.shape)
    if isinstance(layer, nn.Conv1d):
        # A convolution along one dimension is one along the second of two.
        padding = layer.padding if isinstance(layer.padding, str) else (0, layer.padding[0])
        flat = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (1, layer.kernel_size[0]),
            (1, layer.stride[0]),
            padding,
            (1, layer.dilation[0]),
            layer.groups,
            padding_mode=layer.padding_mode,
            device="meta",
        )
        return _squared_inputs(flat, inputs[:, :, None]).squeeze(2)
    return inputs.square().reshape(-1, inputs.shape[-1]).sum(0)[None]


@torch.no_grad()
def run_batches(module: nn.Module, batches: Any) -> None:
    """Run batches through a module in evaluation mode, for what hooks see of them."""
    module.eval()
    for inputs, _ in batches:
        module(inputs)
