"""The margins of a matrix picture: a fraction for every column above it and for every row beside it.

Drawn as small images that are scaled with the picture, so that zooming moves them along without a new
calculation.
"""

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter

from core.formatting import percent
from studio import theme

DEPTH = 34
GAP = 5
_LEVELS = 68
"""Depth of a margin and its distance from the picture, in pixels; steps of its bars."""

_LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Profiles:
    """Fractions by row and by column, over rows and columns of the matrix that the picture covers."""

    def __init__(self) -> None:
        self.title = ""
        self.by_row: NDArray[np.float32] = np.zeros(0, np.float32)
        self.by_column: NDArray[np.float32] = np.zeros(0, np.float32)
        self.covers = QRectF()
        self.block = (1, 1)
        self.limit = 1.0
        self._painted_for = ""
        self._images: tuple[QImage, QImage] = (QImage(), QImage())

    def show(
        self,
        title: str,
        by_row: NDArray[np.float32],
        by_column: NDArray[np.float32],
        covers: QRectF,
        block: tuple[int, int],
    ) -> None:
        """Take other fractions, one for each pixel of the picture along each side."""
        self.title, self.by_row, self.by_column = title, by_row, by_column
        self.covers, self.block = covers, block
        largest = max((float(side.max()) for side in (by_row, by_column) if side.size), default=0.0)
        self.limit = next((limit for limit in _LIMITS if largest <= limit), 1.0) if largest > 0 else 1.0
        self._painted_for = ""

    def clear(self) -> None:
        """Show nothing."""
        self.show("", np.zeros(0, np.float32), np.zeros(0, np.float32), QRectF(), (1, 1))

    def fraction_of_row(self, row: int) -> float | None:
        """The fraction of the pixel row that holds a row of the matrix."""
        place = (row - round(self.covers.top())) // self.block[0]
        return float(self.by_row[place]) if 0 <= place < len(self.by_row) else None

    def fraction_of_column(self, column: int) -> float | None:
        """The fraction of the pixel column that holds a column of the matrix."""
        place = (column - round(self.covers.left())) // self.block[1]
        return float(self.by_column[place]) if 0 <= place < len(self.by_column) else None

    def paint(self, painter: QPainter, area: QRectF, view: QRectF, colors: theme.Tokens) -> None:
        """Paint both margins around `area`, which shows the part `view` of the matrix."""
        above = QRectF(area.left(), area.top() - GAP - DEPTH, area.width(), DEPTH)
        beside = QRectF(area.right() + GAP, area.top(), DEPTH, area.height())
        shown = self.covers.intersected(view)
        if not shown.isEmpty() and self.by_row.size and self.by_column.size:
            self._make_images(colors)
            across = area.width() / view.width()
            down = area.height() / view.height()
            source = QRectF(
                (shown.left() - self.covers.left()) / self.block[1], 0, shown.width() / self.block[1], _LEVELS
            )
            target = QRectF(
                area.left() + (shown.left() - view.left()) * across,
                above.top(),
                shown.width() * across,
                DEPTH,
            )
            painter.drawImage(target, self._images[0], source)
            source = QRectF(
                0, (shown.top() - self.covers.top()) / self.block[0], _LEVELS, shown.height() / self.block[0]
            )
            target = QRectF(
                beside.left(), area.top() + (shown.top() - view.top()) * down, DEPTH, shown.height() * down
            )
            painter.drawImage(target, self._images[1], source)
        painter.setPen(QColor(colors.line))
        for frame in (above, beside):
            painter.drawRect(frame.adjusted(-0.5, -0.5, 0.5, 0.5))
        self._label(painter, above, beside, colors)

    def _label(self, painter: QPainter, above: QRectF, beside: QRectF, colors: theme.Tokens) -> None:
        painter.setPen(QColor(colors.text_muted))
        line = painter.fontMetrics().height()
        right = int(Qt.AlignmentFlag.AlignRight)
        painter.drawText(QRectF(0, above.top() - 3, above.left() - 5, line), right, percent(self.limit, 0))
        middle = QRectF(beside.left() - 10, above.center().y() - line / 2, DEPTH + 24, line)
        painter.drawText(middle, int(Qt.AlignmentFlag.AlignHCenter), self.title)
        below = QRectF(beside.left() - 6, beside.bottom() + 4, DEPTH + 20, line)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignHCenter), percent(self.limit, 0))

    def _make_images(self, colors: theme.Tokens) -> None:
        key = colors.name + colors.panel
        if key == self._painted_for:
            return
        self._painted_for = key
        bar, ground = QColor(colors.text_muted).rgb(), QColor(colors.panel).rgb()
        level = np.arange(_LEVELS, dtype=np.float32) / _LEVELS * self.limit
        columns = np.where(self.by_column[None, :] > level[::-1, None], bar, ground).astype(np.uint32)
        rows = np.where(self.by_row[:, None] > level[None, :], bar, ground).astype(np.uint32)
        self._images = (_image(columns), _image(rows))


def _image(pixels: NDArray[np.uint32]) -> QImage:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape
    # A copy, because the array does not outlive this call.
    return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32).copy()


def row_or_column(place: QPointF, area: QRectF) -> str:
    """Which margin a place of the widget lies in: "row", "column" or nothing."""
    if (
        area.top() <= place.y() < area.bottom()
        and area.right() + GAP <= place.x() < area.right() + GAP + DEPTH
    ):
        return "row"
    if area.left() <= place.x() < area.right() and area.top() - GAP - DEPTH <= place.y() < area.top() - GAP:
        return "column"
    return ""
