"""The readers of model files give what the writing libraries put in, whatever is wrapped around it."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.opening import open_model
from core.models.source import ModelSource

from .checkpoint_files import FORMATS, as_numpy, ordered, read_all, save, small_state

TORCH_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
ONLY_TORCH_TYPES = {
    torch.complex128: "C128",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
}


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_type_comes_back_exactly(tmp_path: Path, file_format: str) -> None:
    types = TORCH_TYPES if file_format == "safetensors" else TORCH_TYPES | ONLY_TORCH_TYPES
    raw = torch.arange(256, dtype=torch.uint8)
    state = {
        word: (raw[:2].bool() if dtype == torch.bool else raw.view(dtype)).clone()
        for dtype, word in types.items()
    }
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(3, 0, 2)
    with open_checkpoint(save(tmp_path / "m", state, file_format)) as checkpoint:
        assert set(checkpoint.tensors) == set(state)
        for name, tensor in state.items():
            info = checkpoint.tensors[name]
            assert info.shape == tuple(tensor.shape)
            assert info.nbytes == tensor.numel() * tensor.element_size()
            assert info.dtype == types.get(tensor.dtype, info.dtype)
            read = checkpoint.read(name)
            assert read.shape == tuple(tensor.shape)
            np.testing.assert_array_equal(read, as_numpy(tensor))


@pytest.mark.parametrize("file_format", ["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_views_share_storages_and_keep_their_strides(tmp_path: Path, file_format: str, protocol: int) -> None:
    base = torch.arange(24.0)
    state = {
        "whole": base,
        "transposed": base.view(4, 6).t(),
        "slice": base[5:17:3],
        "window": base.unfold(0, 4, 2),
        "column": base.view(2, 3, 4)[:, 1],
        "expanded": base[3].expand(5, 2),
        "parameter": torch.nn.Parameter(base.view(4, 6)[1:3]),
        "float8": torch.arange(8, dtype=torch.uint8).view(torch.float8_e5m2)[2:],
    }
    path = tmp_path / "m.pt"
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=file_format == "zip")
    with open_checkpoint(path) as checkpoint:
        for name, tensor in state.items():
            np.testing.assert_array_equal(checkpoint.read(name), as_numpy(tensor))
        # The expanded tensor alone is larger than what it is stored as; nothing else was copied into the file.
        assert checkpoint.file_bytes < 10_000


def test_shared_parameters_count_once(tmp_path: Path) -> None:
    shared = torch.ones(5, 4)
    path = save(tmp_path / "m.pt", {"embedding.weight": shared, "head.weight": shared}, "zip")
    description = open_model(ModelSource("file", str(path))).description
    assert description.parameters == 20
    assert len(description.layers) == 2


def test_metadata_and_the_order_of_the_data_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file(
        {"b": torch.ones(2), "a": torch.zeros(3)}, path, metadata={"task": "digits", "accuracy": "97.5"}
    )
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata == {"task": "digits", "accuracy": "97.5"}
        assert checkpoint.recorded_accuracy == 0.975
        places = [checkpoint.place(name).offset for name in checkpoint.tensors]
        assert places == sorted(places)
        expected = load_file(path)
        assert all((checkpoint.read(name) == expected[name].numpy()).all() for name in expected)


def test_a_header_whose_length_looks_like_a_pickle_is_still_safetensors(tmp_path: Path) -> None:
    text = json.dumps({"w": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}).encode().ljust(0x0280)
    path = tmp_path / "m"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"ab")
    assert path.read_bytes()[:2] == b"\x80\x02"
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "safetensors"
        assert checkpoint.read("w").tolist() == [97, 98]


def wrapped(state: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """Ways in which training scripts save a model, and what the notes must say."""
    optimizer = {"state": {0: {"exp_avg": torch.ones(5)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    module = {f"module.{name}": value for name, value in state.items()}
    return {
        "plain": (state, ""),
        "ordered": (ordered(state), ""),
        "state_dict": ({"state_dict": module, "epoch": 3}, "epoch"),
        "kuangliu": ({"net": module, "acc": 92.1, "epoch": 3}, "“net”"),
        "lightning": (
            {
                "state_dict": {f"model.{name}": value for name, value in state.items()},
                "optimizer_states": [optimizer],
                "callbacks": {},
            },
            "“model.”",
        ),
        "tutorial": (
            {"model_state_dict": state, "optimizer_state_dict": optimizer, "loss": torch.tensor(0.3)},
            "optimizer_state_dict",
        ),
        "nested": ({"model": {"state_dict": module}}, "model.state_dict"),
        "compiled": ({f"_orig_mod.module.{name}": value for name, value in state.items()}, "_orig_mod"),
        "compiled inside": (
            {name.replace("conv.", "conv._orig_mod."): value for name, value in state.items()},
            "_orig_mod",
        ),
        "averaged beside": ({"model": state, "model_ema": {k: v * 0 for k, v in state.items()}}, "model_ema"),
        "averaged alone": ({"ema": state, "args": argparse.Namespace(lr=0.1)}, "“ema”"),
        "unwrapped, with an optimizer": ({**state, "optimizer": optimizer}, ""),
    }


@pytest.mark.parametrize("file_format", ["zip", "legacy"])
@pytest.mark.parametrize("way", list(wrapped({})))
def test_weights_are_found_inside_what_scripts_save(tmp_path: Path, way: str, file_format: str) -> None:
    state = small_state()
    value, note = wrapped(state)[way]
    path = save(tmp_path / "m.pth", value, file_format)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == list(state)
        assert note in " ".join(checkpoint.notes)
        for name, tensor in state.items():
            np.testing.assert_array_equal(checkpoint.read(name), as_numpy(tensor))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"best_prec1": 91.78}, 0.9178),
        ({"best_acc": 0.5}, 0.5),
        ({"best_acc1": torch.tensor(76.5)}, 0.765),
        ({"acc": np.float64(93.25)}, 0.9325),
        ({"accuracy": np.float32(0.25)}, 0.25),
        ({"best_prec1": float("nan")}, None),
        ({"best_prec1": 1234.0}, None),
        ({"best_prec1": True}, None),
        ({"epoch": 90}, None),
    ],
)
@pytest.mark.parametrize("file_format", ["zip", "legacy"])
def test_the_accuracy_that_a_file_claims_is_a_fraction(
    tmp_path: Path, entry: dict[str, Any], expected: float | None, file_format: str
) -> None:
    path = save(tmp_path / "m.pth", {"state_dict": {"w": torch.ones(2, 2)}, **entry}, file_format)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.recorded_accuracy == (None if expected is None else pytest.approx(expected))


def test_lists_and_single_tensors_get_names(tmp_path: Path) -> None:
    with open_checkpoint(save(tmp_path / "one.pt", torch.ones(2, 3), "zip")) as checkpoint:  # type: ignore[arg-type]
        assert list(checkpoint.tensors) == ["tensor"]
    several: Any = [torch.ones(2), {"a": torch.zeros(3)}]
    with open_checkpoint(save(tmp_path / "list.pt", several, "legacy")) as checkpoint:
        assert list(checkpoint.tensors) == ["0", "1.a"]


def test_tensors_of_other_sorts_are_left_out_with_a_note(tmp_path: Path) -> None:
    state = {
        "w": torch.ones(2, 2),
        "sparse": torch.eye(3).to_sparse(),
        "conjugated": torch.ones(2, dtype=torch.complex64).conj(),
        "nothing": torch.empty(3, device="meta"),
    }
    path = tmp_path / "m.pt"
    torch.save(state, path)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["w"]
        notes = " ".join(checkpoint.notes)
        assert all(word in notes for word in ("sparse", "conjugated", "without data"))


def test_a_file_that_becomes_shorter_is_reported_when_it_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "m.safetensors", {"w": torch.ones(64, 64)}, "safetensors")
    with open_checkpoint(path) as checkpoint:
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(StudioError, match="shorter"):
            checkpoint.read("w")
    with pytest.raises(StudioError, match="can no longer be read"):
        checkpoint.read("w")


def test_old_densenet_names_are_brought_up_to_date(tmp_path: Path) -> None:
    state = {"features.denseblock1.denselayer1.norm.1.weight": torch.ones(2)}
    with open_checkpoint(save(tmp_path / "m.pth", state, "zip")) as checkpoint:
        assert list(checkpoint.tensors) == ["features.denseblock1.denselayer1.norm1.weight"]


def test_the_real_checkpoint_equals_what_torch_loads(real_data: Path) -> None:
    path = real_data / "checkpoints" / "resnet20-12fca82f.th"
    expected = torch.load(path, map_location="cpu", weights_only=True)
    with open_checkpoint(path) as checkpoint:
        read = read_all(checkpoint)
        assert checkpoint.recorded_accuracy == pytest.approx(expected["best_prec1"] / 100)
        assert any("module." in note for note in checkpoint.notes)
    assert list(read) == [name.removeprefix("module.") for name in expected["state_dict"]]
    for name, tensor in expected["state_dict"].items():
        np.testing.assert_array_equal(read[name.removeprefix("module.")], tensor.numpy())


def test_opening_files_imports_no_torch(tmp_path: Path) -> None:
    legacy = save(tmp_path / "legacy.th", {"state_dict": small_state()}, "legacy")
    zipped = save(tmp_path / "zipped.pt", small_state(), "zip")
    program = (
        "import sys\n"
        "from core.models.opening import open_model\n"
        "from core.models.source import SAMPLE, ModelSource\n"
        "model = open_model(SAMPLE)\n"
        "assert model.description.architecture == 'zoo:digits-cnn'\n"
        "assert model.weight('conv1').shape == (16, 1, 3, 3)\n"
        f"for path in {[str(legacy), str(zipped)]!r}:\n"
        "    model = open_model(ModelSource('file', path))\n"
        "    assert model.weight('conv').shape == (2, 3, 3, 3)\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
