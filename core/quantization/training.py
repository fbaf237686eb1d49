"""What training changes for a quantized model: rounding in the forward pass, shared values that stay shared.

Weights on affine grids train as they are and are rounded wherever they are used (`Simulated`). Weights that share a
value get the sum of their gradients before each update (Han et al. 2016, section 3.3): as they also share every value
that an optimizer keeps for them, they move together.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from core.quantization.folding import is_folded
from core.quantization.grid import on_grid
from core.quantization.record import Quantization
from core.quantization.simulate import Simulated


class QuantizedTraining:
    """Holds a model's quantization while it trains; does nothing for one that is not quantized.

    Attributes:
        network: what is to be trained and judged in the module's place.
    """

    def __init__(self, module: nn.Module, quantization: Quantization) -> None:
        self.module = module
        self.quantization = quantization
        rounded = {name: each for name, each in quantization.weights.items() if each.scheme != "codebook"}
        needed = rounded or quantization.activations
        self.network: nn.Module = module
        if needed:
            self.network = Simulated(module, replace(quantization, weights=rounded), weights=bool(rounded))
        self._tied = [
            SharedValues(module.get_parameter(name))
            for name, each in quantization.weights.items()
            if each.scheme == "codebook"
        ]

    def train(self) -> None:
        """Training mode; batch norms that were folded away stay as they are."""
        self.network.train()
        if self.quantization:
            for norm in self.module.modules():
                if is_folded(norm):
                    norm.eval()

    def begin(self) -> None:
        """Tie gradients; undone by `end`."""
        for shared in self._tied:
            shared.begin()

    def hold(self) -> None:
        """After an update: shared values stay equal to the bit, however the optimizer rounds."""
        for shared in self._tied:
            shared.hold()

    def end(self) -> None:
        """Free the gradients again."""
        for shared in self._tied:
            shared.end()

    def settle(self) -> Quantization:
        """Put the weights on their grids and say which those are now."""
        found = {}
        with torch.no_grad():
            for name, record in self.quantization.weights.items():
                weight = self.module.get_parameter(name)
                if record.scheme == "codebook":
                    values = torch.unique(weight)
                    found[name] = replace(record, book=values[values != 0])
                else:
                    weight.copy_(on_grid(weight, record))
        return self.quantization.with_weights(found)


class SharedValues:
    """Which weights of a parameter share a value; zeros share none."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = parameter
        weight = parameter.detach().reshape(-1)
        self._kept = torch.nonzero(weight).squeeze(1)
        book, self._cluster = torch.unique(weight[self._kept], return_inverse=True)
        self._count = book.numel()
        # Any member speaks for its cluster.
        members = torch.zeros(self._count, dtype=torch.int64, device=weight.device)
        self._members = self._kept[
            members.scatter_(0, self._cluster, torch.arange(self._cluster.numel(), device=weight.device))
        ]
        self._handle: torch.utils.hooks.RemovableHandle | None = None

    def begin(self) -> None:
        """Sum gradients by shared value from now on."""
        register: Any = self._parameter.register_post_accumulate_grad_hook
        self._handle = register(self._tie)

    def end(self) -> None:
        """Leave gradients alone again."""
        if self._handle is not None:
            self._handle.remove()

    @torch.no_grad()
    def hold(self) -> None:
        """Give all members of a cluster the same value, and zeros zero."""
        flat = self._parameter.reshape(-1)
        values = flat[self._members][self._cluster]
        flat.zero_()
        flat[self._kept] = values

    def _tie(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        flat = gradient.reshape(-1)
        # In double precision and on a CPU always in the same order, so that training is repeatable.
        sums = torch.bincount(self._cluster, flat[self._kept].double(), self._count).to(flat.dtype)
        tied = torch.zeros_like(flat)
        tied[self._kept] = sums[self._cluster]
        gradient.copy_(tied.view_as(gradient))
