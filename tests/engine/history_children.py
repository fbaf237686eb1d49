"""Programs that the history's tests run as processes of their own: `python history_children.py NAME ARGUMENT…`."""

import os
import sys
import tempfile
from pathlib import Path

from history_samples import points, request, started

from core.errors import StudioError
from core.history.store import open_history
from core.history.writer import HistoryWriter


def open_and_wait(path: str) -> None:
    """Start a run, queue another, say so, and wait to be killed."""
    with open_history(path) as store:
        for name in ("running", "queued"):
            asked = request(name=name)
            store.add_run(asked)
            if name == "running":
                store.record([started(asked.run_id)])
        print("ready", flush=True)
        sys.stdin.read()


def write_for_ever(path: str) -> None:
    """Write points through a writer until killed; print the number of the last one that was committed."""
    store = open_history(path)
    asked = request()
    store.add_run(asked)
    writer = HistoryWriter(store, interval=0.01)
    writer.put(started(asked.run_id))
    first = 0
    while True:
        for point in points(asked.run_id, 50, first=first):
            writer.put(point)
        first += 50
        if not writer.flush():
            raise RuntimeError("the writer is stuck")
        print(first, flush=True)


def write_runs(path: str, count: str) -> None:
    """Add `count` runs with 40 points each, as fast as it goes."""
    with open_history(path) as store:
        for _ in range(int(count)):
            asked = request()
            store.add_run(asked)
            store.record([started(asked.run_id)])
            for batch in range(4):
                store.record(points(asked.run_id, 10, first=10 * batch))


def read_only() -> None:
    """As a user who is not root: open histories that may not be written to; print what is said, and check."""
    if os.geteuid() == 0:
        # Whatever is imported late must be loaded while it can still be read.
        with tempfile.TemporaryDirectory() as name:
            open_history(Path(name) / "history.db").close()
        os.setgid(65534)
        os.setuid(65534)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "closed"
        folder.mkdir()
        path = folder / "history.db"
        open_history(path).close()
        before = path.read_bytes()
        path.chmod(0o400)
        _complain(path)
        folder.chmod(0o500)
        _complain(path)
        _complain(folder / "new.db")
        _complain(folder / "deeper" / "new.db")
        path.chmod(0o000)
        _complain(path)
        folder.chmod(0o700)
        path.chmod(0o600)
        assert path.read_bytes() == before
        assert [entry.name for entry in folder.iterdir()] == ["history.db"]


def _complain(path: Path) -> None:
    try:
        open_history(path).close()
    except StudioError as error:
        print(error.message.replace(str(path.parent), "…"), flush=True)
    else:
        print(f"{path.name} was opened", flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
