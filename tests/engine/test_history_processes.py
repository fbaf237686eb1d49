"""Several programs on one history, and programs that die: nothing is lost, nothing is damaged, nobody is blamed."""

import contextlib
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.history.processes import ProcessIdentity, start_of, this_process
from core.history.store import open_history

from .history_samples import points, request, started

CHILDREN = Path(__file__).with_name("history_children.py")


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A child program in another folder; killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, str(CHILDREN), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_this_process_lives_and_a_dead_one_is_gone() -> None:
    me = this_process()
    assert me == ProcessIdentity(platform.node(), os.getpid(), start_of(os.getpid()) or "")
    assert not me.is_gone
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = ProcessIdentity(platform.node(), process.pid, start_of(process.pid) or "")
        assert not other.is_gone
    assert other.is_gone


def test_a_number_that_was_given_to_another_process_is_not_mistaken() -> None:
    me = this_process()
    assert replace(me, started="another start").is_gone
    assert not replace(me, started="").is_gone
    assert not replace(me, host="elsewhere", pid=2**22 + 1).is_gone


def test_runs_of_a_killed_program_are_interrupted_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with child("open_and_wait", str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with open_history(path) as store:
            assert {record.name: record.status for record in store.runs()} == {
                "running": "running",
                "queued": "queued",
            }
        process.kill()
        process.wait()
    with open_history(path) as store:
        records = {record.name: record for record in store.runs()}
        assert {record.status for record in records.values()} == {"interrupted"}
        assert all(record.ended is not None for record in records.values())
        assert store.interrupt_orphans() == 0
        # And it can go on from there.
        store.record([started(records["running"].run_id, resumed=True)])
        assert store.run(records["running"].run_id).status == "running"


def test_runs_of_this_process_and_of_other_hosts_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.db"
    mine, theirs = request(), request()
    with open_history(path) as store:
        store.add_run(mine)
        monkeypatch.setattr(
            "core.history.recording.this_process", lambda: ProcessIdentity("elsewhere", 2**22 + 1, "x")
        )
        store.add_run(theirs)
    with open_history(path) as store:
        assert [record.status for record in store.runs()] == ["queued", "queued"]


def test_two_programs_at_once_lose_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    # The file does not exist yet: both create it.
    with child("write_runs", str(path), "8") as one, child("write_runs", str(path), "8") as two:
        for process in (one, two):
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, "")
    with open_history(path) as store:
        records = store.runs()
        assert sorted(record.number for record in records) == list(range(1, 17))
        assert all(len(store.metrics(record.run_id)) == 40 for record in records)


def test_a_killed_writer_loses_at_most_its_last_batch(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for attempt in range(6):
        with child("write_for_ever", str(path)) as process:
            assert process.stdout is not None
            for _ in range(1 + 2 * attempt):
                committed = int(process.stdout.readline())
            process.kill()
            rest, _ = process.communicate()
        committed = int(rest.split("\n")[-2]) if "\n" in rest else committed
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with open_history(path) as store:
            record = store.runs()[0]
            assert record.number == attempt + 1
            assert record.status == "interrupted"
            kept = store.metrics(record.run_id)
        assert len(kept) >= committed
        assert list(kept) == points(record.run_id, len(kept))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders work differently")
def test_what_may_not_be_written_is_refused_in_words() -> None:
    folders = Path(__file__).resolve().parents
    if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in folders):
        pytest.skip("root may write anywhere, and another user could not read the program here")
    with child("read_only") as process:
        said, errors = process.communicate(timeout=60)
    assert errors == ""
    assert said.splitlines() == [
        "…/history.db may not be written to (its file is read-only): change that or choose another file.",
        "…/history.db may not be written to (its file is read-only): change that or choose another file.",
        "…/new.db cannot be created (Permission denied): choose a folder that may be written to.",
        "…/new.db cannot be created (Permission denied): choose a folder that may be written to.",
        "…/history.db may not be read: change its permissions or choose another file.",
    ]
