"""A model in several files opens as one, from its index or its folder, and leads nowhere else."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from safetensors.torch import save_file

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint
from core.models.opening import load_module, open_model
from core.models.source import ModelSource
from core.models.zoo import ZOO

from .checkpoint_files import read_all
from .mutations import changed, changes, read_or_refuse, some

INDEX = "model.safetensors.index.json"


def shard_name(number: int, count: int, suffix: str = "safetensors") -> str:
    """As transformers names them."""
    return f"model-{number:05}-of-{count:05}.{suffix}"


def sharded(folder: Path, state: dict[str, torch.Tensor], count: int = 2) -> Path:
    """Spread a state over safetensors files with an index; returns the index."""
    folder.mkdir(exist_ok=True)
    names = list(state)
    placed = {}
    for number in range(count):
        mine = names[number::count]
        save_file({name: state[name] for name in mine}, folder / shard_name(number + 1, count))
        placed |= dict.fromkeys(mine, shard_name(number + 1, count))
    index = folder / INDEX
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": placed}))
    return index


def state() -> dict[str, torch.Tensor]:
    """Enough for three shards."""
    return {f"layer{n}.weight": torch.randn(3, 4) + n for n in range(5)}


@pytest.mark.parametrize("by_folder", [False, True])
def test_all_shards_are_one_model(tmp_path: Path, by_folder: bool) -> None:
    tensors = state()
    index = sharded(tmp_path / "m", tensors, 3)
    with open_checkpoint(index.parent if by_folder else index) as checkpoint:
        arrays = read_all(checkpoint)
        assert checkpoint.format == "sharded"
        assert len(checkpoint.files) == 4
        assert checkpoint.file_bytes == sum(path.stat().st_size for path in index.parent.iterdir())
        place = checkpoint.place("layer1.weight")
        assert place.path == index.parent / shard_name(2, 3)
        assert "3 files" in checkpoint.notes[0]
    assert arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())


def test_a_sharded_network_is_recognised_and_runs(tmp_path: Path) -> None:
    from core.models.modules import build_module

    module = build_module("zoo:digits-cnn")
    index = sharded(tmp_path / "m", module.state_dict())
    source = ModelSource("file", str(index.parent))
    opened = open_model(source)
    assert opened.description.architecture == "zoo:digits-cnn"
    whole = b"".join(path.read_bytes() for path in (index, *sorted(index.parent.glob("*.safetensors"))))
    assert opened.description.sha256 == hashlib.sha256(whole).hexdigest()
    example = torch.zeros(1, *ZOO["digits-cnn"].input_shape)
    with torch.no_grad():
        assert torch.equal(load_module(source).module(example), module(example))


def test_shards_of_torch_files_are_read(tmp_path: Path) -> None:
    tensors = state()
    names = list(tensors)
    for number, mine in enumerate((names[:2], names[2:]), 1):
        torch.save(
            {name: tensors[name] for name in mine}, tmp_path / f"pytorch_model-{number:05}-of-00002.bin"
        )
    placed = {name: f"pytorch_model-{1 if name in names[:2] else 2:05}-of-00002.bin" for name in names}
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": placed}))
    with open_checkpoint(tmp_path) as checkpoint:
        np.testing.assert_array_equal(read_all(checkpoint)[names[3]], tensors[names[3]].numpy())


def test_one_shard_says_that_it_is_one(tmp_path: Path) -> None:
    index = sharded(tmp_path, state())
    with open_checkpoint(tmp_path / shard_name(2, 2)) as checkpoint:
        assert checkpoint.notes[-1].startswith("This is part 2 of 2")
        assert INDEX in checkpoint.notes[-1]
    index.unlink()
    with open_checkpoint(tmp_path / shard_name(2, 2)) as checkpoint:
        assert "missing" in checkpoint.notes[-1]


def test_a_download_cache_of_links_is_read(tmp_path: Path) -> None:
    index = sharded(tmp_path / "made", state())
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(index.parent.iterdir())):
        shutil.move(path, blobs / f"{number:x}")
        (snapshot / path.name).symlink_to(Path("../../blobs") / f"{number:x}")
    with open_checkpoint(snapshot) as checkpoint:
        assert len(read_all(checkpoint)) == 5


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = sharded(tmp_path, state())
    (tmp_path / shard_name(2, 2)).unlink()
    with pytest.raises(StudioError, match=r"model-00002-of-00002\.safetensors, which is missing"):
        open_checkpoint(index)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "C:\\x.bin",
        "a/../../b",
        "",
        "a\0b",
        "..",
        "x/",
        "\\\\host\\x",
        "a\nb",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "secret.safetensors")
    folder = tmp_path / "m"
    folder.mkdir()
    index = folder / INDEX
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(StudioError, match="should not be trusted") as caught:
        open_checkpoint(index)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", ["loop", "long name", "pipe"])
def test_parts_that_cannot_be_read_are_named(tmp_path: Path, kind: str) -> None:
    name = "a" * 300 if kind == "long name" else "a.safetensors"
    if kind == "loop":
        (tmp_path / name).symlink_to(tmp_path / name)
    elif kind == "pipe":
        os.mkfifo(tmp_path / name)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"w": name}}))
    refusal = read_or_refuse(tmp_path / INDEX)
    assert refusal is not None
    assert name[:70] in refusal


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "secret.safetensors")
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "a.safetensors").symlink_to(tmp_path / "secret.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    with pytest.raises(StudioError, match="link out of its folder"):
        open_checkpoint(folder)


BAD = {
    "not JSON": (b"{nonsense", "not JSON"),
    "not UTF-8": (b'{"weight_map": {"\xff": "a"}}', "not UTF-8"),
    "deep": (b'{"weight_map": ' + b'{"a":' * 90_000, "not JSON"),
    "no map": (b'{"metadata": {}}', "weight_map"),
    "empty map": (b'{"weight_map": {}}', "weight_map"),
    "odd map": (b'{"weight_map": {"a": 3}}', "in which files"),
    "twice": (b'{"weight_map": {"a": "x", "a": "y"}}', "twice"),
    "itself": (b'{"weight_map": {"a": "model.safetensors.index.json"}}', "not a model file"),
    "folder": (b'{"weight_map": {"a": "folder"}}', "is a folder"),
    "other tensor": (b'{"weight_map": {"a": "good.safetensors"}}', "does not hold it"),
    "text": (b'{"weight_map": {"a": "text.safetensors"}}', "not a model file"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_index_is_one_sentence(tmp_path: Path, kind: str) -> None:
    text, expected = BAD[kind]
    (tmp_path / "folder").mkdir()
    save_file({"w": torch.zeros(2)}, tmp_path / "good.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is text")
    (tmp_path / INDEX).write_bytes(text)
    with pytest.raises(StudioError, match=expected) as caught:
        open_checkpoint(tmp_path / INDEX)
    assert "\n" not in caught.value.message


@some
@given(changes)
def test_a_changed_index_is_read_or_refused(tmp_path: Path, places: list[tuple[float, int]]) -> None:
    index = sharded(tmp_path, state())
    read_or_refuse(index, changed(index.read_bytes(), places))
