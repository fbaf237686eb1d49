"""The command line runs a file's code only with --trust, remembers that, and takes it back."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.cli import main
from core.files import sha256_of
from core.models.trust import TrustStore

PROGRAM = """
from torch import nn
INPUT_SHAPE = (1, 8, 8)
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture(autouse=True)
def _own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "core.models.trust.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "user")
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(PROGRAM)
    return path


def test_inspect_asks_for_trust_and_remembers_it(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(program)]) == 2
    assert "--trust" in capsys.readouterr().err
    assert main(["inspect", str(program), "--trust", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["layers"][0]["kind"] == "linear"
    assert sha256_of(program) in printed.err
    assert main(["inspect", str(program)]) == 0


def test_a_trusted_program_is_evaluated(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(program), "--task", "digits", "--trust", "--no-latency", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["measurement"]
    assert 0 <= measured["accuracy"]["correct"] <= measured["accuracy"]["count"]


def test_trusted_files_are_listed_and_revoked(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", "list"]) == 0
    assert "No file is trusted" in capsys.readouterr().out
    trusted = TrustStore().trust(program)
    assert main(["trust", "list"]) == 0
    assert str(program) in capsys.readouterr().out
    assert main(["trust", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["sha256"] == trusted.sha256
    assert main(["trust", "revoke", trusted.sha256[:10]]) == 0
    assert main(["inspect", str(program)]) == 2


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["trust", "revoke"], ["trust", "revoke", "zz"], ["inspect", "sample", "--trust"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["trust", "other"]) == 2


def test_files_that_need_no_trust_get_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", w=np.ones((2, 2)))
    assert main(["inspect", str(tmp_path / "m.npz"), "--trust"]) == 0
    assert TrustStore().files() == ()
