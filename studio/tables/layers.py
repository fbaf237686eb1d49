"""The item model of the layer table: sorts and filters through one index array, fast at thousands of rows.

Rows are layers, or in the tree also the modules that they belong to. All figures lie in arrays, one place per layer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from core.analysis.statistics import NEAR_ZERO
from core.analysis.summary import LayerSummary
from core.models.description import Layer
from studio.problem import Problem
from studio.tables.layer_columns import COLUMNS, DISTRIBUTION, NAME, PLAN, Row
from studio.tables.layer_figures import (
    LayerFigures,
    Values,
    branch_arrays,
    counted_column,
    empty_arrays,
    figures_at,
    figures_of,
    put,
)
from studio.tables.layer_filter import Figures, matching
from studio.tables.layer_plan import LayerPlan, PlanCell
from studio.tables.layer_tips import branch_tip, layer_tip
from studio.tables.layer_tree import Arranged, ModuleTree
from studio.tables.natural import natural_key

Index = QModelIndex | QPersistentModelIndex

LAYER_ROLE = int(Qt.ItemDataRole.UserRole)
"""The index of the layer in the model (int), from which its colour follows; None for a branch."""
SUMMARY_ROLE = LAYER_ROLE + 1
"""The layer's LayerSummary, its Problem if it could not be read, or None while it is not known."""
FIGURES_ROLE = LAYER_ROLE + 2
"""The LayerFigures of a layer or branch, or None while they are not known."""
DEPTH_ROLE = LAYER_ROLE + 3
"""How deep in the tree (int); 0 in the flat list."""
FOLD_ROLE = LAYER_ROLE + 4
"""“open” or “folded” for a branch, None for a layer."""
OWN_ROLE = LAYER_ROLE + 5
"""Whether the plan of a layer is its own."""


