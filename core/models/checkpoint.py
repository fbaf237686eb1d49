"""Opens model files by their content, whatever they are called, and reads single tensors from them; needs no torch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.errors import StudioError
from core.models.checkpoint_archive import read_archive
from core.models.checkpoint_names import FoundTensors, find_tensors, hides_network, recorded_accuracy
from core.models.checkpoint_numpy import looks_like_npy, read_npy
from core.models.checkpoint_onnx import looks_like_onnx, read_onnx
from core.models.checkpoint_packed import PackedTensor, looks_like_packed, read_packed
from core.models.checkpoint_safetensors import looks_like_safetensors, read_safetensors
from core.models.checkpoint_sharded import index_in, looks_like_index, read_index, shard_note
from core.models.checkpoint_torch import looks_like_pickle, read_legacy
from core.models.description import TensorInfo
from core.models.elements import Elements, elements_of
from core.models.opened import Array
from core.models.packed_grid import Grid
from core.models.tensor_file import FileContents, StoredTensor, TensorFile
from core.models.trust import NeedsTrustError, about_objects, about_python, is_python
from core.models.zip_members import looks_like_zip

HEAD = 1024


@dataclass(frozen=True)
class Format:
    """One file format: adding one is a line in `FORMATS`.

    Attributes:
        title: for people.
        recognises: whether a file that begins with these bytes is of this format.
        read: gives its contents without reading the tensors' data.
    """

    title: str
    recognises: Callable[[TensorFile, bytes], bool]
    read: Callable[[TensorFile], FileContents]


# safetensors first: its length word may by chance begin like a pickle, but no pickle looks like its whole beginning.
FORMATS: tuple[Format, ...] = (
    Format("packed", looks_like_packed, read_packed),
    Format("safetensors", looks_like_safetensors, read_safetensors),
    Format("sharded", looks_like_index, read_index),
    Format("zip archive", looks_like_zip, read_archive),
    Format("numpy array", looks_like_npy, read_npy),
    Format("ONNX", looks_like_onnx, read_onnx),
    Format("torch (legacy)", looks_like_pickle, read_legacy),
)

# What people open by mistake: first bytes (lower case, without leading blanks), what it is, what to do.
MISTAKEN: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body"),
        "is a web page, not a model",
        "the download probably needs a login or another link; download the file itself",
    ),
    (
        (b"version https://git-lfs",),
        "is a Git LFS pointer, not the model itself",
        "run “git lfs pull” where it came from",
    ),
    (
        (b"\x1f\x8b", b"bzh", b"\xfd7zxz", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"rar!"),
        "is a compressed archive",
        "unpack it and open the model file inside",
    ),
    ((b"\x89hdf",), "is an HDF5 (Keras) file, which cannot be opened", "save the weights as safetensors"),
    ((b"gguf",), "is a GGUF file, which cannot be opened", "open the model's safetensors file"),
    (
        (b"{", b"["),
        "is a text file, not a model",
        "choose the model file itself (.safetensors, .pt, .pth, .th)",
    ),
    (
        (b"\x89png", b"\xff\xd8\xff", b"gif8", b"%pdf"),
        "is a picture or a document, not a model",
        "choose a model file (.safetensors, .pt, .pth, .th)",
    ),
)


class Checkpoint:
    """The named tensors of a file. Only names and places are in memory; safe to read from several threads.

    Attributes:
        path: of the file.
        format: its title, such as "safetensors".
        tensors: by plain name, in the order of the file.
        metadata: text that the file carries beside them.
        notes: sentences about what was cleaned up or left out.
        recorded_accuracy: what the file claims, as a fraction; a claim, not a measurement.
        files: all files that the model consists of; the opened one first.
        file_bytes: size of them together.
    """

    def __init__(
        self, file: TensorFile, format_title: str, contents: FileContents, found: FoundTensors
    ) -> None:
        self._file = file
        self._stored = found.tensors
        self.path = file.path
        self.format = format_title
        self.files = tuple(part.path for part in file.files)
        self.file_bytes = sum(part.size for part in file.files)
        self.metadata: Mapping[str, str] = dict(contents.metadata)
        about_shard = shard_note(file.path)
        self.notes = (*contents.notes, *found.notes, *([about_shard] if about_shard else []))
        self.tensors: Mapping[str, TensorInfo] = {
            name: TensorInfo(name, stored.shape, stored.dtype, stored.nbytes, stored.kind)
            for name, stored in found.tensors.items()
        }
        self.recorded_accuracy = recorded_accuracy({**contents.metadata, **self._numbers(contents.root)})

    def read(self, name: str) -> Array:
        """One tensor as a new array in its shape; bf16 and fp8 come as float32.

        Raises:
            KeyError: if there is no such tensor.
            StudioError: if the file can no longer be read.
        """
        return self._file.read_tensor(self._stored[name])

    def elements(self, name: str) -> AbstractContextManager[Elements]:
        """The elements of a tensor, to be read in pieces; contiguous ones come straight from the file.

        Raises:
            KeyError: if there is no such tensor.
            StudioError: if the file can no longer be read.
        """
        return elements_of(self._file, self._stored[name])

    def place(self, name: str) -> StoredTensor:
        """Where a tensor lies, for readers that stream it in pieces: in the file `place.path`, or in `self.path` where
        that is None."""
        return self._stored[name]

    def grid(self, name: str) -> Grid | None:
        """Scales and zero points of a tensor that a packed file holds as integers; None for any other.

        Raises:
            StudioError: if they are damaged.
        """
        place = self._stored.get(name)
        if place is None or not isinstance(place.decode, PackedTensor):
            return None
        return place.decode.read_grid(self._file)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _numbers(self, root: Any) -> dict[str, Any]:
        """The plain entries at the top of a saved dictionary; single-element tensors count as numbers."""
        if not isinstance(root, Mapping):
            return {}
        numbers: dict[str, Any] = {}
        for name, value in root.items():
            if isinstance(value, StoredTensor) and value.shape in ((), (1,)) and value.dtype[0] in "FBIU":
                numbers[str(name)] = self._file.read_tensor(value).item()
            elif isinstance(value, int | float):
                numbers[str(name)] = value
        return numbers


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a safetensors file, a packed file or a file of `torch.save` (new or legacy); nothing in it is executed.

    Raises:
        StudioError: if it is missing, empty, damaged, holds no tensors or is something else.
        NeedsTrustError: if its network can only be had by running code.
    """
    if path.is_dir():
        # Sharded models are folders to those who downloaded them.
        path = index_in(path) or path
    file = TensorFile(path)
    try:
        if is_python(path):
            raise NeedsTrustError(about_python(path), path)
        head = file.read(0, HEAD)
        if not head:
            raise StudioError(f"{file.name} is empty: download or copy it again.")
        for candidate in FORMATS:
            if candidate.recognises(file, head):
                contents = candidate.read(file)
                break
        else:
            raise StudioError(_what_it_is(file.name, head))
        found = find_tensors(contents.root, table=contents.table)
        if contents.foreign:
            if hides_network(contents.root, found):
                raise NeedsTrustError(about_objects(path, contents.foreign), path)
            contents = replace(contents, notes=(*contents.notes, _about_foreign(contents.foreign)))
        if not found.tensors:
            raise StudioError(
                f"{file.name} holds no tensors that can be read: choose a file with a model's weights."
            )
        return Checkpoint(file, contents.format or candidate.title, contents, found)
    except BaseException:
        file.close()
        raise


def _about_foreign(names: tuple[str, ...]) -> str:
    shown = ", ".join(name[:60] for name in names[:3]) + (" …" if len(names) > 3 else "")
    return f"Objects that only code can read were left out: {shown}."


def _what_it_is(name: str, head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginnings, what, remedy in MISTAKEN:
        if start.startswith(beginnings):
            return f"{name} {what}: {remedy}."
    if head[257:262] == b"ustar":
        return f"{name} is a tar archive: unpack it and open the model file inside."
    return (
        f"{name} is not a model file that can be read, or it is damaged: choose a safetensors file or a file of "
        "torch.save (.pt, .pth, .th)."
    )
