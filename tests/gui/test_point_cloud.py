"""The cloud counts every point, against a picture made dot by dot."""

import numpy as np
import pytest

from studio.views.point_cloud import counted


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_every_point_is_counted_on_every_pixel_of_its_dot(radius: int) -> None:
    rng = np.random.default_rng(radius)
    width, height = 23, 17
    x, y = rng.uniform(-6, 30, 400), rng.uniform(-6, 24, 400)
    x[:3], y[:3] = (0.0, width - 1e-9, -1e300), (0.0, height - 1e-9, 1e300)
    expected = np.zeros((height, width), dtype=int)
    for column, row in zip(np.floor(x), np.floor(y), strict=True):
        for pixel_row in range(height):
            for pixel_column in range(width):
                across, down = abs(pixel_column - column), abs(pixel_row - row)
                if max(across, down) <= radius and across**2 + down**2 <= radius * radius + radius:
                    expected[pixel_row, pixel_column] += 1
    np.testing.assert_array_equal(counted(x, y, width, height, radius), np.minimum(expected, 255))


def test_many_points_in_one_place_do_not_overflow() -> None:
    found = counted(np.full(100_000, 2.5), np.full(100_000, 2.5), 5, 5, 1)
    assert found[2, 2] == 255
    assert found.sum() == 9 * 255
