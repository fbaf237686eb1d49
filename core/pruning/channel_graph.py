"""Which channels of a network can only go together, and taking them out: our side of Torch-Pruning.

Torch-Pruning traces the network and knows the layers (DepGraph, Fang et al., CVPR 2023). It works on a copy whose
tensors are replaced by their own indices before anything is cut, so that what comes back is, for every tensor of the
network, which of its elements stay: weights, masks and remembered weights are all cut by the same indices.
"""

import copy
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from core.errors import StudioError
from core.models.layers import prunable_modules
from core.pruning.channel_gates import Gates
from core.pruning.channel_selection import ChannelGroup, Indices, Scores

# Torch-Pruning keeps state in its classes: one network is traced at a time.
_LOCK = threading.Lock()

# Networks that Torch-Pruning cannot trace, some of them by filling the memory: type of a module, and why in words.
UNTRACEABLE: Mapping[str, str] = {
    "ShiftedWindowAttention": "its attention cuts the picture into shifted windows",
    "ShiftedWindowAttentionV2": "its attention cuts the picture into shifted windows",
    "RelativePositionalMultiHeadAttention": "its attention cuts the picture into windows and grids",
    "torchvision.models.shufflenetv2.InvertedResidual": "it shuffles channels between the halves of every block",
}

Kept = dict[str, Tensor]
"""For each tensor of a state dict, the flat indices of the elements that stay, in the shape that the tensor gets."""


