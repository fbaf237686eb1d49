"""ComparisonController: which other models the histogram draws beside the open one, and how they are chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from core.models.opened import OpenedModel
from core.models.source import SAMPLE, ModelSource, source_from_json
from studio.jobs.background import Background, Ticket
from studio.problem import Problem
from studio.state import AppState
from studio.views.references import MOST_REFERENCES

if TYPE_CHECKING:
    from core.history.records import Artifact, RunRecord
    from studio.controllers.inspect_work import WeightCache
    from studio.views.histogram_view import HistogramView

MENU_TOPIC = "comparison menu"
OPEN_TOPIC = "comparison"
_LATEST, _MOST_CHOSEN = 8, 40
_MODEL_FILES = (
    "Models (*.safetensors *.packed *.index.json *.pt *.pth *.th *.pt2 *.bin *.ckpt *.pkl *.npy *.npz *.onnx);;"
    "All files (*)"
)


class Runs(Protocol):
    """What is needed of the history."""

    def latest(self, limit: int, *, status: str | None = None) -> "list[RunRecord]": ...
    def runs_named(self, run_ids: Sequence[str]) -> "list[RunRecord]": ...
    def artifacts(self, run_id: str) -> "tuple[Artifact, ...]": ...


@dataclass(frozen=True)
class Candidate:
    """A model to compare with."""

    title: str
    tip: str
    source: ModelSource


class ComparisonController(QObject):
    """Opens other models in the background and keeps them while the open model stays.

    Args:
        opener: opens a source; `core.models.opening.open_model` without one.
    """

    changed = Signal()  # other models are to be drawn

    def __init__(
        self,
        state: AppState,
        background: Background,
        parent: QObject | None = None,
        opener: Callable[[ModelSource, Callable[[], None]], OpenedModel] | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._opener = opener
        self._store: Runs | None = None
        self._view: HistogramView | None = None
        self._candidates: tuple[Candidate, ...] = ()
        self._opened: dict[Candidate, WeightCache] = {}
        state.model_changed.connect(self._model_changed)

    @property
    def references(self) -> "tuple[tuple[str, WeightCache], ...]":
        """Title and weights of each model that is compared with."""
        return tuple((candidate.title, cache) for candidate, cache in self._opened.items())

    def set_store(self, store: Runs) -> None:
        """Offer the runs of this history too."""
        self._store = store

    def set_view(self, view: "HistogramView") -> None:
        """Fill this view's menu."""
        self._view = view
        view.compare_menu_wanted.connect(self.fill_menu)

    def compare_with(self, candidate: Candidate) -> None:
        """Draw that model beside the open one, in the place of the oldest if there are too many."""
        if candidate in self._opened:
            return
        opener = self._opener

        def work(ticket: Ticket) -> "WeightCache":
            from studio.controllers.inspect_work import WeightCache

            if opener is not None:
                return WeightCache(opener(candidate.source, ticket.check))
            from core.models.opening import open_model

            return WeightCache(open_model(candidate.source, ticket.check))

        def done(cache: "WeightCache") -> None:
            kept = list(self._opened.items())[-(MOST_REFERENCES - 1) :]
            self._opened = {**dict(kept), candidate: cache}
            self._tell()

        self._background.ask(OPEN_TOPIC, work, done, self._failed)

    def stop_comparing(self) -> None:
        """Draw the open model alone."""
        self._background.drop(OPEN_TOPIC)
        if self._opened:
            self._opened = {}
            self._tell()

    def choose_file(self) -> None:
        """Ask for a model file to compare with."""
        parent = self._view if isinstance(self._view, QWidget) else None
        dialog = QFileDialog(parent, "Compare with a model file", "", _MODEL_FILES)
        dialog.setObjectName("compareFileDialog")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.compare_file)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def compare_file(self, path: str) -> None:
        """Compare with the model in a file."""
        self.compare_with(Candidate(Path(path).name, path, ModelSource("file", str(Path(path).absolute()))))

    # -- the menu -------------------------------------------------------------------------------------------

    def fill_menu(self, menu: QMenu) -> None:
        """Show what is known of the history, and look again meanwhile."""
        self._build(menu)
        store, chosen = self._store, self._state.runs
        model = self._state.model
        if store is None or model is None:
            return
        source = model.description.source

        def work(ticket: Ticket) -> tuple[Candidate, ...]:
            return candidates(store, chosen, source, ticket.check)

        def done(found: tuple[Candidate, ...]) -> None:
            if found != self._candidates:
                self._candidates = found
                self._build(menu)

        self._background.ask(MENU_TOPIC, work, done, self._failed)

    def _build(self, menu: QMenu) -> None:
        menu.clear()
        offered = dict.fromkeys((*self._opened, *self._candidates, *self._always()))
        if not offered:
            note = menu.addAction("Finished runs will be offered here")
            note.setEnabled(False)
        for candidate in offered:
            action = menu.addAction(candidate.title.replace("&", "&&"))
            action.setToolTip(candidate.tip)
            action.setCheckable(True)
            action.setChecked(candidate in self._opened)
            action.setData(candidate)
            action.triggered.connect(self._chosen)
        menu.addSeparator()
        file = menu.addAction("Model file…")
        file.setToolTip("Compare with the layers of the same names in another file")
        file.triggered.connect(self.choose_file)
        if self._opened:
            stop = menu.addAction("Stop comparing")
            stop.triggered.connect(self.stop_comparing)

    def _always(self) -> tuple[Candidate, ...]:
        """The sample, unless it is offered anyway or is the open model itself."""
        model = self._state.model
        known = {candidate.source for candidate in (*self._opened, *self._candidates)}
        if model is None or SAMPLE in known or model.description.source == SAMPLE:
            return ()
        return (Candidate(SAMPLE.title, "The built-in model that reads handwritten digits", SAMPLE),)

    def _chosen(self) -> None:
        action = self.sender()
        candidate = action.data() if action is not None else None
        if not isinstance(candidate, Candidate):
            return
        if candidate in self._opened:
            del self._opened[candidate]
            self._tell()
        else:
            self.compare_with(candidate)

    # -- inside ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        if self._view is not None:
            self._view.show_comparison([title for title, _ in self.references])
        self.changed.emit()

    def _model_changed(self, _model: object) -> None:
        self._background.drop(OPEN_TOPIC)
        self._background.drop(MENU_TOPIC)
        self._candidates = ()
        if self._opened:
            self._opened = {}
            if self._view is not None:
                self._view.show_comparison(())

    def _failed(self, problem: Problem) -> None:
        self._state.problem.emit(problem)


