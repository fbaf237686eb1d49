"""What is drawn over a histogram's bars: percentile lines, and a pair of lines ±t that can be dragged.

Imports pyqtgraph.
"""

import math
from collections.abc import Mapping, Sequence

import pyqtgraph as pg
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont

from core.formatting import percent, significant
from studio import theme

_TOP = 0.96
_LABEL_HEIGHT = 17.0
_DIGITS = 4
_STEPS = 200
"""Significant digits of a threshold; presses of a key from zero to the largest magnitude."""


class PercentileLines(QObject):
    """Thin lines where given percentages of a layer's weights lie to the left.

    Those of a single layer can be dragged to any value: `moved` asks what percentage lies below it, `tell` answers.
    """

    moved = Signal(object)  # str, int, float: the layer, which line, its new place

    def __init__(self, plot: pg.PlotWidget) -> None:
        super().__init__(plot)
        self._plot = plot
        self._items: list[pg.InfiniteLine] = []
        self._single = ""
        self._lowest = _TOP

    @property
    def lowest(self) -> float:
        """Below this fraction of the plot's height there are no labels of percentiles."""
        return self._lowest

    def draw(
        self,
        layers: Sequence[tuple[str, str]],
        found: Mapping[str, Sequence[float]],
        percents: Sequence[float],
        height: float,
    ) -> None:
        """Draw the lines of `layers` (name and colour) whose percentiles are known.

        One layer's are labelled, if the plot's `height` in pixels has room for that.
        """
        for item in self._items:
            self._plot.removeItem(item)
        self._items, self._single = [], ""
        line_height = _LABEL_HEIGHT / max(height, 1.0)
        tokens = theme.tokens()
        single = sum(name in found for name, _ in layers) == 1
        labelled = single and len(percents) * line_height < 0.7
        self._lowest = _TOP - (len(percents) * line_height if labelled else 0)
        for name, color in layers:
            for place, (percentage, value) in enumerate(zip(percents, found.get(name, ()))):
                line = pg.InfiniteLine(value, pen=pg.mkPen(color if not single else tokens.text, width=1))
                line.pen.setStyle(Qt.PenStyle.SolidLine if percentage == 50 else Qt.PenStyle.DashLine)
                line.setToolTip(f"{percent_words(percentage)} of the weights of {name}: {significant(value)}")
                if single:
                    self._single = name
                    line.setMovable(True)
                    line.setCursor(Qt.CursorShape.SizeHorCursor)
                    line.setToolTip("Drag to see what share of the weights lies below any value")
                    line.setHoverPen(pg.mkPen(tokens.accent, width=3))
                    line.sigDragged.connect(self._dragged)
                if labelled:
                    label = pg.InfLineLabel(
                        line,
                        text=f"{percent_words(percentage)}: {significant(value)}".replace("-", "−"),
                        # One below the other, because the outer ones are close together.
                        position=_TOP - line_height * place,
                        anchors=[(0, 0.5), (1, 0.5)],
                        color=tokens.text,
                        fill=faint(tokens.panel, 240),
                    )
                    label.setFont(small_font())
                line.setZValue(8)
                self._plot.addItem(line, ignoreBounds=True)
                self._items.append(line)

    def tell(self, place: int, value: float, share: float) -> None:
        """Say at line number `place`, if it still stands at `value`, that a `share` in [0, 1] lies below."""
        if place < len(self._items) and self._items[place].value() == value:
            text = f"{percent(share)} below {significant(value)}".replace("-", "−")
            self._items[place].setToolTip(text)
            self._say(place, text)

    def _dragged(self, line: pg.InfiniteLine) -> None:
        place = self._items.index(line)
        self._say(place, f"… below {significant(line.value())}".replace("-", "−"))
        self.moved.emit((self._single, place, float(line.value())))

    def _say(self, place: int, text: str) -> None:
        # Looked up each time: who keeps a label beside the line that it hangs on crashes when both go.
        for label in self._items[place].childItems():
            if isinstance(label, pg.InfLineLabel):
                # The library formats the text with the line's value whenever that changes.
                label.setFormat(text.replace("{", "{{").replace("}", "}}"))

    def label_text(self, place: int) -> str:
        """What stands at line number `place`; "" where there is no room for labels."""
        labels = (one for one in self._items[place].childItems() if isinstance(one, pg.InfLineLabel))
        return next((str(one.toPlainText()) for one in labels), "")


