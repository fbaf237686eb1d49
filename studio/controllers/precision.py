"""PrecisionController: fills the bits of layers from the last sensitivity measured of the open model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.events import Finding
from core.findings import Table, read_finding
from core.history.columns import RunColumns
from core.history.records import RunRecord
from core.models.opened import OpenedModel
from core.quantization.ranking import KIND, Ranking, ranking_for, rankings, worst_kept
from core.quantization.settings import GridSettings, SensitivitySettings
from core.recipe import Recipe
from core.request import RunRequest
from studio.jobs.background import Background, Ticket
from studio.jobs.bridge import END_EVENTS
from studio.state import AppState
from studio.views.layer_panel import LayerPanel

TOPIC = "sensitivity"
STEP = "sensitivity"
LOOKED_AT = 50
"""So many of the newest measurements are looked through for one of the open model."""

_NAMED = 3


class Store(Protocol):
    """What is needed of `core.history.store.HistoryStore`; called from background threads only."""

    def columns(self) -> RunColumns: ...
    def runs_named(self, run_ids: Sequence[str]) -> list[RunRecord]: ...
    def findings(self, run_id: str, kind: str | None = None) -> tuple[Finding, ...]: ...


class Editor(Protocol):
    """What is needed of the recipe's controller."""

    def give_bits(self, bits: Mapping[str, int | None]) -> None: ...


@dataclass(frozen=True)
class Known:
    """What a run found out about the open model."""

    number: int
    rankings: tuple[Ranking, ...]


