"""A hundred thousand points as one picture: counted into pixels with numpy, so that panning keeps its pace.

Nothing is left out or thinned: every point darkens its dot, and where many lie the cloud is denser.
"""

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QWidget

Figures = NDArray[np.float64]

_ALONE, _CROWDED = 0.35, 0.85
"""How opaque the dot of a single point is, and where 255 and more lie; between them by the logarithm of their count."""
_MOST_PIXELS = 2_000_000
"""On larger screens the picture is made coarser and enlarged."""


class PointCloud(pg.GraphicsObject):
    """Points in one colour. Positions are those of the axes (exponents on a logarithmic one)."""

    def __init__(self, radius: int = 2, alone: float = _ALONE) -> None:
        super().__init__()
        self._radius = radius
        self._alone = alone
        self._x: Figures = np.empty(0)
        self._y: Figures = np.empty(0)
        self._color = QColor("#000000")
        self._key: tuple[object, ...] | None = None
        self._image = QImage()
        self._pixels: NDArray[np.uint32] | None = None

    @property
    def count(self) -> int:
        """How many points there are."""
        return len(self._x)

    def set_points(self, x: Figures, y: Figures, color: str) -> None:
        """Draw these points (finite positions) in this colour."""
        self._x, self._y, self._color = x, y, QColor(color)
        self._key = None
        self.update()

    # -- for Qt and pyqtgraph ------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        # What is drawn covers the view, whatever its range: the picture is made for it.
        return self.viewRect() or QRectF()

    def dataBounds(
        self, axis: int, _fraction: float = 1.0, _range: object = None
    ) -> tuple[float, float] | None:
        """The extent along an axis (0 or 1), for pyqtgraph."""
        values = (self._x, self._y)[axis]
        return (float(values.min()), float(values.max())) if len(values) else None

    def viewTransformChanged(self) -> None:
        self.prepareGeometryChange()
        self.update()

    def paint(self, painter: QPainter, _option: object = None, _widget: QWidget | None = None) -> None:
        view = self.getViewBox()
        if view is None or not len(self._x):
            return
        rect = view.viewRect()
        scale = painter.device().devicePixelRatioF()
        width, height = view.width() * scale, view.height() * scale
        if width * height > _MOST_PIXELS:
            shrink = math.sqrt(_MOST_PIXELS / (width * height))
            width, height = width * shrink, height * shrink
        size = (round(width), round(height))
        if min(size) < 1 or rect.width() <= 0 or rect.height() <= 0:
            return
        key = (rect.left(), rect.top(), rect.width(), rect.height(), *size)
        if key != self._key:
            self._key = key
            self._make_image(rect, *size, scale)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(rect, self._image)

    def _make_image(self, rect: QRectF, width: int, height: int, scale: float) -> None:
        radius = max(1, round(self._radius * scale))
        counts = counted(
            (self._x - rect.left()) * (width / rect.width()),
            (self._y - rect.top()) * (height / rect.height()),
            width,
            height,
            radius,
        )
        # The image only points to the pixels.
        self._pixels = np.take(_premultiplied(self._color, self._alone), counts)
        self._image = QImage(
            self._pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied
        )


def counted(x: Figures, y: Figures, width: int, height: int, radius: int) -> NDArray[np.uint8]:
    """How many dots lie on each pixel of a picture (255 for more).

    Args:
        x, y: positions in pixels from the picture's corner.
        radius: of the dots, in pixels; a dot that reaches into the picture from outside is drawn in part.

    Returns:
        Of shape (height, width); row 0 holds the smallest y.
    """
    wide, high = width + 2 * radius, height + 2 * radius
    # What lies outside is counted in a border of one pixel that is then cut off: cheaper than leaving it out.
    columns = np.clip(x + (radius + 1), 0, wide + 1).astype(np.intp)
    rows = np.clip(y + (radius + 1), 0, high + 1).astype(np.intp)
    rows *= wide + 2
    rows += columns
    found = np.bincount(rows, minlength=(wide + 2) * (high + 2)).reshape(high + 2, wide + 2)
    centres = np.minimum(found[1:-1, 1:-1], 255).astype(np.uint16)
    # A disc is a pile of rows, each a sum over so many neighbours; half a pixel more than the radius makes it round.
    reaches = [min(radius, math.isqrt(radius * radius + radius - n * n)) for n in range(radius + 1)]
    total = np.zeros((height, width), dtype=np.uint16)
    strip = np.zeros((high, width), dtype=np.uint16)
    strip += centres[:, radius : radius + width]
    for reach in range(max(reaches) + 1):
        if reach:
            strip += centres[:, radius - reach : radius - reach + width]
            strip += centres[:, radius + reach : radius + reach + width]
        for down in (n for n in range(-radius, radius + 1) if reaches[abs(n)] == reach):
            total += strip[radius + down : radius + down + height]
    return np.minimum(total, 255).astype(np.uint8)


def _premultiplied(color: QColor, alone: float) -> NDArray[np.uint32]:
    """The 0xAARRGGBB pixel for each count from 0 to 255."""
    alpha = np.zeros(256)
    alpha[1:] = alone + (max(alone, _CROWDED) - alone) * np.log2(np.arange(1, 256)) / np.log2(255)
    parts = [np.round(255 * alpha), *(np.round(alpha * part) for part in color.getRgb()[:3])]
    red_to_alpha = [part.astype(np.uint32) for part in parts]
    return (red_to_alpha[0] << 24) | (red_to_alpha[1] << 16) | (red_to_alpha[2] << 8) | red_to_alpha[3]


class BoxViewBox(pg.ViewBox):
    """A view that reports boxes dragged with Shift (or always, in box mode) and pans otherwise."""

    boxed = pg.QtCore.Signal(object)  # QRectF in the positions of the axes

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.box_mode = False
        self._boxing = False

    def dress(self, color: str) -> None:
        """Draw the box in this colour."""
        fill = QColor(color)
        fill.setAlphaF(0.12)
        self.rbScaleBox.setPen(pg.mkPen(color, width=1))
        self.rbScaleBox.setBrush(pg.mkBrush(fill))

    def mouseDragEvent(self, event: object, axis: int | None = None) -> None:
        left = event.button() == Qt.MouseButton.LeftButton  # type: ignore[attr-defined]
        if event.isStart():  # type: ignore[attr-defined]
            shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)  # type: ignore[attr-defined]
            self._boxing = axis is None and left and (self.box_mode or shift)
        if not self._boxing:
            super().mouseDragEvent(event, axis)
            return
        event.accept()  # type: ignore[attr-defined]
        start, now = event.buttonDownPos(Qt.MouseButton.LeftButton), event.pos()  # type: ignore[attr-defined]
        if event.isFinish():  # type: ignore[attr-defined]
            self._boxing = False
            self.rbScaleBox.hide()
            self.boxed.emit(self.childGroup.mapRectFromParent(QRectF(start, now)).normalized())
        else:
            self.updateScaleBox(start, now)
