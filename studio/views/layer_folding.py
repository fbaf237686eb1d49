"""Folding and opening the branches of the layer table by mouse and keys."""

from PySide6.QtCore import QEvent, QModelIndex, QObject, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QTableView

from studio.tables.layer_columns import NAME
from studio.tables.layers import DEPTH_ROLE, FOLD_ROLE, LayerTable
from studio.views.layer_delegate import ARROW, INDENT


class LayerFolding(QObject):
    """A click on a branch's arrow or a double click on its name folds or opens it; so do the left and right keys."""

    def __init__(self, table: QTableView, model: LayerTable) -> None:
        super().__init__(table)
        self._table = table
        self._model = model
        table.installEventFilter(self)
        table.viewport().installEventFilter(self)
        table.doubleClicked.connect(self._double_clicked)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and watched is self._table:
            return self._pressed(event)
        if (
            isinstance(event, QMouseEvent)
            and event.type() == QEvent.Type.MouseButtonPress
            and watched is self._table.viewport()
        ):
            return self._clicked(event)
        return super().eventFilter(watched, event)

    def _clicked(self, event: QMouseEvent) -> bool:
        index = self._table.indexAt(event.position().toPoint())
        if (
            event.button() != Qt.MouseButton.LeftButton
            or index.column() != NAME
            or index.data(FOLD_ROLE) is None
        ):
            return False
        arrow = self._table.visualRect(index).left() + INDENT * index.data(DEPTH_ROLE)
        if not arrow - 2 <= event.position().x() <= arrow + ARROW + 6:
            return False
        self._toggle(index)
        return True

    def _double_clicked(self, index: QModelIndex) -> None:
        if index.column() == NAME and index.data(FOLD_ROLE) is not None:
            self._toggle(index)

    def _pressed(self, event: QKeyEvent) -> bool:
        index = self._table.currentIndex()
        if (
            not self._model.in_tree
            or not index.isValid()
            or event.modifiers() != Qt.KeyboardModifier.NoModifier
        ):
            return False
        node, fold = self._model.node_at(index.row()), index.data(FOLD_ROLE)
        match event.key():
            case Qt.Key.Key_Right if fold == "folded":
                self._fold(node, folded=False)
            case Qt.Key.Key_Left if fold == "open":
                self._fold(node, folded=True)
            case Qt.Key.Key_Left if (above := self._model.parent_of(node)) is not None:
                if (row := self._model.row_of(above)) is not None:
                    self._table.selectRow(row)
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                pass
            case _:
                return False
        return True

    def _toggle(self, index: QModelIndex) -> None:
        self._fold(self._model.node_at(index.row()), folded=index.data(FOLD_ROLE) == "open")

    def _fold(self, node: int, *, folded: bool) -> None:
        # The rows are made anew, and the view would jump to the top.
        place = self._table.verticalScrollBar().value()
        self._model.fold(node, folded)
        self._table.verticalScrollBar().setValue(place)
        if (row := self._model.row_of(node)) is not None:
            flags = self._table.selectionModel().SelectionFlag.NoUpdate
            self._table.selectionModel().setCurrentIndex(self._model.index(row, NAME), flags)
