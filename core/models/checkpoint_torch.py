"""Reads what `torch.save` writes, in both of its formats, without torch and without executing anything."""

import struct
import zipfile
from typing import NoReturn

from core.errors import StudioError
from core.models.tensor_file import FileContents, TensorFile
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_pickle import PickleStream, Storage, load_pickle, place_tensors

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
LOCAL_HEADER = 30
# `torch.save` writes one record per storage; a directory of more entries than this is no model.
MOST_RECORDS = 1_000_000


def looks_like_zip(file: TensorFile, head: bytes) -> bool:
    """Zip archives begin with their first member's header."""
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def looks_like_pickle(file: TensorFile, head: bytes) -> bool:
    """Pickles of protocol 2 and later begin with their protocol's number."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def read_zip(file: TensorFile) -> FileContents:
    """The tensors of a file in the format of torch 1.6 and later: a zip archive with one record per storage.

    Raises:
        StudioError: for other zip archives, TorchScript, code, and damage.
    """
    records = _records(file)
    pickles = [name for name in records if name.rpartition("/")[2] == "data.pkl"]
    if any("/code/" in f"/{name}" for name in records) or any(
        name.endswith("constants.pkl") for name in records
    ):
        raise StudioError(
            f"{file.name} is a TorchScript archive, a program with its weights, and was not executed: save its weights "
            "with torch.save(model.state_dict(), …) and open that file."
        )
    if any("/models/" in f"/{name}" or name.endswith("serialized_exported_program.json") for name in records):
        raise StudioError(
            f"{file.name} is an exported program (.pt2), which cannot be opened yet: save its weights with "
            "torch.save(program.state_dict, …) and open that file."
        )
    if len(pickles) != 1:
        raise StudioError(
            f"{file.name} is a zip archive but no torch file: unpack it and open the model file inside."
        )
    root_name = pickles[0].removesuffix("data.pkl")
    byte_order = records.get(f"{root_name}byteorder")
    if byte_order is not None:
        offset, size = _record_place(file, byte_order)
        if file.read(offset, min(size, 16)).strip() not in (b"little", b""):
            _big_endian(file)
    start, size = _record_place(file, records[pickles[0]])
    root = load_pickle(file, PickleStream(file, start, start + size))
    places: dict[str, tuple[int, int]] = {}

    def place(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            record = records.get(f"{root_name}data/{storage.key}")
            if record is None:
                raise StudioError(
                    f"{file.name} is damaged: the data of a tensor (record {storage.key[:40]}) are missing. Download "
                    "or copy it again."
                )
            places[storage.key] = _record_place(file, record)
        offset, nbytes = places[storage.key]
        expected = (storage.first + storage.elements) * TENSOR_TYPES[storage.word].itemsize
        if expected > nbytes:
            _damaged(file)
        return offset, nbytes

    return FileContents(place_tensors(file, root, place))


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
    root = load_pickle(file, stream, storages)
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
            _cut_off(file, position + max(nbytes, 0))
        places[key] = (position, nbytes)
        position += nbytes

    def place(storage: Storage) -> tuple[int, int]:
        if storage.key not in places:
            _damaged(file)
        return places[storage.key]

    return FileContents(place_tensors(file, root, place))


def _records(file: TensorFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by name; nothing is unpacked."""
    try:
        with file.path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except OSError as error:
        raise StudioError(f"{file.path} cannot be read ({error.strerror}).") from error
    except (
        zipfile.BadZipFile,
        struct.error,
        ArithmeticError,
        EOFError,
        LookupError,
        RuntimeError,
        ValueError,
    ) as error:
        raise StudioError(
            f"{file.name} is a damaged or cut off torch file (its zip directory cannot be read): download or copy it "
            "again.",
            details=str(error),
        ) from error
    records = {member.filename: member for member in members}
    if len(records) != len(members) or len(members) > MOST_RECORDS:
        raise StudioError(
            f"{file.name} is a damaged zip archive (a name occurs twice): download or copy it again."
        )
    return records


def _record_place(file: TensorFile, record: zipfile.ZipInfo) -> tuple[int, int]:
    """Offset and size of a member's bytes, which must lie in the file as they are.

    The checksum is not looked at: it would mean reading everything, and torch can be told to write none.
    """
    if (
        record.compress_type != zipfile.ZIP_STORED
        or record.flag_bits & 1
        or record.compress_size != record.file_size
    ):
        raise StudioError(
            f"{file.name} is compressed or encrypted, as torch.save never writes it: unpack it or save it again with "
            "torch.save."
        )
    header = file.read(record.header_offset, LOCAL_HEADER) if record.header_offset >= 0 else b""
    if len(header) < LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        _damaged(file)
    name_length = int.from_bytes(header[26:28], "little")
    extra_length = int.from_bytes(header[28:30], "little")
    offset = record.header_offset + LOCAL_HEADER + name_length + extra_length
    if offset + record.file_size > file.size:
        _cut_off(file, offset + record.file_size)
    return offset, record.file_size


def _damaged(file: TensorFile) -> NoReturn:
    raise StudioError(f"{file.name} is a damaged torch file: download or copy it again.")


def _cut_off(file: TensorFile, needed: int) -> NoReturn:
    raise StudioError(
        f"{file.name} is damaged or cut off: its data should reach to byte {needed:,} and the file ends at "
        f"{file.size:,}. Download or copy it again."
    )


def _big_endian(file: TensorFile) -> NoReturn:
    raise StudioError(
        f"{file.name} was saved on a big-endian machine, which cannot be read: save it again as safetensors."
    )
