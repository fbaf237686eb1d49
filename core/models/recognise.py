"""Tells from names and shapes alone which known network a set of tensors belongs to; needs no torch."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from core.errors import StudioError
from core.models.description import Layer
from resources import RESOURCES

SIGNATURES = "architectures.json.gz"
# Tensors of a state dict that are no parameters.
BUFFERS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "relative_position_index",
    "relative_coords_table",
)
# Files of old torch versions lack it; nothing but training needs it.
OPTIONAL_BUFFER = "num_batches_tracked"
# A file that shares this part of its names with a network is worth a hint.
NEARLY = 0.6
# What a file's metadata say where layers are narrower than its architecture has them.
CHANNELS = "channels"
CHANNELS_REMOVED = "removed"
MOST_NAMED = 3

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What is known of one network.

    Attributes:
        architecture: "zoo:resnet20", "torchvision:resnet18".
        title: for people.
        input_shape: (C, H, W) of one example.
        num_classes: of the shapes below.
        tensors: all tensors of its state dict, in the order of the model.
        layers: (name, kind, weight's name, positions) of its prunable layers, in the order of the model.
        class_axes: for each tensor that grows with the number of classes, along which axis it does.
        input_tensor: the weight whose axis 1 is the number of input channels, if there is one.
        auxiliary: prefixes of tensors that only training uses.
    """

    architecture: str
    title: str
    input_shape: tuple[int, int, int]
    num_classes: int
    tensors: Mapping[str, Shape]
    layers: tuple[tuple[str, str, str, int | None], ...]
    class_axes: Mapping[str, int]
    input_tensor: str | None = None
    auxiliary: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A compact form: texts compress better and parse faster than nested lists."""
        return {
            "title": self.title,
            "input_shape": self.input_shape,
            "num_classes": self.num_classes,
            "tensors": ";".join(
                f"{name} {','.join(map(str, shape))}" for name, shape in self.tensors.items()
            ),
            "layers": ";".join(
                f"{name} {kind} {weight.removeprefix(name)} {'' if positions is None else positions}"
                for name, kind, weight, positions in self.layers
            ),
            "class_axes": self.class_axes,
            "input_tensor": self.input_tensor,
            "auxiliary": self.auxiliary,
        }


def signature_from_json(architecture: str, data: Mapping[str, Any]) -> Signature:
    """The inverse of `Signature.to_json`."""
    tensors = {}
    for item in data["tensors"].split(";"):
        name, _, sizes = item.partition(" ")
        tensors[name] = tuple(map(int, sizes.split(","))) if sizes else ()
    layers = []
    for item in data["layers"].split(";"):
        name, kind, weight, positions = item.split(" ")
        layers.append((name, kind, name + weight, int(positions) if positions else None))
    return Signature(
        architecture=architecture,
        title=data["title"],
        input_shape=tuple(data["input_shape"]),
        num_classes=data["num_classes"],
        tensors=tensors,
        layers=tuple(layers),
        class_axes=data["class_axes"],
        input_tensor=data["input_tensor"],
        auxiliary=tuple(data["auxiliary"]),
    )


@dataclass(frozen=True)
class Recognition:
    """A network that fits a set of tensors.

    Attributes:
        architecture, title: which one it is.
        num_classes, input_shape: as the tensors have them, which may differ from the network's usual ones.
        layers: with the tensors' own shapes; `dtype` is not known here.
        left_out: tensors that only training uses (auxiliary outputs).
        notes: sentences that the user should know.
        channels_removed: whether layers are narrower than the network has them.
    """

    architecture: str
    title: str
    num_classes: int | None
    input_shape: tuple[int, ...] | None
    layers: tuple[Layer, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    channels_removed: bool = False


@dataclass
class _Differences:
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes)

    @property
    def count(self) -> int:
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def text(self) -> str:
        parts = []
        for names, what in (
            (self.missing, "missing"),
            (self.unexpected, "not part of it"),
            (self.shapes, "of another shape"),
        ):
            if names:
                more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
                verb = "tensor is" if len(names) == 1 else "tensors are"
                parts.append(f"{len(names)} {verb} {what} ({', '.join(names[:MOST_NAMED])}{more})")
        return "; ".join(parts)


def recognise(shapes: Mapping[str, Shape]) -> Recognition | None:
    """The network that has exactly these tensors, or None.

    Another number of classes and of input channels is allowed where all tensors agree on it; tensors that count batches
    may be missing, and those of auxiliary outputs may be there or not.
    """
    library = _library()
    for architecture in library.candidates(shapes):
        signature = library.signature(architecture)
        if not _differences(signature, shapes):
            return _recognition(signature, shapes)
    return None


def recognise_as(architecture: str, shapes: Mapping[str, Shape], file_name: str) -> Recognition:
    """These tensors in a network that the user (or the file itself) named.

    Raises:
        StudioError: if there is no such network, or its tensors are others.
    """
    library = _library()
    if architecture not in library.architectures:
        raise StudioError(
            f"There is no architecture “{architecture}” to put {file_name} into: use “zoo:NAME” or “torchvision:NAME”."
        )
    signature = library.signature(architecture)
    differences = _differences(signature, shapes)
    if differences:
        raise StudioError(
            f"{file_name} does not fit {signature.title}: {differences.text()}. Choose another architecture.",
        )
    return _recognition(signature, shapes)


def recognise_narrower(architecture: str, shapes: Mapping[str, Shape], file_name: str) -> Recognition:
    """These tensors in a network that has lost channels: the same names, no axis longer, kernels of the same size.

    Whether the layers fit each other shows only when the network is built (`core.models.resizing`).

    Raises:
        StudioError: if there is no such network, or its tensors cannot be what is left of it.
    """
    library = _library()
    if architecture not in library.architectures:
        raise StudioError(
            f"There is no architecture “{architecture}” to put {file_name} into: use “zoo:NAME” or “torchvision:NAME”."
        )
    signature = library.signature(architecture)
    differences = _differences(signature, shapes, narrower=True)
    if differences:
        raise StudioError(
            f"{file_name} does not fit {signature.title} with fewer channels: {differences.text()}. Use the file as it "
            "was saved."
        )
    return replace(_recognition(signature, shapes), channels_removed=True)


def near_miss(shapes: Mapping[str, Shape]) -> str | None:
    """A sentence about the network that comes nearest to tensors that were not recognised, if one comes near at all."""
    library = _library()
    best: tuple[float, int, str] | None = None
    text = ""
    names = set(shapes)
    for architecture in library.architectures:
        signature = library.signature(architecture)
        known = signature.tensors.keys()
        shared = len(names & known) / len(names | known)
        if shared < NEARLY:
            continue
        differences = _differences(signature, shapes)
        rank = (-shared, differences.count, architecture)
        if best is None or rank < best:
            best = rank
            text = f"It looks like {signature.title}, but {differences.text()}."
    return text or None


def is_parameter(name: str) -> bool:
    """Whether a tensor of that name is a parameter rather than a buffer such as a running mean."""
    return name.rpartition(".")[2] not in BUFFERS


def known_architectures() -> tuple[str, ...]:
    """The names of all known networks, such as "zoo:resnet20", in the order of the file."""
    return _library().architectures


def signature_of(architecture: str) -> Signature:
    """What is known of a network.

    Raises:
        KeyError: if it is not known.
    """
    return _library().signature(architecture)


def fingerprint(names: Iterable[str], auxiliary: tuple[str, ...] = ()) -> str:
    """A short digest of the names that any variant of a network has."""
    kept = sorted(
        name for name in names if not name.endswith(OPTIONAL_BUFFER) and not name.startswith(auxiliary)
    )
    return hashlib.blake2b("\n".join(kept).encode(), digest_size=8).hexdigest()


def packed_signatures(signatures: Iterable[Signature]) -> bytes:
    """The contents of the signatures' file; the same signatures always give the same bytes."""
    by_fingerprint: dict[str, list[str]] = {}
    entries: dict[str, str] = {}
    auxiliary: list[str] = []
    for signature in signatures:
        key = fingerprint(signature.tensors, signature.auxiliary)
        by_fingerprint.setdefault(key, []).append(signature.architecture)
        # Texts within the text: only the one that is asked for is parsed.
        entries[signature.architecture] = json.dumps(signature.to_json(), separators=(",", ":"))
        auxiliary.extend(signature.auxiliary)
    document = {
        "fingerprints": by_fingerprint,
        "auxiliary": sorted(set(auxiliary)),
        "architectures": entries,
    }
    text = json.dumps(document, separators=(",", ":"))
    return gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)


