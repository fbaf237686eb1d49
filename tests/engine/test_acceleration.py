"""Compiled loops and numpy give the same counts on every kind of tensor, and nothing depends on which is there."""

import math
import subprocess
import sys

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.analysis import Statistics, acceleration, heatmap, histogram, statistics
from core.analysis.histogram import HistogramCounter, bin_edges, finite_range
from core.analysis.magnitudes import magnitude_table
from core.analysis.statistics import LARGE, StatisticsCounter

RANDOM = np.random.default_rng(11)
NORMAL = RANDOM.standard_normal(300_001).astype(np.float32)
PRUNED = np.where(np.abs(NORMAL) < 1.6, np.float32(0), NORMAL)
SPOILT = NORMAL.copy()
SPOILT[[5, 70_000, 262_145]] = [np.nan, np.inf, -np.inf]
TENSORS = {
    "normal": NORMAL,
    "pruned": PRUNED,
    "spoilt": SPOILT,
    "negative": -np.abs(NORMAL) - 1,
    "positive": np.abs(NORMAL) + 1,
    "far from zero": (1e4 + NORMAL).astype(np.float32),
    "drifting": (NORMAL + np.linspace(0, 1e3, NORMAL.size)).astype(np.float32),
    "constant": np.full(5000, 0.1, np.float32),
    "on the edges": np.tile(np.linspace(-1, 1, 257, dtype=np.float32), 600),
    "tiny numbers": NORMAL * np.float32(1e-42),
    "huge numbers": NORMAL * np.float32(5e37),
    "minus zero": np.array([-0.0] * 3000 + [0.0], np.float32),
    "nothing finite": np.full(3000, np.nan, np.float32),
    "empty": np.zeros(0, np.float32),
    "not aligned": np.frombuffer(b"x" + NORMAL[:5000].tobytes(), np.uint8)[1:].view(np.float32),
    "strided": NORMAL[::3],
    "other byte order": NORMAL[:4000].astype(">f4"),
    "float16": NORMAL.astype(np.float16),
    "int8": RANDOM.integers(-128, 128, 100_003).astype(np.int8),
    "int16": RANDOM.integers(-3000, 3000, 100_003).astype(np.int16),
    "bool": NORMAL > 0.5,
    "int32": RANDOM.integers(-(10**6), 10**6, 40_000).astype(np.int32),
    "float64": NORMAL[:50_000].astype(np.float64),
    "complex": (NORMAL[:60_000] + 1j * NORMAL[60_000:120_000]).astype(np.complex64),
}


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Every test here has the loops; where numba cannot be had, there is nothing to compare."""
    if not acceleration.load():
        pytest.skip("numba is not there")


def same_statistics(ours: Statistics, expected: Statistics) -> None:
    """Equal counts and ends; sums within rounding of float64."""
    counted = ("count", "zeros", "near_zeros", "nans", "positive_infinities", "negative_infinities")
    for name in (*counted, "minimum", "maximum"):
        assert getattr(ours, name) == getattr(expected, name), name
    scale = max(abs(expected.minimum or 0), abs(expected.maximum or 0))
    for name, relative in (("mean", 1e-12), ("std", 1e-10), ("l1", 1e-12), ("l2", 1e-12), ("kurtosis", 1e-8)):
        mine, theirs = getattr(ours, name), getattr(expected, name)
        if theirs is None:
            assert mine is None, name
        else:
            tolerance = 1e-8 if name == "kurtosis" else 1e-15 * scale
            assert mine == pytest.approx(theirs, rel=relative, abs=tolerance), name


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("near_zero", [1e-3, 0.0, 0.25, 1e39])
def test_statistics_are_those_of_numpy(name: str, near_zero: float) -> None:
    with acceleration.numpy_only():
        expected = statistics(TENSORS[name], near_zero)
    same_statistics(statistics(TENSORS[name], near_zero), expected)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("bins", [1, 24, 255, 256, 257, 1000, 20_000])
def test_histograms_are_those_of_numpy(name: str, bins: int) -> None:
    with acceleration.numpy_only():
        expected = histogram(TENSORS[name], bins)
    same_histogram(histogram(TENSORS[name], bins), expected)


@pytest.mark.parametrize("name", ["normal", "pruned", "spoilt", "float16", "int8", "complex", "huge numbers"])
@pytest.mark.parametrize("window", [(-1.0, 1.0), (0.3, 0.3001), (-1e30, 1e30), (50.0, 60.0)])
def test_histograms_of_a_part_are_those_of_numpy(name: str, window: tuple[float, float]) -> None:
    with acceleration.numpy_only():
        expected = histogram(TENSORS[name], 64, window)
    same_histogram(histogram(TENSORS[name], 64, window), expected)


def same_histogram(ours: object, expected: object) -> None:
    for name in ("edges", "counts"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(expected, name))
    for name in ("below", "above", "zeros", "nans", "infinities"):
        assert getattr(ours, name) == getattr(expected, name), name


@pytest.mark.parametrize("name", TENSORS)
def test_ranges_are_those_of_numpy(name: str) -> None:
    with acceleration.numpy_only():
        expected = finite_range([TENSORS[name]])
    assert finite_range([TENSORS[name]]) == expected


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=numpy_strategies.arrays(
        np.float32, st.integers(0, 300), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
    ),
    bins=st.integers(1, 300),
)
def test_any_numbers_are_counted_as_numpy_counts_them(values: np.ndarray, bins: int) -> None:
    with acceleration.numpy_only():
        expected, figures = histogram(values, bins), statistics(values)
    same_histogram(histogram(values, bins), expected)
    ours = statistics(values)
    assert (ours.zeros, ours.nans, ours.minimum, ours.maximum) == (
        figures.zeros,
        figures.nans,
        figures.minimum,
        figures.maximum,
    )


def test_elements_that_are_edges_are_where_numpy_has_them() -> None:
    edges = bin_edges(-0.73, 1.91, 200, np.dtype(np.float32), from_data=True)
    on_edges = edges.astype(np.float32)
    values = np.concatenate(
        [on_edges, np.nextafter(on_edges, np.float32(9))[:-1], np.nextafter(on_edges, np.float32(-9))[1:]]
    )
    values = np.tile(values, 40)
    counts, theirs = np.histogram(values, 200)
    ours = histogram(values, 200)
    np.testing.assert_array_equal(ours.edges, theirs.astype(np.float64))
    np.testing.assert_array_equal(ours.counts, counts)


@pytest.mark.parametrize("mode", ["sparsity", "magnitude", "signed"])
@pytest.mark.parametrize("size", [(7, 9), (64, 50), (2, 1)])
@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.0, 0.4, math.inf])
def test_pictures_are_those_of_numpy(
    mode: str, size: tuple[int, int], spoilt: bool, threshold: float | None
) -> None:
    matrix = RANDOM.standard_normal((130, 2500)).astype(np.float32)
    matrix[np.abs(matrix) < 0.3] = 0
    if spoilt:
        matrix[77, 100] = np.nan
        matrix[3, 2499] = -np.inf
    part = ((5, 129), (3, 2477))
    with acceleration.numpy_only():
        expected = heatmap(matrix, *part, *size, mode, threshold=threshold)  # type: ignore[arg-type]
    ours = heatmap(matrix, *part, *size, mode, threshold=threshold)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours.values, expected.values, rtol=2e-6, atol=1e-9)
    np.testing.assert_array_equal(ours.zeros, expected.zeros)
    if threshold is None:
        assert ours.going is None
    else:
        np.testing.assert_array_equal(ours.going, expected.going)
    assert (ours.invalid is None) == (expected.invalid is None)


@pytest.mark.parametrize("name", TENSORS)
def test_magnitudes_of_any_size_are_counted_exactly(name: str) -> None:
    values = TENSORS[name]
    with np.errstate(over="ignore"):
        magnitudes = np.abs(values if values.dtype.kind == "c" else values.astype(np.float32))
    for table in (tables := [magnitude_table(values, exact_up_to=0)]):
        if len(tables) == 1:
            with acceleration.numpy_only():
                tables.append(magnitude_table(values, exact_up_to=0))
        for threshold in (0.0, 1e-3, 0.5, 0.503, 1.0, 1.7, 1e30, math.inf):
            expected = np.count_nonzero(magnitudes[np.isfinite(magnitudes)] <= np.float32(threshold))
            assert table.up_to(threshold) == pytest.approx(expected, abs=0.02 * values.size + 1)
            exact = table.refined(threshold, values)
            assert exact.exact_at(threshold)
            assert exact.up_to(threshold) == expected
            with acceleration.numpy_only():
                assert table.refined(threshold, values).up_to(threshold) == expected


def test_pieces_add_up_to_the_whole() -> None:
    edges = bin_edges(-6, 6, 100, np.dtype(np.float32))
    figures = [StatisticsCounter(), StatisticsCounter()]
    counters = [HistogramCounter(edges), HistogramCounter(edges)]
    for place, piece in enumerate(np.array_split(SPOILT, 7)):
        figures[place % 2].add(piece)
        counters[place % 2].add(piece)
    figures[0].merge(figures[1])
    counters[0].merge(counters[1])
    same_statistics(figures[0].statistics(), statistics(SPOILT))
    same_histogram(counters[0].histogram(), histogram(SPOILT, 100, (-6, 6)))


def test_nothing_is_compiled_before_it_is_asked_for() -> None:
    """The window's first paint must not wait for numba."""
    words = "import sys, core.analysis, core.analysis.stream; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_without_numba_numpy_does_it() -> None:
    words = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np\n"
        "from core.analysis import acceleration, statistics\n"
        "assert not acceleration.load()\n"
        "assert statistics(np.ones(5, np.float32)).mean == 1"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_warming_up_uses_what_another_process_compiled() -> None:
    """The first start compiles in a process of its own; the next one only loads."""
    words = (
        "import sys\n"
        "from core.analysis import acceleration\n"
        "stamp = acceleration._stamp()\n"
        "before = stamp.exists()\n"
        "warm = acceleration.WarmUp()\n"
        "warm.start()\n"
        "assert warm.wait(120)\n"
        "assert stamp.exists() and acceleration.kernels() is not None\n"
        "hits = acceleration.kernels().add_counts.stats.cache_hits\n"
        "assert sum(hits.values()) == 1, hits\n"
        "warm.stop()"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_warming_up_can_be_stopped_at_once() -> None:
    words = (
        "from core.analysis import acceleration\n"
        "warm = acceleration.WarmUp()\n"
        "warm.start()\n"
        "warm.stop()\n"
        "assert warm.wait(0)\n"
        "acceleration.WarmUp().stop()"
    )
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_a_large_tensor_is_summed_faster_and_as_well() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.05, LARGE + 1000).astype(np.float32)
    values[::7] = 0
    ours = statistics(values)
    exact = values.astype(np.float64)
    mean, std = exact.mean(), exact.std()
    assert ours.count == LARGE + 1000
    assert (ours.minimum, ours.maximum) == (exact.min(), exact.max())
    assert ours.zeros == np.count_nonzero(values == 0)
    assert ours.mean == pytest.approx(mean, rel=1e-8)
    assert ours.std == pytest.approx(std, rel=1e-8)
    assert ours.l1 == pytest.approx(np.abs(exact).sum(), rel=1e-8)
    assert ours.kurtosis == pytest.approx(((exact - mean) ** 4).mean() / std**4 - 3, abs=1e-7)


