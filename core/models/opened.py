"""A model that is open for inspection: its description and its weights as numpy arrays, without torch."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from core.models.description import ModelDescription
from core.models.elements import Array as Array
from core.models.elements import ArrayElements, Elements


class OpenedModel:
    """What the window shows. Immutable to its readers; weights are read on demand and from any thread.

    Args:
        description: names, shapes, totals.
        read: gives the array of a tensor by its (cleaned) name; called with a lock held, so it may seek in a file.
        tensor_names: all tensors, buffers included, in the order of the model.
        elements: gives a tensor's elements to be read in pieces; None where `read` costs nothing.
    """

    def __init__(
        self,
        description: ModelDescription,
        read: Callable[[str], Array],
        tensor_names: Iterable[str] = (),
        elements: Callable[[str], AbstractContextManager[Elements]] | None = None,
    ) -> None:
        self.description = description
        self.tensor_names = tuple(tensor_names)
        self._read = read
        self._elements = elements
        self._lock = threading.Lock()

    def weight(self, layer_name: str) -> Array:
        """The weight of a layer, in the layer's shape, read-only; bf16 and fp8 come as float32.

        Raises:
            KeyError: if there is no such layer.
            StudioError: if the file can no longer be read.
        """
        return self.tensor(self.description.layer(layer_name).weight_name)

    def tensor(self, name: str) -> Array:
        """Any tensor by its (cleaned) name, read-only.

        Raises:
            StudioError: if the file can no longer be read.
        """
        with self._lock:
            array = self._read(name)
        array.flags.writeable = False
        return array

    @contextmanager
    def elements(self, name: str) -> Iterator[Elements]:
        """The elements of a tensor, to be read in pieces by any number of threads within the `with` block.

        Raises:
            StudioError: if the file can no longer be read.
        """
        if self._elements is None:
            yield ArrayElements(self.tensor(name))
        else:
            with self._elements(name) as elements:
                yield elements

    def chunks(self, name: str, elements: int) -> Iterator[Array]:
        """The stored elements of a tensor in flat pieces of at most `elements`; use each before the next.

        Raises:
            StudioError: if the file can no longer be read.
        """
        with self.elements(name) as found:
            buffer = np.empty(min(elements, found.size), found.dtype)
            for start in range(0, found.size, elements):
                yield found.read(start, min(elements, found.size - start), buffer)


def from_arrays(description: ModelDescription, arrays: Mapping[str, Array]) -> OpenedModel:
    """An opened model whose tensors are already in memory; the arrays are viewed, not copied."""
    return OpenedModel(description, lambda name: arrays[name].view(), arrays)
