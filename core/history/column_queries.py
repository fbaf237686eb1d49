"""Reads the history as columns: one statement over the narrow table, and further columns when they are asked for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from core.history.columns import FIGURES, TAG_SEPARATOR, TEXTS, Coded, Coder, Figures, RunColumns
from core.history.field_names import BEFORE, measurement_names
from core.history.orm import MeasurementRow, Run, RunDocument
from core.history.records import NO_STEPS

_COLUMNS = (
    Run.number,
    Run.run_id,
    Run.created,
    Run.started,
    Run.ended,
    Run.updated,
    Run.stopped_early,
    Run.starred,
    Run.archived,
    Run.deleted_at,
    Run.accuracy_after,
    Run.accuracy_before,
    Run.sparsity,
    Run.packed_bytes,
    Run.dense_bytes,
    Run.macs,
    Run.latency_ms,
    Run.name,
    Run.status,
    Run.source_title,
    Run.task_title,
    Run.method,
    Run.tags,
)
_FIGURE_NAMES = (
    "created",
    "started",
    "ended",
    "updated",
    "early",
    "starred",
    "archived",
    "deleted",
    "accuracy",
    "before",
    "sparsity",
    "packed",
    "dense",
    "macs",
    "latency",
)
_RESULTS = ("sparsity", "packed", "dense", "macs", "latency")
PORTION = 2_000
NOTE, RECIPE, RECIPE_SHA256 = "note", "recipe", "recipe_sha256"
RUN_FIGURES = {"seed": Run.seed, "threads": Run.threads, "active": Run.active_seconds}
RUN_TEXTS = {
    "device": Run.device,
    "error": Run.error,
    "parent": Run.parent_run_id,
    "source_sha256": Run.source_sha256,
    RECIPE_SHA256: Run.recipe_sha256,
}
FEW = 500
"""Columns of so few runs are read run by run instead of with all others."""


def read_columns(session: Session, *conditions: ColumnElement[bool]) -> RunColumns:
    """The runs that satisfy all conditions, in order of number."""
    result: Any = session.connection().execute(select(*_COLUMNS).where(*conditions).order_by(Run.number))
    cursor = result.cursor
    first = 2 + len(_FIGURE_NAMES)
    ids: list[str] = []
    numbers: list[NDArray[np.int64]] = []
    parts: list[list[Figures]] = [[] for _ in _FIGURE_NAMES]
    coders = [Coder() for _ in TEXTS]
    # Whole columns at once (zip and numpy do in C what a loop over rows would do in Python), in portions that are
    # gone again before the garbage collector looks through them.
    while rows := cursor.fetchmany(PORTION):
        columns = list(zip(*rows, strict=True))
        ids.extend(columns[1])
        numbers.append(np.array(columns[0], dtype=np.int64))
        for part, column in zip(parts, columns[2:first], strict=True):
            part.append(np.array(column, dtype=np.float64))
        for coder, column in zip(coders, columns[first:], strict=True):
            coder.add(column)
    result.close()
    figures: dict[str, Figures] = {
        name: np.concatenate(part) if part else np.empty(0)
        for name, part in zip(_FIGURE_NAMES, parts, strict=True)
    }
    coded = {name: coder.column() for name, coder in zip(TEXTS, coders, strict=True)}
    coded["tags"] = _tags(coded["tags"])
    figures["deleted"] = (~np.isnan(figures["deleted"])).astype(np.float64)
    _derive(figures, coded)
    return RunColumns(
        ids,
        np.concatenate(numbers) if numbers else np.empty(0, dtype=np.int64),
        {name: figures[name] for name in FIGURES},
        {name: coded[name] for name in TEXTS},
        dict(zip(ids, range(len(ids)), strict=True)),
    )


def read_fields(session: Session, columns: RunColumns, names: Iterable[str]) -> RunColumns:
    """`columns` with further ones (`HistoryStore.with_fields` tells which). Names that do not exist are left out."""
    known = measurement_names()
    settings = [name for name in names if "." in name and name.removeprefix(BEFORE) not in known]
    wanted = dict.fromkeys([*([RECIPE_SHA256] if settings else []), *names])
    recipes: list[Sequence[Any]] | None = None
    for name in wanted:
        plain = name.removeprefix(BEFORE)
        column: Figures | Coded
        if columns.holds(name):
            continue
        if name in RUN_FIGURES:
            column = _figure_column(columns, _pairs(session, columns, Run.number, RUN_FIGURES[name]))
        elif name in RUN_TEXTS:
            column = _text_column(columns, _pairs(session, columns, Run.number, RUN_TEXTS[name]))
        elif name == NOTE:
            noted = _pairs(session, columns, RunDocument.run_number, RunDocument.note, RunDocument.note != "")
            column = _text_column(columns, noted)
        elif name == RECIPE:
            title = RunDocument.recipe["name"].as_string()
            column = _text_column(columns, _pairs(session, columns, RunDocument.run_number, title))
        elif plain in known:
            column = _measurement_column(session, columns, *known[plain], before=name != plain)
        elif name in settings:
            recipes = _recipes(session, columns) if recipes is None else recipes
            column = _setting_column(columns, recipes, *name.split(".", 1))
        else:
            continue
        columns = columns.adding({name: column})
    return columns


def _raw(session: Session, statement: Select[Any]) -> Sequence[tuple[Any, ...]]:
    # The driver's own tuples: turning 100,000 of them into SQLAlchemy's rows would take longer than reading them.
    result: Any = session.connection().execute(statement)
    rows: Sequence[tuple[Any, ...]] = result.cursor.fetchall()
    result.close()
    return rows


def _tags(stored: Coded) -> Coded:
    """Lists of tags, which stand as JSON in the database, as joined texts."""
    texts = Coded.of([TAG_SEPARATOR.join(json.loads(value)) for value in stored.values])
    return Coded(texts.codes[stored.codes] if len(stored) else stored.codes, texts.values)


def _derive(figures: dict[str, Figures], texts: Mapping[str, Coded]) -> None:
    finished = texts["status"].codes == texts["status"].index.get("finished", -1)
    after, before = figures["accuracy"], figures["before"]
    figures["change"] = after - before
    # The narrow table repeats the latest measurement: before the end that is the model as it was, not a result.
    has_result = finished | ~np.isnan(after)
    for name in _RESULTS:
        figures[name] = np.where(has_result, figures[name], np.nan)
    measured_only = finished & (texts["method"].codes == texts["method"].index.get(NO_STEPS, -1))
    figures["accuracy"] = np.where(measured_only & np.isnan(after), before, after)
    figures["duration"] = figures["ended"] - figures["started"]


def _pairs(
    session: Session, columns: RunColumns, number: Any, value: Any, *conditions: ColumnElement[bool]
) -> Sequence[tuple[Any, ...]]:
    statement = select(number, value).where(value.is_not(None), *conditions)
    if len(columns) <= FEW:
        statement = statement.where(number.in_(columns.numbers.tolist()))
    return _raw(session, statement)


def _places(columns: RunColumns, numbers: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows of runs, and which of the numbers are there at all."""
    wanted = np.array(numbers, dtype=np.int64)
    rows = np.searchsorted(columns.numbers, wanted)
    rows[rows == len(columns)] = 0
    return rows, columns.numbers[rows] == wanted if len(columns) else np.zeros(len(wanted), dtype=np.bool_)


