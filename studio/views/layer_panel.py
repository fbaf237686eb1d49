"""The panel on the left: all layers of the open model in a table, with filter, totals and menus."""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPoint,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.analysis.summary import LayerSummary
from core.formatting import count, percent
from core.models.description import Layer
from studio import icons, theme
from studio.problem import Problem
from studio.tables.layer_columns import COLUMNS, NAME, PLAN
from studio.tables.layer_filter import EXAMPLES, HELP
from studio.tables.layer_plan import LayerPlan
from studio.tables.layers import LayerTable
from studio.views.elided import ElidedLabel
from studio.views.layer_delegate import LayerDelegate
from studio.views.layer_folding import LayerFolding
from studio.views.layer_header import LayerHeader, fixed_rows
from studio.views.notice import PanelNotice
from studio.views.precision_bar import PrecisionBar

ROW_HEIGHT = 28


class LayerPanel(QWidget):
    """Shows layers, tells what the user selects and asks for. Decides nothing.

    All signals that carry layers carry a tuple of names in the order of the model.
    """

    selection_changed = Signal(object)
    exclude_requested = Signal(object)
    override_requested = Signal(object)
    copy_requested = Signal()
    export_requested = Signal()
    open_requested = Signal()  # the empty panel's button
    tree_toggled = Signal(bool)
    plan_typed = Signal(object, str)  # names of layers, what was typed as their plan

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("layerPanel")
        self.setAccessibleName("Layers of the model")
        self._restoring = False
        self._selected: tuple[int, ...] = ()
        self._nodes: tuple[int, ...] = ()
        self._places: dict[str, int] = {}

        self.model = LayerTable(self)
        self.filter = QLineEdit()
        self.filter.setObjectName("layerFilter")
        self.filter.setPlaceholderText("Filter layers: conv, >1000, zeros>50%")
        self.filter.setAccessibleName("Filter layers")
        self.filter.setToolTip(HELP)
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._filter_typed)
        self.filter.installEventFilter(self)
        examples = self.filter.addAction(
            icons.icon("help", "text_muted"), QLineEdit.ActionPosition.TrailingPosition
        )
        icons.bind(examples, "help", "text_muted")
        examples.setToolTip("What can be typed here")
        examples.triggered.connect(self.show_examples)
        self.tree = QToolButton()
        self.tree.setObjectName("layerTree")
        self.tree.setText("Tree")
        self.tree.setCheckable(True)
        self.tree.setAccessibleName("Show layers as a tree of modules")
        self.tree.setToolTip(
            "Show layers below the modules that they belong to, with sums; the left and right keys fold and open"
        )
        self.tree.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.tree.toggled.connect(self._tree_toggled)
        self.table = _table(self.model)
        self.header = LayerHeader(self.table, self.model)
        self.folding = LayerFolding(self.table, self.model)
        self.table.selectionModel().selectionChanged.connect(self._selection_touched)
        self.table.customContextMenuRequested.connect(self._show_menu)
        self.table.viewport().installEventFilter(self)
        self.table.installEventFilter(self)
        self.totals = ElidedLabel()
        self.totals.setObjectName("layerTotals")
        self.totals.setProperty("role", "small")
        self.totals.setContentsMargins(theme.SPACE, 4, theme.SPACE, 4)

        self._make_actions()
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        top = QHBoxLayout()
        top.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE)
        top.setSpacing(theme.SPACE // 2)
        top.addWidget(self.filter, 1)
        top.addWidget(self.tree)
        inside.addLayout(top)
        inside.addWidget(self.table, 1)
        self.precision = PrecisionBar(content)
        self.precision.hide()
        inside.addWidget(self.precision)
        inside.addWidget(self.totals)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.open_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)

        self.model.modelReset.connect(self._restore_selection)
        self.model.plan_edited.connect(self._plan_typed)
        theme.events.changed.connect(self._repaint)
        self.show_nothing()

    def sizeHint(self) -> QSize:
        # Room for the first four columns with names of usual length.
        return QSize(320, 400)

    def minimumSizeHint(self) -> QSize:
        # With less, names of layers could not be told apart.
        return QSize(284, 120)

    # -- what is shown --------------------------------------------------------------------------------------

    def show_nothing(self) -> None:
        """No model is open."""
        self._selected, self._nodes, self._places = (), (), {}
        self.model.set_layers(())
        self.notice.show_empty("The layers of the open model will be listed here.", "Open a model…")

    def show_layers(self, layers: Sequence[Layer]) -> None:
        """List the layers of another model; the filter is cleared, nothing is selected."""
        self._selected = self._nodes = ()
        self._places = {layer.name: place for place, layer in enumerate(layers)}
        self.filter.clear()
        self.model.set_layers(layers)
        if layers:
            self.notice.clear()
        else:
            self.notice.show_empty(
                "This model has no layer with weights that could be pruned or quantized.",
                "Open another model…",
            )
        self._tell_totals()

    def add_summaries(self, found: Sequence[tuple[int, LayerSummary | Problem]]) -> None:
        """Fill in what was counted, by layer index."""
        self.model.set_summaries(found)
        self._tell_totals()

    def select(self, names: Sequence[str]) -> None:
        """Select layers by name, without telling; names that the model lacks are ignored."""
        places = tuple(sorted(self._places[name] for name in names if name in self._places))
        if places != self._selected:
            self._selected = self._nodes = places
            if places:
                self.model.unfold_to(places[0])
            self._restore_selection()
            self._tell_totals()

    def show_plan(self, plan: LayerPlan | None) -> None:
        """Show what the selected step of the recipe would do to each layer, or no such column."""
        shown = self.model.plan is not None
        self.model.set_plan(plan)
        if (plan is not None) != shown:
            self.header.show_plan(plan is not None)
            self._fit_name()

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the selected layers, also of those that the filter hides."""
        return tuple(self.model.layers[place].name for place in self._selected)

    def layers_to_export(self, *, selected_only: bool) -> list[int]:
        """Layer indices in the order of the rows: the selected ones, if asked for and any, or all shown."""
        shown = self.model.shown().tolist()
        chosen = set(self._selected)
        visible = [place for place in shown if place in chosen]
        return visible if selected_only and visible else shown

    def visible_layers(self) -> list[int]:
        """Layer indices of the rows on the screen, from top to bottom."""
        first = self.table.rowAt(0)
        if first < 0:
            return []
        last = self.table.rowAt(self.table.viewport().height() - 1)
        if last < 0:
            last = self.model.rowCount() - 1
        nodes = [self.model.node_at(row) for row in range(first, last + 1)]
        return [node for node in nodes if not self.model.is_branch(node)]

    def focus_filter(self) -> None:
        """Put the cursor into the filter."""
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    # -- intents --------------------------------------------------------------------------------------------

    def _filter_typed(self, text: str) -> None:
        self.model.set_filter(text)
        self._tell_totals()

    def _selection_touched(self, _on: QItemSelection, _off: QItemSelection) -> None:
        if self._restoring:
            return
        # By ranges, because a list of 10,000 rows' indices takes long to build.
        nodes: list[int] = []
        for span in self.table.selectionModel().selection():
            nodes.extend(self.model.node_at(row) for row in range(span.top(), span.bottom() + 1))
        self._nodes = tuple(nodes)
        places = [place for node in nodes for place in self.model.layers_of(node)]
        selected = tuple(sorted(set(places)))
        if selected != self._selected:
            self._selected = selected
            self._tell_totals()
            self.selection_changed.emit(self.selected)

    def _plan_typed(self, place: int, text: str) -> None:
        # One of several selected layers stands for all of them.
        names = self.selected if place in self._selected else (self.model.layers[place].name,)
        self.plan_typed.emit(names, text)

    def _ask_exclude(self) -> None:
        self.exclude_requested.emit(self.selected)

    def _ask_override(self) -> None:
        self.override_requested.emit(self.selected)

    def _tree_toggled(self, on: bool) -> None:
        # A branch that was selected stands for its layers from now on.
        self._nodes = self._selected
        self.model.set_tree(on)
        self.tree_toggled.emit(on)

    def _fold_everything(self) -> None:
        self.model.fold_all(True)

    def _open_everything(self) -> None:
        self.model.fold_all(False)

    def show_examples(self) -> None:
        """Offer what can be typed into the filter."""
        menu = QMenu(self)
        menu.setObjectName("filterExamples")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for text, meaning in EXAMPLES:
            action = menu.addAction(f"{text}\t{meaning}")
            action.setData(text)
        menu.triggered.connect(self._example_chosen)
        menu.popup(self.filter.mapToGlobal(QPoint(0, self.filter.height())))

    def _example_chosen(self, action: QAction) -> None:
        self.filter.setText(str(action.data()))
        self.filter.setFocus(Qt.FocusReason.OtherFocusReason)

    def _select_all(self) -> None:
        self.table.selectAll()

    # -- inside ---------------------------------------------------------------------------------------------

    def _make_actions(self) -> None:
        self._copy = self._action(
            "Copy rows", "Copy the selected rows with full precision", self.copy_requested.emit
        )
        self._copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
        self._export = self._action(
            "Export table as CSV…",
            "Save all rows that are shown, with full precision",
            self.export_requested.emit,
        )
        self._all = self._action("Select all", "Select all rows that are shown", self._select_all)
        self._exclude = self._action(
            "Leave this layer alone", "Prune steps will not touch the selected layers", self._ask_exclude
        )
        self._override = self._action(
            "Own sparsity…", "Give the selected layers a sparsity of their own", self._ask_override
        )
        self._fold_all = self._action("Fold all", "Show the outermost modules only", self._fold_everything)
        self._open_all = self._action("Open all", "Show every layer of every module", self._open_everything)
        self._copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self.table.addAction(self._copy)

    def _action(self, text: str, tip: str, ask: object) -> QAction:
        action = QAction(text, self)
        action.setToolTip(tip)
        action.setStatusTip(tip)
        action.triggered.connect(ask)
        return action

    def _show_menu(self, position: QPoint) -> None:
        if not self.model.rowCount():
            return
        some = bool(self._selected)
        several = len(self._selected) > 1
        self._exclude.setText("Leave these layers alone" if several else "Leave this layer alone")
        for action in (self._copy, self._exclude, self._override):
            action.setEnabled(some)
        menu = QMenu(self)
        menu.setObjectName("layerMenu")
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        menu.addActions([self._copy, self._all, self._export])
        menu.addSeparator()
        menu.addActions([self._exclude, self._override])
        menu.addSeparator()
        if self.model.in_tree:
            menu.addActions([self._fold_all, self._open_all])
        menu.addMenu(self.header.menu(menu))
        menu.popup(self.table.viewport().mapToGlobal(position))

    def _restore_selection(self) -> None:
        """Select the rows of the selected layers again after rows have moved."""
        selection = QItemSelection()
        rows = [row for node in self._nodes if (row := self.model.row_of(node)) is not None]
        for first, last in _runs(sorted(rows)):
            selection.select(self.model.index(first, 0), self.model.index(last, len(COLUMNS) - 1))
        flags = QItemSelectionModel.SelectionFlag
        self._restoring = True
        try:
            self.table.selectionModel().select(selection, flags.ClearAndSelect | flags.Rows)
            if rows:
                current = self.model.index(rows[0], 0)
                self.table.selectionModel().setCurrentIndex(current, flags.NoUpdate)
                self.table.scrollTo(current)
            else:
                self.table.selectionModel().setCurrentIndex(QModelIndex(), flags.NoUpdate)
        finally:
            self._restoring = False

    def _tell_totals(self) -> None:
        layers, shown = self.model.layers, self.model.shown()
        weights = self.model.weights_of(shown)
        filtered = shown.size != len(layers)
        parts = [f"Σ {count(weights)} weights"]
        parts.append(
            f"{count(shown.size)} of {count(len(layers))} shown" if filtered else _layers(len(layers))
        )
        if len(self._selected) > 1:
            parts.append(f"{count(len(self._selected))} selected")
        if (zeros := self.model.zeros_of(shown)) is not None and weights:
            parts.append(f"{percent(zeros / weights, 1)} zeros")
        self.totals.show_text(" · ".join(parts), self._totals_tip(weights))

    def _totals_tip(self, weights: int) -> str:
        chosen = self.model.weights_of(np.array(self._selected, np.intp))
        tip = (
            f"{count(weights)} of {count(self.model.total_weights)} prunable weights are in the layers shown"
        )
        if not self._selected:
            return tip
        return f"{tip}\n{count(chosen)} are in the {_layers(len(self._selected))} selected"

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and watched is self.filter:
            if event.key() == Qt.Key.Key_Escape and self.filter.text():
                self.filter.clear()
                return True
            if (
                event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter)
                and self.model.rowCount()
            ):
                self.table.setFocus(Qt.FocusReason.TabFocusReason)
                if not self.table.currentIndex().isValid():
                    self.table.selectRow(0)
                return True
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and watched is self.table
            and event.key() == Qt.Key.Key_F2
            and self.table.currentIndex().isValid()
        ):
            self.table.edit(self.model.index(self.table.currentIndex().row(), PLAN))
            return True
        if isinstance(event, QResizeEvent) and watched is self.table.viewport():
            self._fit_name()
        return super().eventFilter(watched, event)

    def _fit_name(self) -> None:
        """Give the name what the next three columns leave, so that the first four fill the panel."""
        header = self.table.horizontalHeader()
        others = sum(header.sectionSize(place) for place in range(NAME + 1, NAME + 4))
        if not header.isSectionHidden(PLAN):
            others += header.sectionSize(PLAN)
        room = self.table.viewport().width() - others
        header.resizeSection(NAME, max(COLUMNS[NAME].width, min(room, 260)))

    def _repaint(self, _tokens: object) -> None:
        self.table.viewport().update()


def _table(model: LayerTable) -> QTableView:
    table = QTableView()
    table.setObjectName("layerTable")
    table.setAccessibleName("Layer table")
    table.setModel(model)
    table.setItemDelegate(LayerDelegate(table))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    triggers = QAbstractItemView.EditTrigger
    table.setEditTriggers(triggers.DoubleClicked | triggers.SelectedClicked)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setWordWrap(False)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)
    table.setCornerButtonEnabled(False)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    fixed_rows(table, ROW_HEIGHT)
    table.setSortingEnabled(True)
    return table


def _layers(number: int) -> str:
    return f"{count(number)} layer" if number == 1 else f"{count(number)} layers"


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """First and last of each unbroken run in sorted numbers."""
    if not rows:
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1)
    starts, ends = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(rows) - 1]
    return [(rows[start], rows[end]) for start, end in zip(starts, ends, strict=True)]
