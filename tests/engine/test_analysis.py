"""Statistics, histograms and magnitude tables give numpy's numbers on every kind of array."""

import math

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import histogram, statistics
from core.analysis.histogram import automatic_bins, bin_edges, finite_range
from core.analysis.magnitudes import magnitude_table

RANDOM = np.random.default_rng(7)
NORMAL = RANDOM.standard_normal((100, 700)).astype(np.float32)
PRUNED = np.where(np.abs(NORMAL) < 1.2, np.float32(0), NORMAL)
ARRAYS = {
    "normal": NORMAL,
    "pruned": PRUNED,
    "float64": NORMAL.astype(np.float64) * 1e-3 + 5,
    "transposed": NORMAL.T,
    "strided": NORMAL[::3, ::2],
    "integers": RANDOM.integers(-128, 128, 50_000).astype(np.int8),
    "bool": NORMAL > 0,
    "constant": np.full(1000, 0.25, np.float32),
    "one value": np.array([-3.5], np.float32),
    "a scalar": np.float32(2.5).reshape(()),
    "far from zero": (1e4 + RANDOM.standard_normal(40_000)).astype(np.float32),
    "on the edges": np.tile(np.linspace(-1, 1, 65, dtype=np.float32), 300),
}


class GaveUpError(Exception):
    """What a check raises to give up."""


def stop() -> None:
    raise GaveUpError


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("bins", [1, 7, 64, 256, 512])
def test_histogram_is_numpys_with_its_edges(name: str, bins: int) -> None:
    values = ARRAYS[name]
    if values.dtype == np.bool_:
        counts, edges = np.histogram(values.astype(np.float64), bins)
    else:
        counts, edges = np.histogram(values, bins)

    ours = histogram(values, bins)

    np.testing.assert_array_equal(ours.edges, edges.astype(np.float64))
    np.testing.assert_array_equal(ours.counts, counts)
    assert ours.zeros == np.count_nonzero(values == 0)
    assert ours.total == values.size
    assert ours.below == ours.above == ours.nans == ours.infinities == 0


@pytest.mark.parametrize("name", ["normal", "pruned", "float64", "integers", "far from zero"])
@pytest.mark.parametrize("window", [(-1.0, 1.0), (-0.3, 2.7), (4.9999, 10_000.5), (50.0, 60.0)])
def test_histogram_over_a_fixed_range_is_numpys(name: str, window: tuple[float, float]) -> None:
    values = ARRAYS[name]
    counts, edges = np.histogram(values, 50, range=window)

    ours = histogram(values, 50, window)

    np.testing.assert_array_equal(ours.edges, edges.astype(np.float64))
    np.testing.assert_array_equal(ours.counts, counts)
    assert ours.below == np.count_nonzero(values < edges[0])
    assert ours.above == np.count_nonzero(values > edges[-1])


def test_histogram_of_float16_is_numpys_of_the_same_values() -> None:
    values = NORMAL.astype(np.float16)
    counts, edges = np.histogram(values.astype(np.float64), 512)

    ours = histogram(values, 512)

    np.testing.assert_array_equal(ours.edges, edges)
    np.testing.assert_array_equal(ours.counts, counts)


def test_what_is_not_finite_is_counted_and_in_no_bin() -> None:
    values = NORMAL.copy()
    values[0, :5] = [np.nan, np.inf, -np.inf, np.nan, np.inf]
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, 64)

    ours = histogram(values, 64)

    np.testing.assert_array_equal(ours.counts, counts)
    np.testing.assert_array_equal(ours.edges, edges.astype(np.float64))
    assert (ours.nans, ours.infinities) == (2, 3)
    assert ours.total == values.size


@pytest.mark.parametrize("values", [np.zeros(0, np.float32), np.full(10, np.nan, np.float32)])
def test_histogram_without_a_finite_element_has_empty_bins(values: np.ndarray) -> None:
    ours = histogram(values, 16)
    assert ours.bins == 16
    assert not ours.counts.any()
    assert ours.total == values.size


def test_histogram_without_zeros_lacks_only_the_zeros() -> None:
    ours = histogram(PRUNED, 64)
    nonzero, _ = np.histogram(PRUNED[PRUNED != 0], 64, range=(float(PRUNED.min()), float(PRUNED.max())))
    np.testing.assert_array_equal(ours.counts_without_zeros, nonzero)
    assert ours.zero_bin == ours.bin_of(0.0)
    assert ours.bin_of(1e9) is None


def test_a_range_finer_than_the_numbers_gets_fewer_bins() -> None:
    values = np.array([1.0, np.nextafter(np.float64(1), 2)])
    ours = histogram(values, 256)
    assert ours.bins < 256
    assert ours.counts.sum() == 2


def test_a_range_finer_than_float32_is_still_counted_exactly() -> None:
    values = np.full(1000, 1.0, np.float32)
    values[:300] = np.nextafter(np.float32(1), np.float32(2))
    ours = histogram(values, 64)
    assert ours.counts.tolist() == [700, *[0] * 62, 300]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_widest_ranges_do_not_overflow(dtype: type) -> None:
    extreme = np.finfo(dtype).max
    values = np.array([-extreme, -extreme, 0.0, 1.0, extreme], dtype)
    ours = histogram(values, 8)
    assert ours.counts.sum() == 5
    assert ours.counts[0] == 2
    assert ours.counts[-1] == 1
    assert statistics(values).minimum == -float(extreme)


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one bin"):
        histogram(NORMAL, 0)
    with pytest.raises(ValueError, match="is not a range"):
        bin_edges(1.0, 0.0, 4, np.dtype(np.float64))
    with pytest.raises(ValueError, match="is not a range"):
        histogram(NORMAL, 4, (0.0, math.inf))


