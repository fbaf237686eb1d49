"""The module that torch evaluates in place of integers: fake quantization of weights and activations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.quantization.grid import clipped, on_grid
from core.quantization.record import ActivationRange, Quantization, QuantizedWeight


class Simulated(nn.Module):
    """A float32 module that computes as if its weights and the inputs of its layers were quantized.

    Args:
        module: is used, not copied; its parameters stay where they are and keep values off the grid.
        weights: also round the weights at every forward pass. Gradients then go through the rounding as if it were not
            there, but for weights beyond the ends of their grid (straight-through, Bengio et al. 2013). Without it the
            weights are taken to lie on their grids already.
    """

    def __init__(self, module: nn.Module, quantization: Quantization, *, weights: bool = False) -> None:
        super().__init__()
        self.module = module
        self.quantization = quantization
        self.weights = weights
        self.training = module.training

    def forward(self, *inputs: Tensor) -> Any:
        """As the module's."""
        with rounded_activations(self.module, self.quantization):
            if not self.weights:
                return self.module(*inputs)
            rounded = {
                name: straight_through(self.module.get_parameter(name), record)
                for name, record in self.quantization.weights.items()
            }
            return functional_call(self.module, rounded, inputs)


def simulated(module: nn.Module, quantization: Quantization) -> nn.Module:
    """What is to be evaluated: the module itself where no activation is quantized."""
    return Simulated(module, quantization) if quantization.activations else module


def straight_through(weight: Tensor, record: QuantizedWeight) -> Tensor:
    """The weight on its grid, with the gradient of the weight as it is."""
    rounded: Tensor = _StraightThrough.apply(weight, record)
    return rounded


def fake_quantize(values: Tensor, side: ActivationRange) -> Tensor:
    """Values clipped and rounded to a range, with straight-through gradients within it."""
    return torch.fake_quantize_per_tensor_affine(
        values, side.scale, side.zero_point, side.lowest, side.highest
    )


@contextmanager
def rounded_activations(module: nn.Module, quantization: Quantization) -> Iterator[None]:
    """Round what goes into the layers that have ranges, for a while.

    Outputs are rounded where they go into the next layer: runtimes keep sums in 32 bits until then.
    """
    handles = []
    for name, layer in quantization.activations.items():
        if layer.input is not None:
            handles.append(module.get_submodule(name).register_forward_pre_hook(_rounder(layer.input)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _rounder(side: ActivationRange) -> Any:
    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            fake_quantize(each, side) if isinstance(each, Tensor) and each.is_floating_point() else each
            for each in arguments
        )

    return hook


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, record: QuantizedWeight) -> Tensor:
        if record.scheme == "affine":
            context.save_for_backward(clipped(weight, record))
        return on_grid(weight, record)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        if not context.saved_tensors:
            return gradients[0], None
        return gradients[0].masked_fill(context.saved_tensors[0], 0.0), None
