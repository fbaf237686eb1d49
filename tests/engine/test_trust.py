"""Code of files runs only after the user has trusted exactly these bytes, once, and until that is taken back."""

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import StudioError
from core.files import sha256_of
from core.models.checkpoint import open_checkpoint
from core.models.opening import load_module, open_model
from core.models.source import ModelSource
from core.models.trust import NeedsTrustError, TrustStore

from .checkpoint_files import Bomb

PROGRAM = """
from pathlib import Path
import torch
from torch import nn

Path(__file__).with_name("trace").touch()
INPUT_SHAPE = (1, 8, 8)

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)

    def forward(self, x):
        return torch.relu(self.conv(x))

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.block = Block(4)
        self.fc = nn.Linear(144, classes)

    def forward(self, x):
        return self.fc(self.block(x).flatten(1))
"""


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrustStore]:
    """A list of the test's own; the user's is out of reach."""
    monkeypatch.setattr(
        "core.models.trust.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "user")
    )
    modules = set(sys.modules)
    yield TrustStore()
    for name in set(sys.modules) - modules:
        if name.startswith("compression_studio_trusted_"):
            del sys.modules[name]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A Python file with a network."""
    path = tmp_path / "net.py"
    path.write_text(PROGRAM)
    return path


class Pickled(nn.Module):
    """A network of a class that can be imported again."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.low = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores."""
        return self.fc(x)


def source(path: Path) -> ModelSource:
    return ModelSource("file", str(path))


def test_nothing_runs_before_it_is_trusted(program: Path, store: TrustStore) -> None:
    for attempt in (open_model, load_module):
        with pytest.raises(NeedsTrustError, match=r"net\.py is a Python program") as caught:
            attempt(source(program))
        assert caught.value.path == program
        assert caught.value.sha256 == sha256_of(program)
        assert caught.value.sha256 in caught.value.details
    assert not program.with_name("trace").exists()
    assert store.files() == ()


def test_a_trusted_program_is_opened_in_full(program: Path, store: TrustStore) -> None:
    store.trust(program)
    opened = open_model(source(program))
    description = opened.description
    assert program.with_name("trace").exists()
    assert description.architecture == f"python:{sha256_of(program)}"
    assert description.architecture_title == "Net (net.py)"
    assert [layer.name for layer in description.layers] == ["block.conv", "fc"]
    assert [layer.positions for layer in description.layers] == [36, 1]
    assert description.num_classes == 10
    assert opened.weight("fc").shape == (10, 144)
    again = open_model(source(program))
    np.testing.assert_array_equal(opened.weight("fc"), again.weight("fc"))
    loaded = load_module(source(program), seed=1)
    assert not np.array_equal(loaded.module.state_dict()["fc.weight"].numpy(), opened.weight("fc"))


def test_a_changed_file_is_not_trusted_any_more(program: Path, store: TrustStore) -> None:
    store.trust(program)
    program.write_text(PROGRAM + "\n")
    with pytest.raises(NeedsTrustError):
        open_model(source(program))
    assert not program.with_name("trace").exists()


def test_trust_is_for_contents_and_can_be_taken_back(program: Path, store: TrustStore) -> None:
    shown = sha256_of(program)
    trusted = store.trust(program, shown)
    copy = program.with_name("copy.py")
    copy.write_text(PROGRAM)
    assert store.is_trusted(copy)
    assert store.files() == (trusted,)
    store.trust(program)
    assert len(store.files()) == 1
    assert store.revoke(shown[:8]).sha256 == shown
    assert not store.is_trusted(program)
    with pytest.raises(StudioError, match="No trusted file"):
        store.revoke(shown[:8])
    with pytest.raises(StudioError, match="No trusted file"):
        store.revoke("")


def test_what_was_shown_is_what_is_trusted(program: Path, store: TrustStore) -> None:
    with pytest.raises(StudioError, match="has changed since you were asked"):
        store.trust(program, "0" * 64)
    assert store.files() == ()


def test_a_damaged_list_trusts_nothing(program: Path, store: TrustStore) -> None:
    store.file.parent.mkdir(parents=True)
    for text in (
        "nonsense",
        "[]",
        '{"files": [{"sha256": "x"}]}',
        '{"files": 3}',
        '{"files": [{"sha256": 1}]}',
    ):
        store.file.write_text(text)
        with pytest.raises(StudioError, match=r"trusted\.json is damaged, so no file is trusted"):
            open_model(source(program))


def test_two_files_of_one_beginning_are_told_apart(program: Path, store: TrustStore) -> None:
    entries = [{"sha256": "ab" + digit * 62, "path": "x", "when": "now"} for digit in "01"]
    store.file.parent.mkdir(parents=True)
    store.file.write_text(json.dumps({"files": entries}))
    with pytest.raises(StudioError, match="More than one"):
        store.revoke("ab")
    assert store.revoke("AB0").sha256.startswith("ab0")


FACTORIES = {
    "function": ("def build():\n    return nn.Linear(2, 3)\n", 1),
    "instance": ("model = nn.Linear(2, 3)\n", 1),
    "class": ("class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 3)\n", 1),
    "function first": ("class A(nn.Linear): pass\ndef model():\n    return A(2, 3)\n", 1),
}


