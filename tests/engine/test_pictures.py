"""Heatmaps by structure, of differences and of patterns equal what plain loops over the weights give."""

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import pictures
from core.analysis.colormaps import SEQUENTIAL, color_table, heatmap_colors, paint
from core.analysis.patterns import Pattern, broken_groups, broken_weights, count_broken
from core.analysis.pictures import (
    Broken,
    Difference,
    Squares,
    Subject,
    Weights,
    cell_of,
    input_axis,
    picture,
    profiles,
)

RANDOM = np.random.default_rng(5)
ELEMENTS = st.sampled_from([0.0, 0.0, 0.5, -1.25, 3.0, np.nan, np.inf])
MATRICES = numpy_strategies.arrays(
    np.float32, st.tuples(st.integers(1, 17), st.integers(1, 17)), elements=ELEMENTS
)


def whole(subject: Subject, mode: str = "sparsity", pixels: int = 1000, **more: object) -> object:
    """The picture of a whole matrix."""
    rows, columns = subject.shape
    return picture(subject, (0, rows), (0, columns), pixels, pixels, mode, **more)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(
    matrix=MATRICES,
    cell=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    mode=st.sampled_from(["sparsity", "magnitude", "signed"]),
    pixels=st.integers(1, 9),
    part=st.sampled_from([1, 8, 1 << 20]),
)
def test_a_pixel_stands_for_whole_cells(
    matrix: np.ndarray, cell: tuple[int, int], mode: str, pixels: int, part: int
) -> None:
    before, pictures._PART = pictures._PART, part
    try:
        tile = whole(Weights(matrix), mode, pixels, cell=cell, threshold=0.5)
    finally:
        pictures._PART = before
    assert tile.block[0] % cell[0] == tile.block[1] % cell[1] == 0
    for pixel in np.ndindex(tile.values.shape):
        (top, bottom), (left, right) = tile.weights_of(pixel)
        block = matrix[top:bottom, left:right].astype(np.float64)
        finite = block[np.isfinite(block)]
        assert tile.zeros[pixel] == pytest.approx((block == 0).mean())
        assert tile.going[pixel] == pytest.approx((np.abs(finite[finite != 0]) <= 0.5).sum() / block.size)
        if mode != "sparsity":
            expected = np.nan
            if finite.size:
                expected = (np.abs(finite) if mode == "magnitude" else finite).mean()
            np.testing.assert_allclose(tile.values[pixel], expected, rtol=1e-6)
        invalid = tile.invalid is not None and tile.invalid[pixel]
        assert invalid == (not np.isfinite(block).all())


@settings(max_examples=60, deadline=None)
@given(
    matrix=MATRICES,
    seed=st.integers(0, 99),
    corner=st.tuples(st.integers(0, 16), st.integers(0, 16)),
    pixels=st.integers(1, 9),
    part=st.sampled_from([4, 1 << 20]),
)
def test_a_difference_is_numpys(
    matrix: np.ndarray, seed: int, corner: tuple[int, int], pixels: int, part: int
) -> None:
    other = matrix.copy()
    changed = np.random.default_rng(seed).random(matrix.shape) < 0.3
    other[changed] = 7
    rows = (min(corner[0], matrix.shape[0] - 1), matrix.shape[0])
    columns = (min(corner[1], matrix.shape[1] - 1), matrix.shape[1])
    before, pictures._PART = pictures._PART, part
    try:
        tile = picture(Difference(matrix, other), rows, columns, pixels, pixels, "signed")
    finally:
        pictures._PART = before
    with np.errstate(invalid="ignore"):
        expected = matrix - other
    for pixel in np.ndindex(tile.values.shape):
        (top, bottom), (left, right) = tile.weights_of(pixel)
        block = expected[top:bottom, left:right].astype(np.float64)
        finite = block[np.isfinite(block)]
        np.testing.assert_allclose(
            tile.values[pixel], finite.mean() if finite.size else np.nan, rtol=1e-5, atol=1e-7
        )
        assert tile.zeros[pixel] == pytest.approx((block == 0).mean())


