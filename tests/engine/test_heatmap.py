"""Heatmap tiles equal plain numpy on every pixel, at any level of detail; their colours keep their promises."""

import hypothesis.extra.numpy as numpy_strategies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import HeatmapTile, as_matrix, heatmap
from core.analysis.colormaps import CIVIDIS, color_limit, color_table, heatmap_colors, paint

RANDOM = np.random.default_rng(3)
LIGHT = heatmap_colors(dark=False, hole="#ffffff", going="#d55e00", invalid="#ff00ff")
DARK = heatmap_colors(dark=True, hole="#1c2026", going="#d55e00", invalid="#ff00ff")


def expected_pixels(matrix: np.ndarray, tile: HeatmapTile) -> tuple[np.ndarray, np.ndarray]:
    """Mean value and zero fraction of every pixel, one block after the other."""
    values, zeros = np.empty(tile.values.shape), np.empty(tile.values.shape)
    for pixel in np.ndindex(tile.values.shape):
        (top, bottom), (left, right) = tile.weights_of(pixel)
        block = matrix[top:bottom, left:right].astype(np.float64)
        finite = block[np.isfinite(block)]
        zeros[pixel] = (block == 0).mean()
        if tile.mode == "sparsity":
            values[pixel] = zeros[pixel]
        elif not finite.size:
            values[pixel] = np.nan
        else:
            values[pixel] = np.abs(finite).mean() if tile.mode == "magnitude" else finite.mean()
    return values, zeros


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((16, 3, 3, 5), (16, 45)),
        ((10, 64), (10, 64)),
        ((8, 4, 3), (8, 12)),
        ((4, 3, 2, 2, 2), (4, 24)),
        ((7,), (1, 7)),
        ((), (1, 1)),
        ((0, 5), (0, 5)),
        ((5, 0), (5, 0)),
    ],
)
def test_a_weight_becomes_a_matrix_of_output_channels(shape: tuple, matrix: tuple) -> None:
    weight = np.zeros(shape, np.float32)
    assert as_matrix(weight).shape == matrix
    assert weight.size == 0 or np.shares_memory(as_matrix(weight), weight)


@settings(max_examples=120, deadline=None)
@given(
    matrix=numpy_strategies.arrays(
        np.float32,
        st.tuples(st.integers(1, 23), st.integers(1, 23)),
        elements=st.sampled_from([0.0, 0.0, 0.5, -1.25, 3.0, np.nan, np.inf]),
    ),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    corner=st.tuples(st.integers(0, 22), st.integers(0, 22)),
    mode=st.sampled_from(["sparsity", "magnitude", "signed"]),
)
def test_every_pixel_is_numpys(matrix: np.ndarray, size: tuple, corner: tuple, mode: str) -> None:
    rows = (min(corner[0], matrix.shape[0] - 1), matrix.shape[0])
    columns = (min(corner[1], matrix.shape[1] - 1), matrix.shape[1])

    tile = heatmap(matrix, rows, columns, *size, mode)

    assert tile.rows[0] <= rows[0]
    assert tile.rows[1] == rows[1]
    assert tile.rows[0] % tile.block[0] == tile.columns[0] % tile.block[1] == 0
    assert tile.values.shape[0] <= size[0] + 1
    values, zeros = expected_pixels(matrix, tile)
    np.testing.assert_allclose(tile.values, values, rtol=1e-6)
    np.testing.assert_allclose(tile.zeros, zeros, rtol=1e-6)
    bad = ~np.isfinite(matrix[slice(*tile.rows), slice(*tile.columns)])
    assert (tile.invalid is not None) == bool(bad.any())
    if tile.invalid is not None:
        for pixel in np.ndindex(tile.values.shape):
            (top, bottom), (left, right) = tile.weights_of(pixel)
            assert tile.invalid[pixel] == (~np.isfinite(matrix[top:bottom, left:right])).any()


def test_many_bands_make_one_picture() -> None:
    matrix = RANDOM.standard_normal((1100, 900)).astype(np.float32)
    matrix[np.abs(matrix) < 0.5] = 0
    tile = heatmap(matrix, (0, 1100), (0, 900), 100, 100, "magnitude")
    assert tile.block == (11, 9)
    assert tile.weights_per_pixel == 99
    blocks = matrix.reshape(100, 11, 100, 9).astype(np.float64)
    np.testing.assert_allclose(tile.values, np.abs(blocks).mean((1, 3)), rtol=1e-6)
    np.testing.assert_allclose(tile.zeros, (blocks == 0).mean((1, 3)), rtol=1e-6)


def test_single_weights_are_shown_as_they_are() -> None:
    matrix = RANDOM.standard_normal((40, 50)).astype(np.float32)
    tile = heatmap(matrix, (3, 11), (20, 44), 100, 100, "signed")
    assert (tile.rows, tile.columns, tile.block, tile.exact) == ((3, 11), (20, 44), (1, 1), True)
    np.testing.assert_array_equal(tile.values, matrix[3:11, 20:44])
    assert tile.pixel_at(5, 21) == (2, 1)
    assert tile.pixel_at(2, 21) is None
    assert tile.weights_of((2, 1)) == ((5, 6), (21, 22))


