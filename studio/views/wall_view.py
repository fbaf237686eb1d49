"""The All layers tab: a small histogram of every layer, as many side by side as fit."""

from collections.abc import Sequence

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPoint,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QHideEvent, QKeyEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QListView, QVBoxLayout, QWidget

from core.formatting import count
from studio import theme
from studio.tables.layer_wall import LayerWall
from studio.tables.layers import LayerTable
from studio.views.elided import ElidedLabel
from studio.views.flow import FlowLayout
from studio.views.wall_delegate import CELL_HEIGHT, WallDelegate

_NARROWEST = 168
_SETTLE_MS = 200
_BATCH = 500
"""Cells that are laid out at a time."""


class WallView(QWidget):
    """Shows what the layer table knows, tells what the user selects. Empty until it is given a table."""

    selection_changed = Signal(object)  # tuple[str, ...] of layer names, in the order of the model
    open_requested = Signal(object)  # str: look at this layer closely
    shown_changed = Signal()  # other cells can be seen: count these first

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("wallView")
        self._model: LayerWall | None = None
        self._restoring = False
        self._names: tuple[str, ...] = ()
        self.common = _check(
            "wallCommon",
            "Common axes",
            "The same axes in every cell: left to right the range of all layers, height as density (share of a layer's "
            "weights per unit of value). Otherwise every cell fills its own range and height.",
        )
        self.logarithmic = _check("wallLog", "Log", "Logarithmic heights: rare weights become visible")
        for box in (self.common, self.logarithmic):
            box.toggled.connect(self._scale_chosen)
        self.remark = ElidedLabel()
        self.remark.setObjectName("wallRemark")
        self.remark.setProperty("role", "small")
        controls = FlowLayout(theme.SPACE + theme.SPACE // 2, theme.SPACE // 2)
        controls.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        for widget in (self.common, self.logarithmic, self.remark):
            controls.addWidget(widget)
        self.list = QListView()
        self.list.setObjectName("wallList")
        self.list.setAccessibleName("Histograms of all layers")
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setUniformItemSizes(True)
        # Between two batches of cells the window answers.
        self.list.setLayoutMode(QListView.LayoutMode.Batched)
        self.list.setBatchSize(_BATCH)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.list.setFrameShape(self.list.Shape.NoFrame)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.delegate = WallDelegate(self.list)
        self.list.setItemDelegate(self.delegate)
        self.list.installEventFilter(self)
        self.list.viewport().installEventFilter(self)
        self.list.doubleClicked.connect(self._opened)
        self.list.verticalScrollBar().valueChanged.connect(self._scrolled)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(controls)
        layout.addWidget(self.list, 1)
        # Common axes move with every batch of figures: renewed once a batch has settled.
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._scale_chosen)
        theme.events.changed.connect(self._repaint)

    def set_table(self, table: LayerTable) -> None:
        """Show the layers of this table from now on."""
        self._model = LayerWall(table, self)
        if not self.isVisible():
            self._model.sleep()
        self.list.setModel(self._model)
        self.list.selectionModel().selectionChanged.connect(self._selection_touched)
        self._model.modelReset.connect(self._scale_chosen)
        self._model.dataChanged.connect(self._figures_came)
        self._scale_chosen()

    @property
    def model(self) -> LayerWall | None:
        """What is shown; None before `set_table`."""
        return self._model

    def visible_layers(self) -> list[int]:
        """Layer indices of the cells on the screen; none while another tab is in front."""
        model = self._model
        if model is None or not self.isVisible() or not model.rowCount():
            return []
        viewport = self.list.viewport()
        across = max(1, viewport.width() // max(1, self.delegate.cell.width()))
        first = self.list.indexAt(QPoint(8, 8)).row()
        first = max(0, first)
        last = first + across * (viewport.height() // CELL_HEIGHT + 2)
        return [model.layer_at(row) for row in range(first, min(last, model.rowCount()))]

    def select(self, names: Sequence[str]) -> None:
        """Select layers by name, without telling."""
        model = self._model
        self._names = tuple(names)
        if model is None or not self.isVisible():
            return
        wanted = set(names)
        rows = [
            row
            for place, layer in enumerate(model.table.layers if wanted else ())
            if layer.name in wanted and (row := model.row_of(place)) is not None
        ]
        chosen = self.list.selectionModel()
        if sorted(index.row() for index in chosen.selectedIndexes()) == sorted(rows):
            return
        selection = QItemSelection()
        for first, last in _spans(sorted(rows)):
            selection.select(model.index(first), model.index(last))
        flags = QItemSelectionModel.SelectionFlag
        self._restoring = True
        try:
            chosen.select(selection, flags.ClearAndSelect)
            current = model.index(rows[0]) if rows else QModelIndex()
            chosen.setCurrentIndex(current, flags.NoUpdate)
            if rows:
                self.list.scrollTo(current)
        finally:
            self._restoring = False

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._model is not None:
            self._model.wake()
            self.select(self._names)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        if self._model is not None:
            self._model.sleep()

    # -- inside ---------------------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.list.viewport() and isinstance(event, QResizeEvent):
            self._fit(event.size().width())
        if (
            watched is self.list
            and isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            and self.list.currentIndex().isValid()
        ):
            self._opened(self.list.currentIndex())
            return True
        return super().eventFilter(watched, event)

    def _fit(self, width: int) -> None:
        """Cells as wide as fill the width."""
        across = max(1, width // _NARROWEST)
        # One pixel less: what ends where the width ends would go into the next row.
        cell = QSize(max(1, (width - 1) // across), CELL_HEIGHT)
        if cell != self.delegate.cell:
            self.delegate.cell = cell
            self.list.setGridSize(cell)

    def _scale_chosen(self, *_: object) -> None:
        model = self._model
        axes = model.common_axes() if model is not None and self.common.isChecked() else None
        self.delegate.set_scale(self.logarithmic.isChecked(), axes)
        if model is not None:
            shown, of_all = model.rowCount(), len(model.table.layers)
            text = f"{count(shown)} of {count(of_all)} layers pass the filter. " if shown != of_all else ""
            self.remark.show_text(f"{text}Exact zeros are not drawn. Double-click a layer to look closer.")
        self.list.viewport().update()

    def _figures_came(self, *_: object) -> None:
        if self.common.isChecked() and not self._settle.isActive():
            self._settle.start()

    def _selection_touched(self, _on: QItemSelection, _off: QItemSelection) -> None:
        model = self._model
        if self._restoring or model is None:
            return
        places = sorted(model.layer_at(index.row()) for index in self.list.selectionModel().selectedIndexes())
        self.selection_changed.emit(tuple(model.table.layers[place].name for place in places))

    def _opened(self, index: QModelIndex) -> None:
        if self._model is not None:
            self.open_requested.emit(self._model.table.layers[self._model.layer_at(index.row())].name)

    def _scrolled(self, _value: int) -> None:
        self.shown_changed.emit()

    def _repaint(self, _tokens: object) -> None:
        self.list.viewport().update()


def _spans(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted numbers as ranges: a selection of a few ranges costs less than one of many rows."""
    spans: list[tuple[int, int]] = []
    for row in rows:
        if spans and row == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((row, row))
    return spans


def _check(name: str, text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setObjectName(name)
    box.setToolTip(tip)
    box.setAccessibleName(text)
    return box
