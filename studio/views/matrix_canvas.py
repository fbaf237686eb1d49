"""MatrixCanvas: a zoomable picture of a matrix with index axes, painted from ready pixels.

Painted by hand rather than with a plot library: one image and a few lines, and the axes count whole rows and
columns.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from studio import theme
from studio.views.matrix_axes import BELOW, paint_axes
from studio.views.matrix_profiles import DEPTH, GAP, Profiles, row_or_column

_LEFT, _TOP, _RIGHT = 56, 8, 8
_MARGINS_FROM = (300, 200)
_LEAST_CELLS = 4
_WHEEL_STEP = 1.25
_KEY_STEP = 1.5
_CLICK_SLACK = 3
_GRID_FROM = 10
_TEXT_FROM = (50, 17)
"""Width and height from which there is room for margins; cell sizes from which grid lines and values are drawn."""


class MatrixCanvas(QWidget):
    """Shows part of a matrix of `rows` × `columns` cells. What it shows comes from outside, as pixels."""

    view_changed = Signal()
    hovered = Signal(object)  # (row, column) or None
    margin_hovered = Signal(object)  # ("row" or "column", index) or None
    clicked = Signal(object)  # (row, column): pressed and released without dragging

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("matrixCanvas")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._rows, self._columns = 0, 0
        self._view = QRectF()
        self._image = QImage()
        self._pixels: NDArray[np.uint32] | None = None
        self._covers = QRectF()
        self._block = (1, 1)
        self._titles = ("", "")
        self._column_unit = 1
        self._value_text: Callable[[int, int], str] | None = None
        self._marked = QRectF()
        self.profiles = Profiles()
        self.with_margins = False
        self._margin_cell: tuple[str, int] | None = None
        self._drag: QPointF | None = None
        self._pressed: QPointF | None = None
        self._cell: tuple[int, int] | None = None
        theme.events.changed.connect(self._repaint)

    # -- what is shown --------------------------------------------------------------------------------------

    def set_matrix(self, rows: int, columns: int, titles: tuple[str, str], column_unit: int) -> None:
        """Show another matrix as a whole, empty until pixels come.

        Args:
            titles: of the vertical and the horizontal axis.
            column_unit: columns that the horizontal axis counts as one (kh · kw, to count input channels).
        """
        self._rows, self._columns = rows, columns
        self._titles, self._column_unit = titles, column_unit
        self._image, self._pixels, self._value_text = QImage(), None, None
        self._marked = QRectF()
        self.profiles.clear()
        self._set_cell(None)
        self._view = self._whole()
        self.update()

    def set_pixels(
        self,
        pixels: NDArray[np.uint32],
        rows: tuple[int, int],
        columns: tuple[int, int],
        block: tuple[int, int],
        value_text: Callable[[int, int], str] | None = None,
    ) -> None:
        """Show 0xffRRGGBB pixels over these rows and columns, each `block` cells high and wide.

        The last pixels may stand for fewer cells. `value_text` writes a cell when zoomed in.
        """
        self._pixels = pixels  # the image only points to them
        height, width = pixels.shape
        if height and width:
            self._image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        else:
            self._image = QImage()
        self._covers = QRectF(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        self._block = block
        self._value_text = value_text
        self.update()

    def set_profiles(self, title: str, by_row: NDArray[np.float32], by_column: NDArray[np.float32]) -> None:
        """Show fractions beside and above the pixels set last, one for each row and column of pixels."""
        self.profiles.show(title, by_row, by_column, self._covers, self._block)
        self.update()

    def mark(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """Frame some rows and columns until another matrix is shown; empty spans take the frame away."""
        self._marked = QRectF(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        self.update()

    def show_part(self, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        """Look at some rows and columns, with at least a few cells on each side."""
        part = QRectF(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])
        height = min(self._rows, max(part.height(), _LEAST_CELLS))
        width = min(self._columns, max(part.width(), _LEAST_CELLS))
        center = part.center()
        self._look_at(QRectF(center.x() - width / 2, center.y() - height / 2, width, height))

    @property
    def cell(self) -> tuple[int, int] | None:
        """Row and column under the cursor."""
        return self._cell

    @property
    def view_rows(self) -> tuple[int, int]:
        """The rows on show, as (start, stop)."""
        return math.floor(self._view.top()), min(self._rows, math.ceil(self._view.bottom()))

    @property
    def view_columns(self) -> tuple[int, int]:
        """The columns on show, as (start, stop)."""
        return math.floor(self._view.left()), min(self._columns, math.ceil(self._view.right()))

    @property
    def pixel_size(self) -> tuple[int, int]:
        """Height and width of the picture in device pixels."""
        area, ratio = self.picture_area(), self.devicePixelRatioF()
        return max(1, round(area.height() * ratio)), max(1, round(area.width() * ratio))

    def picture_area(self) -> QRectF:
        """Where the matrix is painted."""
        margin = DEPTH + GAP + 4 if self._margins else 0
        width = self.width() - _LEFT - _RIGHT - (margin + 6 if margin else 0)
        return QRectF(_LEFT, _TOP + margin, max(1, width), max(1, self.height() - _TOP - BELOW - margin))

    @property
    def _margins(self) -> bool:
        return self.with_margins and self.width() >= _MARGINS_FROM[0] and self.height() >= _MARGINS_FROM[1]

    def cell_at(self, place: QPointF) -> tuple[int, int] | None:
        """Row and column under a place of the widget, or None outside."""
        area = self.picture_area()
        if not area.contains(place) or not self._view.isValid():
            return None
        point = self._to_matrix(place)
        row, column = math.floor(point.y()), math.floor(point.x())
        return (row, column) if 0 <= row < self._rows and 0 <= column < self._columns else None

    def place_of(self, row: int, column: int) -> QPointF:
        """The middle of a cell on the widget."""
        return self._to_widget(QPointF(column + 0.5, row + 0.5))

    # -- moving ---------------------------------------------------------------------------------------------

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Show `factor` times less, keeping what is under `around` (a place of the widget) where it is."""
        if not self._view.isValid():
            return
        area = self.picture_area()
        at = around if around is not None else area.center()
        fixed = self._to_matrix(at)
        width = min(self._columns, max(min(_LEAST_CELLS, self._columns), self._view.width() / factor))
        height = min(self._rows, max(min(_LEAST_CELLS, self._rows), self._view.height() / factor))
        left = fixed.x() - (at.x() - area.left()) / area.width() * width
        top = fixed.y() - (at.y() - area.top()) / area.height() * height
        self._look_at(QRectF(left, top, width, height))

    def pan(self, columns: float, rows: float) -> None:
        """Move what is shown by so many columns and rows."""
        self._look_at(self._view.translated(columns, rows))

    def reset_view(self) -> None:
        """Show the whole matrix."""
        self._look_at(self._whole())

    def _look_at(self, view: QRectF) -> None:
        left = min(max(0.0, view.left()), self._columns - view.width())
        top = min(max(0.0, view.top()), self._rows - view.height())
        view = QRectF(left, top, view.width(), view.height())
        if view != self._view:
            self._view = view
            self.update()
            self.view_changed.emit()

    def _whole(self) -> QRectF:
        return QRectF(0, 0, self._columns, self._rows)

    # -- events ---------------------------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.picture_area().contains(event.position()):
            steps = (event.angleDelta().y() or event.angleDelta().x()) / 120
            self.zoom(_WHEEL_STEP**steps, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag = self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None and event.buttons() & Qt.MouseButton.LeftButton:
            before, now = self._to_matrix(self._drag), self._to_matrix(event.position())
            self._drag = event.position()
            self.pan(before.x() - now.x(), before.y() - now.y())
        self._set_cell(self.cell_at(event.position()))
        self._set_margin_cell(self._margin_at(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._drag, self._pressed = self._pressed, None, None
        if pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        cell = self.cell_at(event.position())
        if cell is not None and (event.position() - pressed).manhattanLength() <= _CLICK_SLACK:
            self.clicked.emit(cell)

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        self.reset_view()

    def leaveEvent(self, event: QEvent) -> None:
        self._set_cell(None)
        self._set_margin_cell(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = 0.1
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self.zoom(_KEY_STEP)
            case Qt.Key.Key_Minus:
                self.zoom(1 / _KEY_STEP)
            case Qt.Key.Key_0 | Qt.Key.Key_Home:
                self.reset_view()
            case Qt.Key.Key_Left:
                self.pan(-step * self._view.width(), 0)
            case Qt.Key.Key_Right:
                self.pan(step * self._view.width(), 0)
            case Qt.Key.Key_Up:
                self.pan(0, -step * self._view.height())
            case Qt.Key.Key_Down:
                self.pan(0, step * self._view.height())
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._view.isValid():
            self.view_changed.emit()

    def sizeHint(self) -> QSize:
        return QSize(480, 320)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 120)

    def _set_cell(self, cell: tuple[int, int] | None) -> None:
        if cell != self._cell:
            self._cell = cell
            self.update()
            self.hovered.emit(cell)

    def _margin_at(self, place: QPointF) -> tuple[str, int] | None:
        area = self.picture_area()
        side = row_or_column(place, area) if self._margins and self._view.isValid() else ""
        point = self._to_matrix(place)
        if side == "row":
            return side, min(self._rows - 1, math.floor(point.y()))
        return (side, min(self._columns - 1, math.floor(point.x()))) if side else None

    def _set_margin_cell(self, cell: tuple[str, int] | None) -> None:
        if cell != self._margin_cell:
            self._margin_cell = cell
            self.margin_hovered.emit(cell)

    def _repaint(self, _tokens: object) -> None:
        self.update()

    # -- painting -------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = theme.tokens()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(colors.panel))
        area = self.picture_area()
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        painter.setFont(font)
        if self._view.isValid():
            painter.save()
            painter.setClipRect(area)
            self._paint_image(painter, area)
            self._paint_cells(painter, area, colors)
            painter.restore()
            paint_axes(painter, area, self._view, self._titles, self._column_unit, colors)
            if self._margins:
                self.profiles.paint(painter, area, self._view, colors)
        painter.setPen(QColor(colors.accent if self.hasFocus() else colors.line))
        painter.drawRect(area.adjusted(-0.5, -0.5, 0.5, 0.5))
        painter.end()

    def _paint_image(self, painter: QPainter, area: QRectF) -> None:
        shown = self._covers.intersected(self._view)
        if self._image.isNull() or shown.isEmpty():
            return
        # Only the part that is seen: scaling a whole picture up by a thousand would take seconds.
        down, across = 1 / self._block[0], 1 / self._block[1]
        source = QRectF(
            (shown.left() - self._covers.left()) * across,
            (shown.top() - self._covers.top()) * down,
            shown.width() * across,
            shown.height() * down,
        )
        target = QRectF(self._to_widget(shown.topLeft()), self._to_widget(shown.bottomRight()))
        painter.drawImage(target, self._image, source)

    def _paint_cells(self, painter: QPainter, area: QRectF, colors: theme.Tokens) -> None:
        tall, wide = self._block
        across = area.width() / self._view.width() * wide
        down = area.height() / self._view.height() * tall
        (top, bottom), (left, right) = self.view_rows, self.view_columns
        first_row, first_column = top // tall * tall, left // wide * wide
        if min(across, down) >= _GRID_FROM:
            line = QColor(colors.line)
            line.setAlpha(110)
            painter.setPen(line)
            for row in range(first_row, bottom + 1, tall):
                y = self._to_widget(QPointF(0, row)).y()
                painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            for column in range(first_column, right + 1, wide):
                x = self._to_widget(QPointF(column, 0)).x()
                painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if across >= _TEXT_FROM[0] and down >= _TEXT_FROM[1] and self._value_text is not None:
            rows, columns = range(first_row, bottom, tall), range(first_column, right, wide)
            self._paint_values(painter, self._value_text, rows, columns)
        if self._cell is not None and min(across, down) >= 3:
            row, column = self._cell[0] // tall * tall, self._cell[1] // wide * wide
            painter.setPen(QPen(QColor(colors.accent), 2))
            painter.drawRect(self._cells_rect(row, column, tall, wide))
        if not self._marked.isEmpty():
            frame = QRectF(
                self._to_widget(self._marked.topLeft()), self._to_widget(self._marked.bottomRight())
            )
            # On a ground of its own, because every colour occurs in some picture.
            for color, width in ((colors.panel, 5), (colors.accent, 2)):
                painter.setPen(QPen(QColor(color), width))
                painter.drawRect(frame.adjusted(-1, -1, 1, 1))

    def _cells_rect(self, row: int, column: int, tall: int, wide: int) -> QRectF:
        end = QPointF(min(self._columns, column + wide), min(self._rows, row + tall))
        return QRectF(self._to_widget(QPointF(column, row)), self._to_widget(end))

    def _paint_values(
        self, painter: QPainter, value_text: Callable[[int, int], str], rows: range, columns: range
    ) -> None:
        area = self.picture_area()
        for row in rows:
            for column in columns:
                # The part that is seen, so that the figure of a channel does not scroll out of sight.
                cell = self._cells_rect(row, column, rows.step, columns.step).intersected(area)
                painter.setPen(QColor("black" if self._bright(row, column) else "white"))
                painter.drawText(cell, int(Qt.AlignmentFlag.AlignCenter), value_text(row, column))

    def _bright(self, row: int, column: int) -> bool:
        """Whether the picture is bright at a cell, so that text on it must be dark."""
        if self._pixels is None or not self._covers.contains(QPointF(column + 0.5, row + 0.5)):
            return theme.tokens().name == "light"
        y = (row - round(self._covers.top())) // self._block[0]
        x = (column - round(self._covers.left())) // self._block[1]
        pixel = int(self._pixels[y, x])
        red, green, blue = pixel >> 16 & 255, pixel >> 8 & 255, pixel & 255
        return 0.299 * red + 0.587 * green + 0.114 * blue > 140

    def _to_matrix(self, place: QPointF) -> QPointF:
        area = self.picture_area()
        return QPointF(
            self._view.left() + (place.x() - area.left()) / area.width() * self._view.width(),
            self._view.top() + (place.y() - area.top()) / area.height() * self._view.height(),
        )

    def _to_widget(self, point: QPointF) -> QPointF:
        area = self.picture_area()
        return QPointF(
            area.left() + (point.x() - self._view.left()) / self._view.width() * area.width(),
            area.top() + (point.y() - self._view.top()) / self._view.height() * area.height(),
        )