def test_differences_keep_small_changes_of_any_type() -> None:
    half = np.array([[1.0, 2.0]], np.float16)
    assert Difference(half, half + np.float16(0.001)).part(slice(0, 1), slice(0, 2)).dtype == np.float32
    whole_numbers = np.array([[-128, 127]], np.int8)
    found = Difference(whole_numbers, whole_numbers[:, ::-1]).part(slice(0, 1), slice(0, 2))
    assert found.tolist() == [[-255, 255]]


def test_squares_of_small_weights_are_not_holes() -> None:
    tile = whole(Squares(np.array([[1e-30, 0.0, -2.0]], np.float32)), "magnitude")
    assert tile.zeros.tolist() == [[0, 1, 0]]
    assert tile.values[0, 2] == 4


def test_a_preview_covers_the_same_as_the_picture() -> None:
    matrix = RANDOM.standard_normal((64, 90)).astype(np.float32)
    matrix[np.abs(matrix) < 0.6] = 0
    for subject in (
        Weights(matrix),
        Difference(matrix, -matrix),
        Squares(matrix),
        Broken(matrix, Pattern(), 9),
        Broken(matrix, Pattern(), 1, axis=0),
    ):
        preview = whole(subject, "magnitude", 10, preview=True)
        exact = whole(subject, "magnitude", 10)
        assert not preview.exact
        assert exact.exact
        assert (preview.rows, preview.columns, preview.block) == (exact.rows, exact.columns, exact.block)
        assert preview.values.shape == exact.values.shape


# -- patterns -----------------------------------------------------------------------------------------------


def broken_by_loops(weight: np.ndarray, pattern: Pattern) -> np.ndarray:
    """bool of the shape of an [out, in, k] weight: every group looked at alone."""
    result = np.zeros(weight.shape, np.bool_)
    for out in range(weight.shape[0]):
        for place in range(weight.shape[2]):
            for start in range(0, weight.shape[1], pattern.group):
                members = slice(start, start + pattern.group)
                result[out, members, place] = np.count_nonzero(weight[out, members, place]) > pattern.kept
    return result


@settings(max_examples=80, deadline=None)
@given(
    weight=numpy_strategies.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 13), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 0.0, 1.0, np.nan]),
    ),
    kept=st.integers(1, 4),
    more=st.integers(0, 4),
)
def test_broken_groups_are_those_of_plain_loops(weight: np.ndarray, kept: int, more: int) -> None:
    pattern = Pattern(kept, kept + more)
    out, channels, unit = weight.shape
    expected = broken_by_loops(weight, pattern)
    matrix = weight.reshape(out, -1)
    np.testing.assert_array_equal(broken_weights(matrix, pattern, unit), expected.reshape(out, -1))
    found = count_broken(matrix, pattern, unit)
    assert found.groups == out * unit * -(-channels // pattern.group)
    starts = expected[:, :: pattern.group]
    assert found.broken == np.count_nonzero(starts)
    # A transposed convolution has the input channels first: [in, out · k], where groups run down the rows.
    turned = np.ascontiguousarray(weight.transpose(1, 0, 2)).reshape(channels, -1)
    down = broken_weights(turned, pattern, 1, axis=0)
    np.testing.assert_array_equal(down, expected.transpose(1, 0, 2).reshape(channels, -1))
    assert count_broken(turned, pattern, 1, axis=0) == found


def test_a_view_may_begin_within_a_group() -> None:
    matrix = (RANDOM.random((6, 40)) < 0.5).astype(np.float32)
    everything = broken_weights(matrix, Pattern(), 2)
    tile = picture(Broken(matrix, Pattern(), 2), (1, 5), (3, 29), 100, 100, "magnitude")
    np.testing.assert_array_equal(tile.values, everything[1:5, 3:29])
    down = broken_weights(matrix, Pattern(), 1, axis=0)
    tile = picture(Broken(matrix, Pattern(), 1, axis=0), (1, 6), (3, 29), 100, 100, "magnitude")
    np.testing.assert_array_equal(tile.values, down[1:6, 3:29])


def test_two_of_four_is_kept_by_a_pruned_matrix_and_broken_by_a_dense_one() -> None:
    dense = RANDOM.standard_normal((16, 64)).astype(np.float32)
    assert count_broken(dense, Pattern(), 1).share == 1
    groups = dense.reshape(16, 16, 4)
    smallest = np.argsort(np.abs(groups), axis=2)[:, :, :2]
    pruned = groups.copy()
    np.put_along_axis(pruned, smallest, 0, axis=2)
    assert count_broken(pruned.reshape(16, 64), Pattern(), 1).broken == 0
    assert broken_groups(pruned.reshape(16, 64), Pattern(1, 4), 1).all()


def test_impossible_patterns_are_refused() -> None:
    for kept, group in ((0, 4), (5, 4)):
        with pytest.raises(ValueError, match="no pattern"):
            Pattern(kept, group)


def test_counting_can_be_given_up() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        count_broken(np.ones((4, 4)), Pattern(), 1, check=stop)


# -- cells and profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("granularity", "kind", "shape", "expected"),
    [
        ("element", "conv2d", (16, 8, 3, 3), (1, 1)),
        ("kernel", "conv2d", (16, 8, 3, 3), (1, 9)),
        ("input", "conv2d", (16, 8, 3, 3), (16, 9)),
        ("output", "conv2d", (16, 8, 3, 3), (1, 72)),
        ("input", "conv_transpose2d", (16, 8, 3, 3), (1, 72)),
        ("output", "conv_transpose2d", (16, 8, 3, 3), (16, 9)),
        ("block", "linear", (10, 64), (4, 4)),
        ("kernel", "linear", (10, 64), (1, 1)),
        ("input", "linear", (10, 64), (10, 1)),
        ("output", "vector", (7,), (1, 7)),
    ],
)
def test_cells_of_layers(granularity: str, kind: str, shape: tuple, expected: tuple[int, int]) -> None:
    assert cell_of(granularity, kind, shape, 4) == expected  # type: ignore[arg-type]


