"""Latency with its protocol: same input, warm-up, models in turn, median and spread."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from core.measurement.records import Latency

WARMUP = 5
REPETITIONS = 31
BUDGET_SECONDS = 4.0
LEAST_REPETITIONS = 21


def measure_latency(
    modules: Sequence[nn.Module],
    input_shape: tuple[int, ...],
    device: torch.device,
    check: Callable[[], None],
    batch_size: int = 1,
) -> list[Latency]:
    """Wall time of one forward pass of each module on the same random input of shape [batch_size, *input_shape].

    The modules take turns, so that a busy moment of the machine hits all of them alike. At least 21 repetitions,
    more (31) if they fit into four seconds.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((batch_size, *input_shape), generator=generator).to(device)

    def passing(module: nn.Module) -> Callable[[], object]:
        module.eval()
        return lambda: module(inputs)

    with torch.inference_mode():
        times = times_in_turns([passing(module) for module in modules], check, lambda: _synchronise(device))
    return [_latency(taken, batch_size, device) for taken in times]


def times_in_turns(
    passes: Sequence[Callable[[], object]],
    check: Callable[[], None],
    finish: Callable[[], None] | None = None,
) -> list[list[float]]:
    """Wall times in ms of each pass, after a warm-up, taking turns.

    Args:
        check: called before each pass; may raise to give up.
        finish: waits until a device has done what it was asked for.
    """
    times: list[list[float]] = [[] for _ in passes]
    wait = finish or _nothing
    began = time.monotonic()
    for once in passes:
        for _ in range(WARMUP):
            once()
            check()
    for repetition in range(REPETITIONS):
        if repetition >= LEAST_REPETITIONS and time.monotonic() - began > BUDGET_SECONDS:
            break
        for once, taken in zip(passes, times):
            check()
            wait()
            start = time.perf_counter()
            once()
            wait()
            taken.append(1000 * (time.perf_counter() - start))
    return times


def _nothing() -> None:
    return None


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _latency(taken: list[float], batch_size: int, device: torch.device) -> Latency:
    lower, median, upper = statistics.quantiles(taken, n=4, method="inclusive")
    return Latency(
        median_ms=median,
        lower_quartile_ms=lower,
        upper_quartile_ms=upper,
        minimum_ms=min(taken),
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        warmup=WARMUP,
        repetitions=len(taken),
        runtime=f"torch {torch.__version__} eager",
        device=str(device),
    )