@pytest.mark.parametrize("kind", list(FACTORIES))
def test_ways_to_offer_a_network(tmp_path: Path, store: TrustStore, kind: str) -> None:
    text, layers = FACTORIES[kind]
    path = tmp_path / "net.py"
    path.write_text(f"from torch import nn\n{text}")
    store.trust(path)
    description = open_model(source(path)).description
    assert len(description.layers) == layers
    assert any("INPUT_SHAPE" in note for note in description.notes)


WRONG = {
    "syntax": ("def build(:\n", "SyntaxError"),
    "raises": ("raise ValueError('no data')\n", "ValueError: no data"),
    "exits": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "missing import": ("import no_such_package_here\n", "ModuleNotFoundError"),
    "null byte": ("a = '\0'\n", "SyntaxError"),
    "no network": ("x = 3\n", "no network"),
    "not a network": ("def build():\n    return 3\n", "gave int instead of a network"),
    "needs arguments": ("def build(width):\n    return width\n", "TypeError"),
    "two": (
        "from torch import nn\nclass A(nn.ReLU): pass\nclass B(nn.ReLU): pass\n",
        "several networks (A, B)",
    ),
    "class with arguments": (
        "from torch import nn\nclass A(nn.Module):\n    def __init__(self, n): pass\n",
        "no network",
    ),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_failing_programs_are_one_sentence(tmp_path: Path, store: TrustStore, kind: str) -> None:
    text, expected = WRONG[kind]
    path = tmp_path / "net.py"
    path.write_text(text)
    store.trust(path)
    with pytest.raises(StudioError) as caught:
        open_model(source(path))
    assert expected in caught.value.message
    assert "net.py" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_whole_pickled_network_is_read_once_trusted(
    tmp_path: Path, store: TrustStore, zipped: bool, wrapped: bool
) -> None:
    module = Pickled()
    path = tmp_path / "whole.pt"
    saved = {"model": module, "epoch": torch.tensor(3)} if wrapped else module
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(NeedsTrustError, match=r"whole\.pt holds Python objects \(.*Pickled\)"):
        open_model(source(path))
    store.trust(path)
    opened = open_model(source(path))
    assert opened.description.architecture_title == "Pickled (whole.pt)"
    np.testing.assert_array_equal(opened.weight("fc"), module.fc.weight.detach().numpy())
    assert opened.tensor("low").dtype == np.float32
    loaded = load_module(source(path))
    assert all(parameter.dtype == torch.float32 for parameter in loaded.module.parameters())


def test_weights_beside_objects_need_no_trust(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"state_dict": {"w": torch.ones(2, 2)}, "config": Pickled()}, path)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        assert "Objects that only code can read were left out" in " ".join(checkpoint.notes)


def test_attacks_are_never_offered_for_trust(tmp_path: Path) -> None:
    for value in (
        Bomb(tmp_path / "trace"),
        {"state_dict": {"w": torch.ones(2, 2)}, "x": Bomb(tmp_path / "trace")},
    ):
        torch.save(value, tmp_path / "m.pt")
        with pytest.raises(StudioError, match="contains code") as caught:
            open_model(source(tmp_path / "m.pt"))
        assert not isinstance(caught.value, NeedsTrustError)
    assert not (tmp_path / "trace").exists()


def test_a_trusted_pickle_without_a_network_says_so(tmp_path: Path, store: TrustStore) -> None:
    path = tmp_path / "m.pt"
    torch.save({"store": store}, path)
    store.trust(path)
    with pytest.raises(StudioError, match="holds dict, not a whole network"):
        open_model(source(path))


def test_a_class_that_is_gone_is_told(tmp_path: Path, store: TrustStore) -> None:
    path = tmp_path / "m.pt"
    torch.save(Pickled(), path)
    data = path.read_bytes().replace(b"Pickled", b"Vanishd")
    path.write_bytes(data)
    store.trust(path)
    with pytest.raises(StudioError, match=r"its code failed \(AttributeError"):
        open_model(source(path))


def test_results_find_their_program_again(program: Path, store: TrustStore, tmp_path: Path) -> None:
    from core.export.safetensors_file import metadata_of, save_tensors

    trusted = store.trust(program)
    loaded = load_module(source(program), seed=3)
    result = tmp_path / "result.safetensors"
    save_tensors(loaded.module.state_dict(), result, metadata_of(loaded.description))
    opened = open_model(source(result))
    assert opened.description.architecture == f"python:{trusted.sha256}"
    assert opened.description.num_classes == 10
    again = load_module(source(result))
    assert again.description.layers == loaded.description.layers
    assert torch.equal(again.module.fc.weight, loaded.module.fc.weight)
    store.revoke(trusted.sha256)
    assert open_model(source(result)).description.architecture is None
    assert "not trusted here" in open_model(source(result)).description.notes[-1]
    with pytest.raises(StudioError, match="can be inspected but not run"):
        load_module(source(result))


def test_results_of_another_network_are_told(program: Path, store: TrustStore, tmp_path: Path) -> None:
    from core.export.safetensors_file import metadata_of, save_tensors

    store.trust(program)
    loaded = load_module(source(program))
    result = tmp_path / "result.safetensors"
    save_tensors({"fc.weight": torch.zeros(2, 2)}, result, metadata_of(loaded.description))
    with pytest.raises(StudioError, match=r"does not fit the network of net\.py"):
        load_module(source(result))


def test_the_error_survives_pickling(program: Path) -> None:
    error = NeedsTrustError("x.py is not trusted.", program, "ab")
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.path, again.sha256) == (error.message, program, "ab")
