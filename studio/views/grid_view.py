"""A read-only table view for ready-made cells, with copying."""

from PySide6.QtCore import QEvent, QModelIndex, Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from studio import theme
from studio.tables.grid import GridTable

ROW_HEIGHT = 26


class _CellDelegate(QStyledItemDelegate):
    """Fills the background of a cell, which Qt leaves out where a style sheet rules."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        background = index.data(Qt.ItemDataRole.BackgroundRole)
        if background is not None:
            painter.fillRect(option.rect, background)
        super().paint(painter, option, index)


class GridView(QTableView):
    """Shows a `GridTable`; Ctrl+C copies the selected rows, or all of them."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = GridTable()
        self.setModel(self.table)
        self.setAccessibleName(name)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setItemDelegate(_CellDelegate(self))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setFixedHeight(ROW_HEIGHT)
        self.horizontalHeader().setMinimumSectionSize(40)
        self._copy = QAction("Copy", self)
        self._copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        self._copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self._copy.triggered.connect(self.copy)
        self.addAction(self._copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        theme.events.changed.connect(self._restyle)

    def stretch(self, *weights: int) -> None:
        """Share the width: a column of weight 0 keeps its width, the others share what is left."""
        header = self.horizontalHeader()
        for column, weight in enumerate(weights):
            mode = QHeaderView.ResizeMode.Stretch if weight else QHeaderView.ResizeMode.Interactive
            header.setSectionResizeMode(column, mode)

    def copy(self) -> None:
        """Put the selected rows, or all, on the clipboard as tab-separated text."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        QGuiApplication.clipboard().setText(self.table.text(rows or None))

    def fit_height(self, at_most: int | None = None) -> None:
        """Be exactly as tall as the rows (but no more than `at_most`), for tables that stand inside a scrolled page."""
        count = self.table.rowCount()
        shown = count if at_most is None else min(count, at_most)
        head = 0 if self.horizontalHeader().isHidden() else self.horizontalHeader().height()
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOff if shown == count else policy.ScrollBarAsNeeded
        )
        self.setFixedHeight(shown * ROW_HEIGHT + head + 2)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)

    def _restyle(self, _tokens: theme.Tokens) -> None:
        self.viewport().update()
