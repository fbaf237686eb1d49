"""The comparison of runs as one table: origin, settings, measurements. Pure functions over records, no database.

Differences count from a baseline run. Figures that were not obtained in the same way (another test set, another
latency protocol) get no difference, because it would mean nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core import formatting
from core.formatting import NOT_MEASURED
from core.history.alignment import (
    Axis,
    Curve,
    LayerComparison,
    align_curves,
    compare_layers,
    merged_names,
    merged_steps,
)
from core.history.figures import FIGURES, Figure, protocol
from core.history.pareto import SizePoint, accuracy_against_size, pareto
from core.history.records import RunRecord
from core.measurement.records import Measurement
from core.registry import STEP_KINDS

__all__ = [
    "Axis",
    "ComparisonRow",
    "ComparisonTable",
    "Curve",
    "LayerComparison",
    "SizePoint",
    "accuracy_against_size",
    "align_curves",
    "compare_layers",
    "compare_table",
    "pareto",
]

Group = Literal["Origin", "Settings", "Measurements"]
STAGES = ("before", "after")


@dataclass(frozen=True)
class ComparisonRow:
    """One line of the table; every tuple has one entry for each run.

    Attributes:
        values: raw and JSON-ready (numbers, text, lists); None where a run has nothing to show.
        texts: the same for people, with units.
        differences: against the baseline ("▲ +0.31 pp"); "" for the baseline itself and where there is none.
        better: 1 or -1 where the difference is an improvement or a loss, 0 for equal, None where it is neither.
        notes: what to know about an entry, such as why it has no difference; "" mostly.
        differs: whether the values are not all equal.
    """

    group: Group
    label: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    differences: tuple[str, ...]
    better: tuple[int | None, ...]
    notes: tuple[str, ...]
    differs: bool


@dataclass(frozen=True)
class ComparisonTable:
    """Runs side by side. `baseline` is the index of the run that differences count from."""

    records: tuple[RunRecord, ...]
    baseline: int
    rows: tuple[ComparisonRow, ...]

    def differing(self) -> tuple[ComparisonRow, ...]:
        """Only the rows in which the runs are not all alike."""
        return tuple(row for row in self.rows if row.differs)

    def to_json(self, *, only_differing: bool = False) -> dict[str, Any]:
        """A JSON-ready dict: `runs`, `baseline` (a run_id) and `rows`; entries stand in the order of `runs`."""
        return {
            "runs": [
                {"run_id": record.run_id, "number": record.number, "name": record.name}
                for record in self.records
            ],
            "baseline": self.records[self.baseline].run_id if self.records else None,
            "rows": [
                {
                    "group": row.group,
                    "label": row.label,
                    "values": list(row.values),
                    "texts": list(row.texts),
                    "differences": list(row.differences),
                    "differs": row.differs,
                }
                for row in (self.differing() if only_differing else self.rows)
            ],
        }


def compare_table(records: Sequence[RunRecord], baseline: int = 0) -> ComparisonTable:
    """Lay runs side by side.

    Args:
        records: the runs in the order of the columns; none gives an empty table.
        baseline: the index of the run that differences count from.

    Raises:
        IndexError: if `baseline` is not the index of a run.
    """
    if not records:
        return ComparisonTable((), 0, ())
    if not 0 <= baseline < len(records):
        raise IndexError(f"there is no run {baseline} among {len(records)}")
    rows = [*_origin(records), *_settings(records), *_measurements(records, baseline)]
    return ComparisonTable(tuple(records), baseline, tuple(rows))


# -- origin ----------------------------------------------------------------------------------------------------


def _origin(records: Sequence[RunRecord]) -> list[ComparisonRow]:
    def row(label: str, pick: Callable[[RunRecord], Any], show: Callable[[Any], str] = str) -> ComparisonRow:
        return _plain_row("Origin", label, [pick(record) for record in records], show)

    rows = [
        row("Status", _status, str.capitalize),
        row("Model", lambda record: record.source_title),
        row("Weights", lambda record: record.source.get("weights")),
        row("File SHA-256", lambda record: record.source_sha256, lambda digest: f"{digest[:12]}…"),
        row("Task", lambda record: record.task_title or None),
    ]
    for label, name in (
        ("Image folder", "folder"),
        ("Image size", "image_size"),
        ("Mean", "mean"),
        ("Standard deviation", "std"),
        ("Split seed", "split_seed"),
    ):
        shown = [(record.task or {}).get(name) for record in records]
        rows.append(_plain_row("Origin", label, shown, _show_preprocessing))
    rows.append(row("Seed", lambda record: record.seed))
    rows += [
        _plain_row("Origin", f"Environment · {key}", [record.environment.get(key) for record in records], str)
        for key in merged_names([list(record.environment) for record in records])
    ]
    return [row for row in rows if any(value is not None for value in row.values)]


def _status(record: RunRecord) -> str:
    return f"{record.status}, stopped early" if record.stopped_early else record.status


def _show_preprocessing(value: Any) -> str:
    return " × ".join(f"{part:g}" for part in value) if isinstance(value, list | tuple) else str(value)


# -- settings --------------------------------------------------------------------------------------------------


def _settings(records: Sequence[RunRecord]) -> list[ComparisonRow]:
    recipes = [_steps(record) for record in records]
    rows = [
        _plain_row("Settings", "Recipe", [record.recipe.get("name") for record in records], str),
        _plain_row(
            "Settings",
            "Steps",
            [" + ".join(_step_title(str(step.get("step"))) for step in steps) or None for steps in recipes],
            str,
        ),
    ]
    slots = merged_steps([[str(step.get("step")) for step in steps] for steps in recipes])
    for position, (kind, indices) in enumerate(slots):
        steps = [None if index is None else recipes[run][index] for run, index in enumerate(indices)]
        for name in _field_names(kind, steps):
            title, show = _field(kind, name)
            values = [None if step is None else _setting(kind, name, step) for step in steps]
            label = f"{position + 1} {_step_title(kind)} · {title}"
            rows.append(_plain_row("Settings", label, values, show))
    return rows


def _steps(record: RunRecord) -> list[dict[str, Any]]:
    steps = record.recipe.get("steps", [])
    return [step for step in steps if isinstance(step, dict)]


def _step_title(kind: str) -> str:
    definition = STEP_KINDS.get(kind)
    return definition.settings.title if definition is not None else kind


def _field_names(kind: str, steps: Sequence[Mapping[str, Any] | None]) -> list[str]:
    definition = STEP_KINDS.get(kind)
    known = list(definition.settings.model_fields) if definition is not None else []
    given = merged_names([known, *(list(step) for step in steps if step is not None)])
    return [name for name in given if name != "step"]


def _setting(kind: str, name: str, step: Mapping[str, Any]) -> Any:
    """The value in force: a recipe from before a field existed ran with its default."""
    definition = STEP_KINDS.get(kind)
    if name in step or definition is None or name not in definition.settings.model_fields:
        return step.get(name)
    default = definition.settings.model_fields[name].get_default(call_default_factory=True)
    return list(default) if isinstance(default, tuple) else default


def _field(kind: str, name: str) -> tuple[str, Callable[[Any], str]]:
    definition = STEP_KINDS.get(kind)
    info = definition.settings.model_fields.get(name) if definition is not None else None
    if info is None:
        return name, _show_setting
    hints = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    percent, unit = bool(hints.get("percent")), hints.get("unit")

    def show(value: Any) -> str:
        return _show_setting(value, percent=percent, unit=str(unit) if unit else "")

    return info.title or name, show


def _show_setting(value: Any, *, percent: bool = False, unit: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return (
            ", ".join(f"{k}: {_show_setting(v, percent=percent, unit=unit)}" for k, v in value.items())
            or "none"
        )
    if isinstance(value, list | tuple):
        return ", ".join(_show_setting(item, percent=percent, unit=unit) for item in value) or "none"
    if isinstance(value, int | float) and percent:
        return f"{100 * value:.6g} %"
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, int):
        text = formatting.count(value)
    else:
        text = str(value)
    return f"{text} {unit}".rstrip()


# -- measurements ----------------------------------------------------------------------------------------------


def _measurements(records: Sequence[RunRecord], baseline: int) -> list[ComparisonRow]:
    rows = []
    for figure in FIGURES:
        for stage in STAGES:
            measured = [record.before if stage == "before" else record.after for record in records]
            rows.append(_figure_row(figure, stage, measured, baseline))
    for stage in STAGES:
        measured = [record.before if stage == "before" else record.after for record in records]
        protocols = [None if m is None or m.latency is None else protocol(m.latency) for m in measured]
        rows.append(_plain_row("Measurements", f"Latency protocol {stage}", protocols, str))
    times = [record.active_seconds for record in records]
    rows.append(_plain_row("Measurements", "Working time", times, formatting.duration))
    return [row for row in rows if any(value is not None for value in row.values)]


def _figure_row(
    figure: Figure, stage: str, measured: Sequence[Measurement | None], baseline: int
) -> ComparisonRow:
    values = [None if one is None else figure.pick(one) for one in measured]
    texts, differences, better, notes = [], [], [], []
    base, base_value = measured[baseline], values[baseline]
    for index, (one, value) in enumerate(zip(measured, values, strict=True)):
        difference, verdict, note = "", None, ""
        if one is not None and base is not None and index != baseline:
            note = figure.incomparable(one, base)
            if (
                value is not None
                and base_value is not None
                and not note
                and math.isfinite(value - base_value)
            ):
                difference = figure.difference(value, base_value)
                change = (value > base_value) - (value < base_value)
                verdict = figure.sense * change if figure.sense or not change else None
                note = figure.remark(one, base)
        texts.append(NOT_MEASURED if one is None or value is None else figure.show(one))
        differences.append(difference)
        better.append(verdict)
        notes.append(note)
    return ComparisonRow(
        "Measurements",
        f"{figure.label} {stage}",
        tuple(_json_ready(value) for value in values),
        tuple(texts),
        tuple(differences),
        tuple(better),
        tuple(notes),
        _differs(values),
    )


# -- rows ------------------------------------------------------------------------------------------------------


def _plain_row(group: Group, label: str, values: Sequence[Any], show: Callable[[Any], str]) -> ComparisonRow:
    """A row of values that are the same or not, without better and worse."""
    nothing = ("",) * len(values)
    return ComparisonRow(
        group,
        label,
        tuple(_json_ready(value) for value in values),
        tuple(NOT_MEASURED if value is None else show(value) for value in values),
        nothing,
        (None,) * len(values),
        nothing,
        _differs(values),
    )


def _differs(values: Sequence[Any]) -> bool:
    first = _json_ready(values[0])
    return any(_json_ready(value) != first for value in values[1:])


def _json_ready(value: Any) -> Any:
    """JSON knows neither NaN nor infinity nor tuples."""
    if isinstance(value, float) and not math.isfinite(value):
        return formatting.significant(value)
    if isinstance(value, tuple):
        return [_json_ready(item) for item in value]
    return value