@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e12])
def test_powers_that_float32_cannot_hold_are_summed_in_float64(factor: float) -> None:
    values = (np.random.default_rng(4).normal(1, 1, LARGE) * factor).astype(np.float32)
    exact = values.astype(np.float64)
    ours = statistics(values)
    assert ours.std == pytest.approx(exact.std(), rel=1e-7)
    kurtosis = ((exact - exact.mean()) ** 4).mean() / exact.std() ** 4 - 3
    assert ours.kurtosis == pytest.approx(kurtosis, abs=1e-7)


@pytest.mark.parametrize("bins", [16, 100, 256, 500, 4096])
def test_elements_on_and_beside_edges_are_counted_as_numpy_counts_them(bins: int) -> None:
    rng = np.random.default_rng(bins)
    values = rng.standard_normal(20_000).astype(np.float32)
    edges = np.histogram_bin_edges(values, bins).astype(np.float32)
    near = [edges, np.nextafter(edges, np.float32(-9)), np.nextafter(edges, np.float32(9))]
    values = np.concatenate([values, *near])
    values = values[(values >= edges[0]) & (values <= edges[-1])]
    rng.shuffle(values)
    counts, _ = np.histogram(values, bins)
    np.testing.assert_array_equal(histogram(values, bins).counts, counts)
