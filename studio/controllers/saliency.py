"""SaliencyController: has saliencies computed from the task's training examples, once for a model and a task."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from core.analysis.chunks import Array
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.inspector import Inspector

if TYPE_CHECKING:
    from core.measurement.saliencies import Saliencies

SALIENCY_TOPIC = "inspector saliency"
COMPUTE = "Compute saliencies"
STOP = "Stop"
_LOOK_MS = 200


class SaliencyController(QObject):
    """Keeps the saliencies of the open model. They are computed on demand, because that loads torch and data."""

    changed = Signal()  # there are saliencies now, or none any more
    failed = Signal(object)  # Problem

    def __init__(
        self, state: AppState, background: Background, inspector: Inspector, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._inspector = inspector
        self._found: Saliencies | None = None
        self._running = False
        self._done = (0, 0)
        self._watch = QTimer(self)
        self._watch.setInterval(_LOOK_MS)
        self._watch.timeout.connect(self._tell)
        state.model_changed.connect(self._forget)
        state.task_changed.connect(self._forget)

    def of(self, layer: str) -> Array | None:
        """The saliencies of a layer's weights, in their shape, if they were computed."""
        return None if self._found is None else self._found.values.get(layer)

    @property
    def protocol(self) -> str:
        """How the saliencies were obtained; empty without any."""
        return "" if self._found is None else self._found.protocol

    def ready(self, layer: str) -> bool:
        """Whether there are saliencies of this layer; if not, the heatmap says what is missing."""
        if self.of(layer) is not None:
            return True
        self._tell()
        return False

    def act(self) -> None:
        """What the button says: compute, or stop computing."""
        if self._running:
            self._background.drop(SALIENCY_TOPIC)
            self._stop()
            self._tell()
        else:
            self.measure()

    def measure(self) -> None:
        """Compute them."""
        model, task = self._state.model, self._state.task
        if model is None or task is None or model.description.architecture is None:
            return
        source = model.description.source
        self._done = (0, 0)

        def progress(done: int, total: int) -> None:
            self._done = (done, total)

        def work(ticket: Ticket) -> "Saliencies":
            # torch comes along here, off the GUI thread.
            from core.measurement.saliencies import saliencies_of

            return saliencies_of(source, task, check=ticket.check, progress=progress)

        def finished(found: "Saliencies") -> None:
            self._stop()
            self._found = found
            self.changed.emit()

        self._running = True
        self._watch.start()
        self._tell()
        self._background.ask(SALIENCY_TOPIC, work, finished, self._failed)

    # -- inside ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        view, model, task = self._inspector.heatmap, self._state.model, self._state.task
        if view is None or model is None or not view.look.salient:
            return
        title = model.description.source.title
        if self._running:
            done, total = self._done
            part = f": {done:,} of {total:,} examples" if total else ""
            view.show_missing(f"Computing the saliencies of {title}{part} …", STOP)
            view.notice.show_busy()
        elif model.description.architecture is None:
            view.show_missing(
                f"{title} cannot be run, because its architecture is not known. Saliencies need a network and data; "
                "“w²” needs neither.",
                None,
            )
        elif task is None:
            view.show_missing(
                "Choose a task in the tool bar: saliencies are computed from its training examples. “w²” needs none.",
                None,
            )
        else:
            view.show_missing(
                "See what the loss would rise by without each weight (½ · h · w², Optimal Brain Damage), computed "
                f"from training examples of {task.title}.",
                COMPUTE,
            )

    def _forget(self, _: object) -> None:
        self._background.drop(SALIENCY_TOPIC)
        self._stop()
        self._found = None
        self.changed.emit()

    def _stop(self) -> None:
        self._running = False
        self._watch.stop()

    def _failed(self, problem: Problem) -> None:
        self._stop()
        self.failed.emit(problem)
