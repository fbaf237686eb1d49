"""Everything that a user can give wrongly: exit code 2 and one sentence, never a traceback."""

import io
import json
import pickle
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.cli import main
from core.history.store import open_history
from resources import RESOURCES

SAMPLE = RESOURCES / "sample.safetensors"


class _Evil:
    def __reduce__(self):
        return (print, ("ran at once",))


@pytest.fixture
def room(tmp_path) -> Path:
    """A folder with one of everything that is wrong."""
    (tmp_path / "good.json").write_text(json.dumps({"steps": [{"step": "prune", "sparsity": 0.5}]}))
    steps = {
        "unknown-step": {"step": "shrink"},
        "wrong-type": {"step": "prune", "sparsity": "much"},
        "out-of-range": {"step": "prune", "sparsity": 1.5},
        "unknown-field": {"step": "prune", "sparsness": 0.5},
        "no-such-layer": {"step": "prune", "exclude": ["fc9"]},
    }
    for name, step in steps.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"steps": [step]}))
    (tmp_path / "no-steps.json").write_text(json.dumps({"steps": []}))
    (tmp_path / "not-json.json").write_text("{")
    (tmp_path / "newer.json").write_text(json.dumps({"version": 99, "steps": []}))
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "trains.json").write_text(json.dumps({"steps": [{"step": "fine-tune", "epochs": 1}]}))
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    (tmp_path / "notes.pt").write_text("just some words")
    (tmp_path / "code.pt").write_bytes(pickle.dumps({"weight": _Evil()}, protocol=2))
    with zipfile.ZipFile(tmp_path / "zipped-code.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Evil(), protocol=2))
        archive.writestr("archive/version", "3\n")
    (tmp_path / "cut.safetensors").write_bytes(SAMPLE.read_bytes()[:5000])
    (tmp_path / "nan.safetensors").write_bytes(_with_nan())
    (tmp_path / "no-images" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "b").mkdir()
    from PIL import Image

    for name in ("a", "b"):
        for n in range(3):
            Image.new("L", (8, 8)).save(tmp_path / "broken" / name / f"{n}.png")
    (tmp_path / "broken" / "b" / "1.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "not.db").write_text("no database")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE things (name TEXT)")
    other.close()
    open_history(tmp_path / "newer.db").close()
    with sqlite3.connect(tmp_path / "newer.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    return tmp_path


def _with_nan() -> bytes:
    from safetensors import safe_open
    from safetensors.numpy import save

    with safe_open(SAMPLE, "np") as file:
        tensors = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors["conv2.weight"][0, 0, 0, 0] = np.nan
    return save(tensors, metadata)


RUN = ("run", "--no-history", "--no-latency")
CASES = {
    "missing model": ("inspect", "{room}/nothing.pt"),
    "empty model": ("inspect", "{room}/empty.pt"),
    "web page": ("inspect", "{room}/page.pt"),
    "text": ("inspect", "{room}/notes.pt"),
    "pickled code": ("inspect", "{room}/code.pt"),
    "zipped pickled code": ("inspect", "{room}/zipped-code.pt"),
    "truncated": ("inspect", "{room}/cut.safetensors"),
    "folder as model": ("inspect", "{room}"),
    "NaN, inspected": ("inspect", "{room}/nan.safetensors"),
    "NaN, evaluated": ("evaluate", "{room}/nan.safetensors", "--task", "digits"),
    "NaN, pruned": (*RUN, "{room}/good.json", "--model", "{room}/nan.safetensors", "--task", "digits"),
    "unknown zoo": ("inspect", "zoo:alexnet9"),
    "unknown torchvision": ("inspect", "torchvision:resnet19"),
    "truncated, evaluated": ("evaluate", "{room}/cut.safetensors", "--task", "digits"),
    "missing recipe": (*RUN, "{room}/nothing.json"),
    "unknown preset": (*RUN, "shrink-it"),
    "no recipe": RUN,
    "unknown step": (*RUN, "{room}/unknown-step.json"),
    "wrong type": (*RUN, "{room}/wrong-type.json"),
    "out of range": (*RUN, "{room}/out-of-range.json"),
    "unknown field": (*RUN, "{room}/unknown-field.json"),
    "no such layer": (*RUN, "{room}/no-such-layer.json"),
    "not JSON": (*RUN, "{room}/not-json.json"),
    "newer recipe": (*RUN, "{room}/newer.json"),
    "binary recipe": (*RUN, "{room}/binary.json"),
    "folder as recipe": (*RUN, "{room}"),
    "needs data": (*RUN, "{room}/trains.json", "--model", "zoo:lenet-5"),
    "unknown task": ("evaluate", "sample", "--task", "letters"),
    "missing image folder": ("evaluate", "sample", "--task", "folder:{room}/nothing"),
    "no images": ("evaluate", "sample", "--task", "folder:{room}/no-images"),
    "broken image": ("evaluate", "sample", "--task", "folder:{room}/broken", "--mean", "0.5", "--std", "0.5"),
    "channels do not fit": ("evaluate", "sample", "--task", "digits", "--mean", "1,1,1", "--std", "1,1,1"),
    "another size": ("evaluate", "sample", "--task", "digits", "--image-size", "20"),
    "std of zero": ("evaluate", "sample", "--task", "digits", "--std", "0"),
    "unknown device": ("evaluate", "sample", "--task", "digits", "--device", "abacus"),
    "bad number": (*RUN, "{room}/good.json", "--seed", "soon"),
    "no threads": (*RUN, "{room}/good.json", "--threads", "0"),
    "bad size": ("evaluate", "sample", "--task", "digits", "--image-size", "wide"),
    "bad mean": ("evaluate", "sample", "--task", "digits", "--mean", "dark"),
    "out is a file": (*RUN, "{room}/good.json", "--out", "{room}/good.json"),
    "no database": ("history", "--db", "{room}/not.db"),
    "another database": ("history", "--db", "{room}/other.db"),
    "newer database": ("history", "--db", "{room}/newer.db"),
    "database is a folder": ("history", "--db", "{room}"),
    "run into no database": ("run", "{room}/good.json", "--db", "{room}/not.db"),
    "unknown run": ("compare", "7", "8", "--db", "{room}/new.db"),
    "one run": ("compare", "7", "--db", "{room}/new.db"),
    "resume unknown": ("run", "--resume", "7", "--db", "{room}/new.db"),
    "resume with a recipe": ("run", "{room}/good.json", "--resume", "7", "--db", "{room}/new.db"),
    "resume with a seed": ("run", "--seed", "4", "--resume", "7", "--db", "{room}/new.db"),
    "unknown command": ("shrink",),
    "unknown option": ("history", "--all"),
    "open nothing": ("open", "{room}/nothing.pt"),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_sentence_and_exit_code_2(capsys, room, case):
    before = {path: path.read_bytes() for path in room.rglob("*") if path.is_file()}
    code = main([argument.format(room=room) for argument in CASES[case]])
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("compression-studio: ")]
    assert code == 2
    assert len(lines) == 1
    assert captured.err.splitlines()[-1] == lines[0]
    assert lines[0].endswith((".", "?", ")."))
    assert "Traceback" not in captured.err
    assert "ran at once" not in captured.out + captured.err
    # Nothing is lost: what was there is as it was.
    assert {path: path.read_bytes() for path in before} == before


def test_names_what_is_wrong(capsys, room):
    for case, words in {
        "out of range": ("out-of-range.json", "sparsity", "1.5"),
        "no such layer": ("exclude", "fc9"),
        "broken image": ("1.png",),
        "NaN, pruned": ("conv2",),
        "newer database": ("newer.db", "newer version"),
        "needs data": ("task",),
    }.items():
        main([argument.format(room=room) for argument in CASES[case]])
        message = capsys.readouterr().err.splitlines()[-1]
        assert all(word in message for word in words), message


def test_a_real_process_ends_with_2_and_no_traceback(room):
    command = [sys.executable, "-m", "core.cli", "inspect", str(room / "page.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_json_output_stays_json_when_a_run_fails(capsys, room):
    assert main(["run", str(room / "no-such-layer.json"), "--no-history", "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "Result"
    assert lines[-1]["status"] == "failed"
    assert "fc9" in lines[-1]["error"]


def test_a_failed_run_is_recorded_with_its_sentence(capsys, room):
    db = room / "runs.db"
    assert main(["run", str(room / "no-such-layer.json"), "--db", str(db)]) == 2
    with open_history(db) as store:
        (record,) = store.runs()
    assert record.status == "failed"
    assert record.error in capsys.readouterr().err


def test_a_terminal_without_unicode_ends_no_command(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["inspect", "sample"]) == 0
    stream.flush()
