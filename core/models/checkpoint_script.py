"""Reads the weights of TorchScript archives: classes become plain trees of attributes, code is not touched."""

from typing import Any

from core.errors import StudioError
from core.models.checkpoint_torch import check_byte_order, storage_places
from core.models.pickle_values import Attributes, Known
from core.models.tensor_file import FileContents, TensorFile
from core.models.torch_pickle import (
    MAKERS,
    PickledTensor,
    PickleStream,
    UnreadTensor,
    load_pickle,
    place_tensors,
)
from core.models.zip_members import Members, stored_place

# The classes of the archive's own program, and those that torch writes as lists.
OWN_CLASSES = "__torch__"
LISTS = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
CODE = "code"

Tensors = dict[str, PickledTensor | UnreadTensor]


def _attributes(*_arguments: Any) -> Attributes:
    return Attributes()


def _as_it_is(value: Any = (), *_rest: Any) -> Any:
    return value


class _ScriptMakers(dict[tuple[str, str], Known]):
    """What torch's pickles may mention, and any class of the archive's own program."""

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        if key[0] == OWN_CLASSES or key[0].startswith(f"{OWN_CLASSES}."):
            return Known(_attributes)
        return super().get(key, default)


_MAKERS = _ScriptMakers(
    {
        **MAKERS,
        **{("torch.jit._pickle", name): Known(_as_it_is) for name in LISTS},
        ("torch.jit._pickle", "restore_type_tag"): Known(_as_it_is),
    }
)


def looks_like_script(members: Members) -> bool:
    """An archive with a program in it."""
    return any(f"/{CODE}/" in f"/{name}" or name.endswith("constants.pkl") for name in members)


def read_script(file: TensorFile, members: Members) -> FileContents:
    """The tensors among the attributes of the program's modules; nothing of the program is looked at.

    Raises:
        StudioError: if the archive is damaged, or mentions code of others.
    """
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise StudioError(
            f"{file.name} is a damaged TorchScript archive (its list of weights is missing): download or copy it again."
        )
    root_name = pickles[0].removesuffix("data.pkl")
    check_byte_order(file, members, root_name)
    notes = ["Only the weights of the TorchScript archive were read; its program was not executed."]
    tensors = _pickled_tensors(file, members, pickles[0])
    folder = "data"
    constants = f"{root_name}constants.pkl"
    if constants in members:
        found = _pickled_tensors(file, members, constants)
        if tensors and found:
            notes.append(f"Constants of the program were left out: {len(found)}.")
        elif found:
            # A frozen program has its weights there, without their names.
            tensors = {f"constant.{name}": tensor for name, tensor in found.items()}
            folder = "constants"
            notes.append("The program is frozen: its weights have lost their names.")
    if not tensors:
        raise StudioError(
            f"{file.name} is a TorchScript archive without weights: choose a file with a model's weights."
        )
    placed = place_tensors(file, tensors, storage_places(file, members, f"{root_name}{folder}/"))
    return FileContents(placed, notes=tuple(notes), table=True)


def _pickled_tensors(file: TensorFile, members: Members, name: str) -> Tensors:
    start, size = stored_place(file, members[name])
    return _named_tensors(load_pickle(file, PickleStream(file, start, start + size), makers=_MAKERS))


def _named_tensors(root: Any) -> Tensors:
    """All tensors below an object by the path of attributes that leads to them; each object is visited once."""
    tensors: Tensors = {}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, PickledTensor | UnreadTensor):
            tensors[name] = value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            below = [(f"{name}.{key}" if name else str(key), item) for key, item in items]
            waiting.extend(reversed(below))
    return tensors
