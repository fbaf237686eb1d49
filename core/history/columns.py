"""The history as columns: one numpy array for each thing that lists sort, search and plot by, a row for each run.

100,000 records as objects take seconds and a gigabyte; as columns they are some 30 MB that filter and sort at once.
A snapshot never changes: merging changes makes a new one, so that threads may read while another one merges.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.history.records import RunRecord
from core.measurement.records import Measurement

Figures = NDArray[np.float64]
Rows = NDArray[np.intp]

FIGURES = (
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
    "change",
    "sparsity",
    "packed",
    "dense",
    "macs",
    "latency",
    "duration",
)
TEXTS = ("name", "status", "model", "task", "method", "tags")
TAG_SEPARATOR = "\n"
"""Stands between the tags of a run in the column `tags`; no tag can hold it."""


class Coded:
    """A column of texts: each distinct text once, and for every row which of them it has.

    Attributes:
        codes: int32, one for each row.
        values: the distinct texts; code n stands for `values[n]`.
    """

    def __init__(self, codes: NDArray[np.int32], values: list[str]) -> None:
        self.codes = codes
        self.values = values

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Coded":
        """Code the texts of all rows."""
        coder = Coder()
        coder.add(texts)
        return coder.column()

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.values[int(self.codes[row])]

    @cached_property
    def index(self) -> dict[str, int]:
        """The code of every text."""
        return {value: code for code, value in enumerate(self.values)}

    @cached_property
    def folded(self) -> list[str]:
        """The distinct texts without regard to case."""
        return [value.casefold() for value in self.values]

    @cached_property
    def ranks(self) -> Figures:
        """The place of every row's text in the alphabet, case aside."""
        folded = self.folded
        order = sorted(range(len(folded)), key=folded.__getitem__)
        ranks = np.empty(len(folded))
        place = -1
        last: str | None = None
        for code in order:
            if folded[code] != last:
                place, last = place + 1, folded[code]
            ranks[code] = place
        return ranks[self.codes] if len(folded) else np.empty(0)

    def where(self, test: Callable[[str], bool]) -> NDArray[np.bool_]:
        """The rows whose text passes; each distinct text is tried once, in folded form."""
        passed = np.fromiter(map(test, self.folded), dtype=np.bool_, count=len(self.values))
        return passed[self.codes] if len(self.values) else np.zeros(len(self.codes), dtype=np.bool_)

    def merged(self, rows: Rows, other: "Coded", new: NDArray[np.bool_]) -> "Coded":
        """This column with `other`'s entries put into `rows` where they are not `new`, and appended where they are."""
        index = self.index
        fresh = [value for value in other.values if value not in index]
        if fresh:
            index = {**index, **{value: len(self.values) + n for n, value in enumerate(fresh)}}
        translated = np.fromiter((index[value] for value in other.values), np.int32, len(other.values))
        theirs = translated[other.codes]
        codes = np.concatenate([self.codes, theirs[new]])
        codes[rows[~new]] = theirs[~new]
        if not fresh:
            made = Coded(codes, self.values)
            if "folded" in self.__dict__:
                made.__dict__["folded"] = self.folded
        else:
            made = Coded(codes, [*self.values, *fresh])
        made.__dict__["index"] = index
        return made

    def taken(self, rows: Rows | NDArray[np.bool_]) -> "Coded":
        """Only these rows."""
        made = Coded(self.codes[rows], self.values)
        made.__dict__.update(
            {name: self.__dict__[name] for name in ("index", "folded") if name in self.__dict__}
        )
        return made


