"""Reads models that are spread over several files with an index beside them (`model.safetensors.index.json`)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from core.errors import StudioError
from core.models.checkpoint_safetensors import looks_like_safetensors, read_safetensors
from core.models.checkpoint_torch import looks_like_pickle, read_legacy, read_torch_zip
from core.models.neighbours import part_beside
from core.models.strict_json import BadJsonError, strict_json
from core.models.tensor_file import FileContents, StoredTensor, TensorFile
from core.models.wording import shown
from core.models.zip_members import looks_like_zip, zip_members

INDEX_SUFFIX = ".index.json"
LARGEST_INDEX = 32_000_000
WEIGHT_MAP = "weight_map"
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{3,6})-of-(?P<count>\d{3,6})(?P<suffix>\.[A-Za-z]+)$")
_PREFERRED = ("model.safetensors.index.json", "diffusion_pytorch_model.safetensors.index.json")


def looks_like_index(file: TensorFile, head: bytes) -> bool:
    """A JSON object that maps names of tensors to files."""
    if not head.lstrip().startswith(b"{"):
        return False
    return file.name.endswith(INDEX_SUFFIX) or f'"{WEIGHT_MAP}"'.encode() in file.read(0, 1 << 16)


def index_in(folder: Path) -> Path | None:
    """The index of the sharded model in a folder; of several, the usual one."""
    try:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(INDEX_SUFFIX))
    except OSError as error:
        raise StudioError(f"{folder} cannot be read ({error.strerror}): choose another folder.") from error
    usual = [path for path in found if path.name in _PREFERRED]
    safe = [path for path in found if "safetensors" in path.name]
    return next(iter(usual + safe + found), None)


def read_index(file: TensorFile) -> FileContents:
    """The tensors of all shards, in the order of the files and of the data in each.

    Raises:
        StudioError: if the index is damaged, a shard is missing or lies elsewhere, or lacks a tensor.
    """
    placed = _weight_map(file)
    shards = {name: _shard(file, name) for name in sorted(set(placed.values()))}
    tensors: dict[str, StoredTensor] = {}
    unlisted = 0
    for shard, contents in shards.items():
        for name, stored in contents.items():
            if placed.get(name) == shard:
                tensors[name] = stored
            elif name not in placed:
                unlisted += 1
    for name, shard in placed.items():
        if name not in tensors:
            raise StudioError(
                f"{file.name} says that the tensor “{shown(name)}” is in {shown(shard)}, which does not hold it: the "
                "files do not belong together. Download them again."
            )
    notes = [
        f"The model consists of {len(shards)} file{'s' if len(shards) != 1 else ''}, named by {file.name}."
    ]
    if unlisted:
        notes.append(f"{unlisted} tensors of these files are not in the index and were left out.")
    return FileContents(tensors, notes=tuple(notes), table=True)


def shard_note(path: Path) -> str | None:
    """What to tell about a file that is one of several, if its name says so."""
    match = _SHARD.match(path.name)
    if match is None or int(match["count"]) < 2:
        return None
    text = f"This is part {int(match['number'])} of {int(match['count'])} of a model"
    index = path.with_name(f"{match['stem']}{match['suffix']}{INDEX_SUFFIX}")
    if index.exists():
        return f"{text}: open {index.name} or its folder to see all of it."
    return f"{text}; the index of the others ({index.name}) is missing."


def _weight_map(file: TensorFile) -> Mapping[str, str]:
    if file.size > LARGEST_INDEX:
        _damaged(file, "is impossibly long")
    try:
        index = strict_json(file.read(0, file.size))
    except BadJsonError as error:
        _damaged(file, str(error))
    placed = index.get(WEIGHT_MAP)
    if not isinstance(placed, dict) or not placed:
        raise StudioError(
            f"{file.name} is no index of a model (it has no “{WEIGHT_MAP}”): choose the model file itself "
            "(.safetensors, .pt, .pth, .th)."
        )
    if not all(isinstance(name, str) for name in placed.values()):
        _damaged(file, "does not say in which files the tensors are")
    return placed


def _shard(file: TensorFile, name: str) -> Mapping[str, StoredTensor]:
    part = file.part(part_beside(file, name))
    head = part.read(0, 1024)
    if looks_like_safetensors(part, head):
        root = read_safetensors(part).root
    elif looks_like_zip(part, head):
        root = read_torch_zip(part, zip_members(part)).root
    elif looks_like_pickle(part, head):
        root = read_legacy(part).root
    else:
        raise StudioError(
            f"{shown(name)}, a part of {file.name}, is not a model file or damaged: download or copy it again."
        )
    if not isinstance(root, Mapping):
        raise StudioError(
            f"{shown(name)}, a part of {file.name}, holds no named tensors: download or copy it again."
        )
    return {
        str(key): replace(stored, path=part.path)
        for key, stored in root.items()
        if isinstance(stored, StoredTensor)
    }


def _damaged(file: TensorFile, what: str) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged index of a model (it {what}): download or copy it again.")