class PrecisionController(QObject):
    """Shows the bar while the selected step gives layers bits; knows the newest sensitivity of the open model."""

    run_requested = Signal(object)  # RunRequest

    def __init__(
        self,
        state: AppState,
        background: Background,
        panel: LayerPanel,
        editor: Editor,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._background = background
        self._bar = panel.precision
        self._editor = editor
        self._store: Store | None = None
        self._known: Known | None = None
        self._looked_for: object = None
        self._going: set[str] = set()  # run_ids of measurements that were begun here and have not ended
        self._ended: set[str] = set()  # run_ids of all jobs of this session that are over
        self._failed = ""
        self._bar.fill_wanted.connect(self._fill)
        self._bar.measure_wanted.connect(self._measure)
        self._bar.changed.connect(self._tell)
        state.model_changed.connect(self._model_changed)
        for changed in (state.task_changed, state.recipe_changed, state.step_selection_changed):
            changed.connect(self._refresh)
        self._refresh()

    def set_store(self, store: Store) -> None:
        """The history is open."""
        self._store, self._looked_for = store, None
        self._refresh()

    def run_ended(self, event: object) -> None:
        """A job ended; if it measured for the bar and failed, say so. What it found follows once it is written."""
        if not isinstance(event, END_EVENTS):
            return
        self._ended.add(event.run_id)
        if event.run_id in self._going:
            self._going.discard(event.run_id)
            self._failed = getattr(event, "message", "")
        # Whichever comes last, this or the news that the history has it, finds what there is.
        self._looked_for = None
        self._refresh()

    def runs_written(self, run_ids: Iterable[str]) -> None:
        """The history wrote something of these runs: once it has the end of one, what is known may be out of date."""
        if self._ended.intersection(run_ids):
            self._looked_for = None
            self._refresh()

    # -- what is known ----------------------------------------------------------------------------------------

    def _settings(self) -> GridSettings | None:
        step, steps = self._state.step, self._state.recipe.steps
        settings = steps[step] if step is not None and step < len(steps) else None
        return settings if isinstance(settings, GridSettings) and settings.integers else None

    def _model_changed(self, _: object) -> None:
        self._known, self._looked_for, self._failed = None, None, ""
        self._refresh()

    def _refresh(self, _: object = None) -> None:
        shown = self._settings() is not None and self._state.model is not None
        self._bar.setVisible(shown)
        if shown:
            self._look()
            self._tell()

    def _look(self) -> None:
        store, model = self._store, self._state.model
        if store is None or model is None or self._looked_for is model:
            return
        self._looked_for = model

        def work(ticket: Ticket) -> Known | None:
            return newest(store, model, ticket)

        def done(found: Known | None) -> None:
            if self._state.model is model:
                self._known = found
                self._tell()

        self._background.ask(TOPIC, work, done, self._state.problem.emit)

    def _ranking(self) -> Ranking | None:
        settings = self._settings()
        if settings is None or self._known is None:
            return None
        return ranking_for(self._known.rankings, settings.bits)

    def _tell(self) -> None:
        model, task, ranking = self._state.model, self._state.task, self._ranking()
        if model is None:
            return
        if self._going:
            why_not = "A measurement is under way; the strip below shows how far it is."
        elif model.description.architecture is None:
            why_not = "Only a network that can be computed can be measured; the architecture of this file is not known."
        elif task is None:
            why_not = "Choose a task first: sensitivity is measured on its validation examples."
        else:
            why_not = ""
        self._bar.show_measurable(why_not)
        if self._going:
            self._bar.show_known("Sensitivity is being measured: see the job below.", layers=0)
        elif ranking is None or self._known is None:
            self._bar.show_known(self._failed or "No sensitivity of this model was measured yet.")
        else:
            text, tip = told(ranking, self._known.number, self._bar.keep.value())
            self._bar.show_known(text, tip, layers=len(ranking.layers))

    # -- what is done -----------------------------------------------------------------------------------------

    def _fill(self, keep: int, bits: int) -> None:
        ranking = self._ranking()
        if ranking is not None:
            self._editor.give_bits(worst_kept(ranking, keep, bits))

    def _measure(self) -> None:
        model, task, settings = self._state.model, self._state.task, self._settings()
        if model is None or task is None or settings is None:
            return
        source = model.description.source
        bits = tuple(sorted({8, 4, 2, settings.bits}, reverse=True))
        step = SensitivitySettings(bits=bits, granularity=settings.granularity)
        recipe = Recipe(name="Measure sensitivity", steps=(step,))
        request = RunRequest(
            recipe, source, task, name=f"Sensitivity of {source.title}", measure_latency=False
        )
        self._failed = ""
        self._going.add(request.run_id)
        self._tell()
        self.run_requested.emit(request)


def newest(store: Store, model: OpenedModel, ticket: Ticket) -> Known | None:
    """The newest finished measurement of this very model; None without any.

    Only recipes that begin with the measurement count: after another step it speaks of another model.
    """
    columns = store.columns()
    methods, statuses = columns.texts["method"], columns.texts["status"]
    wanted = [code for text, code in methods.index.items() if text.split(" + ")[0] == STEP]
    finished = statuses.index.get("finished", -1)
    rows = np.flatnonzero(np.isin(methods.codes, wanted) & (statuses.codes == finished))
    ticket.check()
    records = store.runs_named([columns.run_ids[row] for row in rows[::-1][:LOOKED_AT]])
    description = model.description
    source, names = description.source.to_json(), {layer.name for layer in description.layers}
    for record in sorted(records, key=lambda each: each.number, reverse=True):
        ticket.check()
        digests = {record.source_sha256, description.sha256} - {None}
        if record.source != source or len(digests) > 1 or record.deleted_at is not None:
            continue
        for finding in store.findings(record.run_id, KIND):
            table = read_finding(finding.data)
            found = rankings(table) if isinstance(table, Table) else ()
            if found and all(set(each.layers) <= names for each in found):
                return Known(record.number, found)
    return None


def told(ranking: Ranking, number: int, keep: int) -> tuple[str, str]:
    """Which layers would be kept, and how that is known."""
    how = "accuracy on validation examples" if ranking.measured else "fast proxy: SQNR of the outputs"
    worst = ranking.layers[:keep]
    named = ", ".join(worst[:_NAMED]) + (f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else "")
    text = f"{named or 'None kept'} · run {number}, {ranking.bits} bits"
    tip = "\n".join(
        [
            f"Run {number} ranked the layers, each alone in {ranking.bits} bits, by {how}. Worst first:",
            *(f"{place}. {name}" for place, name in enumerate(ranking.layers[:20], 1)),
            *(["…"] if len(ranking.layers) > 20 else []),
        ]
    )
    return text, tip
