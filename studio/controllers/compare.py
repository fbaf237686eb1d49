"""Laying runs side by side: which runs, which baseline, which colours."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from core.errors import StudioError
from core.events import MetricPoint
from core.history.columns import RunColumns
from core.history.compare import compare_layers, compare_table
from core.history.flips import paired_differences
from core.history.records import Artifact, RunRecord
from core.history.verdict import verdict
from core.measurement.records import LayerStatistics
from core.models.opened import OpenedModel
from core.models.source import ModelSource
from studio.controllers.comparison import Candidate
from studio.controllers.layer_journey import LayerOfRun
from studio.controllers.parallel import ParallelController
from studio.jobs.background import Background, Ticket
from studio.jobs.curves import RunCurves
from studio.problem import Problem
from studio.views.compare_page import ComparePage
from studio.views.compare_rows import Comparison
from studio.views.run_summary import model_artifact

_TOPIC = "compare"
_ENDS = ("sparsity", "packed", "latency", "accuracy")
_MOST_SETTINGS = 4
"""Axes beside the measurements that a comparison begins with; the menu offers the others."""
_EMPTY = (
    "Nothing to compare yet: select two or more runs in the list (Ctrl+click), then Compare. "
    "The first one selected is the baseline."
)


class Store(Protocol):
    """What is needed of the history; called from background threads only."""

    def runs_named(self, run_ids: Sequence[str]) -> list[RunRecord]: ...
    def columns(self, run_ids: Iterable[str] | None = None) -> RunColumns: ...
    def with_fields(self, columns: RunColumns, names: Iterable[str]) -> RunColumns: ...
    def metrics(self, run_id: str) -> tuple[MetricPoint, ...]: ...
    def layers(self, run_id: str, stage: str) -> tuple[LayerStatistics, ...]: ...
    def artifacts(self, run_id: str) -> tuple[Artifact, ...]: ...


class RunColors:
    """Gives each compared run a colour of the series and keeps it for as long as the run is compared."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def assign(self, run_ids: Iterable[str]) -> tuple[int, ...]:
        """The colour index of each run: its earlier one, else the lowest that is free."""
        wanted = list(run_ids)
        kept = {run_id: index for run_id, index in self._index.items() if run_id in wanted}
        taken = set(kept.values())
        for run_id in wanted:
            if run_id not in kept:
                index = next(n for n in range(len(wanted) + len(taken) + 1) if n not in taken)
                kept[run_id] = index
                taken.add(index)
        self._index = kept
        return tuple(kept[run_id] for run_id in wanted)


