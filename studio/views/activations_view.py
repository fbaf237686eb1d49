"""The Activations tab: what flows through the network on examples of the task, layer by layer.

Imports pyqtgraph: import this module only when the tab is shown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from core.formatting import count, percent
from studio import theme
from studio.tables.activations import ACTIVATION_COLUMNS, ActivationRow
from studio.tables.figures import FigureTable
from studio.views.activation_plot import ActivationPlot
from studio.views.elided import ElidedLabel
from studio.views.figure_view import FigureView
from studio.views.flow import FlowLayout
from studio.views.grid_bar import OWN, GridBar
from studio.views.notice import PanelNotice

if TYPE_CHECKING:
    from core.measurement.activations import ActivationReport
    from core.quantization.activation_preview import ActivationPreview

_WIDTHS = (200, 72, 92, 92, 76, 72, 72, 72, 96, 72)
_NAMED = 10


class ActivationsView(QWidget):
    """Shows a report and tells when to measure."""

    measure_wanted = Signal()
    cancel_wanted = Signal()
    grid_changed = Signal()  # another grid or another output is on show, or none
    problem = Signal(object)  # Problem: a file could not be written

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("activationsView")
        self._report: ActivationReport | None = None
        self.part_box = QComboBox()
        self.part_box.setObjectName("activationsPart")
        self.part_box.setAccessibleName("Split")
        self.part_box.setToolTip(
            "Which examples are run; the test split is kept for the final accuracy alone"
        )
        self.part_box.addItem("Validation split", "validation")
        self.part_box.addItem("Training split", "train")
        self.examples = QSpinBox()
        self.examples.setObjectName("activationsExamples")
        self.examples.setAccessibleName("Number of examples")
        self.examples.setToolTip("How many examples are run, from the start of the split")
        self.examples.setRange(1, 100_000)
        self.examples.setSingleStep(64)
        self.examples.setValue(256)
        self.examples.setGroupSeparatorShown(True)
        self.examples.setSuffix(" examples")
        self.examples.lineEdit().setTextMargins(4, 0, 0, 0)
        self.measure = QPushButton("Measure activations")
        self.measure.setObjectName("activationsMeasure")
        self.measure.setAccessibleName("Measure activations")
        self.measure.setToolTip("Run the examples through the network and look at every layer's output")
        self.measure.clicked.connect(self.measure_wanted)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("activationsCancel")
        self.cancel.setAccessibleName("Cancel measuring activations")
        self.cancel.setToolTip("Give up measuring; what was measured before stays")
        self.cancel.clicked.connect(self.cancel_wanted)
        self.progress = QProgressBar()
        self.progress.setObjectName("activationsProgress")
        self.progress.setAccessibleName("Examples done")
        self.progress.setFixedWidth(140)
        self.grid_box = QCheckBox("Grid")
        self.grid_box.setObjectName("activationsGrid")
        self.grid_box.setAccessibleName("Grid")
        self.grid_box.setToolTip(
            "The values that activations of few bits can have, and the range that they are clipped to: drag its ends"
        )
        self.grid_box.toggled.connect(self._grid_toggled)
        controls = QWidget()
        row = FlowLayout(theme.SPACE, theme.SPACE // 2, controls)
        row.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        for widget in (
            self.part_box,
            self.examples,
            self.measure,
            self.progress,
            self.cancel,
            self.grid_box,
        ):
            row.addWidget(widget)

        self.summary = ElidedLabel()
        self.summary.setObjectName("activationsSummary")
        self.summary.setContentsMargins(theme.SPACE, 0, theme.SPACE, 4)
        self.table_model: FigureTable[ActivationRow] = FigureTable(ACTIVATION_COLUMNS, self)
        self.table = FigureView(self.table_model, "Activations, layer by layer", _WIDTHS)
        self.table.setObjectName("activationsTable")
        self.table.row_chosen.connect(self._row_chosen)
        self.plot = ActivationPlot()
        self.plot.problem.connect(self.problem)
        self.chosen = QLabel()
        self.chosen.setObjectName("activationsChosen")
        self.chosen.setProperty("role", "small")
        self.chosen.setWordWrap(True)
        self.chosen.setContentsMargins(theme.SPACE, 4, theme.SPACE, 4)
        self.plot.grid.dragged.connect(self._grid_dragged)
        below = QWidget()
        self.grid_bar = GridBar(below, activations=True)
        self.grid_bar.hide()
        self.grid_bar.changed.connect(self.grid_changed)
        inside = QVBoxLayout(below)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.chosen)
        inside.addWidget(self.grid_bar)
        inside.addWidget(self.plot, 1)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.setChildrenCollapsible(False)
        parts.addWidget(self.table)
        parts.addWidget(below)
        parts.setSizes([520, 480])
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addWidget(self.summary)
        inside.addWidget(parts, 1)
        self.notice = PanelNotice(content)
        self.notice.action.connect(self.measure_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(controls)
        layout.addWidget(self.notice)
        layout.addWidget(content, 1)
        self.set_running(False)

    def set_possible(self, possible: bool) -> None:
        """Whether there is a network and a task to run it on."""
        for widget in (self.part_box, self.examples, self.measure):
            widget.setEnabled(possible)

    def set_running(self, running: bool) -> None:
        """Show progress and Cancel while measuring."""
        self.measure.setVisible(not running)
        self.progress.setVisible(running)
        self.cancel.setVisible(running)
        if running:
            self.progress.setRange(0, 0)

    def show_progress(self, done: int, total: int) -> None:
        """So many examples are done."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def show_report(self, report: "ActivationReport", rows: Sequence[ActivationRow]) -> None:
        """Show what was measured."""
        self._report = report
        self.notice.clear()
        dead = sum(len(row.seen.always_zero) for row in rows)
        part = "training" if report.part == "train" else "validation"
        examples = f"{count(report.examples)} {part} example{'' if report.examples == 1 else 's'}"
        units = "1 dead unit" if dead == 1 else f"{count(dead)} dead units"
        self.summary.show_text(f"{examples} of {report.task}: {units} in all outputs.")
        self.table_model.clear()
        self.table_model.add(rows)
        self.table.selectRow(0)

    def select_layer(self, layer: int) -> None:
        """Select the first row of a layer, given by its index in the model, unless one of it is selected."""
        chosen = self.table.row
        if chosen is not None and chosen.layer == layer:
            return
        place = next((n for n, row in enumerate(self.table_model.rows) if row.layer == layer), None)
        if place is not None:
            self.table.selectRow(place)
            self.table.scrollTo(self.table_model.index(place, 0))

    # -- grid -------------------------------------------------------------------------------------------------

    @property
    def grid_ends(self) -> tuple[float, float]:
        """Where the ends of the grid's range were dragged to."""
        return self.plot.grid.ends

    def show_grid(self, found: "ActivationPreview | None") -> None:
        """Draw this grid, or none."""
        if found is None or not self.grid_box.isChecked():
            self.plot.grid.hide()
        else:
            dragged = self.grid_bar.method == OWN
            self.plot.grid.show_grid(found.levels, symmetric=found.choice.symmetric, dragged=dragged)

    def _grid_toggled(self, on: bool) -> None:
        self.grid_bar.setVisible(on)
        self.grid_changed.emit()

    def _grid_dragged(self, _ends: object) -> None:
        self.grid_bar.show_dragged()
        self.grid_changed.emit()

    # -- inside -----------------------------------------------------------------------------------------------

    def _row_chosen(self) -> None:
        row: ActivationRow | None = self.table.row
        self.plot.show_row(row)
        self.chosen.setText("" if row is None else row_text(row))
        # Ends that were dragged over another output mean nothing here.
        self.grid_bar.forget_dragged()
        self.grid_changed.emit()


def row_text(row: ActivationRow) -> str:
    """What one row says, in words."""
    seen = row.seen
    shape = " × ".join(str(side) for side in seen.shape)
    text = (
        f"{seen.title}: {shape} per example, {percent(seen.zero_fraction, 1)} exact zeros (not drawn, "
        f"{count(seen.zeros)} of {count(seen.values)} values)."
    )
    for units, what in ((seen.always_zero, "Always zero"), (seen.never_positive, "Never above zero")):
        if len(units) and (what == "Always zero" or len(units) != len(seen.always_zero)):
            named = ", ".join(str(unit) for unit in units[:_NAMED]) + (" …" if len(units) > _NAMED else "")
            text += f" {what}: unit{'' if len(units) == 1 else 's'} {named}"
            text += "" if named.endswith("…") else "."
    return text
