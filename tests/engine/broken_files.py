"""Files that are no models, each in its own way, and the words by which a refusal is told."""

import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint_files import Bomb, pickled_by_hand, save, small_state, zip_of

Maker = Callable[[Path], object]


def safetensors(path: Path, header: object, data: bytes = b"", length: int | None = None) -> None:
    """A file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(shape: Any, begin: Any, end: Any, dtype: Any = "F32") -> dict[str, Any]:
    """One tensor in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def scripted(path: Path) -> None:
    """A TorchScript archive, as far as its directory tells, with nothing in it."""
    zip_of(path, {"net/data.pkl": b"", "net/code/__torch__.py": b"", "net/constants.pkl": b""})


def big_endian(path: Path) -> None:
    """A file of `torch.save` that says it comes from a big-endian machine."""
    torch.save(small_state(), path)
    with zipfile.ZipFile(path) as archive:
        members = {item.filename: archive.read(item) for item in archive.infolist()}
    root = next(iter(members)).split("/")[0]
    zip_of(path, {**members, f"{root}/byteorder": b"big"})


def big_endian_legacy(path: Path) -> None:
    """The same in the first format."""
    torch.save(small_state(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(re.sub(rb"(little_endianq.)\x88", b"\\1\x89", path.read_bytes()))


def zip_bomb(path: Path) -> None:
    """A compressed record that unpacks to much more."""
    torch.save({"w": torch.zeros(1 << 20)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {item.filename: archive.read(item) for item in archive.infolist()}
    zip_of(path, members, zipfile.ZIP_DEFLATED)


def without_a_record(path: Path) -> None:
    """A torch file whose data are missing."""
    torch.save({"w": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {
            i.filename: archive.read(i) for i in archive.infolist() if not i.filename.endswith("data/0")
        }
    zip_of(path, members)


def expanded(path: Path) -> None:
    """Four bytes that claim to be terabytes."""
    torch.save({"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)


def cut(path: Path, file_format: str, keep: float) -> None:
    """A file of which only the first part arrived."""
    save(path, {"w": torch.randn(4000)}, file_format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


BAD: dict[str, tuple[Maker, str]] = {
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "web page": (lambda p: p.write_bytes(b"\n <!DOCTYPE html><html>sign in</html>"), "web page"),
    "LFS pointer": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08" + bytes(40)), "unpack it"),
    "text": (lambda p: p.write_bytes(b'{"weights": 3}'), "text file"),
    "picture": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "picture"),
    "noise": (lambda p: p.write_bytes(bytes(range(7, 250)) * 9), "not a model file"),
    "one byte": (lambda p: p.write_bytes(b"\x80"), "not a model file"),
    "code": (lambda p: pickled_by_hand(Bomb(p.with_name("trace")), p), "contains code"),
    "code in torch": (lambda p: torch.save({"a": Bomb(p.with_name("trace"))}, p), "not executed"),
    "code in legacy": (
        lambda p: torch.save([Bomb(p.with_name("trace"))], p, _use_new_zipfile_serialization=False),
        "not executed",
    ),
    "whole module": (lambda p: torch.save(nn.Linear(2, 2), p), r"state_dict\(\)"),
    "whole module, legacy": (
        lambda p: torch.save(nn.Linear(2, 2), p, _use_new_zipfile_serialization=False),
        r"state_dict\(\)",
    ),
    "plain pickle": (lambda p: pickled_by_hand({"a": 1}, p), "not written by torch.save"),
    "no tensors": (lambda p: torch.save({"epoch": 3, "loss": [0.1, 0.2]}, p), "no tensors"),
    "other zip": (lambda p: zip_of(p, {"readme.txt": b"hello"}), "no torch file"),
    "empty zip": (lambda p: zip_of(p, {}), "empty archive"),
    "TorchScript": (scripted, "cut off"),
    "exported program": (lambda p: zip_of(p, {"m/models/model.json": b""}), "exported program"),
    "big-endian": (big_endian, "big-endian"),
    "big-endian, legacy": (big_endian_legacy, "big-endian"),
    "zip bomb": (zip_bomb, "compressed"),
    "missing record": (without_a_record, "missing"),
    "expanded": (expanded, "contiguous"),
    "cut zip": (lambda p: cut(p, "zip", 0.6), "cut off"),
    "cut legacy data": (lambda p: cut(p, "legacy", 0.9), "cut off"),
    "cut legacy names": (lambda p: cut(p, "legacy", 0.02), "cut off"),
    "cut safetensors": (lambda p: cut(p, "safetensors", 0.9), "cut off"),
    "cut header": (lambda p: p.write_bytes(struct.pack("<Q", 500) + b'{"a":'), "cut off"),
    "absurd header": (lambda p: safetensors(p, b"{}", length=1 << 60), "not a model file"),
    "no JSON": (lambda p: safetensors(p, b"{nonsense"), "not JSON"),
    "deep JSON": (lambda p: safetensors(p, b'{"a":' * 90_000), "not JSON"),
    "no UTF-8": (lambda p: safetensors(p, b'{"\xff":1}'), "UTF-8"),
    "duplicate": (lambda p: safetensors(p, b'{"w":{},"w":{}}'), "twice"),
    "no entry": (lambda p: safetensors(p, {"w": 3}), "“w”"),
    "unknown type": (lambda p: safetensors(p, {"w": entry([1], 0, 4, "F99")}, bytes(4)), "“F99”"),
    "type of no text": (lambda p: safetensors(p, {"w": entry([1], 0, 4, [1])}, bytes(4)), "type"),
    "negative shape": (lambda p: safetensors(p, {"w": entry([-1], 0, 4)}, bytes(4)), "shape"),
    "overflow": (lambda p: safetensors(p, {"w": entry([1 << 32, 1 << 32], 0, 4)}, bytes(4)), "shape"),
    "hidden overflow": (lambda p: safetensors(p, {"w": entry([0, 1 << 62, 9], 0, 0)}), "shape"),
    "wrong end": (lambda p: safetensors(p, {"w": entry([2], 0, 4)}, bytes(4)), "does not fit"),
    "no place": (lambda p: safetensors(p, {"w": {"dtype": "F32", "shape": [1]}}, bytes(4)), "place"),
    "negative place": (lambda p: safetensors(p, {"w": entry([1], -4, 0)}, bytes(4)), "place"),
    "overlap": (
        lambda p: safetensors(p, {"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
        "overlaps",
    ),
    "hole": (lambda p: safetensors(p, {"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)), "hole"),
    "too long": (lambda p: safetensors(p, {"a": entry([1], 0, 4)}, bytes(9)), "belong to no tensor"),
    "odd metadata": (lambda p: safetensors(p, {"__metadata__": {"a": 1}}), "metadata"),
    "nothing in it": (lambda p: safetensors(p, {}), "no tensors"),
}
