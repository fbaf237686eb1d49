"""The Pareto plot with its controls: two quantities, logarithmic axes, and what can be done with a box of runs."""

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from core.history.quantities import BY_NAME, QUANTITIES, Quantity
from studio import theme
from studio.views.choices import choice
from studio.views.chosen_row import ChosenRow
from studio.views.pareto_points import BEFORE, Mask, ParetoPoints, search_for

if TYPE_CHECKING:
    from studio.views.pareto_plot import ParetoPlot


class ParetoPanel(QWidget):
    """Shows `ParetoPoints` of the chosen quantities; somebody else finds them when `axes_changed` asks."""

    axes_changed = Signal()
    run_clicked = Signal(object)  # run id: open it
    compare_wanted = Signal(object)  # tuple of run ids
    list_wanted = Signal(object)  # str: a search that finds the runs of the box
    problem = Signal(object)

    def __init__(self, name: str, *, with_list: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._plot: ParetoPlot | None = None
        self._points: ParetoPoints | None = None
        self._boxed: Mask | None = None
        self.y_axis = _quantities(
            f"{name}Y", "Vertical axis", "What stands on the vertical axis.", "accuracy"
        )
        self.x_axis = _quantities(
            f"{name}X", "Horizontal axis", "What stands on the horizontal axis.", "packed"
        )
        self.log_y = _log(f"{name}LogY", "vertical")
        self.log_x = _log(f"{name}LogX", "horizontal")
        self.box = QPushButton()
        self.box.setObjectName(f"{name}Box")
        self.box.setText("Box")
        self.box.setCheckable(True)
        self.box.setAccessibleName("Choose runs in a box")
        self.box.setToolTip(
            "Drag a box around runs to choose them. Dragging with Shift does it without this button."
        )
        self.front = QPushButton()
        self.front.setObjectName(f"{name}Front")
        self.front.setText("Front")
        self.front.setAccessibleName("Choose the runs on the front")
        self.front.setToolTip("Choose the runs on the Pareto front: nothing beats them on both quantities.")
        self.row = ChosenRow(name, with_list=with_list)
        self.row.compare_wanted.connect(self.compare_wanted)
        self.row.list_wanted.connect(self.list_wanted)
        self.row.clear_wanted.connect(self.clear)
        against = QLabel("over")
        against.setProperty("role", "muted")
        bar = QHBoxLayout()
        bar.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE // 2)
        bar.setSpacing(theme.SPACE)
        for control in (self.y_axis, self.log_y, against, self.x_axis, self.log_x):
            bar.addWidget(control)
        bar.addStretch(1)
        bar.addWidget(self.front)
        bar.addWidget(self.box)
        self.note = QLabel()
        self.note.setObjectName(f"{name}Note")
        self.note.setProperty("role", "muted")
        self.note.setWordWrap(True)
        self.note.setContentsMargins(theme.SPACE, 0, theme.SPACE, theme.SPACE // 2)
        self.empty = QLabel()
        self.empty.setObjectName(f"{name}Empty")
        self.empty.setProperty("role", "muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.empty.hide()
        self._place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addLayout(self._place, 1)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.note)
        layout.addWidget(self.row)
        for box in (self.x_axis, self.y_axis):
            box.activated.connect(self._axes_chosen)
        for check in (self.log_x, self.log_y):
            check.toggled.connect(self._redraw)
        self.box.toggled.connect(self._box_toggled)
        self.front.clicked.connect(self.choose_front)

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def x(self) -> Quantity:
        """The quantity on the horizontal axis."""
        return BY_NAME[self.x_axis.currentData()]

    @property
    def y(self) -> Quantity:
        """The quantity on the vertical axis."""
        return BY_NAME[self.y_axis.currentData()]

    @property
    def plot(self) -> "ParetoPlot":
        """The plot; made (with pyqtgraph) when it is first asked for."""
        if self._plot is None:
            from studio.views.pareto_plot import ParetoPlot

            self._plot = ParetoPlot()
            self._plot.setObjectName(f"{self.objectName()}Plot")
            self._plot.run_clicked.connect(self.run_clicked)
            self._plot.boxed.connect(self._take_box)
            self._plot.problem.connect(self.problem)
            self._place.addWidget(self._plot, 1)
        return self._plot

    def show_points(self, points: ParetoPoints, empty: str) -> None:
        """Draw these points, which belong to the chosen quantities; without any, say why in a sentence."""
        before, boxed = self._points, self._boxed
        self._points = points
        self.clear()
        self._redraw()
        if before is not None and boxed is not None and points.follows(before):
            # A run that is under way changes the list every second; what was chosen stays so.
            kept = np.isin(points.numbers, before.numbers[boxed])
            if len(np.unique(points.numbers[kept])) == len(np.unique(before.numbers[boxed])):
                self.plot.choose(kept)
                self._take_box(kept)
        nothing = not len(points)
        self.empty.setText(empty)
        self.empty.setVisible(nothing)
        self.plot.setVisible(not nothing)
        self.front.setEnabled(bool(points.front.any()))

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's point larger."""
        if self._plot is not None:
            self._plot.emphasise(run_id)

    def choose_front(self) -> None:
        """Choose the runs on the front."""
        if self._points is not None:
            self.plot.choose(self._points.front)
            self._take_box(self._points.front)

    def clear(self) -> None:
        """Choose nothing."""
        self.row.show_nothing()
        if self._boxed is not None and self._plot is not None:
            self._plot.choose(None)
        self._boxed = None

    # -- inside ------------------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        points = self._points
        if points is None:
            return
        self.plot.set_points(points, self.log_x.isChecked(), self.log_y.isChecked())
        if self._boxed is not None:
            self.plot.choose(self._boxed)
        self.note.setText(_note(points, self.plot.left_out))
        self.note.setVisible(bool(len(points)))

    def _axes_chosen(self, _index: int) -> None:
        if self.x.name == self.y.name:
            # The same quantity twice says nothing: the other axis gives way.
            other = self.y_axis if self.sender() is self.x_axis else self.x_axis
            wanted = "accuracy" if self.x.name != "accuracy" else "packed"
            with QSignalBlocker(other):
                other.setCurrentIndex(other.findData(wanted))
        self.axes_changed.emit()

    def _box_toggled(self, on: bool) -> None:
        self.plot.set_box_mode(on)

    def _take_box(self, chosen: Mask) -> None:
        points = self._points
        if points is not None and points.colors is not None:
            # Models as they were before a run are no runs.
            chosen = chosen & (points.colors != BEFORE)
        if points is None or not chosen.any():
            self.clear()
            return
        self._boxed = chosen
        numbers = np.unique(points.numbers[chosen])
        text = "1 run chosen" if len(numbers) == 1 else f"{len(numbers):,} runs chosen"
        if len(numbers) > 1:
            text += f", {int((chosen & points.front).sum()):,} of them on the front"
        search = search_for(points, chosen) if self.row.with_list else None

        def run_ids() -> tuple[str, ...]:
            return tuple(dict.fromkeys(points.run_ids[n] for n in np.flatnonzero(chosen).tolist()))

        self.row.show_chosen(len(numbers), run_ids, text, search)


def _note(points: ParetoPoints, left_out: int) -> str:
    front = int(points.front.sum())
    if points.colors is None:
        parts = [f"{len(points):,} {'run' if len(points) == 1 else 'runs'}, {front:,} of them on the front"]
    else:
        models = "1 model" if len(points) == 1 else f"{len(points):,} models"
        parts = [f"{models}, {front:,} of them on the front"]
    if points.missing:
        parts.append(f"{points.missing:,} without both figures")
    if left_out:
        parts.append(f"{left_out:,} at zero or below have no place on a logarithmic axis")
    return "; ".join(parts) + "."


def _quantities(name: str, title: str, tip: str, chosen: str) -> QComboBox:
    box = choice(name, title, tip)
    box.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    for index, quantity in enumerate(QUANTITIES):
        title = quantity.title[0].upper() + quantity.title[1:]
        box.addItem(title, quantity.name)
        which = "More" if quantity.sense > 0 else "Less"
        box.setItemData(index, f"{quantity.help} {which} is better.", Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(box.findData(chosen))
    box.view().setMinimumWidth(170)
    return box


def _log(name: str, which: str) -> QCheckBox:
    check = QCheckBox("log")
    check.setObjectName(name)
    check.setAccessibleName(f"Logarithmic {which} axis")
    check.setToolTip(f"Logarithmic {which} axis: equal ratios take equal room.")
    return check
