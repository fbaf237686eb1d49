"""Masks: which weights live, kept beside the model by parameter name and applied in place."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.analysis import acceleration


class Masks:
    """Bool tensors of the weights' shapes, True where a weight lives. Parameters without an entry live whole."""

    def __init__(self, masks: Mapping[str, Tensor] | None = None) -> None:
        self._masks: dict[str, Tensor] = dict(masks or {})

    def __len__(self) -> int:
        return len(self._masks)

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __contains__(self, name: object) -> bool:
        return name in self._masks

    def __getitem__(self, name: str) -> Tensor:
        return self._masks[name]

    def tensors(self) -> dict[str, Tensor]:
        """All masks by parameter name."""
        return dict(self._masks)

    def narrow(self, name: str, mask: Tensor) -> None:
        """Let only weights live that both the present mask and `mask` let live: removed weights never come back."""
        present = self._masks.get(name)
        self._masks[name] = mask if present is None else present & mask

    def zero_removed(self, module: nn.Module) -> None:
        """Set removed weights to +0.0, whatever they are (multiplying would leave −0.0 and NaN)."""
        with torch.no_grad():
            for name, mask in self._masks.items():
                module.get_parameter(name).masked_fill_(~mask.to(module.get_parameter(name).device), 0.0)


class MaskHolder:
    """Holds removed weights at exactly zero while an optimizer runs, after each of its updates.

    On a CPU a compiled loop reads one byte for each weight, a quarter of what multiplying by a mask of floats reads;
    for small networks that is most of what masks cost. Elsewhere, and without numba, one fused multiplication does
    it: several times cheaper than filling by a bool mask. Both give the same values (zeros may differ in sign).
    """

    def __init__(self, module: nn.Module, masks: Masks) -> None:
        self._hold_compiled: Callable[[Any, Any], None] | None = None
        self._compiled: list[tuple[Any, Any]] = []
        self._weights: list[Tensor] = []
        self._factors: list[Tensor] = []
        if len(masks) and acceleration.load_compiled():
            self._hold_compiled = acceleration.kernels().hold  # type: ignore[union-attr]
        for name in masks:
            weight, mask = module.get_parameter(name), masks[name]
            if self._hold_compiled is not None and _plain(weight):
                # The arrays look at the tensors' own memory, which updates change in place.
                bits = weight.detach().view(torch.int32).reshape(-1).numpy().view(np.uint32)
                lives = mask.to("cpu").contiguous().view(torch.uint8).reshape(-1).numpy()
                self._compiled.append((bits, lives))
            else:
                self._weights.append(weight)
                self._factors.append(mask.to(weight.device, weight.dtype))

    @torch.no_grad()
    def hold(self) -> None:
        """Zero the removed weights."""
        if self._hold_compiled is not None:
            for bits, lives in self._compiled:
                self._hold_compiled(bits, lives)
        if self._weights:
            torch._foreach_mul_(self._weights, self._factors)


def _plain(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.is_contiguous()
