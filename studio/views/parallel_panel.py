"""Parallel coordinates with their controls: which axes, coloured by which, and what to do with brushed runs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QLabel, QMenu, QPushButton, QWidget

from core.errors import StudioError
from core.files import write_text
from studio.problem import problem_from
from studio.views.choices import ChartPage, choice
from studio.views.chosen_row import ChosenRow
from studio.views.parallel_data import ORIGINS, Mask, ParallelData, measured_columns
from studio.views.parallel_view import ParallelView
from studio.views.vector_file import save_svg

_BY_RUN = "run"
_LONGEST = 1_000
_NO_AXES = "Choose at least two axes."
_NO_RUNS = "There is no run to draw: change the search."
_FORMATS = "Vector (*.svg);;Image (*.png);;Data (*.csv)"
_HINT = "Drag along an axis to brush it."
_HOW = (
    "Drag along an axis to keep the runs that cross there; click a line to open its run. By keyboard: Left and Right "
    "choose an axis, Up and Down move the lower end of its brush (with Shift the upper end), Delete takes it away."
)


class ParallelPanel(ChartPage):
    """Shows `ParallelData` of the chosen axes; somebody else finds them when `axes_changed` asks."""

    axes_changed = Signal()
    run_clicked = Signal(object)  # run id: open it
    compare_wanted = Signal(object)  # tuple of run ids
    list_wanted = Signal(object)  # str: a search that finds the brushed runs
    problem = Signal(object)

    def __init__(self, name: str, *, with_list: bool, parent: QWidget | None = None) -> None:
        super().__init__(name, parent)
        self._columns: list[str] = ["method", "sparsity", "packed", "macs", "latency", "accuracy"]
        self._settings: tuple[str, ...] = ()
        self._wanted_color = "accuracy"
        self._filled = False
        self.axes = QPushButton()
        self.axes.setObjectName(f"{name}Axes")
        self.axes.setText("Axes")
        self.axes.setAccessibleName("Axes")
        self.axes.setToolTip("Choose which settings and measurements are axes.")
        self.menu = QMenu(self.axes)
        self.axes.setMenu(self.menu)
        self.color = choice(f"{name}Color", "Coloured by", "What the colour of a line stands for.", 12)
        self.read_out = QLabel(_HINT)
        self.read_out.setObjectName(f"{name}ReadOut")
        self.read_out.setProperty("role", "muted")
        self.read_out.setToolTip(_HOW)
        self.read_out.setMinimumWidth(1)
        by = QLabel("coloured by")
        by.setProperty("role", "muted")
        self.controls.addWidget(self.axes)
        self.controls.addWidget(by)
        self.controls.addWidget(self.color)
        self.controls.addWidget(self.read_out, 1)
        self.view = ParallelView()
        self.view.setObjectName(f"{name}View")
        self.view.setAccessibleDescription(_HOW)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._show_menu)
        self.row = ChosenRow(name, with_list=with_list)
        # Its room is kept, because axes must not move while one is being brushed.
        policy = self.row.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.row.setSizePolicy(policy)
        self.place.addWidget(self.view, 1)
        self.place.addWidget(self.row)
        self.color.activated.connect(self._color_chosen)
        self.view.hovered.connect(self._hover)
        self.view.brushes_changed.connect(self._take_brushed)
        self.view.run_clicked.connect(self.run_clicked)
        self.row.compare_wanted.connect(self.compare_wanted)
        self.row.list_wanted.connect(self.list_wanted)
        self.row.clear_wanted.connect(self.view.clear_brushes)
        self._fill_menu()

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the chosen axes, from the left."""
        return tuple(self._columns)

    def choose_axes(self, columns: Sequence[str]) -> None:
        """Make these the axes, without asking for them."""
        self._columns = list(columns)
        self._fill_menu()

    def offer_settings(self, settings: Sequence[str]) -> None:
        """Offer these settings ("prune.sparsity") as axes besides the measurements."""
        if tuple(settings) != self._settings:
            self._settings = tuple(settings)
            self._fill_menu()

    def show_data(self, data: ParallelData) -> None:
        """Draw these runs."""
        why = _NO_AXES if len(data.axes) < 2 else _NO_RUNS if not len(data) else ""
        self.say(why)
        self.view.setVisible(not why)
        columns = [axis.column for axis in data.axes]
        with QSignalBlocker(self.color):
            self.color.clear()
            if data.colors is not None:
                self.color.addItem("Run", _BY_RUN)
            for axis in data.axes:
                self.color.addItem(axis.name[0].upper() + axis.name[1:], axis.column)
            if not self._filled and data.colors is not None:
                self._wanted_color = _BY_RUN
            self._filled = True
            self.color.setCurrentIndex(max(0, self.color.findData(self._wanted_color)))
        color = self.color.currentData()
        self.view.show_data(data, color if color in columns else None)

    def emphasise(self, run_id: str | None) -> None:
        """Draw one run's line stronger."""
        self.view.emphasise(run_id)

    # -- data out ----------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Save as .png (as it looks), .svg (vectors, but for very many lines) or .csv (the brushed runs, or all).

        Raises:
            StudioError: for another ending, or where the file cannot be written.
        """
        match path.suffix.lower():
            case ".csv":
                write_text(path, self.view.csv())
            case ".png":
                if not self.view.grab().save(str(path)):
                    raise StudioError(f"{path.name} was not written: {path.parent} may not be written to.")
            case ".svg":
                save_svg(self.view, path, "Parallel coordinates")
            case _:
                raise StudioError(f"{path.name} was not written: end the name with .svg, .png or .csv.")

    def copy_data(self) -> None:
        """Put the brushed runs' values (all without brushes) on the clipboard as CSV."""
        QGuiApplication.clipboard().setText(self.view.csv())

    def save_dialog(self) -> None:
        """Ask for a file and save there."""
        path, _ = QFileDialog.getSaveFileName(self, "Save plot", "runs.svg", _FORMATS)
        if path:
            try:
                self.save(Path(path))
            except StudioError as error:
                self.problem.emit(problem_from(error))

    # -- inside ------------------------------------------------------------------------------------------------

    def _show_menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for text, slot in (
            ("Copy data", self.copy_data),
            ("Save as PNG, SVG or CSV…", self.save_dialog),
            ("Clear brushes", self.view.clear_brushes),
        ):
            menu.addAction(text).triggered.connect(slot)
        menu.popup(self.view.mapToGlobal(position))

    def _fill_menu(self) -> None:
        self.menu.clear()
        self._add_actions(self.menu, measured_columns())
        self.menu.addSeparator()
        self._add_actions(self.menu, list(ORIGINS))
        if not self._settings:
            return
        self.menu.addSeparator()
        steps = dict.fromkeys(name.partition(".")[0] for name in self._settings)
        for step in steps:
            inside = self.menu.addMenu(f"Settings of “{step}”")
            names = [name for name in self._settings if name.startswith(f"{step}.")]
            self._add_actions(inside, [(name, name.partition(".")[2].replace("_", " ")) for name in names])

    def _add_actions(self, menu: QMenu, entries: Sequence[tuple[str, str]]) -> None:
        for column, title in entries:
            action = QAction(title[0].upper() + title[1:], menu)
            action.setObjectName(f"axis-{column}")
            action.setData(column)
            action.setCheckable(True)
            action.setChecked(column in self._columns)
            action.triggered.connect(self._axis_toggled)
            menu.addAction(action)

    def _axis_toggled(self, on: bool) -> None:
        action = self.sender()
        assert isinstance(action, QAction)
        column = action.data()
        if on:
            # Accuracy stays last: what settings lead to stands on the right.
            last = self._columns[-1:] == ["accuracy"]
            self._columns.insert(len(self._columns) - last, column)
        else:
            self._columns.remove(column)
        self.axes_changed.emit()

    def _color_chosen(self, _index: int) -> None:
        self._wanted_color = self.color.currentData()
        self.view.color_by(None if self._wanted_color == _BY_RUN else self._wanted_color)

    def _hover(self, line: int | None) -> None:
        self.read_out.setText(_HINT if line is None else self.view.data.told(line))
        self.read_out.setToolTip(_HOW if line is None else self.read_out.text())

    def _take_brushed(self, chosen: Mask | None) -> None:
        if chosen is None:
            self.row.show_nothing()
            return
        data = self.view.data
        count = int(chosen.sum())
        brushes = self.view.brushes
        parts = [data.axes[axis].search_for(brush) for axis, brush in sorted(brushes.items())]
        found = [part for part in parts if part is not None]
        search = " and ".join(found)
        whole = len(found) == len(parts) and len(search) <= _LONGEST and count > 0

        def run_ids() -> tuple[str, ...]:
            return tuple(data.run_ids[n] for n in np.flatnonzero(chosen).tolist())

        text = f"{count:,} of {len(data):,} runs chosen"
        self.row.show_chosen(count, run_ids, text, search if whole and self.row.with_list else None)
