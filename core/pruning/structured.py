"""The step that removes channels: from settings to a smaller network with everything that belongs to it."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from core.errors import StudioError
from core.events import Notice
from core.formatting import count, percent
from core.formatting import macs as macs_text
from core.job import JobContext
from core.measurement.cost import count_macs
from core.models.layers import weight_positions
from core.models.resizing import cut_tensor, describe_smaller, require_it_runs, resize_module
from core.pruning.channel_gates import GATE_BATCH, Gates, input_gates
from core.pruning.channel_graph import ChannelGraph, Kept
from core.pruning.channel_selection import ChannelGroup, Indices, choose_channels, smallest_ratio
from core.pruning.examples import draw_examples
from core.pruning.structured_settings import PruneChannelsSettings
from core.run_state import RunState

_GATE_COST = 3.0
"""A forward and a backward pass of an example, in forward passes."""


def prune_channels_work(settings: PruneChannelsSettings, state: RunState) -> float:
    """Next to nothing, but for a forward and a backward pass of the examples that “taylor” looks at."""
    if settings.importance != "taylor":
        return 1.0
    train = () if state.task is None else state.task.train or ()
    return 1.0 + _GATE_COST * min(len(train), settings.examples)


def prune_channels(settings: PruneChannelsSettings, state: RunState, context: JobContext) -> None:
    """Replace the network of `state` by a smaller one and cut masks and remembered weights to fit.

    Raises:
        StudioError: if the network cannot be traced, no layer can be pruned, the amount is out of reach, or the smaller
            network turns out not to run or not to cost less; the state is then as it was.
    """
    description = state.description
    shape = description.input_shape
    if shape is None:
        raise StudioError(
            f"The channels of {description.source.title} cannot be removed, because its input size is not known."
        )
    before = count_macs(state.module, shape, state.device)
    importance = settings.importance
    graph = ChannelGraph(
        state.module,
        shape,
        settings.exclude,
        _gates(settings, state, context) if importance == "taylor" else importance,
        state.step_seed(),
        context.checkpoint,
    )
    gone = choose(graph, settings, weight_positions(state.module, shape))
    kept = graph.cut(gone)
    smaller = cut_module(state.module, kept, description.source.title)
    require_it_runs(smaller, shape, description.num_classes, description.source.title)
    after = count_macs(smaller, shape, state.device)
    if after >= before:
        raise StudioError(
            "Removing these channels would save no multiply-accumulates: remove more, or leave fewer layers alone."
        )
    described = describe_smaller(description, smaller)
    state.take_smaller(smaller, kept, described)
    context.advance(1.0, settings.title)
    removed = sum(indices.size for indices in gone)
    total = sum(group.width for group in graph.groups)
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} removed {count(removed)} of {count(total)} removable channels: {macs_text(after)} instead "
            f"of {macs_text(before)} multiply-accumulates ({percent(1 - after / before)} fewer), "
            f"{count(described.parameters)} instead of {count(description.parameters)} parameters.",
        )
    )
    if graph.reasons:
        context.emit(Notice(context.run_id, _kept_layers(graph.reasons)))


def choose(
    graph: ChannelGraph, settings: PruneChannelsSettings, positions: Mapping[str, int]
) -> list[Indices]:
    """The channels that go from each group of `graph`.

    Raises:
        StudioError: if no layer can lose channels, or not as many as asked for.
    """
    if not graph.groups:
        name, reason = next(iter(graph.reasons.items()), ("it", "it has no layers with channels"))
        raise StudioError(f"No layer of this network can lose channels: of {name}, {reason}.")

    def chosen(ratio: float) -> list[Indices]:
        return choose_channels(groups, ratio, settings.scope, settings.round_to)

    groups = graph.groups
    if settings.of == "channels":
        gone = chosen(settings.amount)
    else:
        whole = graph.macs(positions)
        if settings.importance == "taylor" and settings.scope == "global":
            groups = tuple(_for_each_mac(graph, positions, whole))
        wanted = (1 - settings.amount) * whole
        ratio = smallest_ratio(lambda ratio: graph.macs(positions, chosen(ratio)) <= wanted)
        if ratio is None:
            least = graph.macs(positions, chosen(1.0))
            raise StudioError(
                f"At most {percent(1 - least / whole)} of the multiply-accumulates can go by removing channels here, "
                f"not {percent(settings.amount)}: lower the amount, leave fewer layers alone, or lower “multiple of”."
            )
        gone = chosen(ratio)
    if not any(indices.size for indices in gone):
        raise StudioError(
            f"Removing {percent(settings.amount)} of the channels takes none away from layers as narrow as these: "
            "raise the amount or lower “multiple of”."
        )
    return gone


def _for_each_mac(graph: ChannelGraph, positions: Mapping[str, int], whole: int) -> Iterator[ChannelGroup]:
    """The groups, with scores for each multiply-accumulate that the first channel to go would save."""
    nothing = np.empty(0, np.int64)
    first = np.zeros(1, np.int64)
    for group in graph.groups:
        gone = [first if other is group else nothing for other in graph.groups]
        yield replace(group, scores=group.scores / max(1, whole - graph.macs(positions, gone)))


def _gates(settings: PruneChannelsSettings, state: RunState, context: JobContext) -> Gates:
    examples = draw_examples(
        state,
        context,
        examples=settings.examples,
        wanting="importance “taylor”",
        instead="importance “l2”",
        title=f"{settings.title}: importance",
        cost=_GATE_COST,
    )
    return input_gates(state.module, examples.batches(min(GATE_BATCH, examples.batch_size)), settings.loss)


def cut_module(module: nn.Module, kept: Kept, name: str) -> nn.Module:
    """A network that consists of what stays of another one, which is left as it is.

    Raises:
        StudioError: if the layers cannot be made as narrow as that.
    """
    state = module.state_dict()
    smaller = copy.deepcopy(module)
    resize_module(smaller, {key: tuple(indices.shape) for key, indices in kept.items()}, name)
    with torch.no_grad():
        for key, tensor in smaller.state_dict().items():
            tensor.copy_(cut_tensor(state[key], kept.get(key)))
    return smaller


def _kept_layers(reasons: Mapping[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    parts = [f"{_some(names)}: {reason}" for reason, names in by_reason.items()]
    return f"Layers that keep all their channels: {'; '.join(parts)}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
