"""CommandPalette: type to find a layer, a run or an action, without the mouse."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from studio import fuzzy, theme

ROW_HEIGHT = 30
ROWS = 11


@dataclass(frozen=True)
class Entry:
    """One thing that can be found. `kind` is "Action", "Layer" or "Run"; `key` names it to the controller."""

    kind: str
    title: str
    detail: str
    key: str


_BONUS = {"Action": 2, "Layer": 1, "Run": 0}


class _Entries(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: tuple[Entry, ...] = ()
        self.order: list[int] = []

    def show(self, entries: tuple[Entry, ...], order: list[int]) -> None:
        self.beginResetModel()
        self.entries, self.order = entries, order
        self.endResetModel()

    def at(self, row: int) -> Entry:
        return self.entries[self.order[row]]

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.order)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if not index.isValid():
            return None
        entry = self.at(index.row())
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.kind}: {entry.title} {entry.detail}"
        if role == Qt.ItemDataRole.UserRole:
            return entry
        return None


class _EntryDelegate(QStyledItemDelegate):
    """Kind in muted small type, title, and the detail at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(100, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        entry: Entry = index.data(Qt.ItemDataRole.UserRole)
        colors = theme.tokens()
        rect: QRect = option.rect  # type: ignore[attr-defined]
        selected = bool(option.state & QStyle.StateFlag.State_Selected)  # type: ignore[attr-defined]
        painter.save()
        if selected:
            painter.fillRect(rect, QColor(colors.selection))
            painter.fillRect(QRect(rect.left(), rect.top(), 3, rect.height()), QColor(colors.accent))
        font = QApplication.font()
        small = QApplication.font()
        small.setPixelSize(theme.FONT_SMALL)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(small)
        painter.setPen(QColor(colors.text_muted))
        painter.drawText(rect.adjusted(12, 0, 0, 0), middle | Qt.AlignmentFlag.AlignLeft, entry.kind)
        width = min(QFontMetrics(small).horizontalAdvance(entry.detail) + 2, rect.width() // 2)
        painter.drawText(
            QRect(rect.right() - 12 - width, rect.top(), width, rect.height()),
            middle | Qt.AlignmentFlag.AlignRight,
            QFontMetrics(small).elidedText(entry.detail, Qt.TextElideMode.ElideMiddle, width),
        )
        painter.setFont(font)
        painter.setPen(QColor(colors.text))
        place = rect.adjusted(66, 0, -24 - width, 0)
        title = QFontMetrics(font).elidedText(entry.title, Qt.TextElideMode.ElideMiddle, place.width())
        painter.drawText(place, middle | Qt.AlignmentFlag.AlignLeft, title)
        painter.restore()


class CommandPalette(QFrame):
    """Lies over the top of the window while open. Arrow keys choose, Enter acts, Escape closes.

    Args:
        window: the widget over which it lies.
    """

    chosen = Signal(object)  # Entry

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("palette")
        self.setAutoFillBackground(True)
        self._entries: tuple[Entry, ...] = ()
        self._texts: list[str] = []
        self._bonus: list[int] = []
        self._previous: QWidget | None = None
        self._input = QLineEdit()
        self._input.setObjectName("paletteInput")
        self._input.setPlaceholderText("Find a layer, a run, an action …")
        self._input.setAccessibleName("Find a layer, a run or an action")
        self._input.setToolTip("Type a few letters; arrow keys choose, Enter acts, Escape closes.")
        self._input.textChanged.connect(self._search)
        self._input.installEventFilter(self)
        self._model = _Entries(self)
        self._list = QListView()
        self._list.setObjectName("paletteList")
        self._list.setAccessibleName("What was found")
        self._list.setModel(self._model)
        self._list.setItemDelegate(_EntryDelegate(self._list))
        self._list.setUniformItemSizes(True)
        self._list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.clicked.connect(self._take)
        self._nothing = QLabel("Nothing found: try fewer letters.")
        self._nothing.setProperty("role", "muted")
        self._nothing.setContentsMargins(12, 8, 12, 8)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 4)
        layout.setSpacing(2)
        layout.addWidget(self._input)
        layout.addWidget(self._list, 1)
        layout.addWidget(self._nothing)
        self.hide()

    @property
    def shown(self) -> list[Entry]:
        """The entries in the list now, best first."""
        return [self._model.at(row) for row in range(self._model.rowCount())]

    def set_entries(self, entries: Sequence[Entry]) -> None:
        """What can be found; the search goes on with the text that was typed."""
        self._entries = tuple(entries)
        self._texts = [entry.title for entry in self._entries]
        self._bonus = [_BONUS.get(entry.kind, 0) for entry in self._entries]
        self._search(self._input.text())

    def open(self, entries: Sequence[Entry]) -> None:
        """Appear and take the keyboard."""
        if self.isHidden():
            self._previous = QApplication.focusWidget()
        self._input.clear()
        self.set_entries(entries)
        self.place()
        self.show()
        self.raise_()
        self._input.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def place(self) -> None:
        """Lie in the middle of the window's top."""
        window = self.parentWidget()
        width = min(640, window.width() - 4 * theme.SPACE)
        rows = min(max(self._model.rowCount(), 1), ROWS)
        height = min(self._input.sizeHint().height() + 12 + ROW_HEIGHT * rows, window.height() - 120)
        self.setGeometry((window.width() - width) // 2, 76, width, height)

    def dismiss(self) -> None:
        """Close and give the keyboard back."""
        if self.isHidden():
            return
        self.hide()
        if self._previous is not None and self._previous.isVisible():
            self._previous.setFocus(Qt.FocusReason.PopupFocusReason)
        self._previous = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._input and not self.isHidden():
            if event.type() == QEvent.Type.FocusOut:
                self.hide()
            elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
                return self._key(event.key())
        return super().eventFilter(watched, event)

    def _key(self, key: int) -> bool:
        keys = Qt.Key
        moves = {keys.Key_Down: 1, keys.Key_Up: -1, keys.Key_PageDown: ROWS - 1, keys.Key_PageUp: 1 - ROWS}
        if key in moves:
            self._move(moves[keys(key)])
        elif key in (keys.Key_Return, keys.Key_Enter):
            self._take(self._list.currentIndex())
        elif key == keys.Key_Escape:
            self.dismiss()
        elif key not in (keys.Key_Tab, keys.Key_Backtab):
            return False
        return True

    def _move(self, by: int) -> None:
        rows = self._model.rowCount()
        if rows:
            row = self._list.currentIndex().row() + by
            # One step past an end comes in at the other; a page stops there.
            row = row % rows if abs(by) == 1 else min(max(row, 0), rows - 1)
            self._list.setCurrentIndex(self._model.index(row, 0))

    def _take(self, index: QModelIndex) -> None:
        if index.isValid():
            entry = self._model.at(index.row())
            self.dismiss()
            self.chosen.emit(entry)

    def _search(self, text: str) -> None:
        order = fuzzy.rank(text, self._texts, self._bonus)
        self._model.show(self._entries, order)
        self._list.setVisible(bool(order))
        self._nothing.setVisible(not order)
        if order:
            self._list.setCurrentIndex(self._model.index(0, 0))
        if not self.isHidden():
            self.place()
