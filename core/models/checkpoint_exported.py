"""Reads the weights of `torch.export` archives (`.pt2`); the program in them is not looked at."""

import re
from typing import Any, NoReturn

from core.errors import StudioError
from core.models.checkpoint_torch import check_byte_order, read_torch_zip
from core.models.strict_json import BadJsonError, strict_json
from core.models.tensor_file import (
    LARGEST_EXPANDED,
    FileContents,
    StoredTensor,
    TensorFile,
    checked_shape,
    contiguous_strides,
)
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_pickle import UnreadTensor
from core.models.wording import shown
from core.models.zip_members import Members, stored_place, zip_members

_MODEL = re.compile(r"(?:[^/]+/)?(?:models/[^/]+\.json|archive_format)$")
PROGRAM = "serialized_exported_program.json"
# Until torch 2.6 the weights were a file of `torch.save` within the archive.
OLD_WEIGHTS = ("serialized_state_dict.pt", "serialized_state_dict.json")
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
WEIGHTS_CONFIG, CONSTANTS_CONFIG = "_weights_config.json", "_constants_config.json"
LARGEST_CONFIG = 32_000_000
STRIDED = 7
# torch.export's numbers for element types (torch/_export/serde/schema.py).
WORDS = {1: "U8", 2: "I8", 3: "I16", 4: "I32", 5: "I64", 6: "F16", 7: "F32", 8: "F64", 10: "C64", 11: "C128",
         12: "BOOL", 13: "BF16", 28: "U16", 29: "F8_E4M3", 30: "F8_E5M2", 31: "F8_E4M3FNUZ", 32: "F8_E5M2FNUZ",
         33: "F8_E8M0", 34: "U32", 35: "U64"}  # fmt: skip

Tensors = dict[str, StoredTensor | UnreadTensor]


def looks_like_exported(members: Members) -> bool:
    """An archive with an exported program, in the layout of today or before."""
    return any(_MODEL.match(name) or name.endswith(PROGRAM) for name in members)


def read_exported(file: TensorFile, members: Members) -> FileContents:
    """The program's parameters and buffers by name; its constants only where it has no others.

    Raises:
        StudioError: if the archive is damaged or holds no weights.
    """
    notes = ["Only the weights of the exported program were read."]
    for name in members:
        if name.rpartition("/")[2] in OLD_WEIGHTS:
            start, size = stored_place(file, members[name])
            contents = read_torch_zip(file, zip_members(file, start, size))
            return FileContents(contents.root, notes=tuple(notes))
    first = next(iter(members)).partition("/")[0]
    check_byte_order(file, members, f"{first}/")
    tensors = _listed(file, members, WEIGHTS, WEIGHTS_CONFIG)
    constants = _listed(file, members, CONSTANTS, CONSTANTS_CONFIG)
    if tensors and constants:
        notes.append(f"Constants of the program were left out: {len(constants)}.")
    if not tensors and not constants:
        raise StudioError(
            f"{file.name} is an exported program without weights of its own: save its weights with "
            "torch.save(program.state_dict, …) and open that file."
        )
    return FileContents(tensors or constants, notes=tuple(notes), table=True)


def _listed(file: TensorFile, members: Members, folder: str, config_suffix: str) -> Tensors:
    """All tensors that the archive's lists of one sort name; with the program's name in front if there are several."""
    lists = [name for name in members if f"/{folder}" in f"/{name}" and name.endswith(config_suffix)]
    tensors: Tensors = {}
    for name in lists:
        root, _, own_name = name.rpartition("/")
        program = own_name.removesuffix(config_suffix)
        for key, entry in _config(file, members, name).items():
            full_name = key if len(lists) == 1 else f"{program}.{key}"
            tensors[full_name] = _tensor(file, members, f"{root}/", key, entry)
    return tensors


def _config(file: TensorFile, members: Members, name: str) -> dict[str, Any]:
    start, size = stored_place(file, members[name])
    if size > LARGEST_CONFIG:
        _damaged(file, f"{shown(name)} is impossibly long")
    try:
        entries = strict_json(file.read(start, size)).get("config")
    except BadJsonError as error:
        _damaged(file, f"{shown(name)} {error}")
    if not isinstance(entries, dict):
        _damaged(file, f"{shown(name)} lists nothing")
    return entries


def _tensor(
    file: TensorFile, members: Members, root: str, name: str, entry: Any
) -> StoredTensor | UnreadTensor:
    if not isinstance(entry, dict) or not isinstance(entry.get("path_name"), str):
        _damaged(file, f"the tensor “{shown(name)}” is not described")
    if f"{root}{entry['path_name']}" not in members:
        _damaged(file, f"the data of the tensor “{shown(name)}” are missing")
    member = members[f"{root}{entry['path_name']}"]
    about = entry.get("tensor_meta")
    if entry.get("use_pickle"):
        if about is None:
            return UnreadTensor("objects of other classes")
        start, size = stored_place(file, member)
        saved = read_torch_zip(file, zip_members(file, start, size)).root
        return saved if isinstance(saved, StoredTensor) else UnreadTensor("of a special class")
    if not isinstance(about, dict):
        _damaged(file, f"the tensor “{shown(name)}” is not described")
    if about.get("layout") != STRIDED:
        return UnreadTensor("sparse")
    number = about.get("dtype")
    word = WORDS.get(number) if type(number) is int else None
    if word is None:
        return UnreadTensor("of an unknown type")
    start, size = stored_place(file, member)
    return _stored(file, name, word, about, start, size)


def _stored(
    file: TensorFile, name: str, word: str, about: dict[str, Any], start: int, size: int
) -> StoredTensor:
    shape, strides = _numbers(about.get("sizes")), _numbers(about.get("strides"))
    first = _numbers([about.get("storage_offset")])
    if shape is None or strides is None or first is None or len(shape) != len(strides):
        _damaged(file, f"the shape of the tensor “{shown(name)}” is impossible")
    itemsize = TENSOR_TYPES[word].itemsize
    begin = first[0] * itemsize
    steps = None if strides == contiguous_strides(shape) else strides
    stored = StoredTensor(word, shape, start + begin, steps)
    if stored.elements and begin + stored.span * itemsize > size:
        _damaged(file, f"the tensor “{shown(name)}” reaches beyond its data")
    if stored.elements > max(stored.span, LARGEST_EXPANDED):
        _damaged(file, f"the tensor “{shown(name)}” repeats a few elements very often")
    return stored


def _numbers(listed: Any) -> tuple[int, ...] | None:
    """Sizes that the archive writes as `{"as_int": 3}`; None for those that are no numbers."""
    if not isinstance(listed, list):
        return None
    return checked_shape([size.get("as_int") if isinstance(size, dict) else None for size in listed])


def _damaged(file: TensorFile, what: str) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged exported program ({what}): download or copy it again.")
