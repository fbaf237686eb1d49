"""Undoing what rounding does to a layer's outputs: biases that keep their means, and rounding that is learned."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.quantization.grid import grouped, ungrouped
from core.quantization.record import QuantizedWeight

_BATCH = 32
# Louizos et al. 2018, as AdaRound takes them: the sigmoid is stretched a little beyond 0 and 1, then clipped.
_LOWER, _UPPER = -0.1, 1.1
_REGULARISATION = 0.01


class _Enough(Exception):  # noqa: N818 - no error: the layer's input is known, the rest need not run
    pass


@torch.no_grad()
def inputs_of(module: nn.Module, layer: nn.Module, batches: Iterable[Tensor]) -> list[Tensor]:
    """What goes into a layer, batch by batch; nothing behind it is computed."""
    found: list[Tensor] = []

    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        found.append(arguments[0].detach())
        raise _Enough

    handle = layer.register_forward_pre_hook(hook)
    with ExitStack() as stack:
        stack.callback(handle.remove)
        for inputs in batches:
            try:
                module(inputs)
            except _Enough:
                continue
    return found


@torch.no_grad()
def mean_shift(layer: nn.Module, rounded: Tensor, inputs: Iterable[Tensor]) -> Tensor:
    """How much rounding a layer's weight moves the mean of each of its outputs, [outputs] (Nagel et al. 2019, "
    "4.2)."""
    total: Tensor | None = None
    count = 0
    for each in inputs:
        change = functional_call(layer, {"weight": rounded}, each) - layer(each)
        # Linear layers have their outputs last, convolutions second.
        outputs = change.movedim(-1, 0) if isinstance(layer, nn.Linear) else change.movedim(1, 0)
        sums = outputs.flatten(1).sum(1, dtype=torch.float64)
        total = sums if total is None else total + sums
        count += outputs[0].numel()
    assert total is not None
    return (total / max(1, count)).to(torch.float32)


def learned_rounding(
    layer: nn.Module,
    record: QuantizedWeight,
    wanted: list[Tensor],
    given: list[Tensor],
    iterations: int,
    generator: torch.Generator,
    check: Callable[[], None],
) -> Tensor:
    """The weight rounded up or down so that the layer's outputs change least (AdaRound, Nagel et al. 2020).

    Args:
        layer: with a bias or without, whose weight is not rounded yet.
        wanted: its inputs in the float network, in batches.
        given: its inputs in the network whose earlier layers are rounded already.
        check: called before each update; may raise to give up.

    Returns:
        float32 of the weight's shape, on the record's grid; zeros stay zeros.
    """
    weight: Tensor = layer.weight.detach()  # type: ignore[operator]
    assert record.scale is not None
    assert record.zero_point is not None
    scale, zero = record.scale[..., None], record.zero_point[..., None]
    steps = grouped(weight, record.axis, record.group_size) / scale
    floor = torch.floor(steps)
    rest = steps - floor
    start = torch.clamp((rest - _LOWER) / (_UPPER - _LOWER), 1e-4, 1 - 1e-4)
    slope = torch.log(start / (1 - start)).requires_grad_()
    kept = grouped(weight, record.axis, record.group_size) != 0
    x, target = torch.cat(given), torch.cat(wanted)
    with torch.no_grad():
        outputs = torch.cat([layer(each) for each in torch.split(target, 256)])
    optimizer = torch.optim.Adam([slope], lr=1e-2)

    def rounded(share: Tensor) -> Tensor:
        integers = torch.clamp(floor + share + zero, record.lowest, record.highest) - zero
        return ungrouped(torch.where(kept, integers * scale, 0.0), weight.shape, record.axis)

    # Outputs of any size weigh the same against the regularisation.
    power = float(outputs.square().mean()) or 1.0
    for iteration in range(iterations):
        check()
        chosen = torch.randint(0, len(x), (min(_BATCH, len(x)),), generator=generator).to(x.device)
        share = torch.clamp(torch.sigmoid(slope) * (_UPPER - _LOWER) + _LOWER, 0, 1)
        got = functional_call(layer, {"weight": rounded(share)}, x[chosen])
        loss = (got - outputs[chosen]).square().mean() / power
        done = iteration / iterations
        if done > 0.2:
            sharpness = 20 - 18 * (done - 0.2) / 0.8
            towards = 1 - (2 * share - 1).abs().pow(sharpness)
            loss = loss + _REGULARISATION * towards.mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        up = (torch.sigmoid(slope) * (_UPPER - _LOWER) + _LOWER >= 0.5).to(torch.float32)
        result = rounded(up)
        plain = rounded((rest >= 0.5).to(torch.float32))
        # The examples decide whether learning has helped at all.
        errors = []
        for candidate in (plain, result):
            total = 0.0
            for part, wish in zip(torch.split(x, 256), torch.split(outputs, 256)):
                difference = functional_call(layer, {"weight": candidate}, part) - wish
                total += float(difference.square().sum(dtype=torch.float64))
            errors.append(total)
    return (result if errors[1] < errors[0] else plain).detach() + 0.0
