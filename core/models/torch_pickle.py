"""What torch puts into pickles (storages, tensors, parameters) as inert values, and the names that are allowed."""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from core.errors import StudioError
from core.models.pickle_machine import PickleMachine
from core.models.pickle_values import (
    ByteStream,
    Foreign,
    ForeignCodeError,
    Ignored,
    Known,
    MalformedPickleError,
)
from core.models.tensor_file import (
    LARGEST_EXPANDED,
    StoredTensor,
    TensorFile,
    checked_shape,
    contiguous_strides,
)
from core.models.tensor_types import TENSOR_TYPES
from core.models.torch_words import (
    ACTING_MODULES,
    BUILTINS,
    DTYPE_WORDS,
    HARMLESS,
    STORAGE_WORDS,
    UNREAD_TENSORS,
    UNREAD_WORDS,
)

# A pickle holds names and settings, the numbers lie beside it.
LARGEST_PICKLE = 1 << 28
MOST_FOREIGN = 100


@dataclass(frozen=True)
class Storage:
    """A run of elements that tensors look at.

    Attributes:
        word: the element type, a word of `TENSOR_TYPES`.
        key: its name in the file.
        elements: how many it should have.
        first: index of its first element within the storage of that name (old files have views of storages).
        location: the device it was saved on, such as "cuda:0".
    """

    word: str
    key: str
    elements: int
    first: int = 0
    location: str = "cpu"


@dataclass(frozen=True)
class PickledTensor:
    """A tensor as the pickle describes it; `first` counts elements of `word` from the start of the storage."""

    storage: Storage
    word: str
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class UnreadTensor:
    """A tensor that exists but is of a sort that is not read; `why` is an adjective such as "sparse"."""

    why: str


@dataclass(frozen=True)
class _NumpyType:
    code: str


def storage_reference(identity: Any) -> Storage:
    """What torch's persistent ids stand for: a `Storage`.

    Raises:
        ForeignCodeError: for the id of a pickled module.
        MalformedPickleError: for anything else.
    """
    if not isinstance(identity, tuple) or not identity:
        raise MalformedPickleError("a reference that is no storage")
    if identity[0] == "module":
        raise ForeignCodeError("torch.nn.modules", "Module")
    if identity[0] != "storage" or len(identity) not in (5, 6):
        raise MalformedPickleError("a reference that is no storage")
    kind, key, location, elements = identity[1:5]
    if not isinstance(kind, Known) or not kind.word or type(elements) is not int or elements < 0:
        raise MalformedPickleError("a storage without a type or a size")
    word = kind.word
    view = identity[5] if len(identity) == 6 else None
    first = 0
    if view is not None:
        if not isinstance(view, tuple) or len(view) != 3:
            raise MalformedPickleError("a damaged view of a storage")
        first, elements = view[1], view[2]
        if type(first) is not int or type(elements) is not int or first < 0 or elements < 0:
            raise MalformedPickleError("a damaged view of a storage")
    return Storage(word, str(key), elements, first, str(location))


def _rebuild_tensor(storage: Any, first: Any, size: Any, strides: Any, *_rest: Any) -> Any:
    if not isinstance(storage, Storage):
        raise MalformedPickleError("a tensor without a storage")
    metadata = _rest[2] if len(_rest) > 2 else None
    if metadata:
        return UnreadTensor("conjugated")
    return _tensor(storage, storage.word, first, size, strides)


def _rebuild_typed_tensor(storage: Any, first: Any, size: Any, strides: Any, *rest: Any) -> Any:
    if not isinstance(storage, Storage) or len(rest) < 3 or not isinstance(rest[2], Known):
        raise MalformedPickleError("a tensor without a storage or a type")
    return _tensor(storage, rest[2].word, first, size, strides)


def _tensor(storage: Storage, word: str, first: Any, size: Any, strides: Any) -> Any:
    if not word:
        return UnreadTensor("of an unknown type")
    shape = checked_shape(size)
    steps = checked_shape(strides)
    if shape is None or steps is None or len(steps) != len(shape) or type(first) is not int or first < 0:
        raise MalformedPickleError("a tensor with an impossible shape")
    return PickledTensor(storage, word, first, shape, steps)


def _rebuild_parameter(data: Any, *_rest: Any) -> Any:
    return data