class ChannelGraph:
    """The channels of one network, in groups that go together.

    Attributes:
        groups: those that can go, in the order of the network.
        reasons: for each prunable layer whose outputs cannot go, why, in words.

    Args:
        module: is left as it is.
        input_shape: (C, H, W) of one example.
        exclude: names or patterns of layers that keep their outputs.
        importance: "l1", "l2", "random" or the gates of all layers' inputs, see `core.pruning.channel_gates`.
        seed: of the random importance.
        check: called between groups; may raise to give up.

    Raises:
        StudioError: if the network cannot be traced.
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: tuple[int, ...],
        exclude: Sequence[str] = (),
        importance: Literal["l1", "l2", "random"] | Gates = "l2",
        seed: int = 0,
        check: Callable[[], None] | None = None,
    ) -> None:
        _require_traceable(module)
        self._work = copy.deepcopy(module).cpu().requires_grad_(True)
        self._check = check or _go_on
        self._names = {child: name for name, child in self._work.named_modules()}
        self._layers = prunable_modules(self._work)
        self._importance = importance
        self._random = np.random.default_rng(seed)
        self._excluded = {
            name
            for name in self._layers
            if any(name == pattern or fnmatchcase(name, pattern) for pattern in exclude)
        }
        self.groups: tuple[ChannelGroup, ...] = ()
        self.reasons: dict[str, str] = {}
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._graph = self._traced(input_shape)
                self._find_groups()
            except (
                RuntimeError,
                ValueError,
                TypeError,
                AttributeError,
                ArithmeticError,
                LookupError,
            ) as error:
                raise StudioError(
                    "The channels of this network cannot be removed: Torch-Pruning cannot follow them from layer to "
                    "layer. Set single weights to zero (Prune) instead.",
                    details=f"{type(error).__name__}: {error}",
                ) from error

    def macs(self, positions: Mapping[str, int], gone: Sequence[Indices] | None = None) -> int:
        """Multiply-accumulates of all layers with known positions, after the channels `gone` of each group went."""
        lost: dict[tuple[str, str], int] = {}
        for group, indices in zip(self.groups, gone or ()):
            goes = np.zeros(group.width, np.bool_)
            goes[indices] = True
            for layer, side, owners in group.losses:
                for part in (layer, f"{layer}.out_proj"):
                    # The output projection of attention loses what the attention loses, in and out.
                    if part == layer or part in self._layers:
                        lost[part, side] = lost.get((part, side), 0) + int(np.count_nonzero(goes[owners]))
        return sum(
            uses * _weights(self._layers[name], lost.get((name, "out"), 0), lost.get((name, "in"), 0))
            for name, uses in positions.items()
            if name in self._layers
        )

    def cut(self, gone: Sequence[Indices]) -> Kept:
        """Take channels out; returns what stays of every tensor. Can be called once.

        Args:
            gone: for each group, the channels that go.

        Raises:
            StudioError: if Torch-Pruning fails.
        """
        _replace_by_indices(self._work)
        modules = {name: child for child, name in self._names.items()}
        with _LOCK, warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            for group, indices in zip(self.groups, gone):
                self._check()
                if not indices.size:
                    continue
                root = modules[group.root]
                prune = self._graph.get_pruner_of_module(root).prune_out_channels
                try:
                    self._graph.get_pruning_group(root, prune, indices.tolist()).prune()
                except (
                    RuntimeError,
                    ValueError,
                    TypeError,
                    AttributeError,
                    LookupError,
                    AssertionError,
                ) as error:
                    raise StudioError(
                        f"The channels of {group.root} could not be removed: leave this layer alone.",
                        details=f"{type(error).__name__}: {error}",
                    ) from error
        return {
            name: tensor.detach().to(torch.int32 if tensor.numel() < 1 << 31 else torch.int64)
            for name, tensor in self._work.state_dict().items()
            if tensor.dtype == torch.float64
        }

    # -- tracing

    def _traced(self, input_shape: tuple[int, ...]) -> Any:
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with torch.enable_grad():
                return tp.DependencyGraph().build_dependency(
                    self._work,
                    example_inputs=torch.zeros((1, *input_shape)),
                    unwrapped_parameters=_loose_parameters(self._work),
                    verbose=False,
                )
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)

    def _find_groups(self) -> None:
        graph = self._graph
        seen: set[Any] = set()
        groups = []
        for root in list(graph.module2node):
            if not isinstance(root, _ConvNd | nn.Linear) or root in seen:
                continue
            self._check()
            pruner = graph.get_pruner_of_module(root)
            width = int(pruner.get_out_channels(root))
            group = graph.get_pruning_group(root, pruner.prune_out_channels, list(range(width)))
            losing = [dep.target.module for dep, _ in group if graph.is_out_channel_pruning_fn(dep.handler)]
            seen.update(losing)
            names = [self._names[child] for child in losing if self._names.get(child) in self._layers]
            reason = self._why_not(group, names)
            if reason is None:
                groups.append(self._group(group, self._names[root], tuple(names), width))
            else:
                self.reasons.update(dict.fromkeys(names, reason))
        self.groups = tuple(groups)
        reached = {name for group in self.groups for name in group.layers} | set(self.reasons)
        for name in self._layers:
            attention = name.removesuffix(".out_proj")
            if name not in reached and attention in reached:
                # The output projection of attention goes with it.
                if attention in self.reasons:
                    self.reasons[name] = self.reasons[attention]
            elif name not in reached:
                self.reasons[name] = "the network does not use it for its output"

    def _why_not(self, group: Any, names: Sequence[str]) -> str | None:
        graph = self._graph
        for dep, _ in group:
            takes_inputs = isinstance(
                dep.target.module, _ConvNd | nn.Linear
            ) and graph.is_in_channel_pruning_fn(dep.handler)
            if not dep.target.outputs and not takes_inputs:
                return "its outputs are the network's own"
        widths = {
            graph.get_out_channels(dep.target.module)
            for dep, _ in group
            if graph.is_out_channel_pruning_fn(dep.handler) and dep.target.module in self._names
        }
        if len(widths) > 1 and any("ConstantPad" in str(dep.target.module) for dep, _ in group):
            return (
                "its channels run on through shortcuts that pad with zeros and have no weights, so that they cannot go "
                "without moving those of all later stages"
            )
        if max(widths, default=0) < 2:
            return "it has a single channel"
        excluded = [name for name in names if name in self._excluded]
        if excluded:
            return f"{excluded[0]} is left alone, and their channels can only go together"
        return None

    def _group(self, group: Any, root: str, layers: tuple[str, ...], width: int) -> ChannelGroup:
        losses = []
        repeats = 1
        for index, (dep, _) in enumerate(group):
            child = dep.target.module
            repeats = max(repeats, _stretches(child))
            name = self._names.get(child) if isinstance(child, nn.Module) else None
            if name in self._layers:
                side: Literal["out", "in"] = (
                    "out" if self._graph.is_out_channel_pruning_fn(dep.handler) else "in"
                )
                owners = np.array([-1 if i is None else i for i in group[index].root_idxs], np.int64)
                losses.append((name, side, owners[owners >= 0]))
        return ChannelGroup(root, layers, self._scores(group, width), repeats, tuple(losses))

    def _scores(self, group: Any, width: int) -> Scores:
        if self._importance == "random":
            return self._random.random(width)
        if not isinstance(self._importance, str):
            return self._by_gates(self._importance, group, width)
        scorer = tp.importance.GroupMagnitudeImportance(p=1 if self._importance == "l1" else 2)
        scores: Scores = scorer(group).detach().double().numpy()
        return scores

    def _by_gates(self, gates: Gates, group: Any, width: int) -> Scores:
        """For each channel the mean over batches of (Σ over all inputs that it feeds of their derivative)²."""
        batches = len(next(iter(gates.values()), ()))
        total = np.zeros((width, batches))
        for index, (dep, indices) in enumerate(group):
            name = self._names.get(dep.target.module) if isinstance(dep.target.module, nn.Module) else None
            if name is not None and name in gates and self._graph.is_in_channel_pruning_fn(dep.handler):
                owners = np.array([-1 if i is None else i for i in group[index].root_idxs], np.int64)
                fed = gates[name].numpy()[:, np.asarray(indices)].T
                np.add.at(total, owners[owners >= 0], fed[owners >= 0])
        scores: Scores = np.square(total).mean(axis=1)
        return scores


def unprunable_reasons(module: nn.Module, input_shape: tuple[int, ...]) -> dict[str, str]:
    """Why the output channels of layers cannot be removed, in words, by layer name; layers that can are missing.

    Raises:
        StudioError: if nothing can be removed because the network cannot be traced.
    """
    return ChannelGraph(module, input_shape).reasons


def _require_traceable(module: nn.Module) -> None:
    for child in module.modules():
        kind = type(child)
        why = UNTRACEABLE.get(kind.__name__) or UNTRACEABLE.get(f"{kind.__module__}.{kind.__name__}")
        if why is not None:
            raise StudioError(
                f"The channels of this network cannot be removed, because {why}, which Torch-Pruning cannot follow: "
                "set single weights to zero (Prune) or choose another network."
            )


def _loose_parameters(module: nn.Module) -> list[Any]:
    """Parameters that belong to no known layer and the axis of their channels: vision transformers' embeddings."""
    loose = []
    for name, parameter in module.named_parameters():
        if name in ("class_token", "encoder.pos_embedding") and parameter.dim() == 3:
            loose.append((parameter, 2))
        elif name.endswith("layer_scale"):
            loose.append((parameter, 0))
    return loose


