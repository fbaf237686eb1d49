"""The rewinding step: the weights that are left go back to earlier values, or to new ones as a control."""

import torch
from torch import Tensor

from core.errors import StudioError
from core.events import Notice
from core.job import JobContext
from core.models.modules import build_module
from core.pruning.masks import Masks
from core.run_state import RunState
from core.steps_flow import RewindSettings


def rewind_work(settings: RewindSettings, state: RunState) -> float:
    """Copying weights costs next to nothing beside passes over data."""
    return 1.0


def rewind(settings: RewindSettings, state: RunState, context: JobContext) -> None:
    """Put every parameter and buffer of `state`'s model back; what was removed stays zero.

    Raises:
        StudioError: if the run has not yet come to the iteration, no masks were shuffled before, or a network
            whose architecture is not known is to be drawn anew.
    """
    tensors = _tensors(settings, state)
    masks = _masks(settings, state)
    with torch.no_grad():
        for name, tensor in state.module.state_dict().items():
            tensor.copy_(tensors[name])
    if settings.masks == "shuffle" and state.masks_before_shuffle is None:
        state.masks_before_shuffle = state.masks
    elif settings.masks == "restore":
        state.masks_before_shuffle = None
    state.masks = masks
    state.masks.zero_removed(state.module)
    context.advance(rewind_work(settings, state), settings.title)
    context.emit(Notice(context.run_id, f"{state.place} went back to {settings.summary()}."))


def _tensors(settings: RewindSettings, state: RunState) -> dict[str, Tensor]:
    if settings.to == "initial":
        return state.initial
    if settings.to == "iteration":
        if settings.iteration not in state.early:
            raise StudioError(
                f"{state.place} cannot go back to iteration {settings.iteration}: the run has only made "
                f"{state.iteration} updates so far. Rewind to an earlier iteration, or train longer before."
            )
        return state.early[settings.iteration]
    description = state.description
    if description.architecture is None:
        raise StudioError(
            f"{state.place} cannot draw new weights: the architecture of {description.source.title} is not known."
        )
    channels = description.input_shape[0] if description.input_shape is not None else None
    fresh = build_module(
        description.architecture, description.num_classes, seed=state.step_seed(), in_channels=channels
    )
    tensors: dict[str, Tensor] = fresh.state_dict()
    present = state.module.state_dict()
    if any(tensors[name].shape != tensor.shape for name, tensor in present.items()):
        raise StudioError(
            f"{state.place} cannot draw new weights, because channels were removed before: the architecture's rule is "
            "for its whole width. Go back to the initial weights instead."
        )
    return tensors


def _masks(settings: RewindSettings, state: RunState) -> Masks:
    if settings.masks == "shuffle":
        generator = torch.Generator().manual_seed(state.step_seed())
        return Masks({name: _shuffled(mask, generator) for name, mask in state.masks.tensors().items()})
    if settings.masks == "restore":
        if state.masks_before_shuffle is None:
            raise StudioError(
                f"{state.place} cannot restore masks: none were shuffled before. Set “Masks” to keep."
            )
        return state.masks_before_shuffle
    return state.masks


def _shuffled(mask: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
    return mask.reshape(-1)[order].reshape(mask.shape)