def _text_column(columns: RunColumns, pairs: Sequence[tuple[Any, ...]]) -> Coded:
    rows, known = _places(columns, [pair[0] for pair in pairs])
    found = Coded.of([pair[1] for pair in pairs])
    nothing = found.index.get("", len(found.values))
    values = found.values if "" in found.index else [*found.values, ""]
    codes = np.full(len(columns), nothing, dtype=np.int32)
    codes[rows[known]] = found.codes[known]
    return Coded(codes, values)


def _figure_column(columns: RunColumns, pairs: Sequence[tuple[Any, ...]]) -> Figures:
    figures = np.full(len(columns), np.nan)
    rows, known = _places(columns, [pair[0] for pair in pairs])
    figures[rows[known]] = np.array([pair[1] for pair in pairs], dtype=np.float64)[known]
    return figures


def _measurement_column(
    session: Session, columns: RunColumns, stored: str, is_text: bool, *, before: bool
) -> Figures | Coded:
    table: Any = MeasurementRow.__table__.columns
    if stored in table:
        value = table[stored]
    else:
        value = (
            MeasurementRow.extra[stored].as_string() if is_text else MeasurementRow.extra[stored].as_float()
        )
    make = _text_column if is_text else _figure_column
    pairs = _pairs(
        session,
        columns,
        MeasurementRow.run_number,
        value,
        MeasurementRow.stage == ("before" if before else "after"),
    )
    if not before:
        # The result is what was measured after; what was measured before, only where nothing was to be done.
        done = np.flatnonzero(
            columns.texts["method"].codes == columns.texts["method"].index.get(NO_STEPS, -1)
        )
        if len(done):
            alone = columns.taken(done)
            known = set(alone.numbers.tolist())
            only = _pairs(session, alone, MeasurementRow.run_number, value, MeasurementRow.stage == "before")
            pairs = [*(pair for pair in only if pair[0] in known), *pairs]
    return make(columns, pairs)


