"""Preparing a network for few bits without changing what it computes: batch norms folded, neighbours equalised.

Batch norms stay in the network as identities with a bias, so that its tensors keep their names and shapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# What may stand between two layers: f(s · x) = s · f(x) for s > 0, channel by channel.
_HOMOGENEOUS_MODULES = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.Identity,
    nn.Dropout,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
)
_HOMOGENEOUS_FUNCTIONS = frozenset(
    {"relu", "relu_", "leaky_relu", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "flatten", "dropout"}
    | {"boolean_dispatch"}
)


@dataclass(frozen=True)
class Neighbours:
    """Two layers between which channels may be scaled: the first's outputs are nothing but the second's inputs."""

    first: nn.Module
    norm: nn.Module | None
    second: nn.Module


def traced(module: nn.Module) -> fx.GraphModule | None:
    """The network's graph, or None where it cannot be traced (its way depends on values)."""
    try:
        return fx.symbolic_trace(module)
    except Exception:
        return None


def fold_batch_norms(module: nn.Module) -> int:
    """Multiply each batch norm into the convolution or linear layer before it, in place; returns how many there were.

    The outputs stay the same up to rounding. Only where nothing else uses the convolution's output.
    """
    graph = traced(module)
    if graph is None:
        return 0
    folded = 0
    for node in graph.graph.nodes:
        norm = _called(graph, node, _NORMS)
        before = node.args[0] if norm is not None and node.args else None
        if not isinstance(before, fx.Node) or len(before.users) != 1:
            continue
        layer = _called(graph, before, (*_CONVOLUTIONS, nn.Linear))
        if layer is None or _uses(graph, before.target) != 1 or _uses(graph, node.target) != 1:
            continue
        # The modules of the graph are those of the network.
        if _fold(layer, norm):
            folded += 1
    return folded


@torch.no_grad()
def _fold(layer: nn.Module, norm: nn.Module | None) -> bool:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)
    if norm.running_mean is None or norm.running_var is None or norm.weight is None or norm.bias is None:
        return False
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    # −0.0 would no longer be a pruned weight's zero.
    layer.weight.add_(0.0)
    shift = norm.bias - norm.running_mean * factor
    if layer.bias is not None:
        layer.bias.mul_(factor)
    norm.bias.copy_(shift)
    norm.weight.fill_(1.0)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
    return True


def equalise(module: nn.Module, sweeps: int = 2) -> int:
    """Scale the channels between neighbouring layers so that both sides have like ranges, in place.

    Nagel et al. 2019, equation 11: channel i is divided by sqrt(r1_i / r2_i). The outputs stay the same up to rounding.
    Returns the number of pairs of layers.
    """
    pairs = list(_neighbours(module))
    for _ in range(sweeps):
        for pair in pairs:
            _equalise(pair)
    return len(pairs)


@torch.no_grad()
def _equalise(pair: Neighbours) -> None:
    first: Tensor = pair.first.weight  # type: ignore[assignment]
    second: Tensor = pair.second.weight  # type: ignore[assignment]
    channels = first.shape[0]
    columns = second.flatten(1)
    # After a flattening each channel has several inputs of its own.
    inputs = columns.reshape(second.shape[0], channels, -1)
    before = first.flatten(1).abs().amax(1)
    after = inputs.abs().amax((0, 2))
    factor = torch.sqrt(before / after)
    factor = torch.where((before > 0) & (after > 0) & torch.isfinite(factor), factor, torch.ones_like(factor))
    first.div_(factor.reshape(-1, *[1] * (first.ndim - 1)))
    second.copy_((inputs * factor[None, :, None]).reshape(second.shape))
    for owner in (pair.first, pair.norm):
        bias = getattr(owner, "bias", None)
        if isinstance(bias, Tensor):
            bias.div_(factor)


def _neighbours(module: nn.Module) -> Iterator[Neighbours]:
    graph = traced(module)
    if graph is None:
        return
    kinds = (*_CONVOLUTIONS, nn.Linear)
    for node in graph.graph.nodes:
        first = _called(graph, node, kinds)
        if first is None or _uses(graph, node.target) != 1 or getattr(first, "groups", 1) != 1:
            continue
        norm: nn.Module | None = None
        here = node
        while len(here.users) == 1:
            here = next(iter(here.users))
            found = _called(graph, here, _NORMS)
            if found is not None and norm is None and _is_identity(found):
                norm = found
                continue
            second = _called(graph, here, kinds)
            if second is not None:
                if (
                    getattr(second, "groups", 1) == 1
                    and _uses(graph, here.target) == 1
                    and _fits(first, second)
                ):
                    yield Neighbours(first, norm, second)
                break
            if not _homogeneous(graph, here):
                break


def _fits(first: nn.Module, second: nn.Module) -> bool:
    channels = first.weight.shape[0]  # type: ignore[index]
    inputs = second.weight[0].numel() if isinstance(second, nn.Linear) else second.weight.shape[1]  # type: ignore[index]
    return bool(inputs % channels == 0 if isinstance(second, nn.Linear) else inputs == channels)


def is_folded(norm: nn.Module) -> bool:
    """Whether a module is a batch norm that subtracts nothing and divides by one, as `fold_batch_norms` leaves it.

    One that was never trained divides by a little more.
    """
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return False
    if norm.running_mean is None or norm.running_var is None or norm.weight is None:
        return False
    flat = not bool(norm.running_mean.any())
    return flat and bool((norm.running_var == 1.0 - norm.eps).all())


def _is_identity(norm: nn.Module) -> bool:
    weight = getattr(norm, "weight", None)
    return is_folded(norm) and isinstance(weight, Tensor) and bool((weight == 1).all())


def _homogeneous(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), _HOMOGENEOUS_MODULES)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and str(name).lstrip("_") in _HOMOGENEOUS_FUNCTIONS


def _called(graph: fx.GraphModule, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> nn.Module | None:
    if node.op != "call_module":
        return None
    found = graph.get_submodule(str(node.target))
    return found if isinstance(found, kinds) else None


def _uses(graph: fx.GraphModule, target: object) -> int:
    return sum(node.op == "call_module" and node.target == target for node in graph.graph.nodes)
