"""Grids over histograms of activations, against the same grid on the values themselves."""

import numpy as np
import pytest
import torch

from core.analysis.histogram import Histogram
from core.quantization.activation_preview import ActivationChoice, preview_activations
from core.quantization.ranges import Observer
from core.quantization.record import ActivationRange


def values_after_relu() -> np.ndarray:
    return np.maximum(np.random.default_rng(3).normal(0.2, 1.0, 200_000), 0).astype(np.float32)


def histogram_of(values: np.ndarray, bins: int = 256) -> Histogram:
    # Ends a little beyond the values, as the measurement's have.
    edges = np.linspace(min(0.0, float(values.min()) * 1.1), float(values.max()) * 1.1, bins + 1)
    counts = np.histogram(values, edges)[0]
    return Histogram(edges, counts, 0, 0, int((values == 0).sum()), 0, 0)


def exactly(values: np.ndarray, grid: ActivationRange) -> tuple[float, int]:
    """SQNR in dB and the number of clipped values, by plain arithmetic on each value."""
    wide = values.astype(np.float64)
    whole = np.round(wide / grid.scale) + grid.zero_point
    rounded = (np.clip(whole, grid.lowest, grid.highest) - grid.zero_point) * grid.scale
    noise = float(((rounded - wide) ** 2).sum())
    clipped = int(((whole < grid.lowest) | (whole > grid.highest)).sum())
    return 10 * np.log10(float((wide**2).sum()) / noise), clipped


@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("shift", [0.0, -0.7])
def test_estimates_agree_with_the_values_themselves(bits: int, symmetric: bool, shift: float) -> None:
    values = values_after_relu() + np.float32(shift)
    low, high = float(values.min()), float(values.max())
    found = preview_activations(histogram_of(values), low, high, ActivationChoice(bits, symmetric))
    grid = ActivationRange(min(low, 0.0), high, bits, symmetric)
    sqnr, _ = exactly(values, grid)
    # A negative shift piles up equal values in one bin, which then do not lie evenly.
    assert found.sqnr == pytest.approx(sqnr, abs=0.3 if shift == 0 else 2.5)
    assert found.clipped == 0
    assert found.count == values.size
    assert (found.scale, found.zero_point) == (grid.scale, grid.zero_point)
    assert len(found.levels) == grid.highest - grid.lowest + 1
    assert found.used <= len(found.levels)


def test_what_is_clipped_is_counted_about_rightly() -> None:
    values = values_after_relu()
    found = preview_activations(
        histogram_of(values), 0.0, float(values.max()), ActivationChoice(4, ends=(0.0, 1.5))
    )
    sqnr, clipped = exactly(values, ActivationRange(0.0, 1.5, 4))
    assert found.clipped == pytest.approx(clipped, rel=0.02)
    assert found.sqnr == pytest.approx(sqnr, abs=0.1)
    assert found.high == pytest.approx(1.5)


@pytest.mark.parametrize("how", ["percentile", "entropy", "mse"])
def test_ranges_are_those_of_the_quantize_step(how: str) -> None:
    values = values_after_relu()
    observer = Observer()
    observer.see_ends(torch.from_numpy(values))
    observer.see_values(torch.from_numpy(values))
    wanted = observer.range(how, 4, False, 99.9)  # type: ignore[arg-type]
    found = preview_activations(
        histogram_of(values), 0.0, float(values.max()), ActivationChoice(4, False, how, percentile=99.9)
    )
    assert found.low == 0
    assert found.high == pytest.approx(wanted.high, rel=0.06)


def test_an_output_that_is_always_zero_loses_nothing() -> None:
    found = preview_activations(
        Histogram(np.array([-0.5, 0.5]), np.array([9]), 0, 0, 9, 0, 0), 0.0, 0.0, ActivationChoice()
    )
    assert found.sqnr == np.inf
    assert found.clipped == 0
    assert found.used == 1
