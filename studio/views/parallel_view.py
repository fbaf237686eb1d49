"""Runs as lines over parallel axes: drag along an axis to keep only the lines that cross there.

A few lines are painted one by one; very many are counted into a picture elsewhere (`picture_wanted`), and come back.
"""

import csv
import io
import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QWidget

from core.history.parallel import Brush, brushed
from studio import theme
from studio.views.parallel_data import FEW, Mask, ParallelData, PictureRequest
from studio.views.parallel_paint import (
    BOTTOM,
    SIDE,
    TOP,
    ParallelShape,
    paint_axis,
    paint_lines,
    paint_marked,
)

_GRAB = 16
"""How near in pixels an axis must be to be brushed."""
_NEAR = 8
_CLICK = 3
_STEP = 0.05
"""How far the arrow keys move a brush."""


class ParallelView(QWidget):
    """Lines of `ParallelData`, coloured by one axis or by run."""

    hovered = Signal(object)  # int or None: the line under the cursor
    brushes_changed = Signal(object)  # bool for each run, or None without brushes
    run_clicked = Signal(object)  # run id
    picture_wanted = Signal(object)  # PictureRequest

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("parallelView")
        self.setAccessibleName("Parallel coordinates")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(QSize(240, 160))
        self._data = ParallelData(())
        self._brushes: dict[int, Brush] = {}
        self._color: int | None = None
        self._line: int | None = None
        self._emphasised: str | None = None
        self._pressed: QPointF | None = None
        self._axis: int | None = None
        self._drag: tuple[int, float] | None = None
        self._key_axis = 0
        self._pictures: dict[str, QImage] = {}
        self._pixels: dict[str, NDArray[np.uint32]] = {}
        theme.events.changed.connect(self._restyle)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def data(self) -> ParallelData:
        """What is drawn."""
        return self._data

    @property
    def brushes(self) -> dict[int, Brush]:
        """The brushed spans by axis."""
        return dict(self._brushes)

    @property
    def chosen(self) -> Mask | None:
        """Which runs lie in all brushes; None without brushes."""
        return brushed(self._data.axes, self._brushes) if self._brushes else None

    def show_data(self, data: ParallelData, color: str | None) -> None:
        """Draw these runs; brushes of axes that stay are kept. `color` is a column, None for the runs' own colours."""
        kept = {self._data.axes[at].column: brush for at, brush in self._brushes.items()}
        self._data = data
        columns = [axis.column for axis in data.axes]
        self._brushes = {columns.index(name): brush for name, brush in kept.items() if name in columns}
        self._color = columns.index(color) if color in columns else None
        self._key_axis = min(self._key_axis, max(0, len(columns) - 1))
        self._line = None
        self._forget_pictures()
        self._ask_pictures()
        self.update()
        self.brushes_changed.emit(self.chosen)

    def color_by(self, column: str | None) -> None:
        """Colour lines by an axis, or by run."""
        columns = [axis.column for axis in self._data.axes]
        self._color = columns.index(column) if column in columns else None
        self._forget_pictures()
        self._ask_pictures()
        self.update()

    def brush(self, axis: int, span: Brush | None) -> None:
        """Keep only lines that cross an axis within a span; None takes the brush away."""
        if span is None:
            self._brushes.pop(axis, None)
        else:
            self._brushes[axis] = (max(0.0, min(span)), min(1.0, max(span)))
        self._ask_pictures(only_chosen=True)
        self.update()
        self.brushes_changed.emit(self.chosen)

    def clear_brushes(self) -> None:
        """Take all brushes away."""
        if self._brushes:
            self._brushes.clear()
            self._ask_pictures(only_chosen=True)
            self.update()
            self.brushes_changed.emit(None)

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's line stronger."""
        if run_id != self._emphasised:
            self._emphasised = run_id
            self.update()

    def show_picture(
        self, request: PictureRequest, pixels: NDArray[np.uint32], grey: NDArray[np.uint32]
    ) -> None:
        """Take a picture that was asked for (and its greyed form), unless it no longer fits."""
        fits = request.data is self._data and request.positions == self._positions()
        if fits and (request.color, request.muted) == (self._color, theme.tokens().text_muted):
            kinds = (("chosen", pixels),) if request.chosen is not None else (("all", pixels), ("grey", grey))
            for kind, each in kinds:
                height, width = each.shape
                # The image only points to the pixels.
                self._pixels[kind] = each
                self._pictures[kind] = QImage(
                    each.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied
                )
            self.update()

    # -- geometry ----------------------------------------------------------------------------------------------

    @property
    def _shape(self) -> ParallelShape:
        return ParallelShape(self.width(), self.height(), len(self._data.axes))

    def axis_x(self, axis: int) -> float:
        """Where an axis stands, in pixels."""
        return self._shape.axis_x(axis)

    def place_y(self, place: float) -> float:
        """Where a place on an axis lies, in pixels; of none (NaN) below its foot."""
        return self._shape.place_y(place)

    def _place(self, y: float) -> float:
        return self._shape.place(y)

    def _axis_at(self, position: QPointF) -> int | None:
        if not self._data.axes:
            return None
        axis = min(range(len(self._data.axes)), key=lambda n: abs(self.axis_x(n) - position.x()))
        near = abs(self.axis_x(axis) - position.x()) <= _GRAB
        return axis if near and TOP - 8 <= position.y() <= self.height() - BOTTOM + 8 else None

    def _line_at(self, position: QPointF) -> int | None:
        """The line nearest to the cursor, if it is near; among the brushed ones where there are brushes."""
        axes = self._data.axes
        if len(axes) < 2 or not len(self._data):
            return None
        gap = (self.axis_x(1) - self.axis_x(0)) or 1.0
        left = min(len(axes) - 2, max(0, int((position.x() - SIDE) / gap)))
        share = (position.x() - self.axis_x(left)) / gap
        if not -0.05 <= share <= 1.05:
            return None
        ends = [self._shape.places_y(axis.places) for axis in (axes[left], axes[left + 1])]
        distance = np.abs(ends[0] + share * (ends[1] - ends[0]) - position.y())
        chosen = self.chosen
        if chosen is not None:
            distance = np.where(chosen, distance, np.inf)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= _NEAR else None

    # -- pictures of very many lines ---------------------------------------------------------------------------

    @property
    def _many(self) -> bool:
        return len(self._data) > FEW and len(self._data.axes) >= 2

    def _positions(self) -> tuple[int, ...]:
        return tuple(round(self.axis_x(n) - SIDE) for n in range(len(self._data.axes)))

    def _forget_pictures(self) -> None:
        self._pictures.clear()

    def _ask_pictures(self, only_chosen: bool = False) -> None:
        if not self._many or self.height() <= TOP + BOTTOM or self.width() <= 2 * SIDE:
            return
        chosen = self.chosen
        height = self.height() - TOP - BOTTOM + 8
        muted = theme.tokens().text_muted
        wanted = [None] if not only_chosen or "all" not in self._pictures else []
        for mask in [*wanted, *([] if chosen is None else [chosen])]:
            self.picture_wanted.emit(
                PictureRequest(self._data, self._positions(), height, self._color, mask, muted)
            )
        if chosen is None:
            self._pictures.pop("chosen", None)

    # -- painting ----------------------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        tokens = theme.tokens()
        painter.fillRect(self.rect(), QColor(tokens.panel))
        font = QFont(self.font())
        font.setPixelSize(theme.FONT_SMALL)
        painter.setFont(font)
        data, shape = self._data, self._shape
        if data.axes:
            if self._many:
                for kind in ("grey", "chosen") if self._brushes else ("all",):
                    if kind in self._pictures:
                        painter.drawImage(SIDE, TOP, self._pictures[kind])
            else:
                paint_lines(painter, shape, data, self.chosen, self._color, tokens)
            emphasised = None if self._emphasised is None else data.find(self._emphasised)
            paint_marked(painter, shape, data, {emphasised, self._line} - {None}, tokens)
            for index in range(len(data.axes)):
                focused = self.hasFocus() and index == self._key_axis
                paint_axis(painter, shape, data, index, self._brushes.get(index), focused, tokens)
        painter.end()

    # -- pointing ----------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._pressed = event.position()
        self._axis = self._axis_at(event.position())
        if self._axis is not None:
            self._key_axis = self._axis
            span = self._brushes.get(self._axis)
            place = self._place(event.position().y())
            # Pressed inside a brush moves it, elsewhere begins another.
            self._drag = None
            if span is not None and span[0] <= place <= span[1]:
                self._drag = (self._axis, place - span[0])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        position = event.position()
        if self._pressed is None or not event.buttons() & Qt.MouseButton.LeftButton:
            self.setCursor(
                Qt.CursorShape.SizeVerCursor
                if self._axis_at(position) is not None
                else Qt.CursorShape.ArrowCursor
            )
            self._set_line(self._line_at(position))
            return
        if self._axis is None or (position - self._pressed).manhattanLength() <= _CLICK:
            return
        place = self._place(position.y())
        if self._drag is not None:
            low, high = self._brushes[self._axis]
            start = min(1 - (high - low), max(0.0, place - self._drag[1]))
            self.brush(self._axis, (start, start + high - low))
        else:
            self.brush(self._axis, (self._place(self._pressed.y()), place))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self._pressed is None:
            return
        clicked = (event.position() - self._pressed).manhattanLength() <= _CLICK
        axis, self._pressed, self._axis, self._drag = self._axis, None, None, None
        if not clicked:
            return
        if axis is not None and axis in self._brushes:
            self.brush(axis, None)
        elif (line := self._line_at(event.position())) is not None:
            self.run_clicked.emit(self._data.run_ids[line])

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._axis_at(event.position()) is None:
            self.clear_brushes()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._set_line(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        count = len(self._data.axes)
        if not count:
            super().keyPressEvent(event)
            return
        low, high = self._brushes.get(self._key_axis, (0.0, 1.0))
        bigger = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        match event.key():
            case Qt.Key.Key_Left:
                self._key_axis = (self._key_axis - 1) % count
            case Qt.Key.Key_Right:
                self._key_axis = (self._key_axis + 1) % count
            case Qt.Key.Key_Up if bigger:
                self.brush(self._key_axis, (low, high + _STEP))
            case Qt.Key.Key_Down if bigger:
                self.brush(self._key_axis, (low, max(low, high - _STEP)))
            case Qt.Key.Key_Up:
                self.brush(self._key_axis, (min(high, low + _STEP), high))
            case Qt.Key.Key_Down:
                self.brush(self._key_axis, (low - _STEP, high))
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self.brush(self._key_axis, None)
            case Qt.Key.Key_Escape if self._brushes:
                self.clear_brushes()
            case _:
                super().keyPressEvent(event)
                return
        self.update()

    def _set_line(self, line: int | None) -> None:
        if line != self._line:
            self._line = line
            self.update()
            self.hovered.emit(line)

    # -- for Qt ------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        return QSize(700, 400)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._forget_pictures()
        self._ask_pictures()

    def focusInEvent(self, event: object) -> None:
        super().focusInEvent(event)  # type: ignore[arg-type]
        self.update()

    def focusOutEvent(self, event: object) -> None:
        super().focusOutEvent(event)  # type: ignore[arg-type]
        self.update()

    def csv(self) -> str:
        """The values of the brushed runs (all without brushes)."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["run", *(axis.name for axis in self._data.axes)])
        chosen = self.chosen
        shown = range(len(self._data)) if chosen is None else np.flatnonzero(chosen).tolist()
        for run in shown:
            cells = []
            for axis in self._data.axes:
                value = float(axis.values[run])
                known = not math.isnan(value)
                cells.append("" if not known else repr(value) if axis.labels is None else axis.told(run))
            rows.writerow([self._data.labels[run], *cells])
        return text.getvalue()

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self._forget_pictures()
        self._ask_pictures()
        self.update()
