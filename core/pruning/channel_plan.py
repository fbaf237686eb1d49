"""Which channels a structured pruning step would take of a model, and why some layers keep all of theirs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from core.errors import StudioError
from core.models.layers import prunable_modules, weight_positions
from core.models.opening import load_module
from core.models.source import ModelSource
from core.pruning.channel_graph import ChannelGraph
from core.pruning.structured import choose
from core.pruning.structured_settings import PruneChannelsSettings


@dataclass(frozen=True)
class ChannelPlan:
    """What would go.

    Attributes:
        outputs: of each prunable layer, how many outputs it has.
        going: of each layer that can lose outputs, how many it would lose (0 and more).
        together: of such a layer, the others that lose the same channels.
        reasons: of each other layer, why it keeps all its outputs.
        problem: why the step as a whole cannot be carried out; "" where it can.
        macs_before, macs_after: multiply-accumulates of one example; 0 where they are not known.
    """

    outputs: Mapping[str, int] = field(default_factory=dict)
    going: Mapping[str, int] = field(default_factory=dict)
    together: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    macs_before: int = 0
    macs_after: int = 0


def plan_channels(
    source: ModelSource,
    settings: PruneChannelsSettings,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> ChannelPlan:
    """Plan a step on the model of `source` as it is; nothing is changed.

    Args:
        seed: of the random importance, as the step gets it.
        check: called now and then; may raise to give up.

    Raises:
        StudioError: if the model cannot be opened as a network.
    """
    loaded = load_module(source, check=check)
    module, shape = loaded.module.eval(), loaded.description.input_shape
    outputs = {name: _outputs(layer) for name, layer in prunable_modules(module).items()}
    if shape is None:
        return ChannelPlan(outputs, problem="The input size of this model is not known.")
    importance = settings.importance
    if importance == "taylor":
        # Which channels go shows once there are data; with uniform scope, all rankings take as many of each layer.
        importance = "l2"
    try:
        graph = ChannelGraph(module, shape, settings.exclude, importance, seed, check)
    except StudioError as error:
        return ChannelPlan(outputs, problem=error.message)
    positions = weight_positions(module, shape)
    problem, gone = "", [np.empty(0, np.int64) for _ in graph.groups]
    try:
        if settings.importance == "taylor" and settings.scope == "global":
            raise StudioError(
                "How many channels each layer loses shows once the step has seen data: the importance “taylor” ranks "
                "them over all layers."
            )
        gone = choose(graph, settings, positions)
    except StudioError as error:
        problem = error.message
    going: dict[str, int] = {}
    together: dict[str, tuple[str, ...]] = {}
    for group, indices in zip(graph.groups, gone, strict=True):
        lost = np.zeros(group.width, np.bool_)
        lost[indices] = True
        for layer, side, owners in group.losses:
            if side == "out" and layer in outputs:
                going[layer] = going.get(layer, 0) + int(np.count_nonzero(lost[owners]))
                together[layer] = tuple(name for name in group.layers if name != layer)
    return ChannelPlan(
        outputs,
        going,
        together,
        {name: reason for name, reason in graph.reasons.items() if name not in going},
        problem,
        graph.macs(positions),
        graph.macs(positions, gone),
    )


def _outputs(layer: object) -> int:
    for name in ("out_channels", "out_features"):
        value = getattr(layer, name, None)
        if isinstance(value, int):
            return value
    return 0
