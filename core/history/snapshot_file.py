"""The file that keeps the columns of a large history; read with numpy alone, long before a database can be opened."""

import contextlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from core.history.columns import FIGURES, TEXTS, Coded, RunColumns
from core.history.locations import history_file, snapshot_of

_FORMAT = 1


def last_known(location: str | Path | None) -> RunColumns | None:
    """The runs of a history as they were when its snapshot was written; to be shown until the history is open.

    Args:
        location: as for `core.history.store.open_history`.

    Returns:
        The runs that were not deleted, or None where there is no history, or no snapshot of it.
    """
    path = history_file(location)
    if path is None or not path.is_file():
        return None
    columns = load_columns(snapshot_of(path))
    return None if columns is None else columns.without_deleted()


def save_columns(columns: RunColumns, path: Path) -> None:
    """Write a snapshot beside and rename it; nothing is said where the disk does not want it."""
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


def load_columns(path: Path) -> RunColumns | None:
    """All runs of a snapshot, deleted ones included; None where there is none, or one that is damaged or foreign."""
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
