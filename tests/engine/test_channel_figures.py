"""Norms, similarities and spectra of channels are those of numpy and scipy on the whole tensor."""

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import channels
from core.analysis.channels import (
    channel_norms,
    cosine_similarities,
    effective_rank,
    spectrum,
)

RANDOM = np.random.default_rng(21)


@settings(max_examples=80, deadline=None)
@given(
    weight=numpy_strategies.arrays(
        np.float32,
        st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 0.0, 0.0, 1.5, -2.25, np.nan, np.inf]),
    ),
    part=st.sampled_from([4, 1 << 20]),
)
def test_norms_are_numpys(weight: np.ndarray, part: int) -> None:
    out, into, unit = weight.shape
    usual, channels._PART = channels._PART, part
    try:
        outputs, inputs = channel_norms(weight.reshape(out, -1), unit)
    finally:
        channels._PART = usual
    finite = np.where(np.isfinite(weight), weight, 0).astype(np.float64)
    for found, axes, weights in ((outputs, (1, 2), into * unit), (inputs, (0, 2), out * unit)):
        np.testing.assert_allclose(found.l1, np.abs(finite).sum(axes))
        np.testing.assert_allclose(found.l2, np.sqrt(np.square(finite).sum(axes)))
        np.testing.assert_array_equal(found.zeros, (weight == 0).sum(axes))
        assert found.weights == weights
        np.testing.assert_array_equal(found.dead, np.flatnonzero((weight == 0).all(axes)))


def test_the_smallest_integer_has_a_norm() -> None:
    outputs, _ = channel_norms(np.array([[-128, 0]], np.int8), 1)
    assert (outputs.l1[0], outputs.l2[0]) == (128, 128)


@pytest.mark.parametrize("shape", [(0, 6), (3, 0)])
def test_empty_layers_have_no_channels_or_empty_ones(shape: tuple[int, int]) -> None:
    outputs, _ = channel_norms(np.zeros(shape, np.float32), 1)
    assert len(outputs.l1) == shape[0]
    assert not len(outputs.dead)
    assert cosine_similarities(np.zeros(shape, np.float32)).most_alike is None
    assert spectrum(np.zeros(shape, np.float32)) is None


def test_cosines_are_scipys() -> None:
    matrix = RANDOM.standard_normal((20, 33)).astype(np.float32)
    matrix[4] = 0
    matrix[9, 2] = np.nan
    found = cosine_similarities(matrix)
    assert not found.sampled
    good = [row for row in range(20) if row not in (4, 9)]
    rows = matrix[good].astype(np.float64)
    expected = 1 - scipy.spatial.distance.cdist(rows, rows, "cosine")
    np.testing.assert_allclose(found.cosines[np.ix_(good, good)], expected, atol=1e-6)
    assert np.isnan(found.cosines[4]).all()
    assert np.isnan(found.cosines[:, 9]).all()


def test_twins_are_found_and_opposites_are_not_alike() -> None:
    matrix = RANDOM.standard_normal((6, 50))
    matrix[4] = 3 * matrix[1]
    matrix[5] = -matrix[0]
    found = cosine_similarities(matrix).most_alike
    assert found is not None
    assert found[:2] == (1, 4)
    assert found[2] == pytest.approx(1)


def test_of_too_many_channels_an_even_sample_is_compared() -> None:
    matrix = RANDOM.standard_normal((100, 8))
    found = cosine_similarities(matrix, most=10)
    assert found.sampled
    assert found.of == 100
    assert found.channels.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    np.testing.assert_allclose(np.diagonal(found.cosines), 1)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (1, 5), (7, 7)])
@pytest.mark.parametrize("direct", [1, 1 << 30])
def test_singular_values_are_scipys(
    shape: tuple[int, int], direct: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_DIRECT", direct)
    monkeypatch.setattr(channels, "_PART", 16)
    matrix = RANDOM.standard_normal(shape).astype(np.float32)
    found = spectrum(matrix)
    assert found is not None
    assert found.shape == shape
    expected = scipy.linalg.svdvals(matrix.astype(np.float64))
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)
    assert found.effective_rank == pytest.approx(np.exp(scipy.stats.entropy(expected)))


def test_effective_rank_of_known_spectra() -> None:
    assert effective_rank(np.ones(7)) == pytest.approx(7)
    assert effective_rank(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(np.zeros(3)) == 0


def test_ranks_for_an_energy() -> None:
    found = spectrum(np.diag([3.0, 2.0, 1.0, 0.0]))
    assert found is not None
    assert [found.rank_for(share) for share in (0.5, 9 / 14, 0.9, 13 / 14, 0.99, 1.0)] == [1, 1, 2, 2, 3, 3]
    nothing = spectrum(np.zeros((3, 4)))
    assert nothing is not None
    assert (nothing.effective_rank, nothing.rank_for(0.9)) == (0, 0)


def test_what_is_too_large_or_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.eye(5)
    matrix[0, 1] = np.inf
    found = spectrum(matrix)
    assert found is not None
    np.testing.assert_allclose(found.values, 1)
    monkeypatch.setattr(channels, "LARGEST_SIDE", 4)
    assert spectrum(np.eye(5)) is None
    assert spectrum(np.zeros((4, 100))) is not None


@pytest.mark.parametrize("work", [channel_norms, cosine_similarities, spectrum])
def test_work_can_be_given_up(work: object) -> None:
    def stop() -> None:
        raise InterruptedError

    arguments = (np.ones((4, 4)), 1) if work is channel_norms else (np.ones((4, 4)),)
    with pytest.raises(InterruptedError):
        work(*arguments, check=stop)  # type: ignore[operator]