class LayerTable(QAbstractTableModel):
    """Rows are the layers that the filter lets through, in the chosen order; in the tree below their modules.

    A change of order or filter resets the model: whoever shows it restores the selection by node: a layer's index, or
    for a branch a number from `len(layers)` on.
    """

    plan_edited = Signal(int, str)  # layer, what was typed as its plan
    summaries_changed = Signal(object)  # list[int]: layers whose figures have come in

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: tuple[Layer, ...] = ()
        self._summaries: list[LayerSummary | Problem | None] = []
        self._total = 0
        self._near_zero = NEAR_ZERO
        self._haystacks: list[str] | None = None
        self._fixed: dict[str, Values] = {}
        self._counted: dict[str, Values] = empty_arrays(0)
        self._missing = np.zeros(0, np.bool_)
        self._text_ranks: dict[tuple[int, bool], NDArray[np.intp]] = {}
        self._weights = np.zeros(0, np.int64)
        self._grown: ModuleTree | None = None
        self._in_tree = False
        self._folded: set[int] = set()
        self._branches: dict[str, Values] | None = None
        self._rows = Arranged(*(np.zeros(0, np.intp) for _ in range(3)))
        self._row_of = np.zeros(0, np.intp)
        self._sort: tuple[int, Qt.SortOrder] | None = None
        self._filter = ""
        self._plan: LayerPlan | None = None

    # -- content --------------------------------------------------------------------------------------------

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Show other layers; order and filter stay, statistics are forgotten, all branches are open."""
        self.beginResetModel()
        self._layers = tuple(layers)
        number = len(self._layers)
        self._summaries = [None] * number
        self._haystacks = None
        self._text_ranks = {}
        self._weights = np.fromiter((layer.weights for layer in self._layers), np.int64, number)
        self._total = int(self._weights.sum())
        self._missing = np.ones(number, np.bool_)
        self._counted = empty_arrays(number)
        self._branches = None
        self._fixed = {}
        self._grown = None
        self._folded = set()
        self._arrange()
        self.endResetModel()

    def set_summaries(self, found: Sequence[tuple[int, LayerSummary | Problem]]) -> None:
        """Add what was counted, by layer index. Rows keep their places until `refresh_order`."""
        for index, summary in found:
            self._summaries[index] = summary
            if isinstance(summary, LayerSummary):
                put(self._counted, index, figures_of(summary, self._near_zero))
                self._missing[index] = summary.statistics.near_zero != self._near_zero
            else:
                self._missing[index] = False
        self._branches = None
        self.summaries_changed.emit([index for index, _ in found])
        if self._in_tree:
            # Branches stand above their layers, far away or near.
            self._tell_all()
            return
        rows = [int(self._row_of[index]) for index, _ in found if self._row_of[index] >= 0]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), len(COLUMNS) - 1))

    @property
    def plan(self) -> LayerPlan | None:
        """What the selected step of the recipe would do to each layer."""
        return self._plan

    def set_plan(self, plan: LayerPlan | None) -> None:
        """Fill the column of plans, or leave it empty."""
        if plan == self._plan:
            return
        retitled = (plan and plan.title) != (self._plan and self._plan.title)
        self._plan = plan
        if retitled:
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, PLAN, PLAN)
        if self._sort is not None and self._sort[0] == PLAN:
            self.refresh_order()
        else:
            self._tell_all()

    def plan_of(self, node: int) -> PlanCell | None:
        """What stands in the column of plans for a layer; None without a plan, and for branches."""
        if self._plan is None or node >= len(self._layers):
            return None
        return self._plan.cells.get(self._layers[node].name)

    @property
    def near_zero(self) -> float:
        """Magnitude under which a weight that is not zero counts as near zero."""
        return self._near_zero

    def set_near_zero(self, limit: float) -> None:
        """Count near zeros with another limit: every layer is missing until it was counted again."""
        if limit != self._near_zero:
            self._near_zero = limit
            self._counted["near_zeros"][:] = np.nan
            self._branches = None
            for index, summary in enumerate(self._summaries):
                self._missing[index] = not isinstance(summary, Problem)
            self._tell_all()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in the order of the model."""
        return self._layers

    @property
    def total_weights(self) -> int:
        """Weights of all layers."""
        return self._total

    def weights_of(self, layers: NDArray[np.intp]) -> int:
        """Weights of some layers together."""
        return int(self._weights[layers].sum())

    def zeros_of(self, layers: NDArray[np.intp]) -> int | None:
        """Exact zeros of some layers together; None while one of them is not counted or could not be read."""
        zeros = float(self._counted["zeros"][layers].sum())
        return int(zeros) if layers.size and np.isfinite(zeros) else None

    def summary(self, layer: int) -> LayerSummary | Problem | None:
        """What is known of a layer's weights."""
        return self._summaries[layer]

    def missing(self) -> list[int]:
        """Layers whose weights have not been counted, or not with the limit of near zeros in force."""
        found: list[int] = np.flatnonzero(self._missing).tolist()
        return found

    # -- order, filter and tree -----------------------------------------------------------------------------

    @property
    def in_tree(self) -> bool:
        """Whether the modules are shown too."""
        return self._in_tree

    def set_tree(self, on: bool) -> None:
        """Show the modules that layers belong to, or the layers alone."""
        if on != self._in_tree:
            self._in_tree = on
            self.refresh_order()

    def fold(self, node: int, folded: bool) -> None:
        """Hide or show what is below a branch."""
        group = node - len(self._layers)
        if group >= 0 and folded != (group in self._folded):
            (self._folded.add if folded else self._folded.discard)(group)
            self.refresh_order()

    def fold_all(self, folded: bool) -> None:
        """Fold or open all branches."""
        self._folded = set(range(len(self._tree.groups))) if folded else set()
        self.refresh_order()

    def unfold_to(self, layer: int) -> None:
        """Open the branches above a layer."""
        if not self._in_tree:
            return
        above, node = [], self._tree.parents[layer]
        while node >= 0:
            above.append(node - len(self._layers))
            node = self._tree.parents[node]
        if not self._folded.isdisjoint(above):
            self._folded.difference_update(above)
            self.refresh_order()

    @property
    def _tree(self) -> ModuleTree:
        # Grown when it is first looked at: most lists are never shown as one.
        if self._grown is None:
            self._grown = ModuleTree(self._layers)
        return self._grown

    def parent_of(self, node: int) -> int | None:
        """The branch that a layer or branch is in, or None at the top."""
        return None if self._tree.parents[node] < 0 else self._tree.parents[node]

    def node_at(self, row: int) -> int:
        """What a row shows."""
        return int(self._rows.nodes[row])

    def is_branch(self, node: int) -> bool:
        """Whether a node is a branch of the tree."""
        return node >= len(self._layers)

    def layers_of(self, node: int) -> list[int]:
        """The layers that a node stands for: itself, or all of a branch that the filter lets through."""
        if not self.is_branch(node):
            return [node]
        members = self._tree.members_of(node - len(self._layers))
        if not self._filter:
            return members
        return [layer for layer in members if self._row_of[layer] >= 0]

    def row_of(self, node: int) -> int | None:
        """The row of a layer or branch, or None while the filter or a folded branch hides it."""
        row = int(self._row_of[node]) if node < self._row_of.size else -1
        return row if row >= 0 else None

    def shown(self) -> NDArray[np.intp]:
        """The layers that the filter lets through, in the order of the rows, also those in folded branches."""
        return self._rows.layers

    def set_filter(self, text: str) -> None:
        """Show only layers that meet the filter (see `layer_filter`)."""
        if text.strip() != self._filter:
            self._filter = text.strip()
            self.refresh_order()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 restores the order of the model. Figures not known yet come last."""
        self._sort = (column, order) if column >= 0 else None
        self.refresh_order()

    @property
    def depends_on_statistics(self) -> bool:
        """Whether new statistics could change the order or the choice of rows."""
        by_figure = self._sort is not None and COLUMNS[self._sort[0]].from_statistics
        return by_figure or any(sign in self._filter for sign in "<>=")

    def refresh_order(self) -> None:
        """Sort and filter again."""
        self.beginResetModel()
        self._arrange()
        self.endResetModel()

    def _arrange(self) -> None:
        number = len(self._layers)
        allowed = matching(self._filter, self._searchable(), FilterColumns(self)) if self._filter else None
        keys = self._sort_keys()
        if self._in_tree:
            # While something is looked for, folded branches open by themselves.
            folded: set[int] = set() if self._filter else self._folded
            key = None if keys is None else keys.tolist().__getitem__
            self._rows = self._tree.arrange(key, allowed, folded)
        else:
            # NaN sorts last in numpy, whichever the direction.
            order = np.arange(number) if keys is None else np.argsort(keys, kind="stable")
            if allowed is not None:
                order = order[allowed[order]]
            self._rows = Arranged(order, np.zeros(order.size, np.intp), order)
        nodes = number + (len(self._tree.groups) if self._in_tree else 0)
        self._row_of = np.full(nodes, -1, np.intp)
        self._row_of[self._rows.nodes] = np.arange(self._rows.nodes.size)

    def _sort_keys(self) -> NDArray[Any] | None:
        """For each layer (in the tree also each branch) what it is sorted by; smaller comes first."""
        if self._sort is None:
            return None
        column, direction = self._sort
        sign = -1 if direction == Qt.SortOrder.DescendingOrder else 1
        if COLUMNS[column].number is None:
            return sign * self._ranks(column)
        values = sign * self._values(COLUMNS[column].key, branches=self._in_tree)
        # Python's sort, which the tree uses, has no place for NaN.
        return np.where(np.isnan(values), np.inf, values) if self._in_tree else values

    def _ranks(self, column: int) -> NDArray[np.intp]:
        key = (column, self._in_tree)
        if key not in self._text_ranks:
            rows: list[Row] = [*self._layers, *(self._tree.groups if self._in_tree else ())]
            self._text_ranks[key] = text_ranks(rows, column, self._total)
        return self._text_ranks[key]

    def offer(self, layers: Sequence[Layer], tree: ModuleTree, ranks: Mapping[int, NDArray[np.intp]]) -> None:
        """Take over what a worker found out of these layers, if they are still the ones shown.

        Args:
            ranks: what `text_ranks` says, by column.
        """
        if tuple(layers) == self._layers:
            self._grown = self._grown or tree
            for column, found in ranks.items():
                self._text_ranks.setdefault((column, False), found)

    def _values(self, key: str, *, branches: bool) -> Values:
        """A column's figures, of the layers or also of the branches."""
        if key == COLUMNS[PLAN].key:
            branches_too = len(self._tree.groups) if branches else 0
            return np.concatenate([self._plan_values(), np.full(branches_too, np.nan)])
        fixed = key in _FIXED
        own = self._known_beforehand(key) if fixed else counted_column(self._counted, key)
        if not branches or not self._tree.starts.size:
            return own
        if fixed:
            below = np.add.reduceat(own[self._tree.members], self._tree.starts)
        else:
            below = counted_column(self._branch_figures(), key)
        return np.concatenate([own, below])

    def _plan_values(self) -> Values:
        cells = (self.plan_of(node) for node in range(len(self._layers)))
        values = (np.nan if cell is None or cell.value is None else cell.value for cell in cells)
        return np.fromiter(values, np.float64, len(self._layers))

    def _known_beforehand(self, key: str) -> Values:
        """A column's figures that need no counting; worked out when they are first asked for."""
        if key not in self._fixed:
            number = _FIXED[key]
            figures = (number(layer, None, self._total) for layer in self._layers)
            self._fixed[key] = np.fromiter(
                (np.nan if one is None else one for one in figures), np.float64, len(self._layers)
            )
        return self._fixed[key]

    def _searchable(self) -> list[str]:
        """The text of each layer in which words are looked for."""
        if self._haystacks is None:
            self._haystacks = [f"{layer.name} {layer.kind} {layer.dtype}".lower() for layer in self._layers]
        return self._haystacks

    def _branch_figures(self) -> dict[str, Values]:
        if self._branches is None:
            self._branches = branch_arrays(self._counted, self._tree.members, self._tree.starts)
        return self._branches

    def _tell_all(self) -> None:
        if self._rows.nodes.size:
            last = int(self._rows.nodes.size) - 1
            self.dataChanged.emit(self.index(0, 0), self.index(last, len(COLUMNS) - 1))

    # -- Qt -------------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else int(self._rows.nodes.size)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if section == PLAN and self._plan is not None:
            if role == Qt.ItemDataRole.DisplayRole:
                return self._plan.title
            if role == Qt.ItemDataRole.ToolTipRole:
                return self._plan.explanation
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            limit = f" The limit is {self._near_zero:g}." if column.key == "near_zeros" else ""
            return f"{column.explanation}.{limit} Click to sort, right-click to choose columns."
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        node, section = int(self._rows.nodes[index.row()]), index.column()
        branch = node >= len(self._layers)
        if section == PLAN:
            return self._plan_data(node, role)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                if section == NAME and self._in_tree:
                    return self._part(node)
                return COLUMNS[section].text(self._row(node), self.figures(node), self._total)
            case Qt.ItemDataRole.ToolTipRole:
                return self.tooltip(node, section)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(section)
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{COLUMNS[section].title}: {self.tooltip(node, section)}"
        if role == LAYER_ROLE:
            return None if branch else node
        if role == SUMMARY_ROLE:
            return None if branch else self._summaries[node]
        if role == FIGURES_ROLE:
            return self.figures(node)
        if role == DEPTH_ROLE:
            return int(self._rows.depths[index.row()])
        if role == FOLD_ROLE and branch:
            return "folded" if node - len(self._layers) in self._folded and not self._filter else "open"
        return None

    def _plan_data(self, node: int, role: int) -> Any:
        cell = self.plan_of(node)
        if role == OWN_ROLE:
            return cell is not None and cell.own
        match role:
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(PLAN)
            case Qt.ItemDataRole.DisplayRole:
                return "" if cell is None else cell.text
            case Qt.ItemDataRole.EditRole:
                return "" if cell is None else cell.edit
            case Qt.ItemDataRole.ToolTipRole:
                return COLUMNS[PLAN].explanation if cell is None else cell.tip
            case Qt.ItemDataRole.AccessibleTextRole:
                title = COLUMNS[PLAN].title if self._plan is None else self._plan.title
                return title if cell is None else f"{title}: {cell.text}. {cell.tip}"
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.isValid() and index.column() == PLAN and self._plan is not None and self._plan.editable:
            cell = self.plan_of(int(self._rows.nodes[index.row()]))
            return flags | Qt.ItemFlag.ItemIsEditable if cell is not None else flags
        return flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or index.column() != PLAN:
            return False
        node = int(self._rows.nodes[index.row()])
        cell = self.plan_of(node)
        if cell is None or str(value).strip() == cell.edit:
            return False
        self.plan_edited.emit(node, str(value).strip())
        return True

    def figures(self, node: int) -> LayerFigures | None:
        """What was counted of a layer or branch; None while not all of it is known."""
        number = len(self._layers)
        if node >= number:
            return figures_at(self._branch_figures(), node - number)
        return figures_at(self._counted, node)

    def tooltip(self, node: int, section: int) -> str:
        """What the cell of a layer or branch says when the pointer rests on it."""
        row, figures = self._row(node), self.figures(node)
        if isinstance(row, Layer):
            return layer_tip(row, self._summaries[node], figures, section, self._total)
        return branch_tip(row, figures, section, self._total)

    def _row(self, node: int) -> Row:
        number = len(self._layers)
        return self._tree.groups[node - number] if node >= number else self._layers[node]

    def _part(self, node: int) -> str:
        number = len(self._layers)
        return (
            self._tree.parts[node - number] if node >= number else self._layers[node].name.rpartition(".")[2]
        )

    # -- export ---------------------------------------------------------------------------------------------

    def rows_as_text(self, layers: Sequence[int]) -> list[list[str]]:
        """A heading and one row for each layer, every column but the drawn one, with full precision."""
        columns = [column for place, column in enumerate(COLUMNS) if place not in (DISTRIBUTION, PLAN)]
        rows = [[column.title for column in columns]]
        for place in layers:
            layer, figures = self._layers[place], self.figures(place)
            rows.append([column.exact(layer, figures, self._total) for column in columns])
        return rows


class FilterColumns(Figures):
    """The figures by which a table can be filtered, worked out when a bound names them."""

    def __init__(self, table: LayerTable) -> None:
        self._table = table

    def get(self, key: str) -> Values | None:
        return self._table._values(key, branches=False) if key in _NUMBERED else None


_NUMBERED = frozenset(column.key for column in COLUMNS if column.number is not None)
_FIXED = {
    column.key: column.number
    for column in COLUMNS
    if column.number is not None and not column.from_statistics
}


TEXT_COLUMNS = tuple(place for place, column in enumerate(COLUMNS) if column.number is None)
"""The columns that are sorted by their text."""


def text_ranks(rows: Sequence[Row], column: int, total: int) -> NDArray[np.intp]:
    """For each row the rank of its text in a column, numbers within texts by their value.

    Needs no table, so that a worker can find it out: ten thousand rows take longer than a window may stand still.
    """
    texts = [natural_key(COLUMNS[column].text(row, None, total)) for row in rows]
    places = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return np.fromiter((places[text] for text in texts), np.intp, len(texts))


def _alignment(section: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if COLUMNS[section].numeric else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
