"""The family of a run as a tree: which run it started from, and which started from its result."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QTreeWidget, QTreeWidgetItem, QWidget

from core import formatting
from core.history.columns import RunColumns
from core.history.lineage import MOST, Relative
from studio.tables.run_columns import status_text


class LineageView(QTreeWidget):
    """A click, or Enter, goes to a run."""

    run_wanted = Signal(object)  # run id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("runLineage")
        self.setAccessibleName("Lineage of the run")
        self.setHeaderLabels(["Run", "Status", "Accuracy", "Packed size"])
        self.setUniformRowHeights(True)
        self.setColumnWidth(0, 210)
        self.setColumnWidth(1, 84)
        self.setColumnWidth(2, 76)
        self.itemClicked.connect(self._go)
        self.itemActivated.connect(self._go)
        self._own = ""

    def show_family(self, columns: RunColumns, family: Sequence[Relative], run_id: str) -> None:
        """Show a family in the order that `lineage` gives, with `run_id` marked."""
        self.clear()
        self._own = run_id
        line: list[QTreeWidgetItem] = []
        for relative in family:
            row = relative.row
            accuracy, packed = (columns.figures[name][row] for name in ("accuracy", "packed"))
            item = QTreeWidgetItem(
                [
                    f"{columns.numbers[row]}  {columns.texts['name'][row]}",
                    status_text(columns, row),
                    "" if accuracy != accuracy else formatting.percent(float(accuracy)),
                    "" if packed != packed else formatting.data_size(round(packed)),
                ]
            )
            item.setData(0, Qt.ItemDataRole.UserRole, relative.run_id)
            for column in (2, 3):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            own = relative.run_id == run_id
            if own:
                font = item.font(0)
                font.setBold(True)
                item.setFont(0, font)
            item.setToolTip(0, "This run." if own else "Click to go to this run.")
            del line[relative.depth :]
            if line:
                line[-1].addChild(item)
            else:
                self.addTopLevelItem(item)
            line.append(item)
            if own:
                self.setCurrentItem(item)
        self.expandAll()
        if len(family) >= MOST:
            self.addTopLevelItem(QTreeWidgetItem([f"Only {MOST} of the family are shown."]))
        elif len(family) == 1:
            alone = QTreeWidgetItem(["It started from no other run's result, and no run from its own."])
            alone.setFirstColumnSpanned(True)
            alone.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.addTopLevelItem(alone)
            alone.setFirstColumnSpanned(True)

    def _go(self, item: QTreeWidgetItem, _column: int) -> None:
        run_id = item.data(0, Qt.ItemDataRole.UserRole)
        if run_id and run_id != self._own:
            self.run_wanted.emit(run_id)
