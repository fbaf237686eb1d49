"""Reads what `torch.save` writes, in both of its formats, without torch and without executing anything."""

from collections.abc import Callable
from typing import NoReturn

from core.errors import StudioError
from core.models.tensor_file import FileContents, TensorFile
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_pickle import PickleStream, Storage, load_pickle, place_tensors
from core.models.zip_members import Members, cut_off, stored_place

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


def looks_like_pickle(file: TensorFile, head: bytes) -> bool:
    """Pickles of protocol 2 and later begin with their protocol's number."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def read_torch_zip(file: TensorFile, members: Members) -> FileContents:
    """The tensors of a file in the format of torch 1.6 and later: a zip archive with one record per storage.

    Raises:
        StudioError: for other zip archives, code, and damage.
    """
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise StudioError(
            f"{file.name} is a zip archive but no torch file: unpack it and open the model file inside."
        )
    root_name = pickles[0].removesuffix("data.pkl")
    check_byte_order(file, members, root_name)
    start, size = stored_place(file, members[pickles[0]])
    foreign: dict[str, None] = {}
    root = load_pickle(file, PickleStream(file, start, start + size), foreign=foreign)
    placed = place_tensors(file, root, storage_places(file, members, f"{root_name}data/"))
    return FileContents(placed, foreign=tuple(foreign))


def check_byte_order(file: TensorFile, members: Members, root_name: str) -> None:
    """Nothing for an archive of a little-endian machine.

    Raises:
        StudioError: for one of a big-endian machine.
    """
    member = members.get(f"{root_name}byteorder")
    if member is not None:
        offset, size = stored_place(file, member)
        if file.read(offset, min(size, 16)).strip() not in (b"little", b""):
            _big_endian(file)


def storage_places(file: TensorFile, members: Members, folder: str) -> Callable[[Storage], tuple[int, int]]:
    """A function that gives offset and size in bytes of each storage whose record lies in a folder of the archive."""
    places: dict[str, tuple[int, int]] = {}

    def place(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            member = members.get(f"{folder}{storage.key}")
            if member is None:
                raise StudioError(
                    f"{file.name} is damaged: the data of a tensor (record {storage.key[:40]}) are missing. Download "
                    "or copy it again."
                )
            places[storage.key] = stored_place(file, member)
        offset, nbytes = places[storage.key]
        expected = (storage.first + storage.elements) * TENSOR_TYPES[storage.word].itemsize
        if expected > nbytes:
            _damaged(file)
        return offset, nbytes

    return place


def read_legacy(file: TensorFile) -> FileContents:
    """The tensors of a file in torch's first format: five pickles, then the storages one after the other.

    Raises:
        StudioError: for other pickles, code, and damage.
    """
    stream = PickleStream(file, 0, file.size)
    magic = load_pickle(file, stream)
    if magic != MAGIC_NUMBER or type(magic) is not int:
        raise StudioError(
            f"{file.name} is a Python pickle but was not written by torch.save: save the weights with "
            "torch.save(model.state_dict(), …) or as safetensors."
        )
    version = load_pickle(file, stream)
    system = load_pickle(file, stream)
    if version != LEGACY_VERSION or not isinstance(system, dict):
        _damaged(file)
    if system.get("little_endian") is not True:
        _big_endian(file)
    storages: dict[str, Storage] = {}
    foreign: dict[str, None] = {}
    root = load_pickle(file, stream, storages, foreign=foreign)
    keys = load_pickle(file, stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        _damaged(file)
    places: dict[str, tuple[int, int]] = {}
    position = stream.offset
    for key in keys:
        count = int.from_bytes(file.read(position, 8), "little", signed=True)
        position += 8
        if key not in storages:
            _damaged(file)
        nbytes = count * TENSOR_TYPES[storages[key].word].itemsize
        if count < 0 or position + nbytes > file.size:
            cut_off(file, position + max(nbytes, 0))
        places[key] = (position, nbytes)
        position += nbytes

    def place(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            _damaged(file)
        return places[storage.key]

    return FileContents(place_tensors(file, root, place), foreign=tuple(foreign))


def _damaged(file: TensorFile) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged torch file: download or copy it again.")


def _big_endian(file: TensorFile) -> NoReturn:
    raise StudioError(
        f"{file.name} was saved on a big-endian machine, which cannot be read: save it again as safetensors."
    )
