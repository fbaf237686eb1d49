"""The moving average, against its definition as a weighted mean."""

import numpy as np
import pytest

from core.history.smoothing import smoothed


@pytest.mark.parametrize("weight", [0.1, 0.6, 0.99])
def test_each_value_is_a_weighted_mean_of_those_up_to_it(weight: float) -> None:
    values = np.random.default_rng(0).normal(size=50)
    powers = weight ** np.arange(50)
    expected = [np.average(values[: t + 1][::-1], weights=powers[: t + 1]) for t in range(50)]
    np.testing.assert_allclose(smoothed(values, weight), expected, rtol=1e-12)


def test_a_constant_stays_and_gaps_do_not_spread() -> None:
    np.testing.assert_allclose(smoothed(np.full(9, 3.25), 0.9), 3.25)
    found = smoothed(np.array([1.0, np.nan, 3.0, np.inf]), 0.5)
    np.testing.assert_allclose(found, [1.0, np.nan, (0.5 * 0.5 * 1 + 0.5 * 3) / 0.75, np.nan])
    np.testing.assert_array_equal(smoothed(np.array([1.0, 2.0]), 0.0), [1.0, 2.0])
    with pytest.raises(ValueError, match="does not lie"):
        smoothed(np.ones(2), 1.0)
