"""RecipePreview: computes what the recipe would remove while the user is still dragging, off the GUI thread."""

from PySide6.QtCore import QObject, QTimer, Signal

from core.models.opened import OpenedModel
from core.pruning.magnitudes import MagnitudeIndex
from core.steps import PruneSettings
from studio.controllers.recipe_view import Preview
from studio.jobs.background import Background, Ticket
from studio.problem import Problem

INTERVAL_MS = 30
TOPIC = "preview"


class RecipePreview(QObject):
    """At most one plan is under way. A newer wish waits for it, so that even a slow model answers during a drag."""

    ready = Signal(object)  # Preview
    failed = Signal(object)  # Problem

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._background = background
        self._model: OpenedModel | None = None
        self._index: MagnitudeIndex | None = None
        self._wish: tuple[int, PruneSettings] | None = None
        self._answered: tuple[int, PruneSettings] | None = None
        self._under_way = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(INTERVAL_MS)
        self._pause.timeout.connect(self._next)

    def set_model(self, model: OpenedModel | None) -> None:
        """Plan for this model from now on."""
        if model is self._model:
            return
        self._model = model
        self._index = None
        if model is not None:
            names = [layer.name for layer in model.description.layers]
            self._index = MagnitudeIndex(names, model.weight)
        self.clear()

    def clear(self) -> None:
        """Nobody wants a plan any more."""
        self._background.drop(TOPIC)
        self._under_way = False
        self._wish = self._answered = None

    def plan(self, step: int, settings: PruneSettings) -> None:
        """Soon emit `ready` with the plan for these settings, or `failed`; the latest wish wins."""
        if self._index is None or (step, settings) == (self._wish or self._answered):
            return
        self._wish = (step, settings)
        if not self._under_way and not self._pause.isActive():
            self._next()

    def _next(self) -> None:
        index, wish = self._index, self._wish
        if index is None or wish is None or self._under_way:
            return
        self._under_way = True
        self._answered, self._wish = wish, None
        self._pause.start()
        step, settings = wish

        def work(ticket: Ticket) -> Preview:
            return Preview(step, index.plan(settings, ticket.check), index.zeros(ticket.check))

        self._background.ask(TOPIC, work, self._done, self._failed)

    def _done(self, preview: Preview) -> None:
        self._under_way = False
        if self._wish is not None and not self._pause.isActive():
            self._next()
        self.ready.emit(preview)

    def _failed(self, problem: Problem) -> None:
        self._under_way = False
        if self._wish is not None and not self._pause.isActive():
            self._next()
        self.failed.emit(problem)