def test_complex_values_are_taken_by_magnitude() -> None:
    values = NORMAL[:50] + 1j * NORMAL[50:]
    np.testing.assert_array_equal(histogram(values, 32).counts, np.histogram(np.abs(values), 32)[0])
    assert statistics(values).maximum == float(np.abs(values).max())


FLOATS = numpy_strategies.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    numpy_strategies.array_shapes(max_dims=3, max_side=9, min_side=0),
    elements=st.floats(width=16, allow_nan=True, allow_infinity=True),
)


@settings(max_examples=150, deadline=None)
@given(values=FLOATS, bins=st.integers(1, 40))
def test_every_element_is_counted_exactly_once(values: np.ndarray, bins: int) -> None:
    ours = histogram(values, bins)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert ours.total == values.size
    assert ours.counts.sum() == finite.size
    assert ours.nans == np.count_nonzero(np.isnan(values))
    inside = np.histogram(finite, ours.edges)[0]
    np.testing.assert_array_equal(ours.counts, inside)


@settings(max_examples=150, deadline=None)
@given(values=FLOATS)
def test_statistics_are_numpys(values: np.ndarray) -> None:
    ours = statistics(values)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert ours.count == values.size
    assert ours.finite == finite.size
    assert ours.zeros == np.count_nonzero(values == 0)
    if not finite.size:
        assert ours.minimum is ours.maximum is ours.mean is ours.std is None
        return
    assert (ours.minimum, ours.maximum) == (finite.min(), finite.max())
    scale = max(1.0, float(np.abs(finite).max()))
    assert ours.mean == pytest.approx(finite.mean(), abs=1e-12 * scale, rel=1e-12)
    assert ours.std == pytest.approx(finite.std(), abs=1e-9 * scale, rel=1e-9)
    assert ours.l1 == pytest.approx(np.abs(finite).sum(), rel=1e-12)
    assert ours.l2 == pytest.approx(np.sqrt((finite**2).sum()), rel=1e-12)


@pytest.mark.parametrize("name", ["normal", "pruned", "float64", "integers", "far from zero"])
def test_statistics_over_many_pieces_are_numpys(name: str) -> None:
    values = ARRAYS[name]
    exact = values.astype(np.float64)
    deviation = exact - exact.mean()

    ours = statistics(values, near_zero=0.05)

    assert ours.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-14)
    assert ours.std == pytest.approx(exact.std(), rel=1e-10)
    kurtosis = (deviation**4).mean() / (deviation**2).mean() ** 2 - 3
    assert ours.kurtosis == pytest.approx(kurtosis, rel=1e-9, abs=1e-9)
    assert ours.near_zeros == np.count_nonzero((np.abs(exact) < 0.05) & (exact != 0))
    assert ours.sparsity == np.count_nonzero(values == 0) / values.size


def test_statistics_of_a_constant_have_no_spread_and_no_kurtosis() -> None:
    ours = statistics(np.full(50_000, 0.1, np.float32))
    assert ours.std == 0
    assert ours.kurtosis is None
    assert ours.mean == pytest.approx(np.float32(0.1))


def test_infinities_are_counted_by_sign() -> None:
    ours = statistics(np.array([np.inf, -np.inf, np.inf, np.nan, 2.0, -0.0]))
    assert (ours.positive_infinities, ours.negative_infinities, ours.nans) == (2, 1, 1)
    assert (ours.infinities, ours.not_finite, ours.finite) == (3, 4, 2)
    assert ours.zeros == 1
    assert ours.mean == 1.0


def test_finite_range_spans_all_arrays() -> None:
    assert finite_range([np.array([1.0, np.nan]), np.array([-2.0, np.inf])]) == (-2.0, 1.0)
    assert finite_range([np.array([np.nan]), np.zeros(0)]) is None


@pytest.mark.parametrize(("count", "bins"), [(0, 16), (100, 16), (4608, 67), (10**9, 256)])
def test_automatic_bins_stay_readable(count: int, bins: int) -> None:
    assert automatic_bins(count) == bins


@pytest.mark.parametrize("work", [statistics, lambda v, check: histogram(v, 8, check=check), magnitude_table])
def test_work_can_be_given_up(work: object) -> None:
    with pytest.raises(GaveUpError):
        work(NORMAL, check=stop)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["normal", "pruned", "integers", "constant", "strided"])
@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.25, 1.0, 3.0, 1e9, -1.0, math.nan])
def test_magnitudes_up_to_a_threshold_are_counted_exactly(name: str, threshold: float) -> None:
    values = ARRAYS[name]
    table = magnitude_table(values)
    expected = np.count_nonzero(np.abs(values.astype(np.float32)) <= np.float32(threshold))
    assert table.exact
    assert table.up_to(threshold) == expected
    assert table.fraction_up_to(threshold) == expected / values.size


def test_magnitudes_of_a_large_tensor_are_counted_closely() -> None:
    table = magnitude_table(NORMAL, exact_up_to=1000)
    assert not table.exact
    for threshold in (0.0, 1e-4, 0.02, 0.5, 1.7, 9.0, math.inf):
        expected = np.count_nonzero(np.abs(NORMAL) <= threshold)
        assert table.up_to(threshold) == pytest.approx(expected, abs=0.002 * NORMAL.size)
    assert table.up_to(math.inf) == NORMAL.size


def test_what_is_not_finite_lies_above_every_threshold() -> None:
    values = np.array([np.nan, np.inf, 0.5, -0.5, 0.0], np.float32)
    assert magnitude_table(values).up_to(1e30) == 3
    assert magnitude_table(values, exact_up_to=0).up_to(1e30) == 3
    assert magnitude_table(np.zeros(0)).fraction_up_to(1.0) == 0