class _Library:
    """All known signatures; each one is parsed when it is asked for first."""

    def __init__(self, packed: bytes) -> None:
        document = json.loads(gzip.decompress(packed))
        self._fingerprints: Mapping[str, list[str]] = document["fingerprints"]
        self._entries: Mapping[str, str] = document["architectures"]
        self._auxiliary = tuple(document["auxiliary"])
        self._parsed: dict[str, Signature] = {}
        self.architectures = tuple(self._entries)

    def candidates(self, names: Iterable[str]) -> list[str]:
        """Networks with these tensor names, auxiliary ones aside."""
        names = tuple(names)
        found = self._fingerprints.get(fingerprint(names), [])
        return found + self._fingerprints.get(fingerprint(names, self._auxiliary), [])

    def signature(self, architecture: str) -> Signature:
        """The signature of a known network."""
        if architecture not in self._parsed:
            self._parsed[architecture] = signature_from_json(
                architecture, json.loads(self._entries[architecture])
            )
        return self._parsed[architecture]


@cache
def _library() -> _Library:
    return _Library((RESOURCES / SIGNATURES).read_bytes())


def _differences(
    signature: Signature, shapes: Mapping[str, Shape], *, narrower: bool = False
) -> _Differences:
    differences = _Differences()
    classes, channels = _variable_sizes(signature, shapes)
    for name, expected in signature.tensors.items():
        if name not in shapes:
            if not name.endswith(OPTIONAL_BUFFER):
                differences.missing.append(name)
            continue
        if name in signature.class_axes and classes is not None:
            expected = _with_size(expected, signature.class_axes[name], classes)
        elif name == signature.input_tensor and channels is not None:
            expected = _with_size(expected, 1, channels)
        if shapes[name] != expected and not (narrower and _is_left_of(shapes[name], expected)):
            differences.shapes.append(f"{name} is {_shape_text(shapes[name])}, not {_shape_text(expected)}")
    differences.unexpected.extend(
        name for name in shapes if name not in signature.tensors and not name.startswith(signature.auxiliary)
    )
    return differences


