"""The fields that a search of the history can name, the units of their values, and how values are read."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from core.errors import StudioError
from core.history.field_names import BEFORE, measurement_names, setting_names

Kind = Literal["fraction", "bytes", "ms", "seconds", "count", "number", "text", "tags", "date", "setting"]


class QueryError(StudioError):
    """A search that cannot be understood; the words from `start` to `end` (character indices) are to blame."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


@dataclass(frozen=True)
class Field:
    """One field. `column` is its name in `RunColumns`, `help` says in a few words what it holds."""

    name: str
    column: str
    kind: Kind
    help: str


@dataclass(frozen=True)
class Number:
    """A value that was typed: a figure, and how far figures may lie from it that read the same when rounded so."""

    value: float
    rounding: float


UNITS: Mapping[Kind, Mapping[str, float]] = {
    "fraction": {"%": 0.01, "pp": 0.01},
    "bytes": {
        "b": 1.0, "bytes": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
    },
    "ms": {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3},
    "seconds": {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0},
    "count": {"k": 1e3, "m": 1e6, "g": 1e9, "kmacs": 1e3, "mmacs": 1e6, "gmacs": 1e9, "macs": 1.0},
    "number": {"%": 0.01, "k": 1e3, "m": 1e6},
    "setting": {"%": 0.01, "k": 1e3, "m": 1e6},
}  # fmt: skip
_SHOWN = {
    "fraction": "%",
    "bytes": "B, kB, MB or GB",
    "ms": "µs, ms or s",
    "seconds": "s, min, h or d",
    "count": "k, M or G",
    "number": "%, k or M",
    "setting": "%, k or M",
}
_MEASURED = frozenset(("fraction", "bytes", "ms", "seconds"))
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)([^\d.].*)?")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?(?:T(\d{1,2}):(\d{2}))?")

_PLAIN: tuple[tuple[str, str, Kind, str], ...] = (
    ("number", "number", "count", "the run's number"),
    ("name", "name", "text", "the run's name"),
    ("status", "status", "text", "queued, running, finished, failed, cancelled, interrupted"),
    ("model", "model", "text", "the model that the run started from"),
    ("task", "task", "text", "the data"),
    ("method", "method", "text", "the steps of the recipe"),
    ("recipe", "recipe", "text", "the recipe's name"),
    ("tag", "tags", "tags", "the run's tags"),
    ("note", "note", "text", "the run's note"),
    ("error", "error", "text", "why it failed"),
    ("accuracy", "accuracy", "fraction", "accuracy of the result"),
    ("before", "before", "fraction", "accuracy of the model before"),
    ("change", "change", "fraction", "accuracy after minus before"),
    ("sparsity", "sparsity", "fraction", "zeros among the prunable weights of the result"),
    ("size", "packed", "bytes", "packed size of the result"),
    ("dense", "dense", "bytes", "size of the result as an ordinary file"),
    ("macs", "macs", "count", "multiply-accumulates for one example"),
    ("latency", "latency", "ms", "median time of one forward pass"),
    ("duration", "duration", "seconds", "from start to end"),
    ("active", "active", "seconds", "working time without pauses"),
    ("created", "created", "date", "when the run was submitted"),
    ("started", "started", "date", "when it started"),
    ("ended", "ended", "date", "when it ended"),
    ("updated", "updated", "date", "when anything about it last changed"),
    ("seed", "seed", "count", "the seed"),
    ("threads", "threads", "count", "threads asked for"),
    ("device", "device", "text", "device asked for"),
)
_ALIASES = {"tags": "tag", "packed": "size", "date": "created", "run": "number", "data": "task"}


