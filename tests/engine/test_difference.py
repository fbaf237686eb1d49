"""Two models side by side: layers pair by name and shape, and every figure is numpy's on the whole tensors."""

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import difference
from core.analysis.difference import layer_difference, match_layers
from core.models.description import Layer

RANDOM = np.random.default_rng(8)


def layer(name: str, *shape: int) -> Layer:
    return Layer(name, "linear", f"{name}.weight", shape, 0, 1)


def test_layers_pair_by_name_and_shape_and_the_others_say_why_not() -> None:
    first = [layer("a", 3, 4), layer("b", 5, 6), layer("c", 2, 2)]
    second = [layer("c", 2, 2), layer("b", 5, 7), layer("d", 1, 1)]
    found = match_layers(first, second)
    assert [pair.name for pair in found.pairs] == ["c"]
    assert [(one.name, one.in_first, one.reason) for one in found.unmatched] == [
        ("a", True, "only in the open model"),
        ("b", True, "5 × 6 here, 5 × 7 in the other model"),
        ("d", False, "only in the other model"),
    ]


@settings(max_examples=100, deadline=None)
@given(
    weights=numpy_strategies.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(-100, 100, width=32),
    ),
    seed=st.integers(0, 999),
    piece=st.sampled_from([3, 1 << 16]),
)
def test_every_figure_is_numpys(weights: np.ndarray, seed: int, piece: int) -> None:
    random = np.random.default_rng(seed)
    after = weights.copy()
    after[random.random(weights.shape) < 0.4] *= np.float32(0.5)
    after[random.random(weights.shape) < 0.2] = 0
    usual, difference._PIECE = difference._PIECE, piece
    try:
        found = layer_difference(after, weights)
    finally:
        difference._PIECE = usual
    delta = (after - weights).astype(np.float64)
    a, b = after.astype(np.float64).ravel(), weights.astype(np.float64).ravel()
    assert found.weights == weights.size
    assert found.changed == (after != weights).sum()
    assert found.largest == np.abs(delta).max()
    assert found.mean == pytest.approx(np.abs(delta).mean())
    assert (found.zeros_before, found.zeros_after) == ((weights == 0).sum(), (after == 0).sum())
    assert found.not_compared == 0
    if b.any():
        assert found.relative == pytest.approx(np.linalg.norm(delta) / np.linalg.norm(b))
    else:
        assert found.relative is None
    if a.any() and b.any():
        assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    else:
        assert found.cosine is None


def test_what_is_not_finite_is_counted_apart() -> None:
    before = np.array([np.nan, np.inf, 1.0, np.nan, 2.0], np.float32)
    after = np.array([np.nan, np.inf, 1.5, 3.0, 2.0], np.float32)
    found = layer_difference(after, before)
    assert (found.changed, found.not_compared, found.largest) == (2, 3, 0.5)
    nothing = layer_difference(np.full(3, np.nan), np.full(3, np.nan))
    assert (nothing.changed, nothing.largest, nothing.mean, nothing.cosine) == (0, None, None, None)


@pytest.mark.parametrize(
    ("after", "before", "changed", "largest"),
    [
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), 0, None),
        (np.array([-128, 3], np.int8), np.array([127, 3], np.int8), 1, 255.0),
        (np.array([1.0, 2.0], np.float16), np.array([1.0, 2.0], np.float32), 0, 0.0),
        (np.array([True, False]), np.array([True, True]), 1, 1.0),
        (np.array([1 + 1j]), np.array([1 - 1j]), 1, 2.0),
    ],
    ids=["empty", "int8", "fp16 against fp32", "bool", "complex"],
)
def test_odd_types(after: np.ndarray, before: np.ndarray, changed: int, largest: float | None) -> None:
    found = layer_difference(after, before)
    assert (found.changed, found.largest) == (changed, largest)


def test_a_weight_and_its_negative_point_in_opposite_directions() -> None:
    weights = RANDOM.standard_normal((40, 50)).astype(np.float32)
    assert layer_difference(-weights, weights).cosine == pytest.approx(-1)
    assert layer_difference(weights, weights).cosine == pytest.approx(1)
    assert layer_difference(weights, weights).relative == 0


def test_different_shapes_are_no_pair() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        layer_difference(np.zeros(3), np.zeros(4))


def test_comparing_can_be_given_up() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        layer_difference(np.ones(4), np.ones(4), stop)