class ThresholdPair(QObject):
    """Two lines at −t and t with a tinted band between them. Dragging either moves both."""

    moved = Signal(float)  # t, by mouse or keyboard

    def __init__(self, plot: pg.PlotWidget) -> None:
        super().__init__(plot)
        self._threshold = 0.0
        self._largest = 1.0
        self._band = pg.LinearRegionItem((0, 0), movable=False)
        for edge in self._band.lines:
            edge.hide()
        self._band.setZValue(6)
        self._lines = [pg.InfiniteLine(0, movable=True), pg.InfiniteLine(0, movable=True)]
        for line in self._lines:
            line.setZValue(20)
            line.setCursor(Qt.CursorShape.SizeHorCursor)
            line.setToolTip("Drag, or use the arrow keys: weights between the two lines fall below")
            line.sigPositionChanged.connect(self._dragged)
        self._items = (self._band, *self._lines)
        for item in self._items:
            item.hide()
            plot.addItem(item, ignoreBounds=True)
        self.restyle()

    @property
    def shown(self) -> bool:
        """Whether it is to be seen."""
        return bool(self._band.isVisible())

    @property
    def threshold(self) -> float:
        """t: weights with |w| <= t fall below."""
        return self._threshold

    def show_at(self, threshold: float, largest: float) -> None:
        """Show it there; it can be moved up to `largest`. Tells nobody."""
        self._largest = max(largest, threshold)
        self._put(threshold)
        for item in self._items:
            item.show()

    def hide(self) -> None:
        """Take it away."""
        for item in self._items:
            item.hide()

    def press(self, key: int, fine: bool) -> bool:
        """Move it by a key; False if the key means nothing here."""
        step = self._largest / _STEPS / (10 if fine else 1)
        match key:
            case Qt.Key.Key_Right | Qt.Key.Key_Up:
                self._move(self._threshold + step)
            case Qt.Key.Key_Left | Qt.Key.Key_Down:
                self._move(self._threshold - step)
            case Qt.Key.Key_Home:
                self._move(0.0)
            case Qt.Key.Key_End:
                self._move(self._largest)
            case _:
                return False
        return True

    def restyle(self) -> None:
        """Take the colours in force."""
        tokens = theme.tokens()
        for line in self._lines:
            line.setPen(pg.mkPen(tokens.accent, width=2))
            line.setHoverPen(pg.mkPen(tokens.accent, width=4))
        self._band.setBrush(faint(tokens.accent, 36))

    def _dragged(self, line: pg.InfiniteLine) -> None:
        # Each line stays on its side of zero: crossing it would swap the two under the pointer.
        side = -1 if line is self._lines[0] else 1
        self._move(side * float(line.value()))

    def _move(self, threshold: float) -> None:
        before = self._threshold
        self._put(threshold)
        if self._threshold != before:
            self.moved.emit(self._threshold)

    def _put(self, threshold: float) -> None:
        self._threshold = rounded(min(max(0.0, threshold), self._largest), self._largest)
        for line, side in zip(self._lines, (-1, 1), strict=True):
            line.blockSignals(True)
            line.setValue(side * self._threshold)
            line.blockSignals(False)
        self._band.setRegion((-self._threshold, self._threshold))


def rounded(threshold: float, largest: float) -> float:
    """`threshold` with as many decimals as tell thousandths of `largest` apart, so that it can be read and typed."""
    if not largest > 0 or not math.isfinite(largest):
        return threshold
    if threshold >= largest:
        return largest
    return round(threshold, _DIGITS - 1 - math.floor(math.log10(largest)))


def percent_words(percentage: float) -> str:
    """50 is called the median."""
    return "median" if percentage == 50 else f"{percentage:g} %"


def faint(color: str, alpha: int) -> QColor:
    """A see-through colour; `alpha` from 0 to 255."""
    result = QColor(color)
    result.setAlpha(alpha)
    return result


def small_font() -> QFont:
    """The font of labels inside a plot."""
    font = QFont()
    font.setPixelSize(theme.FONT_SMALL)
    return font
