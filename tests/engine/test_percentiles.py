"""Exact percentiles: numpy's answer for every type, with ties, signs, NaN and infinities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.analysis.percentiles import USUAL, percentiles

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int8, np.int32, np.bool_])
@pytest.mark.parametrize("size", [1, 2, 7, 1_000, 300_000])
def test_they_are_numpys(dtype: type, size: int) -> None:
    values = (40 * RANDOM.standard_normal(size)).astype(dtype)
    expected = np.percentile(values.astype(np.float64), USUAL)
    np.testing.assert_allclose(percentiles(values), expected, rtol=1e-12, atol=1e-300)


@given(
    arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32)),
    st.lists(st.floats(0, 100), max_size=4),
)
def test_any_floats_and_any_percentages(values: np.ndarray, wanted: list[float]) -> None:
    finite = values[np.isfinite(values)].astype(np.float64)
    found = percentiles(values, wanted)
    if not finite.size:
        assert found is None
        return
    expected = np.percentile(finite, wanted) if wanted else []
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-44)


def test_a_mostly_pruned_layer_has_zero_in_the_middle() -> None:
    values = RANDOM.standard_normal((50, 60)).astype(np.float32)
    values[np.abs(values) < 1.5] = 0
    low, _, middle, _, high = percentiles(values) or ()
    assert middle == 0
    assert low < 0 < high


def test_it_gives_up_when_told() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        percentiles(np.zeros(10, np.float32), check=stop)


def test_a_percentage_beyond_100_is_refused() -> None:
    with pytest.raises(ValueError, match="101"):
        percentiles(np.zeros(3, np.float32), (101,))
