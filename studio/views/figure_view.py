"""FigureView: the table view of figures per layer, with sorting by heads and copying."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from studio.tables.figures import FigureTable

_ROW_HEIGHT = 26


class FigureView(QTableView):
    """Shows a `FigureTable`; Ctrl+C copies all of it with full precision."""

    row_chosen = Signal()  # another row is selected, or none

    def __init__(
        self, model: FigureTable[Any], name: str, widths: tuple[int, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.figures = model
        self.setAccessibleName(name)
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        # In the order of the model until a head is clicked.
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        header.setSortIndicatorClearable(True)
        for column, width in enumerate(widths):
            self.setColumnWidth(column, width)
        self.selectionModel().selectionChanged.connect(self._changed)
        model.modelReset.connect(self._changed)
        copy = QAction("Copy table", self)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    @property
    def row(self) -> Any | None:
        """The selected row."""
        rows = self.selectionModel().selectedRows()
        return self.figures.rows[rows[0].row()] if rows else None

    def copy(self) -> None:
        """Put the table on the clipboard, with full precision."""
        QGuiApplication.clipboard().setText(self.figures.as_text())

    def _changed(self, *_: object) -> None:
        self.row_chosen.emit()
