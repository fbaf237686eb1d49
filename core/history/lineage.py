"""The family of a run: whose saved result it started from, and which runs started from its own."""

from dataclasses import dataclass

import numpy as np

from core.history.columns import RunColumns

MOST = 500
"""So many runs are told at most; a sweep over one result can have thousands of children."""


@dataclass(frozen=True)
class Relative:
    """One run of a family; `depth` counts the generations from the oldest known ancestor (0)."""

    run_id: str
    depth: int
    row: int


def lineage(columns: RunColumns, run_id: str) -> tuple[Relative, ...]:
    """The family of a run, every run after its parent and brothers in order of number; only known runs.

    `columns` must hold "parent".
    """
    parents = columns.texts["parent"]
    start = columns.position.get(run_id)
    if start is None:
        return ()
    seen = {start}
    oldest = start
    while (above := columns.position.get(parents[oldest])) is not None and above not in seen:
        seen.add(above)
        oldest = above
    children: dict[str, list[int]] = {}
    for row in np.flatnonzero(parents.codes != parents.index.get("", -1)).tolist():
        children.setdefault(parents[row], []).append(row)
    found: list[Relative] = []
    told: set[int] = set()
    waiting = [(oldest, 0)]
    while waiting and len(found) < MOST:
        row, depth = waiting.pop()
        if row in told:
            continue
        told.add(row)
        found.append(Relative(columns.run_ids[row], depth, row))
        waiting += [(child, depth + 1) for child in reversed(children.get(columns.run_ids[row], []))]
    return tuple(found)
