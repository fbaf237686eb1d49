"""What the preview of a grid says, against numpy by hand and against the quantize step's own grids."""

import math

import numpy as np
import pytest
import torch

from core.quantization.grid import find_grid, on_grid
from core.quantization.grid_preview import GridChoice, chosen_grid, preview_grid


def weight(seed: int = 0) -> torch.Tensor:
    return torch.randn((6, 4, 3, 3), generator=torch.Generator().manual_seed(seed)) * torch.tensor(
        [0.1, 0.2, 0.5, 1.0, 2.0, 4.0]
    ).reshape(6, 1, 1, 1)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_dragged_ends_are_what_numpy_makes_of_them(bits: int, symmetric: bool) -> None:
    values = weight().numpy().astype(np.float64)
    low, high = (-1.5, 1.5) if symmetric else (-0.7, 2.1)
    found = preview_grid(weight(), GridChoice(bits, symmetric, ends=(low, high)))
    lowest, highest = (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    scale = np.float32(high / highest if symmetric else (high - low) / highest)
    zero = 0 if symmetric else round(-low / float(scale))
    integers = np.clip(np.round(values.astype(np.float32) / scale) + zero, lowest, highest)
    rounded = (integers - zero) * float(scale)
    sqnr = 10 * np.log10((values**2).sum() / ((values - rounded) ** 2).sum())
    assert found.scale == pytest.approx(float(scale), rel=1e-6)
    assert found.zero_point == zero
    assert found.used == len(np.unique(integers))
    assert found.sqnr == pytest.approx(sqnr, abs=1e-3)
    ends = ((lowest - zero) * float(scale), (highest - zero) * float(scale))
    assert (found.low, found.high) == pytest.approx(ends)
    half = float(scale) / 2
    beyond = (values < ends[0] - half) | (values > ends[1] + half)
    assert found.clipped == beyond.sum() > 0
    assert len(found.levels) == highest - lowest + 1
    assert np.abs(found.levels).min() == 0


@pytest.mark.parametrize("ranges", ["min-max", "percentile", "mse"])
def test_found_ends_are_the_quantize_steps_own(ranges: str) -> None:
    choice = GridChoice(4, True, ranges)  # type: ignore[arg-type]
    found = preview_grid(weight(), choice)
    step = find_grid(weight(), 4, ranges=ranges)  # type: ignore[arg-type]
    assert torch.equal(on_grid(weight(), chosen_grid(weight(), choice)), on_grid(weight(), step))
    assert step.scale is not None
    assert found.scale == float(step.scale.item())
    assert (found.clipped > 0) == (ranges == "mse")
    assert found.by_channel is not None
    assert found.by_channel > found.sqnr + 3  # channels of very different sizes


def test_least_error_is_not_worse_than_no_clipping() -> None:
    sqnr = {name: preview_grid(weight(), GridChoice(3, True, name)).sqnr for name in ("min-max", "mse")}  # type: ignore[arg-type]
    assert sqnr["mse"] >= sqnr["min-max"]


def test_weights_that_lie_on_the_grid_lose_nothing() -> None:
    found = preview_grid(torch.tensor([-3.0, 0.0, 1.0, 3.0]), GridChoice(3, True))
    assert math.isinf(found.sqnr)
    assert found.clipped == 0
    assert found.by_channel is None
    assert math.isfinite(preview_grid(torch.zeros(4, 4), GridChoice(3)).scale)