class Coder:
    """Makes a `Coded` of texts that come in portions; lists become JSON, and None becomes nothing."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._parts: list[NDArray[np.int32]] = []

    def add(self, texts: Sequence[Any]) -> None:
        """Add the texts of further rows."""
        index = self._index
        try:
            known = list(map(index.__getitem__, texts))
        except (KeyError, TypeError):
            known = [index.setdefault(_text(text), len(index)) for text in texts]
        self._parts.append(np.array(known, dtype=np.int32))

    def column(self) -> Coded:
        """The column of all texts so far."""
        codes = np.concatenate(self._parts) if self._parts else np.empty(0, dtype=np.int32)
        made = Coded(codes, list(self._index))
        made.__dict__["index"] = self._index
        return made


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


@dataclass(frozen=True)
class RunColumns:
    """A snapshot of runs as columns; row n of every column speaks of the same run. Rows are in order of number.

    Attributes:
        run_ids, numbers: the names of the runs.
        figures: float64 columns by name, NaN where there is nothing: all of `FIGURES`, and what was loaded besides
            (`column_queries.read_fields`: "seed", settings, further measurements). Times are seconds since the
            epoch, sizes bytes, accuracies and sparsities fractions, `latency` milliseconds, `starred` … 0 or 1.
            `accuracy`, `sparsity`, `packed`, `dense`, `macs` and `latency` speak of the run's result.
        texts: columns of text by name: all of `TEXTS`, and what was loaded besides.
        position: the row of every run_id.
    """

    run_ids: list[str]
    numbers: NDArray[np.int64]
    figures: Mapping[str, Figures]
    texts: Mapping[str, Coded]
    position: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.run_ids)

    @classmethod
    def empty(cls) -> "RunColumns":
        """No runs."""
        return cls.from_records(())

    @classmethod
    def from_records(cls, records: Iterable[RunRecord]) -> "RunColumns":
        """The columns of records, put in order of number, with what tooltips tell of them besides."""
        ordered = sorted(records, key=lambda record: record.number)
        rows = [_cells(record) for record in ordered]
        names = (*FIGURES, *TEXTS)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        made = cls.build(
            [record.run_id for record in ordered],
            [record.number for record in ordered],
            dict(zip(names, columns, strict=True)),
        )
        further: dict[str, Figures | Coded] = {
            "error": Coded.of([record.error for record in ordered]),
            "parent": Coded.of([record.parent_run_id or "" for record in ordered]),
            "recipe": Coded.of([str(record.recipe.get("name", "")) for record in ordered]),
            "recipe_sha256": Coded.of([_steps_sha256(record.recipe) for record in ordered]),
        }
        for prefix, measured in (
            ("", [record.result for record in ordered]),
            ("before.", [record.before for record in ordered]),
        ):
            for part in ("low", "high", "count"):
                values = [
                    None if m is None or m.accuracy is None else getattr(m.accuracy, part) for m in measured
                ]
                further[f"{prefix}accuracy_{part}"] = np.array(values, dtype=np.float64)
        return made.adding(further)

    @classmethod
    def build(
        cls, run_ids: list[str], numbers: Sequence[int], cells: Mapping[str, Sequence[Any]]
    ) -> "RunColumns":
        """Make columns of Python values: numbers or None for figures, texts for the others."""
        return cls(
            run_ids,
            np.array(numbers, dtype=np.int64),
            {name: np.array(cells[name], dtype=np.float64) for name in FIGURES},
            {name: Coded.of(cells[name]) for name in TEXTS},
            {run_id: row for row, run_id in enumerate(run_ids)},
        )

    def merged(self, changes: "RunColumns", *, keep_deleted: bool = False) -> "RunColumns":
        """This snapshot with changed and new runs; those that are deleted disappear unless they are to be kept.

        Columns that only one of the two has are dropped: load them again.
        """
        rows = np.fromiter(
            (self.position.get(run_id, -1) for run_id in changes.run_ids), np.intp, len(changes)
        )
        gone = changes.figures["deleted"] > 0
        new = rows < 0
        if not keep_deleted and (gone & new).any():
            return self.merged(changes.taken(~(gone & new)))
        figures = {
            name: _merged(column, rows, changes.figures[name], new)
            for name, column in self.figures.items()
            if name in changes.figures
        }
        texts = {
            name: column.merged(rows, changes.texts[name], new)
            for name, column in self.texts.items()
            if name in changes.texts
        }
        if not new.any():
            made = replace(self, figures=figures, texts=texts)
        else:
            ids = [*self.run_ids, *(changes.run_ids[n] for n in np.flatnonzero(new))]
            numbers = np.concatenate([self.numbers, changes.numbers[new]])
            added = {run_id: len(self) + n for n, run_id in enumerate(ids[len(self) :])}
            made = RunColumns(ids, numbers, figures, texts, {**self.position, **added})
            if (np.diff(numbers) < 0).any():
                # A run that was restored, or whose writer committed late, has its place between the others.
                made = made.taken(np.argsort(numbers, kind="stable"))
        return made.without_deleted() if not keep_deleted and gone.any() else made

    def without_deleted(self) -> "RunColumns":
        """Only runs that are not deleted."""
        kept = self.figures["deleted"] == 0
        return self if kept.all() else self.taken(np.flatnonzero(kept))

    def taken(self, rows: Rows | NDArray[np.bool_]) -> "RunColumns":
        """Only these rows, in this order."""
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        ids = [self.run_ids[n] for n in at]
        return RunColumns(
            ids,
            self.numbers[at],
            {name: column[at] for name, column in self.figures.items()},
            {name: column.taken(at) for name, column in self.texts.items()},
            {run_id: row for row, run_id in enumerate(ids)},
        )

    def adding(self, columns: Mapping[str, Figures | Coded]) -> "RunColumns":
        """This snapshot with further columns."""
        return replace(
            self,
            figures={**self.figures, **{n: c for n, c in columns.items() if not isinstance(c, Coded)}},
            texts={**self.texts, **{n: c for n, c in columns.items() if isinstance(c, Coded)}},
        )

    def holds(self, name: str) -> bool:
        """Whether a column is loaded."""
        return name in self.figures or name in self.texts or name == "number"

    def figure(self, name: str) -> Figures:
        """A column of numbers; `number` included.

        Raises:
            KeyError: if it is not loaded, or holds texts.
        """
        return self.numbers.astype(np.float64) if name == "number" else self.figures[name]

    def sort_keys(self, name: str) -> Figures:
        """What a column sorts by: its figures, or the places of its texts in the alphabet (empty ones last)."""
        if name == "number" or name in self.figures:
            return self.figure(name)
        column = self.texts[name]
        empty = column.index.get("")
        return column.ranks if empty is None else np.where(column.codes == empty, np.nan, column.ranks)

    def tags(self, row: int) -> tuple[str, ...]:
        """The tags of a run."""
        text = self.texts["tags"][row]
        return tuple(text.split(TAG_SEPARATOR)) if text else ()


def _merged(column: Figures, rows: Rows, changes: Figures, new: NDArray[np.bool_]) -> Figures:
    made = np.concatenate([column, changes[new]])
    made[rows[~new]] = changes[~new]
    return made


def _cells(record: RunRecord) -> tuple[Any, ...]:
    result = record.result
    accuracy, before = _accuracy(result), _accuracy(record.before)
    after = _accuracy(record.after)
    figures = {
        "created": record.created,
        "started": record.started,
        "ended": record.ended,
        "updated": record.updated,
        "early": record.stopped_early,
        "starred": record.starred,
        "archived": record.archived,
        "deleted": record.deleted_at is not None,
        "accuracy": accuracy,
        "before": before,
        "change": None if after is None or before is None else after - before,
        "sparsity": None if result is None else result.sparsity,
        "packed": None if result is None else result.packed_bytes,
        "dense": None if result is None else result.dense_bytes,
        "macs": None if result is None else result.macs,
        "latency": None if result is None or result.latency is None else result.latency.median_ms,
        "duration": None if record.started is None or record.ended is None else record.ended - record.started,
    }
    texts = {
        "name": record.name,
        "status": record.status,
        "model": record.source_title,
        "task": record.task_title,
        "method": record.method,
        "tags": TAG_SEPARATOR.join(record.tags),
    }
    return (*(figures[name] for name in FIGURES), *(texts[name] for name in TEXTS))


def _steps_sha256(recipe: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(recipe.get("steps", []), sort_keys=True).encode()).hexdigest()


def _accuracy(measurement: Measurement | None) -> float | None:
    return None if measurement is None or measurement.accuracy is None else measurement.accuracy.value
