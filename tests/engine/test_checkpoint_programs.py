"""TorchScript and exported programs give their weights under the names of the state dict, and are never executed."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.opening import open_model
from core.models.source import ModelSource

from .checkpoint_files import Bomb, as_numpy, read_all, zip_of
from .mutations import changed, changes, read_or_refuse, some


class Net(nn.Module):
    """A little of everything that programs hold: tied weights, a view, buffers, a constant, small types."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.blocks = nn.Sequential(nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 3))
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())
        self.low = nn.Parameter(torch.randn(3).to(torch.bfloat16))
        self.shift = torch.arange(3.0)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        return self.blocks(torch.relu(self.norm(self.conv(x))).flatten(1)) + self.shift + self.low.sum()


def net() -> Net:
    """Always the same one."""
    torch.manual_seed(0)
    return Net().eval()


EXAMPLE = (torch.zeros(1, 1, 8, 8),)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    # torch announces the end of TorchScript and of quantized tensors.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
        yield


def scripted(module: nn.Module, path: Path) -> None:
    """By the compiler."""
    torch.jit.script(module).save(path)


def traced(module: nn.Module, path: Path) -> None:
    """By an example."""
    torch.jit.trace(module, EXAMPLE, check_trace=False).save(path)


def exported(module: nn.Module, path: Path) -> None:
    """The layout of today."""
    torch.export.save(torch.export.export(module, EXAMPLE), path)


def exported_before(module: nn.Module, path: Path) -> None:
    """The layout up to torch 2.6: a file of `torch.save` as a member."""
    weights = io.BytesIO()
    torch.save(module.state_dict(), weights)
    zip_of(path, {"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": weights.getvalue()})


MAKERS = {"script": scripted, "trace": traced, "export": exported, "old export": exported_before}


@pytest.fixture(scope="module", params=list(MAKERS))
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of each sort."""
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MAKERS[request.param](net(), path)
    return path


def test_weights_have_the_names_of_the_state_dict(program: Path) -> None:
    with open_checkpoint(program) as checkpoint:
        arrays = read_all(checkpoint)
    expected = net().state_dict()
    if "shift" in arrays:
        np.testing.assert_array_equal(arrays.pop("shift"), np.arange(3))
    # Tracing leaves out buffers that the program does not use.
    assert expected.keys() - arrays.keys() <= {"mask", "turned"}
    assert arrays.keys() <= expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, as_numpy(expected[name]))


@pytest.mark.parametrize("save", [scripted, exported])
def test_a_known_network_is_recognised(tmp_path: Path, save: Callable[[nn.Module, Path], None]) -> None:
    from core.models.modules import build_module

    save(build_module("zoo:digits-cnn"), tmp_path / "m.pt")
    opened = open_model(ModelSource("file", str(tmp_path / "m.pt")))
    assert opened.description.architecture == "zoo:digits-cnn"
    assert any("program" in note for note in opened.description.notes)


def test_a_frozen_program_has_weights_without_names(tmp_path: Path) -> None:
    torch.jit.freeze(torch.jit.script(net())).save(tmp_path / "m.pt")
    with open_checkpoint(tmp_path / "m.pt") as checkpoint:
        shapes = {info.shape for info in checkpoint.tensors.values()}
        assert (4, 1, 3, 3) in shapes
        assert any("lost their names" in note for note in checkpoint.notes)


def test_quantized_weights_are_told(tmp_path: Path) -> None:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = nn.Linear(2, 2)
            self.register_buffer("q", torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8))

        def forward(self, x: Tensor) -> Tensor:
            return self.plain(x) + self.q.dequantize().sum()

    scripted(Quantized(), tmp_path / "m.pt")
    with open_checkpoint(tmp_path / "m.pt") as checkpoint:
        assert list(checkpoint.tensors) == ["plain.weight", "plain.bias"]
        assert any("quantized" in note for note in checkpoint.notes)


def test_sparse_and_special_tensors_of_an_exported_program_are_told(
    exported_net: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.pt2"

    def change(config: dict[str, Any]) -> None:
        config["conv.weight"]["tensor_meta"]["layout"] = 1
        config["conv.bias"]["tensor_meta"]["dtype"] = 9
        config["norm.weight"]["use_pickle"] = True
        config["norm.weight"]["tensor_meta"] = None

    reconfigured(exported_net, path, change)
    with open_checkpoint(path) as checkpoint:
        notes = " ".join(checkpoint.notes)
        assert "sparse were left out: conv.weight" in notes
        assert "of an unknown type were left out: conv.bias" in notes
        assert "norm.weight" not in checkpoint.tensors


@pytest.fixture(scope="module")
def exported_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exporting takes long, so it is done once."""
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported(net(), path)
    return path