class CompareController(QObject):
    """Fetches the runs in the background and shows them; knows no database."""

    run_opened = Signal(object)  # run id: show this run in the list
    runs_wanted = Signal()  # the empty comparison's button
    layer_wanted = Signal(object)  # LayerOfRun: its weights are to be looked at

    def __init__(
        self, background: Background, store: Store, page: ComparePage, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._background = background
        self._store = store
        self._page = page
        self._colors = RunColors()
        self._run_ids: tuple[str, ...] = ()
        self._baseline: str | None = None
        page.baseline_changed.connect(self._take_baseline)
        self._axes_for: tuple[str, ...] = ()
        self.parallel = ParallelController(background, "compare-parallel", page.parallel, self)
        self.parallel.failed.connect(page.problem)
        page.parallel_wanted.connect(self._find_axes)
        page.curves_wanted.connect(self._read_curves)
        page.layers_wanted.connect(self._read_layers)
        page.changes_wanted.connect(self._read_changes)
        page.layer_opened.connect(self._find_layer)
        page.compare_wanted.connect(self.compare)
        page.run_opened.connect(self.run_opened)
        page.notice.action.connect(self.runs_wanted)
        page.notice.retry.connect(self.reload)
        page.show_nothing(_EMPTY, "Go to the runs")

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The compared runs."""
        return self._run_ids

    @Slot(object)
    def compare(self, run_ids: tuple[str, ...]) -> None:
        """Compare these runs; the first is the baseline until another is chosen."""
        self._run_ids = run_ids
        if self._baseline not in run_ids:
            self._baseline = None
        self.reload()

    def forget(self, run_ids: Iterable[str]) -> None:
        """Runs were deleted: compare what is left."""
        gone = set(run_ids)
        if gone & set(self._run_ids):
            self.compare(tuple(run_id for run_id in self._run_ids if run_id not in gone))

    @Slot()
    def reload(self) -> None:
        """Fetch the runs again."""
        self._fetch(None)

    def _fetch(self, shown: Comparison | None) -> None:
        """Fetch the runs; curves and layers of `shown` are kept if it shows the same ones."""
        if len(self._run_ids) < 2:
            self._background.drop(_TOPIC)
            self._page.show_nothing(_EMPTY, "Go to the runs")
            return
        run_ids, store = self._run_ids, self._store
        baseline = self._baseline
        kept = (None, None) if shown is None else (shown.curves, shown.layers)
        kept_for = None if shown is None else [record.run_id for record in shown.records]
        colors = dict(zip(run_ids, self._colors.assign(run_ids), strict=True))

        def fetch(ticket: Ticket) -> Comparison:
            records = store.runs_named(run_ids)
            if len(records) < 2:
                raise StudioError("Of these runs fewer than two are left: choose others.")
            ticket.check()
            # One that was removed for good in the meantime is left out.
            found = [record.run_id for record in records]
            base = found.index(baseline) if baseline in found else 0
            return Comparison(
                compare_table(records, base),
                tuple(colors[run_id] for run_id in found),
                *(kept if found == kept_for else (None, None)),
                verdict=verdict(records, base, paired_differences(store.artifacts)),
            )

        self._page.notice.show_busy()
        self._background.ask(_TOPIC, fetch, self._page.show_comparison, self._failed)

    @Slot()
    def _read_curves(self) -> None:
        store = self._store

        def read(comparison: Comparison, ticket: Ticket) -> Comparison:
            curves = []
            for record in comparison.records:
                ticket.check()
                curves.append(RunCurves(store.metrics(record.run_id)))
            return replace(comparison, curves=tuple(curves))

        self._read_more("compare-curves", read)

    @Slot()
    def _read_layers(self) -> None:
        store = self._store

        def read(comparison: Comparison, ticket: Ticket) -> Comparison:
            layers = []
            for record in comparison.records:
                ticket.check()
                layers.append(store.layers(record.run_id, "after") or store.layers(record.run_id, "before"))
            return replace(comparison, layers=compare_layers(layers))

        self._read_more("compare-layers", read)

    @Slot()
    def _read_changes(self) -> None:
        store = self._store

        def read(comparison: Comparison, ticket: Ticket) -> Comparison:
            from core.history.model_changes import with_changes

            models = []
            for record in comparison.records:
                ticket.check()
                models.append(_opened(_model_file(store.artifacts(record.run_id))))
            base = comparison.table.baseline
            layers = with_changes(comparison.layers or (), models, base, ticket.check)
            return replace(comparison, layers=layers, changes_against=comparison.records[base].run_id)

        self._read_more("compare-changes", read)

    @Slot(str, str)
    def _find_layer(self, layer: str, run_id: str) -> None:
        """Find the models of a run and of the baseline in which a layer is to be looked at."""
        comparison, store = self._page.comparison, self._store
        if comparison is None:
            return
        records = {record.run_id: record for record in comparison.records}
        run, base = records[run_id], comparison.records[comparison.table.baseline]

        def find(_: Ticket) -> LayerOfRun:
            path = _model_file(store.artifacts(run.run_id))
            if path is None:
                raise StudioError(f"The model that run {run.number} wrote is no longer there: run it again.")
            other = None if base is run else _model_file(store.artifacts(base.run_id))
            title = f"After run {base.number}: {base.name}"
            candidate = None if other is None else Candidate(title, other, ModelSource("file", other))
            return LayerOfRun(layer, ModelSource("file", path), candidate)

        self._background.ask("compare-layer", find, self.layer_wanted.emit, self._page.problem.emit)

    def _read_more(self, topic: str, read: Callable[[Comparison, Ticket], Comparison]) -> None:
        comparison = self._page.comparison
        if comparison is not None:
            self._page.notice.show_busy()
            self._background.ask(
                topic, lambda ticket: read(comparison, ticket), self._page.show_more, self._failed
            )

    @Slot()
    def _find_axes(self) -> None:
        """Fetch what the axes need; runs that were not shown so before begin with the settings that differ."""
        comparison = self._page.comparison
        if comparison is None:
            return
        store, run_ids = self._store, tuple(record.run_id for record in comparison.records)
        color_of = dict(zip(run_ids, comparison.colors, strict=True))
        wanted = None if run_ids == self._axes_for else tuple(_varied_settings(comparison.records))
        names = (*self._page.parallel.columns, *(wanted or ()))

        def fetch(ticket: Ticket) -> RunColumns:
            columns = store.columns(run_ids)
            ticket.check()
            return store.with_fields(columns, names)

        def show(columns: RunColumns) -> None:
            if wanted is not None:
                self._axes_for = run_ids
                ends = [name for name in _ENDS if np.isfinite(columns.figure(name)).any()]
                self._page.parallel.choose_axes([*wanted[:_MOST_SETTINGS], *ends])
            rows = np.arange(len(columns))
            self.parallel.show(columns, rows, tuple(color_of[run_id] for run_id in columns.run_ids))

        self._background.ask("compare-columns", fetch, show, self.parallel.failed.emit)

    @Slot(object)
    def _take_baseline(self, run_id: str) -> None:
        if run_id != self._baseline:
            self._baseline = run_id
            self._fetch(self._page.comparison)

    def _failed(self, problem: Problem) -> None:
        self._page.notice.show_problem(problem, retry=True)


def _model_file(artifacts: Iterable[Artifact]) -> str | None:
    """The file of a run's model, or None where it wrote none or it is no longer there."""
    artifact = model_artifact(artifacts)
    return None if artifact is None or not Path(artifact.path).exists() else artifact.path


def _opened(path: str | None) -> OpenedModel | None:
    """A run's model, or None where there is none that can be read."""
    from core.models.opening import open_model

    try:
        return None if path is None else open_model(ModelSource("file", path))
    except StudioError:
        return None


def _varied_settings(records: Sequence[RunRecord]) -> list[str]:
    """The settings ("prune.sparsity") in which recipes differ, in the order of the recipes.

    Those with different values stand before those that some recipes only lack.
    """
    found: dict[str, list[object]] = {}
    for at, record in enumerate(records):
        for step in record.recipe.get("steps", []):
            if isinstance(step, dict):
                for name, value in step.items():
                    if name != "step":
                        values = found.setdefault(f"{step.get('step')}.{name}", [None] * len(records))
                        if values[at] is None:
                            values[at] = value
    differing = [name for name, values in found.items() if any(value != values[0] for value in values)]

    def only_lacking(name: str) -> bool:
        given = [value for value in found[name] if value is not None]
        return all(value == given[0] for value in given)

    return sorted(differing, key=only_lacking)
