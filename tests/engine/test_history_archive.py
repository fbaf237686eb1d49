"""Whole runs as zip files: what goes out comes in again, and what was tampered with is refused without a trace."""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import core.cli
from core.errors import StudioError
from core.events import ArtifactWritten
from core.history.archive import METRICS, RECORD, pack_run, unpack_run
from core.history.records import RunRecord
from core.history.store import HistoryStore, open_history

from .history_samples import request, whole_run

WEIGHTS = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_history(tmp_path / "one" / "history.db") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[HistoryStore]:
    with open_history(tmp_path / "two" / "history.db") as opened:
        yield opened


@pytest.fixture
def run_id(store: HistoryStore, tmp_path: Path) -> str:
    asked = request(name="Größe")
    store.add_run(asked)
    model = tmp_path / "out" / "größe model.safetensors"
    model.parent.mkdir()
    model.write_bytes(WEIGHTS)
    events = [event for event in whole_run(asked.run_id) if not isinstance(event, ArtifactWritten)]
    kept = ArtifactWritten(asked.run_id, "model", str(model), len(WEIGHTS), sha256(WEIGHTS).hexdigest())
    lost = ArtifactWritten(asked.run_id, "recipe", str(tmp_path / "gone.json"), 3, "c" * 64)
    store.record([*events[:-1], kept, lost, events[-1]])
    store.update(asked.run_id, note="**good**", tags=["paper"], starred=True)
    return asked.run_id


def plain(record: RunRecord) -> RunRecord:
    return replace(record, number=0, updated=0.0, run_id="")


def everything(store: HistoryStore, run_id: str) -> list[Any]:
    return [
        store.layers(run_id, "before"),
        store.layers(run_id, "after"),
        [(f.kind, f.key, f.title, f.data) for f in store.findings(run_id)],
        [repr(replace(point, run_id="")) for point in store.metrics(run_id)],
        [(a.kind, a.size, a.sha256) for a in store.artifacts(run_id)],
    ]


def test_a_run_comes_back_whole(
    store: HistoryStore, other: HistoryStore, run_id: str, tmp_path: Path
) -> None:
    target = tmp_path / "run.zip"
    assert pack_run(store, run_id, target) == [str(tmp_path / "gone.json")]
    record = unpack_run(other, target)
    assert record.run_id == run_id
    # repr: a loss that is NaN equals itself nowhere else.
    assert repr(plain(record)) == repr(plain(store.run(run_id)))
    assert everything(other, run_id) == everything(store, run_id)
    model = Path(other.artifacts(run_id)[0].path)
    assert model.read_bytes() == WEIGHTS
    assert model.is_relative_to(other.run_folder(run_id))
    other.purge([run_id])
    assert not model.exists()


def test_a_run_that_is_there_already_is_refused_or_numbered_anew(
    store: HistoryStore, run_id: str, tmp_path: Path
) -> None:
    target = tmp_path / "run.zip"
    pack_run(store, run_id, target)
    with pytest.raises(StudioError, match="holds run 1 of this history, which is there already"):
        unpack_run(store, target)
    again = unpack_run(store, target, again=True)
    assert again.number == 2
    assert again.run_id != run_id
    assert everything(store, again.run_id) == everything(store, run_id)