def candidates(
    store: Runs, chosen: Sequence[str], source: ModelSource, check: Callable[[], None]
) -> tuple[Candidate, ...]:
    """What to offer: what the open model was made from, then results (and sources) of chosen and latest runs."""
    order = {run_id: place for place, run_id in enumerate(chosen[:_MOST_CHOSEN])}
    # A history may hold 100,000 runs, of which a menu shows a few.
    known = {record.run_id: record for record in store.latest(_LATEST, status="finished")}
    known |= {
        record.run_id: record for record in store.runs_named(list(order)) if record.status == "finished"
    }
    records = sorted(
        known.values(), key=lambda record: (order.get(record.run_id, len(order)), -record.number)
    )
    found: dict[ModelSource, Candidate] = {}
    for record in records[: max(_LATEST, len(order))]:
        check()
        result = next((one for one in store.artifacts(record.run_id) if one.kind == "model"), None)
        if result is None:
            continue
        before = _source(record.source, record.seed)
        where = ModelSource("file", result.path)
        if where == source and before is not None:
            origin = Candidate(f"Before run {record.number}: {before.title}", _tip(before), before)
            found = {before: origin} | {where: one for where, one in found.items() if where != before}
            continue
        if before is not None and before != source and record.run_id in order:
            found.setdefault(
                before, Candidate(f"Before run {record.number}: {before.title}", _tip(before), before)
            )
        if Path(result.path).exists() and where != source:
            found.setdefault(
                where, Candidate(f"After run {record.number}: {record.name}", result.path, where)
            )
    return tuple(found.values())


def _source(data: Mapping[str, Any], seed: int) -> ModelSource | None:
    """Where a run's model came from; None where that cannot be opened again as it was."""
    try:
        source = source_from_json(dict(data))
    except TypeError:
        return None
    # Fresh weights follow the run's seed, and models are opened with seed 0.
    fresh = source.kind == "zoo" or (source.kind == "torchvision" and source.weights is None)
    return None if fresh and seed else source


def _tip(source: ModelSource) -> str:
    return f"The model that the run started from: {source.to_text()}"