def _rebuild_subclass(function: Any, _kind: Any, arguments: Any, _state: Any = None) -> Any:
    if not isinstance(function, Known) or function.make is None or not isinstance(arguments, tuple):
        raise MalformedPickleError("a tensor that cannot be rebuilt")
    return function.make(*arguments)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return pairs
    # Python 2 wrote the entries as a list of pairs.
    entries = {}
    for pair in pairs:
        key, value = pair
        if isinstance(key, str):
            entries[key] = value
    return entries


def _latin_bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise MalformedPickleError("bytes in an unknown encoding")
    return text.encode("latin-1")


def _numpy_type(code: Any, *_rest: Any) -> Any:
    return _NumpyType(str(code))


def _numpy_scalar(kind: Any, data: Any = None) -> Any:
    # Accuracies are often numpy's floats; anything else is of no interest.
    code = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i"}.get(
        kind.code if isinstance(kind, _NumpyType) else ""
    )
    if code is None or not isinstance(data, bytes):
        return Ignored()
    return struct.unpack(code, data)[0] if len(data) == struct.calcsize(code) else Ignored()


def _ignored(*_arguments: Any) -> Ignored:
    return Ignored()


def _foreign(*_arguments: Any) -> Foreign:
    return Foreign()


def _unread(why: str) -> Callable[..., UnreadTensor]:
    def make(*_arguments: Any) -> UnreadTensor:
        return UnreadTensor(why)

    return make


def _joined_size(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes)


def _makers() -> Mapping[tuple[str, str], Known]:
    makers = {key: Known(_ignored) for key in HARMLESS}
    for module in ("builtins", "__builtin__"):
        makers |= {(module, name): Known(_ignored) for name in BUILTINS}
        makers[module, "dict"] = Known(_ordered_dict)
    for name, word in STORAGE_WORDS.items():
        for module in ("torch", "torch.cuda", "torch.storage"):
            makers[module, name] = Known(word=word)
    for name, word in DTYPE_WORDS.items():
        makers["torch", name] = Known(word=word)
    for name in UNREAD_WORDS:
        makers["torch", name] = Known()
    for name, why in UNREAD_TENSORS.items():
        makers["torch._utils", name] = Known(_unread(why))
    for module in ("numpy", "numpy.dtypes"):
        makers[module, "dtype"] = Known(_numpy_type)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        makers[module, "scalar"] = Known(_numpy_scalar)
    return makers | {
        ("collections", "OrderedDict"): Known(_ordered_dict),
        ("torch._utils", "_rebuild_tensor"): Known(_rebuild_tensor),
        ("torch._utils", "_rebuild_tensor_v2"): Known(_rebuild_tensor),
        ("torch._utils", "_rebuild_tensor_v3"): Known(_rebuild_typed_tensor),
        ("torch._utils", "_rebuild_parameter"): Known(_rebuild_parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): Known(_rebuild_parameter),
        ("torch._tensor", "_rebuild_from_type_v2"): Known(_rebuild_subclass),
        ("torch", "Tensor"): Known(_ignored),
        ("torch.nn.parameter", "Parameter"): Known(_rebuild_parameter),
        ("torch.nn.parameter", "Buffer"): Known(_rebuild_parameter),
        ("torch", "Size"): Known(_joined_size),
        ("torch", "device"): Known(_ignored),
        ("_codecs", "encode"): Known(_latin_bytes),
    }


MAKERS = _makers()


class _Tolerant(dict[tuple[str, str], Known]):
    """What is known, and harmless stand-ins for classes that are not, as long as they do not look like an attack."""

    def __init__(self, makers: Mapping[tuple[str, str], Known], foreign: dict[str, None]) -> None:
        super().__init__(makers)
        self._foreign = foreign

    def get(self, key: tuple[str, str], default: Any = None) -> Any:
        module, name = key
        if key in self or module.split(".")[0] in ACTING_MODULES:
            return super().get(key, default)
        if len(self._foreign) < MOST_FOREIGN:
            self._foreign[f"{module}.{name}"] = None
        return Known(_foreign)


class PickleStream(ByteStream):
    """A file read forward in blocks, as far as a pickle may reach."""

    def __init__(self, file: TensorFile, start: int, end: int) -> None:
        self._file = file
        self._next = start
        self._end = min(end, start + LARGEST_PICKLE)
        self._block = b""
        self._position = 0

    @property
    def offset(self) -> int:
        """Where the next byte lies in the file."""
        return self._next - (len(self._block) - self._position)

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self._block) - self._position < count:
            self._more(count)
        begin = self._position
        self._position = begin + count
        return self._block[begin : begin + count]

    def line(self, longest: int) -> bytes:
        """The bytes up to the next newline, without it."""
        while (found := self._block.find(b"\n", self._position, self._position + longest + 1)) < 0:
            if len(self._block) - self._position > longest:
                raise MalformedPickleError("a line that does not end")
            self._more(longest)
        text = self._block[self._position : found]
        self._position = found + 1
        return text

    def _more(self, wanted: int) -> None:
        if self._next >= self._end:
            raise MalformedPickleError("the end is missing")
        block = self._file.read(self._next, min(max(1 << 16, wanted), self._end - self._next))
        self._next += len(block)
        self._block = self._block[self._position :] + block
        self._position = 0