def test_a_preview_shows_one_weight_of_each_pixel() -> None:
    matrix = RANDOM.standard_normal((64, 90)).astype(np.float32)
    preview = heatmap(matrix, (0, 64), (0, 90), 8, 10, "signed", preview=True)
    exact = heatmap(matrix, (0, 64), (0, 90), 8, 10, "signed")
    assert not preview.exact
    assert (preview.rows, preview.columns, preview.block) == (exact.rows, exact.columns, exact.block)
    np.testing.assert_array_equal(preview.values, matrix[::8, ::9])


def test_what_would_go_is_counted_without_the_holes() -> None:
    matrix = np.array([[0.0, 0.1, -0.2, 0.3], [np.nan, -0.1, 0.0, np.inf]], np.float32)
    tile = heatmap(matrix, (0, 2), (0, 4), 2, 4, "sparsity", threshold=0.2)
    assert tile.going is not None
    assert tile.going.tolist() == [[0, 1, 1, 0], [0, 1, 0, 0]]
    half = heatmap(matrix, (0, 1), (0, 4), 1, 2, "sparsity", threshold=0.2)
    assert half.going is not None
    assert half.going.tolist() == [[0.5, 0.5]]


def test_the_smallest_integer_has_a_magnitude() -> None:
    matrix = np.array([[-128, 1]], np.int8)
    tile = heatmap(matrix, (0, 1), (0, 2), 1, 2, "magnitude", threshold=1)
    assert tile.values.tolist() == [[128, 1]]
    assert tile.going is not None
    assert tile.going.tolist() == [[0, 1]]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_matrix_has_an_empty_picture(shape: tuple[int, int]) -> None:
    tile = heatmap(np.zeros(shape, np.float32), (0, 10), (0, 10), 8, 8, "signed")
    assert tile.values.size == 0
    assert paint(tile, color_limit(tile), LIGHT).size == 0


def test_work_can_be_given_up() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        heatmap(np.zeros((9, 9)), (0, 9), (0, 9), 9, 9, check=stop)


def rgb(pixel: np.uint32) -> tuple[int, int, int]:
    """Red, green, blue of a painted pixel, which must be opaque."""
    assert int(pixel) >> 24 == 255
    return int(pixel) >> 16 & 255, int(pixel) >> 8 & 255, int(pixel) & 255


@pytest.mark.parametrize("colors", [LIGHT, DARK])
@pytest.mark.parametrize("mode", ["sparsity", "magnitude", "signed"])
def test_a_hole_is_background_and_unlike_every_value(colors: object, mode: str) -> None:
    matrix = np.array([[0.0, 1e-6, -1e-6, 1.0, -1.0, np.nan]], np.float32)
    tile = heatmap(matrix, (0, 1), (0, 6), 1, 6, mode)  # type: ignore[arg-type]
    hole, small, minus_small, high, low, invalid = (rgb(p) for p in paint(tile, 1.0, colors)[0])  # type: ignore[arg-type]
    assert hole == colors.hole  # type: ignore[attr-defined]
    assert invalid == colors.invalid  # type: ignore[attr-defined]
    for shown in (small, minus_small, high, low):
        assert max(abs(a - b) for a, b in zip(shown, hole, strict=True)) > 60


def test_values_beyond_the_limit_get_the_last_colour() -> None:
    matrix = np.array([[3e38, 2.0, -9.0]], np.float32)
    tile = heatmap(matrix, (0, 1), (0, 3), 1, 3, "signed")
    pixels = paint(tile, 2.0, LIGHT)[0]
    assert rgb(pixels[0]) == rgb(pixels[1]) == tuple(LIGHT.signed[-1])
    assert rgb(pixels[2]) == tuple(LIGHT.signed[0])


def test_what_would_go_is_tinted() -> None:
    matrix = np.array([[0.1, 5.0]], np.float32)
    plain = paint(heatmap(matrix, (0, 1), (0, 2), 1, 2, "magnitude"), 5.0, LIGHT)[0]
    tinted = paint(heatmap(matrix, (0, 1), (0, 2), 1, 2, "magnitude", threshold=1.0), 5.0, LIGHT)[0]
    assert plain[1] == tinted[1]
    near = [abs(a - b) for a, b in zip(rgb(tinted[0]), LIGHT.going, strict=True)]
    far = [abs(a - b) for a, b in zip(rgb(plain[0]), LIGHT.going, strict=True)]
    assert sum(near) < sum(far) / 5


@pytest.mark.parametrize(
    ("matrix", "limit"),
    [
        ([[0.0123, -0.0456]], 0.046),
        ([[0.0, 0.0]], 1.0),
        ([[np.nan, np.inf]], 1.0),
        ([[0.5, 0.5]], 0.5),
    ],
)
def test_the_colour_scale_ends_at_a_round_number(matrix: list, limit: float) -> None:
    tile = heatmap(np.array(matrix, np.float32), (0, 1), (0, 2), 1, 2, "signed")
    assert color_limit(tile) == pytest.approx(limit)


def test_colour_tables_run_from_end_to_end() -> None:
    table = color_table(CIVIDIS)
    assert table.shape == (256, 3)
    assert tuple(table[0]) == (0x00, 0x20, 0x4D)
    assert tuple(table[-1]) == (0xFF, 0xEA, 0x46)
    brightness = table.astype(float) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(brightness) > -1).all()
