"""Keeps the columns of a large history in a file beside it, so that the next start reads 20 MB instead of a database.

The file is a cache and nothing else: it is used only if, together with the rows that changed since, it gives exactly
as many runs as the database has, and the same sum over all times of change. Deleting it costs the next start a second.
"""

from pathlib import Path

import numpy as np
from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session

from core.history.column_queries import read_columns
from core.history.columns import RunColumns
from core.history.orm import Run
from core.history.snapshot_file import load_columns, save_columns

WORTH_KEEPING = 5_000
"""Smaller histories are read as fast from the database."""

STALE = 0.01
"""The file is written anew once this fraction of the runs is not in it as it is now."""

_MICROSECONDS = 1_000_000
_MODULUS = 2_147_483_647  # keeps the sum within 64 bits


def read_with_snapshot(session: Session, path: Path) -> RunColumns:
    """All runs, deleted ones included, from the snapshot as far as it is right, else from the database.

    A snapshot that is missing or old is written (again); whatever goes wrong with that is of no consequence.
    """
    kept = load_columns(path)
    if kept is not None:
        newest = float(kept.figures["updated"].max())
        changes = read_columns(session, Run.updated >= newest)
        columns = kept.merged(changes, keep_deleted=True)
        if _fingerprint(columns) == _fingerprint_of(session):
            if len(changes) > STALE * len(columns):
                save_columns(columns, path)
            return columns
    columns = read_columns(session)
    if len(columns) >= WORTH_KEEPING:
        save_columns(columns, path)
    return columns


def _fingerprint(columns: RunColumns) -> tuple[int, int]:
    moments = (columns.figures["updated"] * _MICROSECONDS).astype(np.int64)
    return len(columns), int((moments % _MODULUS).sum())


def _fingerprint_of(session: Session) -> tuple[int, int]:
    moments = func.sum(cast(Run.updated * _MICROSECONDS, BigInteger) % _MODULUS)
    count, total = session.execute(select(func.count(), moments).select_from(Run)).one()
    return int(count), int(total or 0)