def load_pickle(
    file: TensorFile,
    stream: PickleStream,
    storages: dict[str, Storage] | None = None,
    makers: Mapping[tuple[str, str], Known] = MAKERS,
    foreign: dict[str, None] | None = None,
) -> Any:
    """The next pickle of the stream as plain values and `PickledTensor`s.

    Args:
        storages: filled with every storage that is mentioned, by its name in the file.
        makers: what the pickle may mention.
        foreign: filled with the classes that it mentions besides, whose objects become `Foreign`; without it, they are
            an error.

    Raises:
        StudioError: if it would need code to be read, or is damaged.
    """

    allowed = makers if foreign is None else _Tolerant(makers, foreign)

    def reference(identity: Any) -> Any:
        if foreign is not None and isinstance(identity, tuple) and identity[:1] == ("module",):
            # Old files name a network's class, with its source, in this way.
            return Known(_foreign)
        storage = storage_reference(identity)
        if storages is not None:
            storages[storage.key] = storage
        return storage

    try:
        return PickleMachine(allowed, reference).load(stream)
    except ForeignCodeError as error:
        raise StudioError(_about_code(file, error), details=f"The pickle names {error}.") from error
    except MalformedPickleError as error:
        raise StudioError(
            f"{file.name} is damaged or cut off: its list of tensors cannot be read. Download or copy it again.",
            details=str(error),
        ) from error


def _about_code(file: TensorFile, error: ForeignCodeError) -> str:
    if error.module.split(".")[0] in ACTING_MODULES:
        return (
            f"{file.name} contains code (it would call {error}), which was not executed: do not trust this file, and "
            "ask its author for the weights as safetensors."
        )
    return (
        f"{file.name} holds Python objects ({error}) that can only be read by running code, and nothing was executed: "
        "save the weights alone with torch.save(model.state_dict(), …) and open that file."
    )


def place_tensors(file: TensorFile, root: Any, places: Callable[[Storage], tuple[int, int]]) -> Any:
    """The same object with a `StoredTensor` for each `PickledTensor` (other values stay).

    Args:
        places: gives for a storage the offset of its first byte in the file and its size in bytes.

    Raises:
        StudioError: if a tensor reaches beyond its storage.
    """
    # Objects may contain themselves or each other many times over: each one is visited once.
    done: dict[int, Any] = {}

    def placed(value: Any, depth: int) -> Any:
        if isinstance(value, PickledTensor):
            return _stored(file, value, places(value.storage))
        if not isinstance(value, dict | list | tuple) or depth > 16:
            return value
        if id(value) not in done:
            done[id(value)] = None
            items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
            entries = {key: placed(item, depth + 1) for key, item in items}
            done[id(value)] = entries if isinstance(value, dict) else list(entries.values())
        return done[id(value)]

    return placed(root, 0)


def _stored(file: TensorFile, tensor: PickledTensor, place: tuple[int, int]) -> StoredTensor:
    kind = TENSOR_TYPES[tensor.word]
    offset, nbytes = place
    # The storage's own view offset counts in its element type, the tensor's in the tensor's.
    begin = tensor.storage.first * TENSOR_TYPES[tensor.storage.word].itemsize + tensor.first * kind.itemsize
    strides = None if tensor.strides == contiguous_strides(tensor.shape) else tensor.strides
    stored = StoredTensor(tensor.word, tensor.shape, offset + begin, strides)
    if stored.elements and begin + stored.span * kind.itemsize > nbytes:
        _beyond(file)
    if stored.elements > max(stored.span, LARGEST_EXPANDED):
        raise StudioError(
            f"{file.name} has a tensor of shape {tensor.shape} that repeats {stored.span:,} stored elements: save a "
            "contiguous copy of it."
        )
    return stored


def _beyond(file: TensorFile) -> NoReturn:
    raise StudioError(
        f"{file.name} is damaged: a tensor reaches beyond the data that belong to it. Download or copy it again."
    )
