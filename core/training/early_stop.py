"""The early-stop iteration of a training: where the validation loss was lowest (Frankle and Carbin 2019)."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.events import MetricPoint


@dataclass(frozen=True)
class EarlyStop:
    """`iteration` counts updates since the beginning of the step; `loss` is the validation loss there."""

    iteration: int
    loss: float


def early_stop(points: Iterable[MetricPoint], step: int) -> EarlyStop | None:
    """The first minimum of the validation loss of a step, counted as in the points; None without any."""
    curve = [
        (point.iteration, point.value)
        for point in points
        if point.step == step and point.split == "validation" and point.metric == "loss"
    ]
    if not curve:
        return None
    begin = min(iteration for iteration, _ in curve)
    loss, iteration = min((value, iteration) for iteration, value in curve)
    return EarlyStop(iteration - begin, loss)
