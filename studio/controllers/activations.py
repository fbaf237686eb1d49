"""ActivationsController: has a network of its own run on examples of the task, and shows what flowed through it."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from core.models.description import ModelDescription
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.tables.activations import ActivationRow
from studio.views.inspector import Inspector

if TYPE_CHECKING:
    from core.measurement.activations import ActivationReport
    from studio.controllers.activation_grid import ActivationGridController
    from studio.views.activations_view import ActivationsView

ACTIVATIONS_TOPIC = "inspector activations"
_LOOK_MS = 100


class _Progress:
    """Written by the worker, read by the window: two numbers that need no lock."""

    def __init__(self) -> None:
        self.now = (0, 0)

    def __call__(self, done: int, total: int) -> None:
        self.now = (done, total)


class ActivationsController(QObject):
    """Connects the state and the Activations tab. Measuring begins on demand, because it loads torch and data."""

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._progress = _Progress()
        self._grid: ActivationGridController | None = None
        self._measured = False
        self._watch = QTimer(self)
        self._watch.setInterval(_LOOK_MS)
        self._watch.timeout.connect(self._look)
        state.model_changed.connect(self._forget)
        state.task_changed.connect(self._forget)
        state.layer_selection_changed.connect(self._select)
        inspector.activations.built.connect(self._built)
        if inspector.activations.view is not None:
            self._built()

    def measure(self) -> None:
        """Run the examples through the network."""
        view, model, task = self._view(), self._state.model, self._state.task
        if view is None or model is None or task is None:
            return
        source, part, examples = model.description.source, view.part_box.currentData(), view.examples.value()
        description = model.description
        progress = self._progress = _Progress()

        def work(ticket: Ticket) -> "ActivationReport":
            # torch comes along here, off the GUI thread.
            from core.measurement.activations import activations_of

            return activations_of(source, task, part, examples, check=ticket.check, progress=progress)

        def done(report: "ActivationReport") -> None:
            self._stop()
            self._measured = True
            view.show_report(report, rows_of(report, description))
            self._select()

        view.set_running(True)
        if not self._measured:
            view.notice.show_empty(f"Running examples of {task.title} through the network.")
        view.notice.show_busy()
        self._watch.start()
        self._background.ask(ACTIVATIONS_TOPIC, work, done, self._failed)

    def cancel(self) -> None:
        """Give up measuring; what was measured before stays."""
        self._background.drop(ACTIVATIONS_TOPIC)
        self._stop()
        self._say()

    # -- inside ---------------------------------------------------------------------------------------------

    def _view(self) -> "ActivationsView | None":
        return self._inspector.activations.view  # type: ignore[return-value]

    def _built(self) -> None:
        view = self._view()
        assert view is not None
        view.measure_wanted.connect(self.measure)
        view.cancel_wanted.connect(self.cancel)
        view.problem.connect(self._state.problem)
        view.notice.retry.connect(self.measure)
        # Comes with the view, because it shows a grid only there.
        from studio.controllers.activation_grid import ActivationGridController

        self._grid = ActivationGridController(self._background, view, self)
        self._grid.failed.connect(self._state.problem)
        self._say()

    def _forget(self, _: object) -> None:
        self._background.drop(ACTIVATIONS_TOPIC)
        self._measured = False
        self._stop()
        self._say()

    def _say(self) -> None:
        """Say what is missing, or offer to measure."""
        view, model, task = self._view(), self._state.model, self._state.task
        if view is None or model is None:
            return
        title = model.description.source.title
        view.set_possible(model.description.architecture is not None and task is not None)
        if self._measured:
            view.notice.clear()
        elif model.description.architecture is None:
            view.notice.show_empty(
                f"{title} cannot be run, because its architecture is not known: activations need a network, "
                "not only its weights."
            )
        elif task is None:
            view.notice.show_empty("Choose a task in the tool bar: activations are measured on its examples.")
        else:
            view.notice.show_empty(
                f"Run examples of {task.title} through the network to see how every layer's output is distributed, "
                "how much of it is zero and which units are dead.",
                "Measure activations",
            )

    def _select(self, _: object = None) -> None:
        view, model = self._view(), self._state.model
        if view is None or model is None or not self._measured or not self._state.layers:
            return
        names = [layer.name for layer in model.description.layers]
        if self._state.layers[0] in names:
            view.select_layer(names.index(self._state.layers[0]))

    def _look(self) -> None:
        view, (done, total) = self._view(), self._progress.now
        if view is not None and total:
            view.show_progress(done, total)

    def _stop(self) -> None:
        self._watch.stop()
        view = self._view()
        if view is not None:
            view.set_running(False)

    def _failed(self, problem: Problem) -> None:
        self._stop()
        self._measured = False
        view = self._view()
        if view is not None:
            view.notice.show_problem(problem, retry=True)


def rows_of(report: "ActivationReport", description: ModelDescription) -> list[ActivationRow]:
    """The rows of a report, with the index of their layer in the model."""
    places = {layer.name: place for place, layer in enumerate(description.layers)}
    return [ActivationRow(seen, places.get(seen.layer, 0), number) for number, seen in enumerate(report.rows)]
