"""DifferenceController: has two models compared layer by layer while the tab is shown, and leads on to one layer."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from core.analysis.difference import layer_difference, match_layers
from core.models.description import Layer
from core.models.opened import OpenedModel
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.tables.difference import DifferenceRow
from studio.views.inspector import Inspector

if TYPE_CHECKING:
    from studio.views.difference_view import DifferenceView

DIFFERENCE_TOPIC = "inspector difference"
_BATCH_SECONDS = 0.2
"""After so long, the layers compared so far are shown."""


class DifferenceController(QObject):
    """Connects the state and the Difference tab."""

    menu_wanted = Signal(object)  # QMenu to fill with models
    heatmap_wanted = Signal(object)  # str: layer
    histogram_wanted = Signal(object)  # str: layer

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._shown: tuple[OpenedModel, OpenedModel] | None = None
        self._left: list[tuple[int, Layer]] = []
        state.model_changed.connect(self.refresh)
        state.comparison_changed.connect(self.refresh)
        inspector.tab_changed.connect(self.refresh)
        inspector.difference.built.connect(self._built)
        if inspector.difference.view is not None:
            self._built()

    def show_menu(self) -> None:
        """Offer the models to compare with."""
        self._inspector.difference.build()
        view = self._view()
        if view is not None:
            view.show_menu()

    def refresh(self, _: object = None) -> None:
        """Compare again if the tab is shown and one of the models is another."""
        view, model, other = self._view(), self._state.model, self._state.comparison
        if view is None or self._inspector.current is not self._inspector.difference:
            self._background.drop(DIFFERENCE_TOPIC)
            # What is not finished begins again when the tab is shown.
            if self._left:
                self._shown = None
            return
        if model is None or other is None:
            self._background.drop(DIFFERENCE_TOPIC)
            self._shown, self._left = None, []
            view.end()
            view.notice.show_empty(
                "Compare the open model with another one, layer by layer: the model before a run, its result, "
                "or any file with layers of the same names.",
                "Compare model with…",
            )
            return
        if self._shown == (model, other):
            return
        self._begin(view, model, other)

    # -- inside ---------------------------------------------------------------------------------------------

    def _view(self) -> "DifferenceView | None":
        return self._inspector.difference.view  # type: ignore[return-value]

    def _built(self) -> None:
        view = self._view()
        assert view is not None
        view.compare_menu_wanted.connect(self.menu_wanted)
        view.heatmap_wanted.connect(self.heatmap_wanted)
        view.histogram_wanted.connect(self.histogram_wanted)
        view.notice.retry.connect(self._again)
        self.refresh()

    def _again(self) -> None:
        self._shown = None
        self.refresh()

    def _begin(self, view: "DifferenceView", model: OpenedModel, other: OpenedModel) -> None:
        layers, title = model.description.layers, other.description.source.title
        matching = match_layers(layers, other.description.layers)
        places = {layer.name: place for place, layer in enumerate(layers)}
        self._shown = (model, other)
        self._left = [(places[layer.name], layer) for layer in matching.pairs]
        view.begin(title, len(matching.pairs), matching.unmatched)
        if not matching.pairs:
            view.notice.show_empty(
                f"No layer of {model.description.source.title} has the name and shape of a layer of {title}: "
                "choose another model.",
                "Compare model with…",
            )
            return
        self._ask(view, model, other)

    def _ask(self, view: "DifferenceView", model: OpenedModel, other: OpenedModel) -> None:
        left = tuple(self._left)

        def work(ticket: Ticket) -> list[DifferenceRow]:
            return compare_some(model, other, left, ticket)

        def done(rows: list[DifferenceRow]) -> None:
            self._left = self._left[len(rows) :]
            view.add_rows(rows)
            if self._left:
                self._ask(view, model, other)
            else:
                view.notice.clear()

        view.notice.show_busy()
        self._background.ask(DIFFERENCE_TOPIC, work, done, self._failed)

    def _failed(self, problem: Problem) -> None:
        self._shown = None
        view = self._view()
        if view is not None:
            view.notice.show_problem(problem, retry=True)


def compare_some(
    model: OpenedModel, other: OpenedModel, layers: tuple[tuple[int, Layer], ...], ticket: Ticket
) -> list[DifferenceRow]:
    """Compare layers, at least one, until a fifth of a second has passed."""
    rows: list[DifferenceRow] = []
    end = time.monotonic() + _BATCH_SECONDS
    for place, layer in layers:
        found = layer_difference(model.weight(layer.name), other.weight(layer.name), ticket.check)
        rows.append(DifferenceRow(layer.name, place, found))
        if time.monotonic() > end:
            break
    return rows
