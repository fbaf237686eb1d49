"""What keeps training from learning its examples by heart beside weight decay: dropout of inputs, bounded weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.models.layers import prunable_modules, weight_of
from core.steps import TrainingSettings


class Regularisation:
    """Dropout in front of layers that have none, and an upper limit of norms; does nothing where neither is asked for.

    Dropout draws from torch's global generator, as the network's own does.
    """

    def __init__(self, module: nn.Module, settings: TrainingSettings) -> None:
        self._module = module
        self._settings = settings
        self._max_norm = settings.max_norm or 0.0
        layers = prunable_modules(module)
        self._weights = [] if settings.max_norm is None else [weight_of(layer) for layer in layers.values()]
        self._first = next(iter(layers.values()), None)
        self._linear = [layer for layer in layers.values() if isinstance(layer, nn.Linear)]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def begin(self) -> None:
        """Leave inputs out from now on, while the network is in training mode; undone by `end`."""
        if self._settings.input_dropout and self._first is not None:
            self._drop(self._first, self._settings.input_dropout)
        if self._settings.dropout:
            for layer in self._linear:
                if layer is not self._first:
                    self._drop(layer, self._settings.dropout)

    def end(self) -> None:
        """Leave nothing out any more."""
        while self._handles:
            self._handles.pop().remove()

    @torch.no_grad()
    def hold(self) -> None:
        """After an update: shorten what has become too long."""
        for weight in self._weights:
            weight.renorm_(2, 0, self._max_norm)

    def _drop(self, layer: nn.Module, share: float) -> None:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            if not module.training:
                return arguments
            return tuple(
                functional.dropout(each, share)
                if isinstance(each, Tensor) and each.is_floating_point()
                else each
                for each in arguments
            )

        self._handles.append(layer.register_forward_pre_hook(hook))