def test_a_file_that_changed_since_is_not_packed(store: HistoryStore, run_id: str, tmp_path: Path) -> None:
    Path(store.artifacts(run_id)[0].path).write_bytes(b"other")
    with pytest.raises(StudioError, match="no longer what run 1 wrote"):
        pack_run(store, run_id, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


# -- what somebody else may send -----------------------------------------------------------------------------------

Entries = dict[str, bytes]


def document(entries: Entries, change: Callable[[Any], None]) -> Entries:
    data = json.loads(entries[RECORD])
    change(data)
    return entries | {RECORD: json.dumps(data).encode()}


def _set(*path: Any) -> Callable[[Entries], Entries]:
    *keys, last, value = path

    def change(data: Any) -> None:
        for key in keys:
            data = data[key]
        data[last] = value

    return lambda entries: document(entries, change)


def _other_weights(entries: Entries) -> Entries:
    (name,) = [name for name in entries if name.startswith("files/")]
    return entries | {name: WEIGHTS[::-1]}


TAMPERED: list[tuple[str, Callable[[Entries], Entries], str]] = [
    ("no record", lambda e: {METRICS: e[METRICS]}, "is no archive of a run"),
    ("leads out", lambda e: e | {"../evil.txt": b"x"}, "holds “../evil.txt”"),
    ("absolute", lambda e: e | {"/tmp/evil": b"x"}, "which no archive of a run does"),
    ("leads out below", lambda e: e | {"files/0-../../evil": b"x"}, "which no archive of a run does"),
    ("bomb", lambda e: e | {METRICS: b"[" + b" " * 30_000_000 + b"]"}, "out of all proportion"),
    ("not JSON", lambda e: e | {RECORD: b"{"}, "is not JSON"),
    ("deep JSON", lambda e: e | {METRICS: b"[" * 100_000}, "is not JSON"),
    ("other format", _set("format", "x"), "is no archive of a run"),
    ("newer", _set("version", 99), "written by a newer version"),
    ("other weights", _other_weights, "is not what its SHA-256 says"),
    ("other size", _set("files", 0, "size", 3), "has another size"),
    ("no such file", _set("files", 0, "file", "files/7-none"), "which is not in it"),
    ("wrong status", _set("run", "status", "great"), "not as the studio writes it"),
    ("id leads out", _set("run", "run_id", "../../x"), "not as the studio writes it"),
    ("figure is text", _set("run", "after", "packed_bytes", "many"), "not as the studio writes it"),
    ("figure is missing", _set("run", "after", {}), "not as the studio writes it"),
    ("tags are numbers", _set("run", "tags", [1]), "not as the studio writes it"),
    ("point is short", lambda e: e | {METRICS: b"[[1, 2]]"}, "not as the studio writes it"),
    ("wrong recipe", _set("run", "recipe", "steps", [{"step": "explode"}]), "The recipe in run.zip"),
]


@pytest.mark.parametrize(
    ("change", "says"), [case[1:] for case in TAMPERED], ids=[case[0] for case in TAMPERED]
)
def test_what_was_tampered_with_is_refused_without_a_trace(
    store: HistoryStore,
    other: HistoryStore,
    run_id: str,
    tmp_path: Path,
    change: Callable[[Entries], Entries],
    says: str,
) -> None:
    target = tmp_path / "run.zip"
    pack_run(store, run_id, target)
    with zipfile.ZipFile(target) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in change(entries).items():
            stored = zipfile.ZIP_STORED if name.startswith("files/") else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, compress_type=stored)
    with pytest.raises(StudioError, match=r".") as caught:
        unpack_run(other, target)
    assert says in caught.value.message
    assert other.runs() == []
    assert not list(tmp_path.glob("**/evil*"))
    folders = tmp_path / "two" / "runs"
    assert not folders.exists() or list(folders.iterdir()) == []


def test_compressed_files_symbolic_links_and_cut_archives_are_refused(
    store: HistoryStore, other: HistoryStore, run_id: str, tmp_path: Path
) -> None:
    target = tmp_path / "run.zip"
    pack_run(store, run_id, target)
    whole = target.read_bytes()
    target.write_bytes(whole[: len(whole) - 30])
    with pytest.raises(StudioError, match="is no zip file of a run, or is damaged"):
        unpack_run(other, target)
    target.write_bytes(whole)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("files/8-zeros", bytes(10_000_000), compress_type=zipfile.ZIP_DEFLATED)
    with pytest.raises(StudioError, match="out of all proportion"):
        unpack_run(other, target)
    target.write_bytes(whole)
    link = zipfile.ZipInfo("files/9-link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(StudioError, match="no plain file"):
        unpack_run(other, target)
    with pytest.raises(StudioError, match="does not exist"):
        unpack_run(other, tmp_path / "none.zip")
    assert other.runs() == []


def test_the_command_line_packs_and_unpacks(
    store: HistoryStore, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, new = str(tmp_path / "run.zip"), str(tmp_path / "three" / "history.db")
    assert core.cli.main(["pack", "1", "--out", target, "--db", store.place]) == 0
    assert core.cli.main(["unpack", target, "--db", new]) == 0
    assert core.cli.main(["unpack", target, "--db", new]) == 2
    assert core.cli.main(["unpack", target, "--again", "--db", new]) == 0
    assert core.cli.main(["history", "tag:paper", "accuracy", ">", "90", "%", "--db", new]) == 0
    out, error = capsys.readouterr()
    assert "It is run 2 of this history." in out
    assert "which is there already" in error
    assert out.count("Größe") == 2
