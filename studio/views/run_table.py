"""The run table: order of selection, stars by click, a bar for what runs, and columns that can be hidden."""

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QPoint, QRect, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QMenu,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from studio import theme
from studio.tables.run_columns import COLUMN_INDEX, COLUMNS
from studio.tables.runs import PROGRESS_ROLE, RunTable
from studio.views.column_chooser import ColumnChooser

ROW_HEIGHT = 28


_FOLDING = {
    Qt.Key.Key_Left: True,
    Qt.Key.Key_Right: False,
    Qt.Key.Key_Return: None,
    Qt.Key.Key_Enter: None,
    Qt.Key.Key_Space: None,
}


class _StatusDelegate(QStyledItemDelegate):
    """Draws a thin bar under the words of a run that is under way."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        super().paint(painter, option, index)
        fraction = index.data(PROGRESS_ROLE)
        if fraction is None:
            return
        tokens = theme.tokens()
        track = QRect(option.rect.left() + 6, option.rect.bottom() - 4, option.rect.width() - 12, 3)
        painter.fillRect(track, QColor(tokens.line))
        track.setWidth(round(track.width() * fraction))
        painter.fillRect(track, QColor(tokens.accent))


class RunTableView(QTableView):
    """Shows a `RunTable`. The selection is known in the order in which runs were selected."""

    runs_selected = Signal(object)  # tuple[str, ...] of run ids, in the order of selection
    star_clicked = Signal(object)  # run id
    delete_pressed = Signal()
    opened = Signal(object)  # run id: double click or Enter
    columns_chosen = Signal(object)  # list[str]: names of the fields that are shown besides

    def __init__(self, table: RunTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runTable")
        self.setAccessibleName("Runs")
        self._table = table
        self._chosen: tuple[str, ...] = ()
        self._restoring = False
        self._scroll = 0
        self.setModel(table)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setAlternatingRowColors(True)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setItemDelegateForColumn(COLUMN_INDEX["status"], _StatusDelegate(self))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsMovable(True)
        header.setMinimumSectionSize(28)
        header.setAccessibleName("Columns of the run table")
        for index, column in enumerate(COLUMNS):
            self.setColumnWidth(index, column.width)
        # Clicks are handled here, because the first click on a figure should show the largest first.
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self._sort_by)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._choose_columns)
        self.clicked.connect(self._clicked)
        self.activated.connect(self._activated)
        table.modelAboutToBeReset.connect(self._before_reset)
        table.modelReset.connect(self._after_reset)

    # -- selection ---------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[str, ...]:
        """Ids of the selected runs in the order of selection."""
        return self._chosen

    def choose(self, run_ids: tuple[str, ...]) -> None:
        """Select runs, as far as the filter shows them."""
        if run_ids == self._chosen:
            return
        self._chosen = run_ids
        self._restore_selection()
        if run_ids and (row := self._table.row_of(run_ids[0])) is not None:
            self.scrollTo(self._table.index(row, 0))

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        super().selectionChanged(selected, deselected)
        if self._restoring:
            return
        now = [self._table.run_id_at(index.row()) for index in self.selectionModel().selectedRows()]
        present = set(now)
        kept = [run_id for run_id in self._chosen if run_id in present]
        known = set(kept)
        self._chosen = (*kept, *(run_id for run_id in now if run_id not in known))
        self.runs_selected.emit(self._chosen)

    def _before_reset(self) -> None:
        self._restoring = True
        self._scroll = self.verticalScrollBar().value()

    def _after_reset(self) -> None:
        self._restore_selection()
        self.verticalScrollBar().setValue(self._scroll)
        # What the filter hides is no longer selected: buttons must only act on what can be seen.
        visible = tuple(run_id for run_id in self._chosen if self._table.row_of(run_id) is not None)
        if visible != self._chosen:
            self._chosen = visible
            self.runs_selected.emit(visible)

    def _restore_selection(self) -> None:
        selection = QItemSelection()
        rows = [row for run_id in self._chosen if (row := self._table.row_of(run_id)) is not None]
        last = self._table.columnCount() - 1
        for row in rows:
            selection.select(self._table.index(row, 0), self._table.index(row, last))
        self._restoring = True
        model = self.selectionModel()
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if rows:
            current = self._table.index(rows[-1], COLUMN_INDEX["name"])
            model.setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
        self._restoring = False

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._table.rowCount() == 0 and self._table.total:
            painter = QPainter(self.viewport())
            painter.setPen(QColor(theme.tokens().text_muted))
            text = f"No run meets “{self._table.query.text.strip()}”: change or clear the search."
            area = self.viewport().rect().adjusted(16, 24, -16, -16)
            flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
            painter.drawText(area, int(flags), text)
            painter.end()

    # -- keys and clicks ---------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.currentIndex().row()
        if 0 <= row < self._table.rowCount() and self._table.is_heading(row) and event.key() in _FOLDING:
            self._fold(row, _FOLDING[event.key()])
        elif event.matches(QKeySequence.StandardKey.Delete):
            self.delete_pressed.emit()
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        # A click on a star is about the star; the selection stays.
        is_star = index.isValid() and index.column() == COLUMN_INDEX["star"]
        if not is_star or self._table.is_heading(index.row()):
            super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        if index.isValid() and self._table.is_heading(index.row()):
            self._fold(index.row(), None)
        elif index.isValid() and index.column() == COLUMN_INDEX["star"]:
            self.star_clicked.emit(self._table.run_id_at(index.row()))
        else:
            super().mouseReleaseEvent(event)

    def copy(self) -> None:
        """Put the selected runs on the clipboard as tab-separated text, visible columns only."""
        header = self.horizontalHeader()
        order = sorted(range(self._table.columnCount()), key=header.visualIndex)
        shown = [index for index in order if not header.isSectionHidden(index)]
        lines = ["\t".join(self._table.shown_columns[index].title for index in shown)]
        for row in sorted(index.row() for index in self.selectionModel().selectedRows()):
            lines.append("\t".join(str(self._table.index(row, column).data() or "") for column in shown))
        QGuiApplication.clipboard().setText("\n".join(lines) + "\n")

    def _clicked(self, _index: QModelIndex) -> None:
        self.setFocus()

    def _activated(self, index: QModelIndex) -> None:
        if not self._table.is_heading(index.row()):
            self.opened.emit(self._table.run_id_at(index.row()))

    def _fold(self, row: int, folded: bool | None) -> None:
        self._table.fold(row, folded)
        self.setCurrentIndex(self._table.index(row, COLUMN_INDEX["name"]))

    # -- columns -----------------------------------------------------------------------------------------------

    def _sort_by(self, column: int) -> None:
        now, descending = self._table.sorting
        descending = not descending if column == now else self._table.shown_columns[column].descending
        order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        self._table.sort(column, order)

    def _choose_columns(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setObjectName("columnMenu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for index, column in enumerate(self._table.shown_columns):
            if column.name == "name":
                continue
            action = QAction(column.title if column.name != "star" else "Star", menu)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(index))
            action.setData(index)
            menu.addAction(action)
        menu.addSeparator()
        more = QAction("More columns …", menu)
        more.setObjectName("moreColumns")
        more.setToolTip("Choose any setting or measurement as a column.")
        menu.addAction(more)
        menu.triggered.connect(self._toggle_column)
        menu.popup(self.horizontalHeader().mapToGlobal(position))

    def _toggle_column(self, action: QAction) -> None:
        if action.objectName() == "moreColumns":
            self.choose_columns()
        else:
            self.setColumnHidden(action.data(), not action.isChecked())

    def choose_columns(self) -> None:
        """Let the user pick any setting or measurement as a column."""
        further = [column.name for column in self._table.shown_columns[len(COLUMNS) :]]
        chooser = ColumnChooser(further, self)
        chooser.chosen.connect(self.columns_chosen)
        chooser.open()
