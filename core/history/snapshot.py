"""Keeps the columns of a large history in a file beside it, so that the next start reads 20 MB instead of a database.

The file is a cache and nothing else: it is used only if, together with the rows that changed since, it gives exactly
as many runs as the database has, and the same sum over all times of change. Deleting it costs the next start a second.
"""

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session

from core.history.column_queries import read_columns
from core.history.columns import FIGURES, TEXTS, Coded, RunColumns
from core.history.orm import Run

WORTH_KEEPING = 5_000
"""Smaller histories are read as fast from the database."""

STALE = 0.01
"""The file is written anew once this fraction of the runs is not in it as it is now."""

_MICROSECONDS = 1_000_000
_MODULUS = 2_147_483_647  # keeps the sum within 64 bits
_FORMAT = 1


def read_with_snapshot(session: Session, path: Path) -> RunColumns:
    """All runs, deleted ones included, from the snapshot as far as it is right, else from the database.

    A snapshot that is missing or old is written (again); whatever goes wrong with that is of no consequence.
    """
    kept = _load(path)
    if kept is not None:
        newest = float(kept.figures["updated"].max())
        changes = read_columns(session, Run.updated >= newest)
        columns = kept.merged(changes, keep_deleted=True)
        if _fingerprint(columns) == _fingerprint_of(session):
            if len(changes) > STALE * len(columns):
                _save(columns, path)
            return columns
    columns = read_columns(session)
    if len(columns) >= WORTH_KEEPING:
        _save(columns, path)
    return columns


def _fingerprint(columns: RunColumns) -> tuple[int, int]:
    moments = (columns.figures["updated"] * _MICROSECONDS).astype(np.int64)
    return len(columns), int((moments % _MODULUS).sum())


def _fingerprint_of(session: Session) -> tuple[int, int]:
    moments = func.sum(cast(Run.updated * _MICROSECONDS, BigInteger) % _MODULUS)
    count, total = session.execute(select(func.count(), moments).select_from(Run)).one()
    return int(count), int(total or 0)


def _save(columns: RunColumns, path: Path) -> None:
    arrays: dict[str, Any] = {"format": np.array(_FORMAT), "numbers": columns.numbers}
    arrays["run_ids"] = _joined(columns.run_ids)
    for name in FIGURES:
        arrays[f"figure {name}"] = columns.figures[name]
    for name in TEXTS:
        arrays[f"codes {name}"] = columns.texts[name].codes
        arrays[f"values {name}"] = _joined(columns.texts[name].values)
    temporary: Path | None = None
    try:
        handle, made = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
        temporary = Path(made)
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _load(path: Path) -> RunColumns | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            if int(arrays["format"]) != _FORMAT:
                return None
            ids = _parted(arrays["run_ids"])
            figures = {name: arrays[f"figure {name}"] for name in FIGURES}
            texts = {
                name: Coded(arrays[f"codes {name}"], _parted(arrays[f"values {name}"])) for name in TEXTS
            }
            numbers = arrays["numbers"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    count = len(ids)
    sound = (
        count > 0
        and all(column.shape == (count,) and column.dtype == np.float64 for column in figures.values())
        and all(
            column.codes.shape == (count,)
            and column.codes.dtype == np.int32
            and column.codes.min() >= 0
            and column.codes.max() < len(column.values)
            for column in texts.values()
        )
        and numbers.shape == (count,)
    )
    if not sound:
        return None
    return RunColumns(ids, numbers, figures, texts, dict(zip(ids, range(count), strict=True)))


def _joined(texts: list[str]) -> Any:
    # No text of the history holds a NUL: `orm.Words` escapes it.
    return np.frombuffer("\0".join(texts).encode(), dtype=np.uint8)


def _parted(joined: Any) -> list[str]:
    return bytes(joined).decode().split("\0")