def _stretches(child: Any) -> int:
    """Into how many stretches of equal length a layer's channels fall."""
    if isinstance(child, _ConvNd):
        return 1 if child.groups == child.out_channels else int(child.groups)
    if isinstance(child, nn.GroupNorm):
        return int(child.num_groups)
    if isinstance(child, nn.MultiheadAttention):
        return int(child.num_heads)
    return 1


def _weights(child: nn.Module, lost_out: int, lost_in: int) -> int:
    """Weights of a layer once it has lost outputs and inputs."""
    if isinstance(child, _ConvNd):
        kernel = child.weight[0, 0].numel()
        if child.groups == child.in_channels == child.out_channels and child.groups > 1:
            return int((child.out_channels - max(lost_out, lost_in)) * kernel)
        return int((child.out_channels - lost_out) * (child.in_channels - lost_in) // child.groups * kernel)
    if isinstance(child, nn.Linear):
        return int((child.out_features - lost_out) * (child.in_features - lost_in))
    if isinstance(child, nn.MultiheadAttention):
        # The projections of queries, keys and values; all three lose the same channels.
        return int(3 * (child.embed_dim - max(lost_out, lost_in)) ** 2)
    return 0


def _replace_by_indices(module: nn.Module) -> None:
    """Put into every floating-point tensor its flat indices, as float64, which holds them exactly."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.arange(tensor.numel(), dtype=torch.float64).reshape(tensor.shape)


def _go_on() -> None:
    """Never give up."""
