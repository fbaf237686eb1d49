"""Pruning by magnitude, at once or in many small cuts while a network trains (Zhu and Gupta 2018)."""

from collections.abc import Callable

import torch

from core.pruning.magnitudes import mask_of, plan_magnitude
from core.run_state import RunState
from core.steps import PruneSettings
from core.steps_flow import GradualSettings


class GradualCuts:
    """When a gradual step cuts, and how deep.

    Args:
        iterations: the step's length in updates, those before its start included.
    """

    def __init__(self, settings: GradualSettings, iterations: int) -> None:
        self._settings = settings
        self._begin = settings.start
        self._end = self._begin + max(1, round(settings.prune_until * (iterations - self._begin)))

    def due(self, done: int) -> bool:
        """Whether there is a cut after `done` updates."""
        since = done - self._begin
        return since > 0 and (
            done == self._end or (done < self._end and since % self._settings.prune_every == 0)
        )

    def carry_out(self, done: int, state: RunState) -> None:
        """Narrow the masks of `state` to what its weights deserve after `done` updates.

        Nothing here looks at pause or cancel: a cut is small, and whole or not at all.

        Raises:
            StudioError: if weights are NaN, or a layer would lose all of its weights.
        """
        cut = self._settings.cut((done - self._begin) / (self._end - self._begin))
        prune_by_magnitude(cut, state)


def prune_by_magnitude(
    settings: PruneSettings, state: RunState, check: Callable[[], None] | None = None
) -> None:
    """Narrow the masks of `state` by the magnitudes of its weights; the fast way for single weights.

    Raises:
        StudioError: if weights are NaN, or a layer would lose all of its weights.
    """
    arrays = {
        layer.name: state.module.get_parameter(layer.weight_name).detach().cpu().numpy()
        for layer in state.description.layers
    }
    plan = plan_magnitude(settings, list(arrays.items()), check)
    plan.require_living_layers()
    for layer in state.description.layers:
        if plan.layer(layer.name).removed:
            mask = torch.from_numpy(mask_of(arrays[layer.name], plan, layer.name))
            state.masks.narrow(layer.weight_name, mask.to(state.device))
    state.masks.zero_removed(state.module)


def sparsity_of(state: RunState) -> float:
    """The fraction of the prunable weights that are held at zero."""
    total = sum(layer.weights for layer in state.description.layers)
    masks = state.masks
    gone = sum(
        int((~masks[layer.weight_name]).sum())
        for layer in state.description.layers
        if layer.weight_name in masks
    )
    return gone / total if total else 0.0
