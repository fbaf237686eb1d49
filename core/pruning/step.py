"""The pruning step: from settings to masks on the model."""

import torch

from core.events import Notice
from core.formatting import count, percent
from core.job import JobContext
from core.pruning.magnitudes import mask_of, plan_magnitude
from core.run_state import RunState
from core.steps import PruneSettings


def prune_work(settings: PruneSettings, state: RunState) -> float:
    """Pruning costs next to nothing beside passes over data."""
    return 1.0


def prune(settings: PruneSettings, state: RunState, context: JobContext) -> None:
    """Narrow the masks of `state` by the magnitudes of its weights and set what goes to zero.

    Raises:
        StudioError: if weights are NaN, or a layer would lose all of its weights.
    """
    parameters = {
        layer.name: state.module.get_parameter(layer.weight_name) for layer in state.description.layers
    }
    arrays = {name: parameter.detach().cpu().numpy() for name, parameter in parameters.items()}
    plan = plan_magnitude(settings, list(arrays.items()), context.checkpoint)
    plan.require_living_layers()
    for layer in state.description.layers:
        if plan.layer(layer.name).removed:
            mask = torch.from_numpy(mask_of(arrays[layer.name], plan, layer.name))
            state.masks.narrow(layer.weight_name, mask.to(state.device))
    state.masks.zero_removed(state.module)
    context.advance(prune_work(settings, state), settings.title)
    context.emit(
        Notice(
            context.run_id,
            f"Step {state.step + 1} set {count(plan.removed)} of {count(plan.weights)} weights "
            f"({percent(plan.removed / plan.weights)}) to zero.",
        )
    )
