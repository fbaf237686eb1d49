"""How much the loss would feel each input of each layer being shut off: what channels are ranked by with data.

Put a gate in front of input i of a layer, 1 as things are. The derivative of a batch's mean loss by that gate is
Σ w · g over all weights that read the input, to first order the change of the loss if the input went (Molchanov et al.
2019, for groups of layers Liu et al. 2021). Its square, averaged over small batches, is the importance: at a minimum
the derivatives themselves average to zero.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from core.models.layers import prunable_modules, weight_attribute
from core.steps import Loss
from core.training.losses import mean_loss

GATE_BATCH = 32
"""Examples to a gradient: squares of means over more of them say more about the mean, which is zero at a minimum."""

Gates = Mapping[str, Tensor]
"""By layer name, [batches, inputs], float64 on the CPU."""


def input_gates(module: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], loss: Loss) -> Gates:
    """The derivatives by the gates of all layers' inputs, one row for each batch; in evaluation mode.

    Args:
        module: its weights and their requires_grad are left as they are.
        batches: inputs [B, …] and labels [B].
    """
    module.eval()
    layers = prunable_modules(module)
    weights = {name: layer.get_parameter(weight_attribute(layer)) for name, layer in layers.items()}
    frozen = [weight for weight in weights.values() if not weight.requires_grad]
    rows: dict[str, list[Tensor]] = {name: [] for name in weights}
    of_batch = mean_loss(loss)
    try:
        for weight in frozen:
            weight.requires_grad_(True)
        for inputs, labels in batches:
            with torch.enable_grad():
                value = of_batch(module(inputs), labels)
                found = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
            for (name, weight), gradient in zip(weights.items(), found, strict=True):
                product = torch.zeros_like(weight) if gradient is None else weight.detach() * gradient
                rows[name].append(_over_outputs(layers[name], product).double().cpu())
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
    return {name: torch.stack(found) for name, found in rows.items() if found}


def _over_outputs(layer: nn.Module, product: Tensor) -> Tensor:
    """w · g summed over everything that reads one input, [inputs]."""
    if isinstance(layer, _ConvTransposeNd):
        return product.flatten(1).sum(1)
    if isinstance(layer, _ConvNd) and layer.groups > 1:
        grouped = product.view(layer.groups, layer.out_channels // layer.groups, product.shape[1], -1)
        return grouped.sum((1, 3)).flatten()
    return product.flatten(2).sum((0, 2)) if product.dim() > 2 else product.sum(0)