def test_input_channels_lie_across_but_in_transposed_convolutions() -> None:
    assert input_axis("conv2d", (4, 3, 2, 2)) == 1
    assert input_axis("conv_transpose2d", (4, 3, 2, 2)) == 0


@given(matrix=MATRICES, pixels=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_profiles_are_the_zero_fractions_of_rows_and_columns(matrix: np.ndarray, pixels: int) -> None:
    tile = whole(Weights(matrix), pixels=pixels)
    by_row, by_column = profiles(tile)
    zero = matrix == 0
    for place in range(len(by_row)):
        top, bottom = tile.weights_of((place, 0))[0]
        assert by_row[place] == pytest.approx(zero[top:bottom].mean(), abs=1e-6)
    for place in range(len(by_column)):
        left, right = tile.weights_of((0, place))[1]
        assert by_column[place] == pytest.approx(zero[:, left:right].mean(), abs=1e-6)


# -- colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SEQUENTIAL))
@pytest.mark.parametrize("dark", [False, True])
def test_sequential_maps_rise_evenly_in_brightness(name: str, dark: bool) -> None:
    colors = heatmap_colors(dark=dark, hole="#ffffff", going="#d55e00", invalid="#ff00ff", sequential=name)
    brightness = colors.magnitude.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(brightness) > -1).all()
    assert brightness[-1] - brightness[0] > 100
    assert color_table(SEQUENTIAL[name]).shape == (256, 3)


def test_a_mask_has_two_colours_and_a_pattern_no_holes() -> None:
    colors = heatmap_colors(dark=False, hole="#ffffff", going="#d55e00", invalid="#ff00ff", live="#0000ff")
    matrix = np.array([[0.0, 0.1, -3.0, 0.0]], np.float32)
    pixels = paint(whole(Weights(matrix), "sparsity"), 1.0, colors, "mask")  # type: ignore[arg-type]
    assert [hex(pixel) for pixel in pixels[0].tolist()] == [
        "0xffffffff",
        "0xff0000ff",
        "0xff0000ff",
        "0xffffffff",
    ]
    broken = whole(Broken(np.array([[1, 1, 1, 0, 0, 0, 0, 0]], np.float32), Pattern(), 1), "magnitude")
    pixels = paint(broken, 1.0, colors, "breaks")  # type: ignore[arg-type]
    assert hex(pixels[0, 0]) == hex(pixels[0, 3]) == "0xffd55e00"
    assert hex(pixels[0, 4]) == "0xffffffff"
