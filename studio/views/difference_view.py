"""The Difference tab: two models side by side, layer by layer, and the way to what changed in one layer."""

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPoint, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from core.analysis.difference import Unmatched
from core.formatting import count, percent
from studio import theme
from studio.tables.difference import DIFFERENCE_COLUMNS, DifferenceRow
from studio.tables.figures import FigureTable
from studio.views.elided import ElidedLabel
from studio.views.figure_view import FigureView
from studio.views.notice import PanelNotice

_WIDTHS = (150, 78, 78, 82, 78, 82, 74, 74, 98, 84)
_NAMED = 3


class DifferenceView(QWidget):
    """Shows rows as they come and tells which layer is to be looked at."""

    compare_menu_wanted = Signal(object)  # QMenu to fill
    heatmap_wanted = Signal(object)  # str: layer name
    histogram_wanted = Signal(object)  # str: layer name

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("differenceView")
        self._unmatched: tuple[Unmatched, ...] = ()
        self._pairs = 0
        self.menu = QMenu(self)
        self.menu.setObjectName("differenceMenu")
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.compare = QPushButton("Compare with")
        self.compare.setObjectName("differenceCompare")
        self.compare.setAccessibleName("Choose the model to compare with")
        self.compare.setToolTip("Choose a second model: the source or result of a run, the sample, or a file")
        self.compare.setMenu(self.menu)
        self.heatmap = _button(
            "differenceHeatmap",
            "Show in heatmap",
            "See which weights of the selected layer changed, and by how much",
        )
        self.heatmap.clicked.connect(self._heatmap)
        self.histogram = _button(
            "differenceHistogram",
            "Show in histogram",
            "See the selected layer of both models in one histogram",
        )
        self.histogram.clicked.connect(self._histogram)
        controls = QHBoxLayout()
        controls.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        controls.setSpacing(theme.SPACE)
        for widget in (self.compare, self.heatmap, self.histogram):
            controls.addWidget(widget)
        controls.addStretch(1)

        self.summary = ElidedLabel()
        self.summary.setObjectName("differenceSummary")
        self.unmatched = ElidedLabel()
        self.unmatched.setObjectName("differenceUnmatched")
        self.unmatched.setProperty("role", "small")
        self.unmatched.hide()
        for label in (self.summary, self.unmatched):
            label.setContentsMargins(theme.SPACE, 0, theme.SPACE, 4)
        self.table_model: FigureTable[DifferenceRow] = FigureTable(DIFFERENCE_COLUMNS, self)
        self.table = FigureView(self.table_model, "What changed, layer by layer", _WIDTHS)
        self.table.setObjectName("differenceTable")
        self.table.activated.connect(self._activated)
        self.table.row_chosen.connect(self._selected)
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.summary)
        inside.addWidget(self.table, 1)
        inside.addWidget(self.unmatched)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.show_menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(controls)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        self._selected()

    def show_menu(self) -> None:
        """Offer the models to compare with."""
        self._fill_menu()
        self.menu.popup(self.compare.mapToGlobal(QPoint(0, self.compare.height())))

    def begin(self, title: str, pairs: int, unmatched: Sequence[Unmatched]) -> None:
        """Show nothing yet of a comparison with the model `title`, of which `pairs` layers will come."""
        self.compare.setText(f"Compare with {title}".replace("&", "&&"))
        self._pairs, self._unmatched = pairs, tuple(unmatched)
        self.table_model.clear()
        self._tell()
        self._selected()
        self.notice.clear()

    def end(self) -> None:
        """No model is compared with."""
        self.compare.setText("Compare with")
        self.table_model.clear()
        self._selected()

    def add_rows(self, rows: Sequence[DifferenceRow]) -> None:
        """Add layers; the selection stays."""
        chosen = self.layer
        self.table_model.add(rows)
        self._tell()
        place = next((n for n, row in enumerate(self.table_model.rows) if row.name == chosen), 0)
        self.table.selectRow(place)

    @property
    def layer(self) -> str | None:
        """The selected layer."""
        row = self.table.row
        return None if row is None else str(row.name)

    # -- inside ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        rows = self.table_model.rows
        changed = sum(row.difference.changed for row in rows)
        weights = sum(row.difference.weights for row in rows)
        touched = sum(row.difference.changed > 0 for row in rows)
        broken = sum(row.difference.not_compared for row in rows)
        text = (
            f"{count(len(rows))} of {count(self._pairs)} layers compared: " if len(rows) < self._pairs else ""
        )
        share = percent(changed / weights, 1) if weights else "0 %"
        text += f"{count(changed)} of {count(weights)} weights changed ({share}), in {count(touched)} of "
        text += f"{count(len(rows))} layer{'' if len(rows) == 1 else 's'}."
        if broken:
            text += f" {count(broken)} weights are NaN or infinite and in no other figure."
        self.summary.show_text(text)
        lines = [f"{one.name}: {one.reason}" for one in self._unmatched]
        more = len(lines) - _NAMED
        shown = "; ".join(lines[:_NAMED]) + (f"; and {count(more)} more" if more > 0 else "")
        self.unmatched.setVisible(bool(lines))
        what = "layer has" if len(lines) == 1 else "layers have"
        self.unmatched.show_text(
            f"{count(len(lines))} {what} no counterpart: {shown}.", "\n".join(lines[:40])
        )

    def _fill_menu(self) -> None:
        self.compare_menu_wanted.emit(self.menu)

    def _selected(self) -> None:
        for button in (self.heatmap, self.histogram):
            button.setEnabled(self.layer is not None)

    def _heatmap(self) -> None:
        if self.layer is not None:
            self.heatmap_wanted.emit(self.layer)

    def _histogram(self) -> None:
        if self.layer is not None:
            self.histogram_wanted.emit(self.layer)

    def _activated(self, _index: QModelIndex) -> None:
        self._heatmap()


def _button(name: str, text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setAccessibleName(text)
    button.setToolTip(tip)
    return button
