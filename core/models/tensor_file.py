"""Where tensors lie in a file and how one is read, whichever format says so; nothing else of the file is touched."""

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from core.errors import StudioError
from core.models.opened import Array
from core.models.tensor_types import TENSOR_TYPES

# What numpy can address with the widest elements (16 bytes), even where another axis is empty.
LARGEST_TENSOR = 1 << 58
# A few elements may stand for many (`expand`): up to this many are unfolded in memory, more are refused.
LARGEST_EXPANDED = 1 << 24
LARGEST_RANK = 32


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a place in a file.

    Attributes:
        dtype: a word of `TENSOR_TYPES`.
        shape: in elements.
        offset: of its first element, in bytes from the start of the file.
        strides: in elements, where the elements do not simply follow each other; None where they do.
        decode: gives the raw bytes of all elements of a tensor that does not lie in the file as it is in memory;
            raises StudioError.
        path: of the file that it lies in, where a model consists of several; None for the file that was opened.
        kind: of the layer whose weight it is ("conv2d", "linear"), where the file's graph tells; else None.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...] | None = None
    decode: "Callable[[TensorFile], Array] | None" = None
    path: Path | None = None
    kind: str | None = None

    @property
    def elements(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements when they follow each other."""
        return (self.elements * TENSOR_TYPES[self.dtype].bits + 7) // 8

    @property
    def span(self) -> int:
        """Elements from the first to the last one in the file, gaps included."""
        if self.strides is None:
            return self.elements
        if self.elements == 0:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))


@dataclass
class FileContents:
    """What a format's reader found.

    Attributes:
        root: the saved object: nested dicts, lists and tuples with `StoredTensor`s and plain values as leaves.
        metadata: text by name that travels with the tensors.
        notes: sentences that the user should know.
        table: the root is a plain table of named tensors, with nothing of a training script around them.
        foreign: classes of objects in it that could only be read by running code, and were not.
        format: the format's title, where the reader tells it more closely than its line in the registry.
    """

    root: Any
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: bool = False
    foreign: tuple[str, ...] = ()
    format: str = ""


class TensorFile:
    """A file open for reading at any place, from any thread.

    Raises:
        StudioError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.is_dir():
                raise StudioError(f"{path} is a folder, not a model file: choose a file inside it.")
            # Opening a pipe would wait for ever, and devices have no end.
            if path.exists() and not path.is_file():
                raise StudioError(f"{path} is a device or a pipe, not a model file: choose a file.")
            self._stream = path.open("rb", buffering=0)
            self.size = os.fstat(self._stream.fileno()).st_size
        except FileNotFoundError:
            raise StudioError(f"{path} does not exist: choose another model file.") from None
        except PermissionError:
            raise StudioError(
                f"{path} may not be read: change its permissions or choose another file."
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StudioError(f"{path} cannot be read ({reason}).", details=str(error)) from error
        self._lock = threading.Lock()
        self._parts: dict[Path, TensorFile] = {}
        # Whoever looks at a model need not close it: the file is given back with its last reader.
        self._finalizer = weakref.finalize(self, self._stream.close)

    @property
    def name(self) -> str:
        """The file's name without its folder, as messages call it."""
        return self.path.name

    @property
    def files(self) -> tuple["TensorFile", ...]:
        """This file, then the others that were opened as parts of the same model."""
        return (self, *self._parts.values())

    def part(self, path: Path) -> "TensorFile":
        """Another file of the same model; opened once, closed with this one.

        Raises:
            StudioError: if it cannot be opened.
        """
        with self._lock:
            if path not in self._parts:
                self._parts[path] = TensorFile(path)
            return self._parts[path]

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer only at the end of the file.

        Raises:
            StudioError: if the disk does not give them.
        """
        count = max(0, min(count, self.size - offset))
        buffer = bytearray(count)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes from `offset` on.

        Raises:
            StudioError: if the file has become shorter, is closed, or the disk fails.
        """
        with self._lock:
            try:
                self._stream.seek(offset)
                filled = 0
                while filled < len(buffer):
                    # One system call may give less than asked for: Linux stops at 2 GiB.
                    count = self._stream.readinto(buffer[filled:])
                    if not count:
                        raise StudioError(
                            f"{self.name} has become shorter since it was opened: open it again."
                        )
                    filled += count
            except (OSError, ValueError) as error:
                raise StudioError(
                    f"{self.path} can no longer be read ({getattr(error, 'strerror', None) or error}): open it again."
                ) from error

    def duplicate(self) -> int:
        """Another descriptor of the file, which stays open when this one is closed; the caller closes it.

        Raises:
            StudioError: if the file is closed.
        """
        with self._lock:
            try:
                return os.dup(self._stream.fileno())
            except (OSError, ValueError) as error:
                raise StudioError(f"{self.path} can no longer be read ({error}): open it again.") from error

    def read_tensor(self, stored: StoredTensor) -> Array:
        """The tensor as a new numpy array in its shape (bf16 and fp8 as float32).

        Raises:
            StudioError: if the file can no longer be read or numpy has no such elements.
        """
        kind = TENSOR_TYPES[stored.dtype]
        if stored.path is not None:
            return self.part(stored.path).read_tensor(replace(stored, path=None))
        if kind.unpack is not None:
            return self._unpacked(stored, kind.unpack)
        if kind.stored is None:
            raise StudioError(
                f"{self.name} holds {stored.dtype} elements packed below a byte, which cannot be shown: "
                "save these tensors as 8 bits or more."
            )
        if stored.decode is not None:
            decoded: Array = stored.decode(self).view(kind.stored)
            return kind.to_array(decoded.reshape(stored.shape))
        raw = np.empty(stored.span, dtype=kind.stored)
        if stored.span:
            self.read_into(stored.offset, raw.view(np.uint8).data)
        if stored.strides is None or not stored.elements:
            shaped: Array = raw.reshape(stored.shape)
        else:
            strides = tuple(stride * kind.itemsize for stride in stored.strides)
            shaped = np.lib.stride_tricks.as_strided(raw, stored.shape, strides).copy()
        return kind.to_array(shaped)

    def _unpacked(self, stored: StoredTensor, unpack: Callable[[Array], Array]) -> Array:
        if stored.decode is not None:
            raw = stored.decode(self)
        else:
            raw = np.empty(stored.nbytes, dtype=np.uint8)
            self.read_into(stored.offset, raw.data)
        # The last byte may hold more than the last element.
        return unpack(raw)[: stored.elements].reshape(stored.shape)

    def close(self) -> None:
        """Give the file back, and all its parts; reading afterwards is an error."""
        with self._lock:
            self._finalizer()
            for part in self._parts.values():
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def checked_shape(sizes: Any) -> tuple[int, ...] | None:
    """The sizes as a shape, or None if they are no sizes or their product is beyond what can be addressed."""
    if not isinstance(sizes, list | tuple) or len(sizes) > LARGEST_RANK:
        return None
    elements = 1
    for size in sizes:
        if type(size) is not int or size < 0:
            return None
        # Zero sizes must not hide an overflow in the others.
        elements *= max(size, 1)
        if elements > LARGEST_TENSOR:
            return None
    return tuple(sizes)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor of that shape whose elements follow each other, in elements."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
