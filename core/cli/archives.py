"""The commands `pack` and `unpack`: whole runs as zip files."""

import argparse
from pathlib import Path

from core.errors import StudioError
from core.history.archive import pack_run, unpack_run
from core.history.store import open_history


def pack(options: argparse.Namespace) -> int:
    """The command `pack`."""
    with open_history(options.db) as store:
        record = store.run(options.run)
        target = Path(options.out or f"run-{record.number}.zip")
        if target.exists():
            raise StudioError(f"{target} exists already: give another name with --out.")
        missing = pack_run(store, record.run_id, target)
    for path in missing:
        print(f"{path} is no longer there and is left out.")
    print(f"Run {record.number} is in {target}.")
    return 0


def unpack(options: argparse.Namespace) -> int:
    """The command `unpack`."""
    with open_history(options.db) as store:
        record = unpack_run(store, Path(options.file), again=options.again)
    print(f"It is run {record.number} of this history.")
    return 0
