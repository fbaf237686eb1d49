"""Multiply-accumulates of one forward pass, counted by torch's own counter while the model runs."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, input_shape: tuple[int, ...], device: torch.device) -> int:
    """Multiply-accumulates for one example of shape `input_shape` (C, H, W): matrix products and convolutions.

    The fast path of attention hides its products from the counter, so it is off while counting.
    """
    was_training = module.training
    module.eval()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros((1, *input_shape), device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        module.train(was_training)
    return int(counter.get_total_flops()) // 2