def reconfigured(program: Path, path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """An exported program with another list of weights."""
    with zipfile.ZipFile(program) as archive:
        members = {item.filename: archive.read(item) for item in archive.infolist()}
    name = next(name for name in members if name.endswith("model_weights_config.json"))
    listed = json.loads(members[name])
    change(listed["config"])
    zip_of(path, {**members, name: json.dumps(listed).encode()})


def about(config: dict[str, Any]) -> dict[str, Any]:
    """What a list says of one tensor."""
    meta: dict[str, Any] = config["conv.weight"]["tensor_meta"]
    return meta


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing data": (lambda c: c["conv.weight"].update(path_name="nowhere"), "are missing"),
    "outside": (lambda c: c["conv.weight"].update(path_name="../../version"), "are missing"),
    "no description": (lambda c: c.update(a=3), "not described"),
    "no meta": (lambda c: c["conv.weight"].update(tensor_meta=3), "not described"),
    "negative": (lambda c: about(c).update(sizes=[{"as_int": -1}] * 4), "impossible"),
    "overflow": (lambda c: about(c).update(sizes=[{"as_int": 1 << 40}] * 4), "impossible"),
    "ranks": (lambda c: about(c).update(strides=[]), "impossible"),
    "unknown size": (lambda c: about(c).update(sizes=[{"as_expr": "s0"}] * 4), "impossible"),
    "beyond": (lambda c: about(c).update(storage_offset={"as_int": 1 << 30}), "reaches beyond"),
    "repeated": (
        lambda c: about(c).update(sizes=[{"as_int": 1 << 14}] * 4, strides=[{"as_int": 0}] * 4),
        "repeats",
    ),
}


@pytest.mark.parametrize("kind", list(CHANGES))
def test_a_damaged_list_of_weights_is_one_sentence(exported_net: Path, tmp_path: Path, kind: str) -> None:
    change, expected = CHANGES[kind]
    path = tmp_path / "net.pt2"
    reconfigured(exported_net, path, change)
    refusal = read_or_refuse(path)
    assert refusal is not None
    assert "net.pt2" in refusal
    assert expected in refusal


def test_programs_without_weights_say_so(tmp_path: Path) -> None:
    scripted(nn.ReLU(), tmp_path / "script.pt")
    exported(nn.ReLU(), tmp_path / "export.pt2")
    for name in ("script.pt", "export.pt2"):
        with pytest.raises(StudioError, match=f"{name} is .* without weights"):
            open_checkpoint(tmp_path / name)


def test_code_of_others_is_not_executed(tmp_path: Path) -> None:
    import pickle

    code = pickle.dumps(Bomb(tmp_path / "trace"), protocol=2)
    path = zip_of(tmp_path / "m.pt", {"m/data.pkl": code, "m/code/__torch__.py": b"", "m/constants.pkl": b""})
    with pytest.raises(StudioError, match="contains code"):
        open_checkpoint(path)
    assert not (tmp_path / "trace").exists()


HOSTILE = {
    "itself": b"\x80\x02c__torch__\nA\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sbh\x00.",
    "doubling": b"\x80\x02]q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b".",
    "deep": b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b".",
    "odd state": b"\x80\x02c__torch__\nA\n)\x81K\x01b.",
    "names": b"\x80\x02c__torch__\nA\n)\x81}K\x01K\x02sb.",
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_objects_end_quickly(tmp_path: Path, kind: str) -> None:
    path = zip_of(
        tmp_path / "m.pt", {"m/data.pkl": HOSTILE[kind], "m/code/x.py": b"", "m/constants.pkl": b"\x80\x02)."}
    )
    assert "m.pt" in str(read_or_refuse(path))


@some
@given(keep=st.floats(0, 1, exclude_max=True))
def test_truncated_programs_are_refused(program: Path, tmp_path: Path, keep: float) -> None:
    data = program.read_bytes()
    assert read_or_refuse(tmp_path / "m", data[: int(keep * len(data))]) is not None


@some
@given(changes)
def test_changed_programs_are_read_or_refused(
    program: Path, tmp_path: Path, places: list[tuple[float, int]]
) -> None:
    read_or_refuse(tmp_path / "m", changed(program.read_bytes(), places))
