"""Masks: which weights live, kept beside the model by parameter name and applied in place."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


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
    """Holds removed weights at zero while an optimizer runs: one fused multiplication after each update.

    The masks are turned into the weights' dtype once, because multiplying is several times cheaper per update than
    filling by a bool mask.
    """

    def __init__(self, module: nn.Module, masks: Masks) -> None:
        self._weights: list[Tensor] = [module.get_parameter(name) for name in masks]
        self._factors = [masks[name].to(w.device, w.dtype) for name, w in zip(masks, self._weights)]

    @torch.no_grad()
    def hold(self) -> None:
        """Zero the removed weights."""
        if self._weights:
            torch._foreach_mul_(self._weights, self._factors)
