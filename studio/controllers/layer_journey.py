"""From a layer in a comparison of runs to its weights: opens a run's model with the baseline's drawn over it."""

from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from core.models.source import ModelSource
from studio.controllers.comparison import Candidate
from studio.controllers.model import ModelController
from studio.state import AppState


@dataclass(frozen=True)
class LayerOfRun:
    """A layer of what a run made of its model, and the model that it is to be compared with."""

    layer: str
    source: ModelSource
    other: Candidate | None


class Inspection(Protocol):
    """What is needed of the inspector's controller and of its comparison."""

    def show_histogram_of(self, layer: str) -> None: ...
    def compare_with(self, candidate: Candidate) -> None: ...


class LayerJourney(QObject):
    """Waits for the model to be open before it shows the layer; of two journeys only the later arrives."""

    arrived = Signal()  # the layer is on show: go where it is seen

    def __init__(
        self, state: AppState, model: ModelController, inspection: Inspection, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._model = model
        self._inspection = inspection
        self._wanted: LayerOfRun | None = None
        model.opened.connect(self._opened)

    def begin(self, wanted: object) -> None:
        """Go to a layer (LayerOfRun)."""
        assert isinstance(wanted, LayerOfRun)
        self._wanted = wanted
        model = self._state.model
        if model is not None and model.description.source == wanted.source:
            self._opened(None)
        else:
            self._model.open_source(wanted.source)

    def _opened(self, _: object) -> None:
        wanted, model = self._wanted, self._state.model
        if wanted is None:
            return
        self._wanted = None
        if model is None or model.description.source != wanted.source:
            return
        self._inspection.show_histogram_of(wanted.layer)
        if wanted.other is not None:
            self._inspection.compare_with(wanted.other)
        self.arrived.emit()