def _recipes(session: Session, columns: RunColumns) -> list[Sequence[Any]]:
    """The steps for every code of `recipe_sha256`: equal recipes are read once."""
    first = select(func.min(Run.number)).group_by(Run.recipe_sha256)
    if len(columns) <= FEW:
        first = first.where(Run.number.in_(columns.numbers.tolist()))
    statement = (
        select(Run.recipe_sha256, RunDocument.recipe)
        .join(RunDocument, RunDocument.run_number == Run.number)
        .where(Run.number.in_(first))
    )
    found: dict[str, Sequence[Any]] = {}
    for sha256, document in _raw(session, statement):
        recipe = json.loads(document) if isinstance(document, str) else document
        found[sha256] = recipe.get("steps", ())
    return [found.get(sha256, ()) for sha256 in columns.texts[RECIPE_SHA256].values]


def _setting_column(
    columns: RunColumns, recipes: Sequence[Sequence[Any]], kind: str, name: str
) -> Figures | Coded:
    """One setting of the first step of that kind ("step": of any kind) that has it."""
    values = [_setting(steps, kind, name) for steps in recipes]
    codes = columns.texts[RECIPE_SHA256].codes
    present = [value for value in values if value is not None]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        texts = Coded.of(["" if value is None else _setting_text(value) for value in values])
        return Coded(texts.codes[codes] if len(values) else np.empty(0, np.int32), texts.values)
    figures = np.array(values, dtype=np.float64)
    return figures[codes] if len(values) else np.full(len(columns), np.nan)


def _setting(steps: Sequence[Any], kind: str, name: str) -> Any:
    for step in steps:
        if isinstance(step, dict) and kind in ("step", step.get("step")) and name != "step":
            if name in step and step[name] is not None:
                return step[name]
            inner = (
                _setting(step.get("steps", ()), kind, name) if isinstance(step.get("steps"), list) else None
            )
            if inner is not None:
                return inner
        elif isinstance(step, dict) and isinstance(step.get("steps"), list):
            inner = _setting(step["steps"], kind, name)
            if inner is not None:
                return inner
    return None


def _setting_text(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_setting_text(entry) for entry in value)
        case dict():
            return ", ".join(f"{key}: {_setting_text(entry)}" for key, entry in value.items())
    return str(value)
