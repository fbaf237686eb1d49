"""A scrolling grid of images with what two models say of them; asks only for the images that can be seen."""

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QAction,
    QColor,
    QFont,
    QFontMetrics,
    QGuiApplication,
    QKeySequence,
    QPainter,
    QPen,
    QPixmap,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from studio import theme
from studio.tables.flipped import CAPTION_ROLE, Flipped

Index = QModelIndex | QPersistentModelIndex

IMAGE_SIDE, SMALL_SIDE = 96, 64
"""Pixels of an image's room; the small one where the grid is so low that no large cell would be seen whole."""

_LINE = 16
_FRAME = 3 * _LINE + 20
_LOW = 200
_NARROWEST = 128
_SETTLE_MS = 40
_BATCH = 500


class ImageGrid(QListView):
    """Shows a `Flipped`."""

    images_wanted = Signal(object)  # tuple of examples that can be seen and have no image yet
    example_chosen = Signal(object)  # the current example, or None

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("flippedImages")
        self.setAccessibleName("Images whose prediction changed")
        self.flipped = Flipped(self)
        self._delegate = _CellDelegate(self)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        # Between two batches of cells the window answers.
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setBatchSize(_BATCH)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setItemDelegate(self._delegate)
        self.setModel(self.flipped)
        self.viewport().installEventFilter(self)
        copy = QAction("Copy this list", self)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.ask_for_images)
        self.verticalScrollBar().valueChanged.connect(self._look_soon)
        self.flipped.modelReset.connect(self._renewed)
        theme.events.changed.connect(self._repaint)

    def visible_rows(self) -> range:
        """The rows on the screen; none while the grid is hidden."""
        rows = self.flipped.rowCount()
        if not self.isVisible() or not rows:
            return range(0)
        across = max(1, self.viewport().width() // max(1, self._delegate.cell.width()))
        first = max(0, self.indexAt(QPoint(8, 8)).row())
        return range(
            first, min(rows, first + across * (self.viewport().height() // self._delegate.cell.height() + 2))
        )

    def ask_for_images(self) -> None:
        """Say which of the images that can be seen are missing."""
        if wanted := self.flipped.without_picture(self.visible_rows()):
            self.images_wanted.emit(wanted)

    def copy(self) -> None:
        """Put the examples that are shown on the clipboard as a table."""
        QGuiApplication.clipboard().setText(self.flipped.text())

    # -- inside ---------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.viewport() and isinstance(event, QResizeEvent):
            self._fit(event.size())
            self._look_soon()
        return super().eventFilter(watched, event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look_soon()

    def currentChanged(self, current: Index, previous: Index) -> None:
        super().currentChanged(current, previous)
        self.example_chosen.emit(self.flipped.example(current.row()) if current.isValid() else None)

    def _fit(self, room: QSize) -> None:
        """Cells as wide as fill the width."""
        across = max(1, room.width() // _NARROWEST)
        side = SMALL_SIDE if room.height() < _LOW else IMAGE_SIDE
        # One pixel less: what ends where the width ends would go into the next row.
        cell = QSize(max(1, (room.width() - 1) // across), side + _FRAME)
        if cell != self._delegate.cell:
            self._delegate.cell = cell
            self.setGridSize(cell)

    def _renewed(self) -> None:
        self.scrollToTop()
        self.example_chosen.emit(None)
        self._look_soon()

    def _look_soon(self, *_: object) -> None:
        self._settle.start()

    def _repaint(self, _tokens: object) -> None:
        self.viewport().update()


class _CellDelegate(QStyledItemDelegate):
    """The image, then the true class and the answers of both, right ones ticked."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cell = QSize(_NARROWEST, IMAGE_SIDE + _FRAME)

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return self.cell

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tokens = theme.tokens()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        frame = option.rect.adjusted(3, 3, -3, -3)
        painter.save()
        painter.fillRect(frame, QColor(tokens.selection if chosen else tokens.panel))
        painter.setPen(QPen(QColor(tokens.accent if chosen or focused else tokens.line), 2 if focused else 1))
        painter.drawRect(QRectF(frame).adjusted(0.5, 0.5, -0.5, -0.5))
        tall = self.cell.height() - _FRAME
        room = QRect(frame.left() + 4, frame.top() + 5, frame.width() - 8, tall)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(picture, QPixmap):
            _draw_picture(painter, room, picture)
        else:
            side = QRect(0, 0, tall, tall)
            side.moveCenter(room.center())
            painter.fillRect(side, QColor(tokens.raised))
        found = index.data(CAPTION_ROLE)
        if found is not None:
            sign, label, given = found
            small = QFont(painter.font())
            small.setPixelSize(theme.FONT_SMALL)
            painter.setFont(small)
            line = QRect(frame.left() + 7, room.bottom() + 5, frame.width() - 14, _LINE)
            tone = {"▼": tokens.bad, "▲": tokens.good}.get(sign, tokens.text_muted)
            _write(painter, line, sign, label, tone, tokens.text)
            for text, right in given:
                line.translate(0, _LINE)
                color = tokens.good if right else tokens.bad
                _write(painter, line, "✓" if right else "✗", text, color, color)
        painter.restore()


def _write(painter: QPainter, line: QRect, sign: str, text: str, sign_color: str, color: str) -> None:
    centre = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
    painter.setPen(QColor(sign_color))
    painter.drawText(line, centre, sign)
    rest = line.adjusted(14, 0, 0, 0)
    painter.setPen(QColor(color))
    shown = QFontMetrics(painter.font()).elidedText(text, Qt.TextElideMode.ElideMiddle, rest.width())
    painter.drawText(rest, centre, shown)


def _draw_picture(painter: QPainter, room: QRect, picture: QPixmap) -> None:
    """As large as fits; small images by whole factors, so that every pixel stays a square."""
    width, height = picture.width(), picture.height()
    factor = min(room.width() / width, room.height() / height)
    if factor >= 1:
        factor = int(factor)
    size = QSize(max(1, round(width * factor)), max(1, round(height * factor)))
    target = QRect(QPoint(0, 0), size)
    target.moveCenter(room.center())
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, factor < 1)
    painter.drawPixmap(target, picture)
