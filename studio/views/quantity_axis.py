"""An axis of a plot whose ticks are written with their unit, linear or logarithmic."""

import math
from collections.abc import Callable

import pyqtgraph as pg

_MANY, _FEW = 2.5, 0.6
"""Decades in view: above the first only powers of ten are ticks, below the second many digits are."""


class QuantityAxis(pg.AxisItem):
    """On a logarithmic axis positions are exponents of ten and ticks stand at 1, 2, 5."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        # Its "(x0.001)" behind the title would say that ticks, which carry their units, mean something else.
        self.enableAutoSIPrefix(False)
        self.show_value: Callable[[float], str] = str
        self.logarithmic = False
        self.bounds = (-math.inf, math.inf)
        """Values that exist: a tick beyond them is an artefact of zooming far out."""

    def show_as(self, show: Callable[[float], str], logarithmic: bool, bounds: tuple[float, float]) -> None:
        """Write ticks this way from now on."""
        self.show_value, self.logarithmic, self.bounds = show, logarithmic, bounds
        self.picture = None
        self.update()

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        if not self.logarithmic:
            return super().tickValues(low, high, size)[:1]
        digits: tuple[float, ...] = (1, 2, 5) if high - low < _MANY else (1,)
        if high - low < _FEW:
            digits = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
        exponents = range(math.floor(low), math.ceil(high) + 1)
        places = [exponent + math.log10(digit) for exponent in exponents for digit in digits]
        inside = [place for place in places if low <= place <= high]
        if len(inside) < 2:
            # So far zoomed in that the axis is as good as linear.
            step = 10 ** math.floor(math.log10(max(1e-300, 10**high - 10**low)))
            first = math.ceil(10**low / step)
            inside = [
                math.log10(n * step)
                for n in range(first, first + 12)
                if n * step > 0 and n * step <= 10**high
            ]
        return [(1.0, inside)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        shown = [10**value if self.logarithmic and abs(value) < 300 else value for value in values]
        # A step of a linear axis may miss a bound by a rounding error.
        low, high = self.bounds[0] - 1e-9, self.bounds[1] + 1e-9
        return [self.show_value(value) if low <= value <= high else "" for value in shown]