@lru_cache(maxsize=1)
def all_fields() -> Mapping[str, Field]:
    """Every field by the name that users write, in lower case."""
    found = {name: Field(name, column, kind, words) for name, column, kind, words in _PLAIN}
    for name, (_stored, is_text) in measurement_names().items():
        kind: Kind = "text" if is_text else _kind_of(name)
        for prefix, words in (("", "of the result"), (BEFORE, "of the model before")):
            # The short names of the table win: "macs" is its column.
            if prefix + name not in found:
                shown = name.replace("_", " ")
                found[prefix + name] = Field(prefix + name, prefix + name, kind, f"{shown} {words}")
    for name in setting_names():
        step, _, setting = name.partition(".")
        found[name] = Field(name, name, "setting", f"{setting.replace('_', ' ')} of the step “{step}”")
        any_step = f"step.{setting}"
        found.setdefault(
            any_step, Field(any_step, any_step, "setting", f"{setting.replace('_', ' ')} of any step")
        )
    return found


def field_named(name: str, start: int, end: int) -> Field:
    """The field of that name.

    Raises:
        QueryError: if there is none; with the nearest names.
    """
    fields = all_fields()
    key = name.casefold().replace(" ", "-")
    key = _ALIASES.get(key, key)
    if key in fields:
        return fields[key]
    near = difflib.get_close_matches(key, [*fields, *_ALIASES], 2, 0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "press Ctrl+Space for the list of fields."
    raise QueryError(f"There is no field “{name}”: {hint}", start, end)


def read_number(field: Field, text: str, unit: str, start: int, end: int) -> Number | None:
    """A number with its unit, in the unit of the column; None if `text` is no number.

    Raises:
        QueryError: if the unit does not fit, or a fraction is above 1 without a percent sign.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits, attached = match.group(1).replace("_", ""), (match.group(2) or "").strip()
    unit = attached or unit
    factor = 1.0
    if unit:
        known = UNITS.get(field.kind, {})
        if unit.casefold() not in known:
            allowed = _SHOWN.get(field.kind)
            hint = f"use {allowed}" if allowed else "leave it out"
            raise QueryError(f"“{unit}” does not fit {field.name}: {hint}.", start, end)
        factor = known[unit.casefold()]
    value = float(digits)
    if field.kind == "fraction" and not unit and abs(value) > 1:
        raise QueryError(
            f"{field.name} {digits} is above 1: write {digits} % or {value / 100:g}.", start, end
        )
    rounding = 0.0
    if field.kind in _MEASURED:
        mantissa, _, exponent = digits.lower().partition("e")
        places = len(mantissa.partition(".")[2]) - int(exponent or 0)
        rounding = 0.5 * 10.0**-places * factor
    return Number(value * factor, rounding)


def read_moment(field: Field, text: str, start: int, end: int) -> tuple[float, float]:
    """The first second of what a date names (a year, month, day or minute, in the user's zone), and the one after it.

    Raises:
        QueryError: if it is no date.
    """
    today = date.today()
    words = {"today": today, "yesterday": today - timedelta(days=1)}
    if text.casefold() in words:
        day = words[text.casefold()]
        first = datetime(day.year, day.month, day.day)
        return first.timestamp(), (first + timedelta(days=1)).timestamp()
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day_, hour, minute = (None if part is None else int(part) for part in match.groups())
        assert year is not None
        first = datetime(year, month or 1, day_ or 1, hour or 0, minute or 0)
        if hour is not None:
            after = first + timedelta(minutes=1)
        elif day_ is not None:
            after = first + timedelta(days=1)
        elif month is not None:
            after = datetime(year + month // 12, month % 12 + 1, 1)
        else:
            after = datetime(year + 1, 1, 1)
        return first.timestamp(), after.timestamp()
    except (ValueError, OverflowError, OSError):
        raise QueryError(
            f"“{text}” is no date for {field.name}: write it as 2026-11-01, 2026-11, today or yesterday.",
            start,
            end,
        ) from None


def matching_fields(beginning: str) -> list[Field]:
    """Fields to complete what was typed, those that begin so before those that contain it."""
    text = beginning.casefold()
    fields: Iterable[Field] = all_fields().values()
    inside = [field for field in fields if text in field.name]
    return sorted(
        inside, key=lambda field: (not field.name.startswith(text), "." in field.name, len(field.name))
    )


def _kind_of(name: str) -> Kind:
    if name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_ms"):
        return "ms"
    if name in ("accuracy_low", "accuracy_high"):
        return "fraction"
    return "number" if name.endswith("loss") else "count"
