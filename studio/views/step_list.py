"""StepList: the steps of a recipe, one line each, moved and removed with keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from studio import icons, theme

ROW_HEIGHT = 30
MOST_ROWS_SHOWN = 6


@dataclass(frozen=True)
class StepRow:
    """One step as the list shows it. `problem` is one sentence, or nothing."""

    title: str
    summary: str
    problem: str = ""


class StepList(QListWidget):
    """Shows rows and tells what the user wants; it changes nothing by itself."""

    step_selected = Signal(object)  # int
    remove_requested = Signal()
    duplicate_requested = Signal()
    move_up_requested = Signal()
    move_down_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("stepList")
        self.setAccessibleName("Steps of the recipe")
        self.setToolTip("Delete removes the selected step, Alt+Up and Alt+Down move it.")
        self.setItemDelegate(_StepDelegate(self))
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._rows: tuple[StepRow, ...] = ()
        self.currentRowChanged.connect(self._current_changed)
        self._fit()

    @property
    def rows(self) -> tuple[StepRow, ...]:
        """What is shown."""
        return self._rows

    def show_rows(self, rows: Sequence[StepRow], selected: int | None) -> None:
        """Show these rows, one of them selected."""
        self.blockSignals(True)
        while self.count() > len(rows):
            self.takeItem(self.count() - 1)
        while self.count() < len(rows):
            self.addItem(QListWidgetItem())
        for number, row in enumerate(rows):
            if number >= len(self._rows) or self._rows[number] != row:
                item = self.item(number)
                # The whole line as text, for screen readers and for typing ahead.
                item.setText(
                    f"{number + 1} {row.title}, {row.summary}{', ' if row.problem else ''}{row.problem}"
                )
                item.setToolTip(row.problem or f"{row.title}: {row.summary}")
                item.setData(Qt.ItemDataRole.UserRole, row)
        self._rows = tuple(rows)
        self.setCurrentRow(-1 if selected is None else selected)
        self.blockSignals(False)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
        control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_requested.emit()
        elif alt and event.key() == Qt.Key.Key_Up:
            self.move_up_requested.emit()
        elif alt and event.key() == Qt.Key.Key_Down:
            self.move_down_requested.emit()
        elif control and event.key() == Qt.Key.Key_D:
            self.duplicate_requested.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()

    def _current_changed(self, row: int) -> None:
        if row >= 0:
            self.step_selected.emit(row)

    def _fit(self) -> None:
        shown = min(max(self.count(), 1), MOST_ROWS_SHOWN)
        self.setFixedHeight(shown * ROW_HEIGHT + 2 * self.frameWidth())


class _StepDelegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(0, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row = index.data(Qt.ItemDataRole.UserRole)
        if not isinstance(row, StepRow):
            return
        colors = theme.tokens()
        background = QStyleOptionViewItem(option)
        self.initStyleOption(background, index)
        background.text = ""
        view = option.widget
        view.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, background, painter, view)
        painter.save()
        area = option.rect.adjusted(theme.SPACE, 0, -theme.SPACE, 0)
        if row.problem:
            side = 16
            place = QRect(area.right() - side + 1, area.center().y() - side // 2, side, side)
            icons.icon("warning", "bad").paint(painter, place)
            area.setRight(place.left() - theme.SPACE // 2)
        area.setLeft(self._write(painter, area, str(index.row() + 1), colors.text_muted, option.font, 14))
        strong = QFont(option.font)
        strong.setWeight(QFont.Weight.DemiBold)
        area.setLeft(self._write(painter, area, row.title, colors.text, strong) + theme.SPACE)
        self._write(painter, area, row.summary, colors.bad if row.problem else colors.text_muted, option.font)
        painter.restore()

    def _write(
        self, painter: QPainter, area: QRect, text: str, color: str, font: QFont, at_least: int = 0
    ) -> int:
        """Write what fits into the area; gives the place where the next text may begin."""
        painter.setFont(font)
        painter.setPen(QColor(color))
        metrics = painter.fontMetrics()
        flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        painter.drawText(area, flags, metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width()))
        return area.left() + max(at_least, metrics.horizontalAdvance(text))
