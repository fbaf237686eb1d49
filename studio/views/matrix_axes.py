"""The index axes of a matrix picture: ticks at whole rows and channels, and titles."""

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from studio import theme

BELOW = 38
"""Height that the lower axis needs."""


def paint_axes(
    painter: QPainter,
    area: QRectF,
    view: QRectF,
    titles: tuple[str, str],
    unit: int,
    colors: theme.Tokens,
) -> None:
    """Paint ticks, their numbers and both titles around `area`, which shows the part `view` of a matrix.

    Args:
        titles: of the vertical and the horizontal axis.
        unit: columns that the horizontal axis counts as one.
    """
    metrics = painter.fontMetrics()
    painter.setPen(QColor(colors.text_muted))
    for row in ticks(view.top(), view.bottom(), 1, area.height() / 34):
        y = area.top() + (row + 0.5 - view.top()) / view.height() * area.height()
        if area.top() <= y <= area.bottom():
            painter.drawLine(QPointF(area.left() - 4, y), QPointF(area.left(), y))
            where = QRectF(14, y - 8, area.left() - 20, 16)
            painter.drawText(
                where, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), f"{row:,}"
            )
    for column in ticks(view.left(), view.right(), unit, area.width() / 60):
        x = area.left() + (column + unit / 2 - view.left()) / view.width() * area.width()
        if area.left() <= x <= area.right():
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 4))
            where = QRectF(x - 40, area.bottom() + 4, 80, 16)
            painter.drawText(where, int(Qt.AlignmentFlag.AlignHCenter), f"{column // unit:,}")
    below = QRectF(area.left(), area.bottom() + BELOW - metrics.height() - 1, area.width(), metrics.height())
    painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), titles[1])
    if metrics.horizontalAdvance(titles[0]) > area.height():
        return
    painter.save()
    painter.translate(1, area.center().y())
    painter.rotate(-90)
    beside = QRectF(-area.height() / 2, 0, area.height(), metrics.height())
    painter.drawText(beside, int(Qt.AlignmentFlag.AlignCenter), titles[0])
    painter.restore()


def ticks(low: float, high: float, unit: int, most: float) -> range:
    """Cells to label between two places: multiples of `unit` times 1, 2 or 5 times a power of ten."""
    wanted = max(1.0, (high - low) / unit / max(1.0, most))
    power = 10 ** math.floor(math.log10(wanted))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= wanted - 1e-9) * unit
    return range(math.floor(low / step) * step, math.ceil(high), step)
