"""The precision in which training computes: weights and updates stay float32, the layers between may be shorter."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.steps import TrainingSettings

Forward = Callable[[Tensor], Tensor]


def computing_in(settings: TrainingSettings, network: nn.Module, device: torch.device) -> Forward:
    """The forward pass [B, …] → float32 [B, classes] as the settings want it computed.

    In bfloat16, matrix products and convolutions take inputs with eight bits of mantissa and sum in float32; losses,
    gradients of weights, updates and masks stay float32 (mixed precision, Micikevicius et al. 2018). Images are laid
    out with channels last, which is how CPUs and tensor cores convolve in bfloat16 without reordering.
    """
    if settings.precision == "float32":
        return network

    def forward(inputs: Tensor) -> Tensor:
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            outputs: Tensor = network(inputs)
        return outputs.float()

    return forward
