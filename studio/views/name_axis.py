"""An axis of names instead of numbers: as many as there is room for."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QFontMetricsF

_LINE = 14
"""Pixels that a name takes on a vertical axis."""


class NameAxis(pg.AxisItem):
    """Name number n stands at position n (on a vertical axis that is turned over: from the top)."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.enableAutoSIPrefix(False)
        self.names: tuple[str, ...] = ()

    def set_names(self, names: tuple[str, ...]) -> None:
        """Show these names."""
        self.names = names
        self.picture = None
        self.update()

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        low, high = sorted((low, high))  # an axis that is turned over gives them so
        first, last = max(0, int(np.ceil(low))), min(len(self.names) - 1, int(np.floor(high)))
        if last < first:
            return []
        if self.orientation == "left":
            room = max(1, int(size / _LINE))
        else:
            longest = max(len(name) for name in self.names[first : last + 1])
            room = max(1, int(size / (7 * longest + 10)))
        step = max(1, -(-(last - first + 1) // room))
        return [(float(step), [float(at) for at in range(first, last + 1, step)])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        names = [self.names[int(value)] if 0 <= value < len(self.names) else "" for value in values]
        if self.orientation != "left":
            return names
        # The end of a layer's name tells more than its beginning.
        font = self.style["tickFont"]
        measure = None if font is None else QFontMetricsF(font)
        room = self.width() - 14
        return [_shortened(name, room, measure) for name in names]


def _shortened(name: str, room: float, measure: QFontMetricsF | None) -> str:
    if measure is None or measure.horizontalAdvance(name) <= room:
        return name
    while name and measure.horizontalAdvance("…" + name) > room:
        name = name[1:]
    return "…" + name
