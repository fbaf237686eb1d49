"""The head of the layer table: which columns are shown, how wide and in which order, and the limit of near zeros."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QItemSelectionModel, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QHeaderView, QInputDialog, QMenu, QTableView

from studio.tables.layer_columns import COLUMNS, NAME, PLAN
from studio.tables.layers import LayerTable

NEAR_ZERO_CHOICES = (1e-4, 1e-3, 1e-2)
_SETTLE_MS = 300
_WIDEST = 1200


class LayerHeader(QObject):
    """Menus of the head, and its layout as a value that can be kept between sessions."""

    layout_changed = Signal(object)  # dict, as `layout` gives it: some time after the last change
    near_zero_wanted = Signal(float)

    def __init__(self, table: QTableView, model: LayerTable) -> None:
        super().__init__(table)
        self._table = table
        self._model = model
        header = table.horizontalHeader()
        self._restoring = False
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.setSectionsMovable(True)
        header.setHighlightSections(False)
        # A selection model of its own that stays empty: with the table's, each paint of the header asks for every row
        # whether it is selected, which takes 70 ms when 10,000 are.
        header.setSelectionModel(QItemSelectionModel(model, header))
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorClearable(True)
        header.customContextMenuRequested.connect(self._show_menu)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._tell)
        self.reset()
        header.sectionMoved.connect(self._touched)
        header.sectionResized.connect(self._touched)

    @property
    def _header(self) -> QHeaderView:
        # Asked for each time: PySide was seen to take a kept wrapper for deleted once the table is in its window.
        return self._table.horizontalHeader()

    @property
    def layout(self) -> dict[str, Any]:
        """Keys in their order from left to right, keys of the hidden ones, and widths by key."""
        header = self._header
        order = [COLUMNS[header.logicalIndex(place)].key for place in range(header.count())]
        order.remove(COLUMNS[PLAN].key)  # comes and goes with the selected step
        hidden = [column.key for place, column in enumerate(COLUMNS[:PLAN]) if header.isSectionHidden(place)]
        widths = {
            column.key: header.sectionSize(place)
            for place, column in enumerate(COLUMNS[:PLAN])
            if place != NAME and not header.isSectionHidden(place)
        }
        return {"order": order, "hidden": hidden, "widths": widths}

    def restore(self, layout: Mapping[str, Any]) -> None:
        """Put columns back as they were; what makes no sense (any more) is left out."""
        places = {column.key: place for place, column in enumerate(COLUMNS[:PLAN])}
        order, hidden, widths = (layout.get(part) for part in ("order", "hidden", "widths"))
        self._restoring = True
        try:
            if isinstance(order, list):
                wanted = [places[key] for key in order if key in places]
                for visual, place in enumerate(dict.fromkeys(wanted)):
                    self._header.moveSection(self._header.visualIndex(place), visual)
            if isinstance(hidden, list):
                # Columns that the layout does not know keep their default.
                known = order if isinstance(order, list) else list(places)
                for key, place in places.items():
                    if key in known and place != NAME:
                        self._table.setColumnHidden(place, key in hidden)
            if isinstance(widths, dict):
                for key, width in widths.items():
                    if key in places and isinstance(width, int) and 20 <= width <= _WIDEST:
                        self._table.setColumnWidth(places[key], width)
        finally:
            self._restoring = False

    def reset(self) -> None:
        """Show the columns that are shown at first, in their first order and width."""
        planned = not self._header.isSectionHidden(PLAN) if self._header.count() > PLAN else False
        for place, column in enumerate(COLUMNS):
            self._header.moveSection(self._header.visualIndex(place), place)
            self._table.setColumnHidden(place, not column.shown)
            self._table.setColumnWidth(place, column.width)
        self.show_plan(planned and self._model.plan is not None)

    def show_plan(self, shown: bool) -> None:
        """Show the column of plans right after the names, or take it away."""
        before, self._restoring = self._restoring, True
        self._table.setColumnHidden(PLAN, not shown)
        if shown:
            self._header.moveSection(self._header.visualIndex(PLAN), self._header.visualIndex(NAME) + 1)
        self._restoring = before

    def menu(self, parent: QMenu | None = None) -> QMenu:
        """A menu of columns to tick, the limit of near zeros and the way back."""
        menu = QMenu("&Columns", parent or self._table)
        menu.setObjectName("columnsMenu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        for place, column in enumerate(COLUMNS[:PLAN]):
            if place == NAME:
                continue
            action = menu.addAction(column.title)
            action.setToolTip(column.explanation)
            action.setCheckable(True)
            action.setChecked(not self._header.isSectionHidden(place))
            action.setData(place)
            action.triggered.connect(self._toggle)
        menu.addSeparator()
        menu.addMenu(self._near_zero_menu(menu))
        reset = menu.addAction("Reset columns")
        reset.setToolTip("Show the first columns again, in their first order and width")
        reset.triggered.connect(self.reset)
        return menu

    # -- inside ---------------------------------------------------------------------------------------------

    def _near_zero_menu(self, parent: QMenu) -> QMenu:
        menu = QMenu(f"Near zero is below {self._model.near_zero:g}", parent)
        menu.setObjectName("nearZeroMenu")
        group = QActionGroup(menu)
        for limit in sorted({*NEAR_ZERO_CHOICES, self._model.near_zero}):
            action = menu.addAction(f"{limit:g}")
            action.setCheckable(True)
            action.setChecked(limit == self._model.near_zero)
            action.setData(limit)
            action.triggered.connect(self._limit_chosen)
            group.addAction(action)
        other = menu.addAction("Other…")
        other.triggered.connect(self._ask_limit)
        return menu

    def _show_menu(self, position: QPoint) -> None:
        self.menu().popup(self._header.mapToGlobal(position))

    def _toggle(self, shown: bool) -> None:
        action = self.sender()
        place = int(action.data())  # type: ignore[attr-defined]
        self._table.setColumnHidden(place, not shown)
        if shown and self._header.sectionSize(place) < 20:
            self._table.setColumnWidth(place, COLUMNS[place].width)
        self._touched()

    def _limit_chosen(self) -> None:
        self.near_zero_wanted.emit(float(self.sender().data()))  # type: ignore[attr-defined]

    def _ask_limit(self) -> None:
        dialog = QInputDialog(self._table)
        dialog.setObjectName("nearZeroDialog")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Near zero")
        dialog.setLabelText("Weights that are not zero count as near zero below this magnitude:")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleRange(1e-9, 1000)
        dialog.setDoubleDecimals(9)
        dialog.setDoubleValue(self._model.near_zero)
        dialog.doubleValueSelected.connect(self.near_zero_wanted)
        dialog.open()

    def _touched(self, *_: object) -> None:
        if not self._restoring:
            self._settle.start()

    def _tell(self) -> None:
        self.layout_changed.emit(self.layout)


def fixed_rows(table: QTableView, height: int) -> None:
    """Rows of one height: a header that measures its contents takes a second at 10,000 rows."""
    rows = table.verticalHeader()
    rows.hide()
    rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    rows.setDefaultSectionSize(height)
