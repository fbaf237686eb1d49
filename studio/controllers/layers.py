"""LayersController: fills the layer table, ties its selection to the state's, copies and exports it."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from core.analysis.summary import LayerSummary, summarize_tensor
from core.errors import StudioError
from core.files import write_text
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio.jobs.background import Background, Ticket
from studio.problem import Problem, problem_from
from studio.settings import LAYER_COLUMNS, LAYER_TREE, NEAR_ZERO, Settings
from studio.state import AppState
from studio.tables.layer_tree import ModuleTree
from studio.tables.layers import TEXT_COLUMNS, LayerTable, text_ranks
from studio.views.layer_panel import LayerPanel

TOPIC = "layer summaries"
PREPARATION_TOPIC = "layer preparation"
MANY_LAYERS = 1_000
"""From so many layers on, order and tree are prepared by a worker."""

BATCH_SECONDS = 0.05
"""Work between two updates of the table; after each, the rows on the screen come first again."""
UNSEEN_BATCH_SECONDS = 0.25
"""The same once everything on the screen is counted: the table is painted anew after each."""

Found = list[tuple[int, LayerSummary | Problem]]


class LayersController(QObject):
    """Connects the state and the layer panel."""

    def __init__(
        self,
        state: AppState,
        background: Background,
        panel: LayerPanel,
        parent: QObject | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._state = state
        self._background = background
        self._panel = panel
        self._told_problem = False
        self._shown_elsewhere: list[Callable[[], list[int]]] = []
        state.model_changed.connect(self._model_changed)
        state.layer_selection_changed.connect(panel.select)
        panel.selection_changed.connect(state.set_layers)
        panel.copy_requested.connect(self.copy_table)
        panel.export_requested.connect(self.choose_csv)
        panel.header.near_zero_wanted.connect(self.set_near_zero)
        if settings is not None:
            panel.header.restore(settings.get(LAYER_COLUMNS))
            panel.tree.setChecked(settings.get(LAYER_TREE))
            panel.model.set_near_zero(settings.get(NEAR_ZERO))
            panel.header.layout_changed.connect(self._keep_columns)
            panel.tree_toggled.connect(self._keep_tree)
        if state.model is not None:
            self._model_changed(state.model)
            panel.select(state.layers)

    @property
    def table(self) -> LayerTable:
        """The layers and what is known of them, in the order and choice of the panel."""
        return self._panel.model

    def count_first(self, visible: Callable[[], list[int]]) -> None:
        """Count the layers that another view shows (by their index) before those that nobody sees."""
        self._shown_elsewhere.append(visible)

    def set_near_zero(self, limit: float) -> None:
        """Count as near zero what is below this magnitude and not zero, from now on and in the next session."""
        self._panel.model.set_near_zero(limit)
        if self._settings is not None:
            self._settings.set(NEAR_ZERO, limit)
        if self._state.model is not None:
            self._count_more(self._state.model)

    def toggle_tree(self) -> None:
        """Show the layers below their modules, or in a flat list."""
        self._panel.tree.toggle()

    def _keep_columns(self, layout: dict[str, object]) -> None:
        if self._settings is not None:
            self._settings.set(LAYER_COLUMNS, layout)

    def _keep_tree(self, on: bool) -> None:
        if self._settings is not None:
            self._settings.set(LAYER_TREE, on)

    def focus_filter(self) -> None:
        """Put the cursor into the filter of the layer table."""
        self._panel.focus_filter()

    def copy_table(self) -> None:
        """Copy the selected rows (all that are shown if none is) as tab-separated text, with full precision."""
        places = self._panel.layers_to_export(selected_only=True)
        text = _separated(self._panel.model.rows_as_text(places), "\t")
        QGuiApplication.clipboard().setText(text)
        self._state.message.emit(f"{len(places):,} rows of the layer table are on the clipboard.")

    def choose_csv(self) -> None:
        """Ask for a file and write all rows that are shown to it."""
        path, _ = QFileDialog.getSaveFileName(
            self._panel, "Export layer table", "layers.csv", "Comma-separated values (*.csv)"
        )
        if path:
            self.export_csv(Path(path))

    def export_csv(self, path: Path) -> None:
        """Write all rows that are shown to a CSV file; a failure is told by the state's `problem`."""
        rows = self._panel.model.rows_as_text(self._panel.layers_to_export(selected_only=False))
        try:
            write_text(path, _separated(rows, ","))
        except StudioError as error:
            self._state.problem.emit(problem_from(error))
        else:
            self._state.message.emit(f"The layer table was written to {path}.")

    # -- statistics -----------------------------------------------------------------------------------------

    def _model_changed(self, model: OpenedModel | None) -> None:
        self._background.drop(TOPIC)
        self._background.drop(PREPARATION_TOPIC)
        self._told_problem = False
        if model is None:
            self._panel.show_nothing()
            return
        layers = model.description.layers
        self._panel.show_layers(layers)
        if len(layers) >= MANY_LAYERS:
            self._prepare(layers)
        self._count_more(model)

    def _prepare(self, layers: tuple[Layer, ...]) -> None:
        """Find out beforehand how texts are sorted and what the tree is, so that no click has to wait for it."""
        table, total = self._panel.model, self._panel.model.total_weights

        def work(ticket: Ticket) -> tuple[ModuleTree, dict[int, NDArray[np.intp]]]:
            ranks = {}
            for column in TEXT_COLUMNS:
                ticket.check()
                ranks[column] = text_ranks(layers, column, total)
            return ModuleTree(layers), ranks

        def done(found: tuple[ModuleTree, dict[int, NDArray[np.intp]]]) -> None:
            table.offer(layers, *found)

        self._background.ask(PREPARATION_TOPIC, work, done, self._failed)

    def _count_more(self, model: OpenedModel) -> None:
        """Have the next layers counted: those on the screen first."""
        missing = self._panel.model.missing()
        if not missing:
            if model.description.layers:
                self._panel.notice.clear()
            if self._panel.model.depends_on_statistics:
                self._panel.model.refresh_order()
            return
        self._panel.notice.show_busy()
        limit = self._panel.model.near_zero
        left = set(missing)
        seen = [
            *self._panel.visible_layers(),
            *(one for visible in self._shown_elsewhere for one in visible()),
        ]
        visible = dict.fromkeys(place for place in seen if place in left)
        queue = [*visible, *(place for place in missing if place not in visible)]

        seconds = BATCH_SECONDS if visible else UNSEEN_BATCH_SECONDS

        def work(ticket: Ticket) -> Found:
            return _count(model, queue, limit, seconds, ticket)

        def done(found: Found) -> None:
            self._add(found)
            self._count_more(model)

        self._background.ask(TOPIC, work, done, self._failed)

    def _add(self, found: Found) -> None:
        self._panel.add_summaries(found)
        for _place, summary in found:
            # One sentence for the whole model: a file that went away fails for every layer.
            if isinstance(summary, Problem) and not self._told_problem:
                self._told_problem = True
                self._state.problem.emit(summary)

    def _failed(self, problem: Problem) -> None:
        self._panel.notice.clear()
        self._state.problem.emit(problem)


def _count(
    model: OpenedModel, queue: Sequence[int], near_zero: float, seconds: float, ticket: Ticket
) -> Found:
    """Summaries of the first layers of the queue, as many as the time of one batch allows, at least one."""
    found: Found = []
    until = time.monotonic() + seconds
    for place in queue:
        ticket.check()
        layer = model.description.layers[place]
        try:
            summary: LayerSummary | Problem = summarize_tensor(
                model,
                layer.weight_name,
                near_zero,
                ticket.check,
                shape=layer.shape,
                # The one kind of layer whose input channels come first.
                output_axis=1 if layer.kind.startswith("conv_transpose") else 0,
            )
        except Exception as error:
            summary = problem_from(error)
        found.append((place, summary))
        if time.monotonic() > until:
            break
    return found


def _separated(rows: list[list[str]], separator: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()