def _variable_sizes(signature: Signature, shapes: Mapping[str, Shape]) -> tuple[int | None, int | None]:
    """Number of classes and of input channels that the tensors have, where they say so at all."""
    classes = channels = None
    for name, axis in signature.class_axes.items():
        shape = shapes.get(name, ())
        if len(shape) == len(signature.tensors[name]) and shape[axis] > 0:
            classes = shape[axis]
            break
    shape = shapes.get(signature.input_tensor or "", ())
    if len(shape) > 1 and shape[1] > 0:
        channels = shape[1]
    return classes, channels


def _recognition(signature: Signature, shapes: Mapping[str, Shape]) -> Recognition:
    classes, channels = _variable_sizes(signature, shapes)
    layers = tuple(
        Layer(name, kind, weight, shapes[weight], _bias_count(name, kind, shapes), positions)
        for name, kind, weight, positions in signature.layers
    )
    left_out = tuple(name for name in shapes if name not in signature.tensors)
    notes: tuple[str, ...] = ()
    if left_out:
        notes = (f"{len(left_out)} tensors of auxiliary outputs, which only training uses, are left out.",)
    return Recognition(
        architecture=signature.architecture,
        title=signature.title,
        num_classes=classes or signature.num_classes,
        input_shape=(channels or signature.input_shape[0], *signature.input_shape[1:]),
        layers=layers,
        left_out=left_out,
        notes=notes,
    )


def _bias_count(name: str, kind: str, shapes: Mapping[str, Shape]) -> int:
    bias = shapes.get(f"{name}.in_proj_bias" if kind == "attention" else f"{name}.bias")
    return 0 if bias is None else bias[0]


def _is_left_of(shape: Shape, whole: Shape) -> bool:
    """Whether removing channels from a tensor of shape `whole` can leave one of `shape`."""
    # Embeddings of positions have a first axis of 1 and their channels last; kernels have channels first.
    embeds = len(whole) == 3 and whole[0] == 1
    return (
        len(shape) == len(whole)
        and all(0 < size <= most for size, most in zip(shape, whole))
        and (embeds or shape[2:] == whole[2:])
    )


def _with_size(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _shape_text(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "a single number"
