"""Figures as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.234, "1.23"),
        (9.996, "10.0"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (0.01234, "0.0123"),
        (-0.5, "-0.500"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (1.5e-7, "1.50e-07"),
        (0.9999, "1.00"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert formatting.significant(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (1_099_231, "1.10 MB"),
        (999_600, "1.00 MB"),
        (None, "–"),
    ],
)
def test_data_sizes_are_decimal(size: int | None, text: str) -> None:
    assert formatting.data_size(size) == text


def test_points_tell_the_direction_without_colour() -> None:
    assert formatting.points(0.0031) == "▲ +0.31 pp"
    assert formatting.points(-0.0031) == "▼ −0.31 pp"
    assert formatting.points(0.0) == "±0.00 pp"
    assert formatting.points(None) == "–"


def test_durations() -> None:
    assert [formatting.duration(s) for s in (7, 72, 7400, None)] == ["0:07", "1:12", "2:03:20", "–"]


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_significant_is_right_to_half_a_percent(value: float) -> None:
    shown = float(formatting.significant(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.00501, abs=0)
