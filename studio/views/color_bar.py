"""The scale beside a heatmap: what each colour means, in numbers and words."""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio import theme

_BAR = 14
_SWATCH = 12


class ColorBar(QWidget):
    """A vertical bar with labels, and below it swatches for what is not on the scale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("colorBar")
        self.setAccessibleName("Colour scale")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self._title = ""
        self._labels: tuple[tuple[float, str], ...] = ()
        self._swatches: tuple[tuple[tuple[int, int, int], str], ...] = ()
        self._image = QImage()

    def show_scale(
        self,
        title: str,
        table: NDArray[np.uint8],
        labels: tuple[tuple[float, str], ...],
        swatches: tuple[tuple[tuple[int, int, int], str], ...],
    ) -> None:
        """Show a scale.

        Args:
            table: uint8 [256, 3], from the lower end of the bar to the upper.
            labels: (place in [0, 1] from the lower end, text).
            swatches: (red, green, blue) and meaning.
        """
        self._title, self._labels, self._swatches = title, labels, swatches
        column = np.ascontiguousarray(table[::-1])
        image = QImage(column.data, 1, column.shape[0], 3, QImage.Format.Format_RGB888)
        # A copy, because the array does not outlive this call.
        self._image = image.copy()
        words = [text for _, text in labels] + [text for _, text in swatches]
        self.setToolTip("\n".join([title, *words]))
        self.setAccessibleDescription("; ".join([title, *words]))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._font())
        scale = max((metrics.horizontalAdvance(text) for _, text in self._labels), default=0) + _BAR + 10
        words = max((metrics.horizontalAdvance(text) for _, text in self._swatches), default=0) + _SWATCH + 8
        title = metrics.horizontalAdvance(self._title)
        return QSize(max(scale, words, title, 84) + theme.SPACE, 160)

    def minimumSizeHint(self) -> QSize:
        return QSize(self.sizeHint().width(), 80)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = theme.tokens()
        painter = QPainter(self)
        painter.setFont(self._font())
        line = painter.fontMetrics().height()
        painter.setPen(QColor(colors.text_muted))
        painter.drawText(QRect(0, 0, self.width(), line), int(Qt.AlignmentFlag.AlignLeft), self._title)
        swatches = len(self._swatches) * (line + 4) + theme.SPACE
        bar = QRectF(0, line + 10, _BAR, max(16.0, self.height() - 2 * line - 12 - swatches))
        painter.drawImage(bar, self._image, QRectF(self._image.rect()))
        painter.setPen(QColor(colors.line))
        painter.drawRect(bar)
        painter.setPen(QColor(colors.text))
        for place, text in self._labels:
            y = bar.bottom() - place * bar.height()
            painter.drawLine(round(bar.right()), round(y), round(bar.right()) + 3, round(y))
            where = QRectF(bar.right() + 6, y - line / 2, self.width(), line)
            painter.drawText(where, int(Qt.AlignmentFlag.AlignLeft), text)
        y = bar.bottom() + line / 2 + theme.SPACE
        for color, text in self._swatches:
            square = QRectF(0, y + (line - _SWATCH) / 2, _SWATCH, _SWATCH)
            painter.fillRect(square, QColor(*color))
            painter.setPen(QColor(colors.text_muted))
            painter.drawRect(square)
            painter.setPen(QColor(colors.text))
            painter.drawText(
                QRectF(_SWATCH + 6, y, self.width(), line), int(Qt.AlignmentFlag.AlignLeft), text
            )
            y += line + 4
        painter.end()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        return font
