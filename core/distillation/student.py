"""The step that goes on with another network, freshly initialised or a narrower copy of the present one."""

from dataclasses import replace

import torch
from torch import nn

from core.distillation.depth import shallower
from core.distillation.settings import StudentSettings
from core.errors import StudioError
from core.events import Notice
from core.formatting import count
from core.job import JobContext
from core.measurement.cost import count_macs
from core.models.description import ModelDescription
from core.models.layers import describe_module
from core.models.modules import ZOO_PREFIX, architecture_of, build_module
from core.models.resizing import describe_smaller, require_it_runs
from core.models.zoo import ZOO, he_normal, initialise
from core.pruning.channel_graph import ChannelGraph
from core.pruning.structured import choose, cut_module
from core.pruning.structured_settings import PruneChannelsSettings
from core.run_state import RunState


def take_student_work(settings: StudentSettings, state: RunState) -> float:
    """Next to nothing, whatever the data."""
    return 1.0


def take_student(settings: StudentSettings, state: RunState, context: JobContext) -> None:
    """Replace the network of `state` by the student.

    Raises:
        StudioError: for an unknown architecture, one that does not take the images, and a copy that cannot be narrowed.
    """
    before = state.description
    if settings.scaled:
        module, description = _narrower(settings, state, context)
    else:
        module, description = student_network(state, settings.architecture, state.step_seed())
    state.take_student(module, description)
    context.advance(take_student_work(settings, state), settings.title)
    shape = description.input_shape
    costs = (
        ""
        if shape is None
        else f" and {count(count_macs(state.module, shape, state.device))} multiply-accumulates"
    )
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} goes on with {description.architecture_title or description.architecture}: "
            f"{count(description.parameters)} parameters{costs}, where the model before it has "
            f"{count(before.parameters)} parameters.",
        )
    )


def student_network(state: RunState, architecture: str, seed: int) -> tuple[nn.Module, ModelDescription]:
    """A fresh network for the classes and the images of the run, and its description.

    Raises:
        StudioError: for an unknown architecture and for one that cannot compute on the run's images.
    """
    present = state.description
    known = architecture_of(architecture)
    shape = present.input_shape or known.input_shape
    classes = present.num_classes or (None if state.task is None else state.task.num_classes)
    module = build_module(architecture, classes, seed=seed, in_channels=shape[0])
    try:
        require_it_runs(module, shape, classes, known.title)
    except StudioError as error:
        raise StudioError(
            f"{state.place}: the student {known.title} expects images of "
            f"{known.input_shape[1]} × {known.input_shape[2]} pixels and does not run on {shape[1]} × {shape[2]}: "
            "choose another student, or set the task's image size.",
            details=error.details or error.message,
        ) from error
    described = describe_module(
        module,
        present.source,
        architecture=architecture,
        architecture_title=known.title,
        input_shape=shape,
        num_classes=classes,
    )
    return module, replace(
        described, sha256=present.sha256, file_bytes=present.file_bytes, notes=present.notes
    )


def _narrower(
    settings: StudentSettings, state: RunState, context: JobContext
) -> tuple[nn.Module, ModelDescription]:
    """A copy of the present network with a part of the layers, and of the channels of every layer."""
    present, whole = state.description, state.module
    shape = present.input_shape
    if shape is None or present.architecture is None:
        raise StudioError(
            f"{state.place}: {present.source.title} cannot be scaled, because its architecture or its input size is "
            "not known: give the student's architecture."
        )
    if settings.depth < 1:
        whole, present = _shallower(settings, state)
    if settings.width >= 1:
        module = cut_module(whole, {}, present.source.title)
    else:
        pruning = PruneChannelsSettings(amount=1 - settings.width, of="channels", scope="uniform", round_to=1)
        graph = ChannelGraph(whole, shape, (), "l2", state.step_seed(), context.checkpoint)
        kept = graph.cut(choose(graph, pruning, {}))
        module = cut_module(whole, kept, present.source.title)
    require_it_runs(module, shape, present.num_classes, present.source.title)
    if settings.weights == "fresh":
        generator = torch.Generator().manual_seed(state.step_seed())
        architecture = present.architecture or ""
        name = architecture.removeprefix(ZOO_PREFIX)
        fill = ZOO[name].fill if architecture.startswith(ZOO_PREFIX) else he_normal
        cpu = module.cpu()
        initialise(cpu, fill, generator)
        module = cpu
    described = describe_smaller(present, module)
    return module, replace(described, channels_removed=settings.width < 1 or present.channels_removed)


def _shallower(settings: StudentSettings, state: RunState) -> tuple[nn.Module, ModelDescription]:
    """The nearest relative of the present network with a part of its layers; same blocks keep their weights."""
    present = state.description
    if present.channels_removed:
        raise StudioError(
            f"{state.place}: the present model has lost channels, so it has no shallower relative: put this step first."
        )
    module, described = student_network(
        state, shallower(present.architecture or "", settings.depth), state.step_seed()
    )
    ours, theirs = module.state_dict(), state.module.state_dict()
    with torch.no_grad():
        for name, tensor in ours.items():
            if name in theirs and theirs[name].shape == tensor.shape:
                tensor.copy_(theirs[name])
    return module, described
