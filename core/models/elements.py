"""The elements of one tensor, readable in pieces from any thread: from its file where it lies there as it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import StudioError

if TYPE_CHECKING:
    from core.models.tensor_file import StoredTensor, TensorFile

Array = NDArray[Any]


class Elements(Protocol):
    """All elements of a tensor, in memory order, as they are stored.

    Attributes:
        size: how many.
        dtype: of the stored elements: a bf16 comes as uint16, a fp8 as uint8.
        decode: makes numbers (float32) of stored elements; None where the stored ones already are.
        in_memory: whether reading costs nothing.
    """

    size: int
    dtype: "np.dtype[Any]"
    decode: Callable[[Array], Array] | None
    in_memory: bool

    def read(self, start: int, count: int, buffer: Array | None = None) -> Array:
        """`count` elements from `start` on, flat, not to be written.

        Args:
            buffer: 1-D, of `dtype`, of at least `count` elements: where they may be put.

        Raises:
            StudioError: if the file can no longer be read.
        """
        ...


class ArrayElements:
    """The elements of an array."""

    in_memory = True
    decode: Callable[[Array], Array] | None = None

    def __init__(self, array: Array) -> None:
        self._flat = np.ravel(array, order="K")
        self.size = int(self._flat.size)
        self.dtype: np.dtype[Any] = self._flat.dtype

    def read(self, start: int, count: int, buffer: Array | None = None) -> Array:
        """A view of the array."""
        return self._flat[start : start + count]


class FileElements:
    """The elements of a tensor that lie one after the other in a file.

    Reads at places of its own choice, so that several threads and whoever else reads the file do not wait for each
    other.
    """

    in_memory = False

    def __init__(
        self,
        file: "TensorFile",
        descriptor: int,
        offset: int,
        size: int,
        dtype: "np.dtype[Any]",
        decode: Callable[[Array], Array] | None,
    ) -> None:
        self._file = file
        self._descriptor = descriptor
        self._offset = offset
        self.size = size
        self.dtype = dtype
        self.decode = decode

    def read(self, start: int, count: int, buffer: Array | None = None) -> Array:
        """The elements, read into the buffer or, without one, into a new array.

        Raises:
            StudioError: if the file has become shorter or the disk fails.
        """
        piece: Array = np.empty(count, self.dtype) if buffer is None else buffer[:count]
        view = memoryview(piece.view(np.uint8).data)
        place = self._offset + start * self.dtype.itemsize
        if not hasattr(os, "preadv"):
            self._file.read_into(place, view)
            return piece
        filled = 0
        while filled < len(view):
            try:
                got = os.preadv(self._descriptor, [view[filled:]], place + filled)
            except OSError as error:
                raise StudioError(
                    f"{self._file.path} can no longer be read ({error.strerror or error}): open it again."
                ) from error
            if not got:
                raise StudioError(f"{self._file.name} has become shorter since it was opened: open it again.")
            filled += got
        return piece


@contextmanager
def elements_of(file: "TensorFile", stored: "StoredTensor") -> Iterator[Elements]:
    """The elements of a tensor of a file; what does not lie there one after the other is read whole.

    Raises:
        StudioError: if the file can no longer be read or numpy has no such elements.
    """
    from core.models.tensor_types import TENSOR_TYPES

    if stored.path is not None:
        file = file.part(stored.path)
    kind = TENSOR_TYPES[stored.dtype]
    if kind.stored is None or stored.strides is not None or stored.decode is not None:
        yield ArrayElements(file.read_tensor(stored))
        return
    descriptor = file.duplicate()
    try:
        yield FileElements(file, descriptor, stored.offset, stored.elements, kind.stored, kind.decode)
    finally:
        os.close(descriptor)
