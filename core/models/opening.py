"""Opens a source for inspection: files and the sample without torch, networks by name with it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import StudioError
from core.files import sha256_of, sha256_of_all
from core.models.checkpoint import Checkpoint, open_checkpoint
from core.models.description import ModelDescription
from core.models.guessing import guessed_layers
from core.models.opened import OpenedModel, from_arrays
from core.models.recognise import (
    CHANNELS,
    CHANNELS_REMOVED,
    Recognition,
    is_parameter,
    near_miss,
    recognise,
    recognise_as,
    recognise_narrower,
)
from core.models.source import ModelSource
from core.models.trust import PYTHON_PREFIX, NeedsTrustError, TrustStore
from resources import RESOURCES

if TYPE_CHECKING:
    from torch import nn

SAMPLE_FILE = "sample.safetensors"
# Hashing reads the whole file, which must not delay the first look at a large one; a run hashes any size.
HASHED_AT_ONCE = 256_000_000

UNKNOWN = (
    "Its architecture is not known, so it can be inspected but not run: to run it, open a Python file whose build() "
    "returns the network with these weights."
)

Check = Callable[[], None]


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run: in evaluation mode, on the CPU, in float32."""

    module: "nn.Module"
    description: ModelDescription


def open_model(source: ModelSource, check: Check | None = None) -> OpenedModel:
    """A source open for inspection; of a file, only names and shapes are read.

    Args:
        check: called now and then; raises to give up.

    Raises:
        StudioError: if the source does not exist, cannot be read or does not fit the architecture it names.
        NeedsTrustError: if it can only be opened by running its code, and the user does not trust it.
    """
    if source.kind not in ("file", "sample"):
        loaded = load_module(source, check=check)
        arrays = {name: tensor.numpy() for name, tensor in loaded.module.state_dict().items()}
        return from_arrays(loaded.description, arrays)
    try:
        checkpoint = open_checkpoint(path_of(source))
    except NeedsTrustError as needed:
        return _open_trusted(source, needed, check)
    try:
        description = describe_checkpoint(checkpoint, source)
        if checkpoint.file_bytes <= HASHED_AT_ONCE:
            description = replace(description, sha256=sha256_of_all(checkpoint.files, check))
    except BaseException:
        checkpoint.close()
        raise
    return OpenedModel(description, checkpoint.read, checkpoint.tensors, checkpoint.elements)


def load_module(source: ModelSource, seed: int = 0, check: Check | None = None) -> LoadedModel:
    """The network of a source as a torch module with its weights; see `core.models.modules.load_module`."""
    # Imported here because torch takes seconds, and files can be looked at without it.
    from core.models import modules

    return modules.load_module(source, seed, check)


def _open_trusted(source: ModelSource, needed: NeedsTrustError, check: Check | None) -> OpenedModel:
    sha256 = trusted_sha256(needed, check)
    # Imported here because it needs torch, and runs code.
    from core.models import trusted_code

    loaded = trusted_code.load_trusted(source, needed.path, sha256)
    return from_arrays(loaded.description, trusted_code.arrays_of(loaded.module))


def trusted_sha256(needed: NeedsTrustError, check: Check | None = None) -> str:
    """The SHA-256 of a file that has to run its code, if the user trusts that.

    Raises:
        NeedsTrustError: otherwise; it carries the sum that would be trusted.
    """
    sha256 = sha256_of(needed.path, check)
    if TrustStore().find(sha256) is None:
        raise NeedsTrustError(needed.message, needed.path, sha256) from needed
    return sha256


def path_of(source: ModelSource) -> Path:
    """The file of a source that has one: the sample's lies among the resources."""
    return RESOURCES / SAMPLE_FILE if source.kind == "sample" else Path(source.name)


def describe_checkpoint(checkpoint: Checkpoint, source: ModelSource) -> ModelDescription:
    """Layers and totals of a file, from names and shapes alone; the SHA-256 is left open.

    Raises:
        StudioError: if the tensors do not fit the architecture that the user chose.
    """
    recognition, notes = recognise_checkpoint(checkpoint, source)
    dtypes = {name: info.dtype for name, info in checkpoint.tensors.items()}
    left_out = frozenset(recognition.left_out if recognition else ())
    if recognition is not None:
        layers = tuple(replace(layer, dtype=dtypes[layer.weight_name]) for layer in recognition.layers)
    else:
        layers = guessed_layers(checkpoint.tensors)
    # A parameter that several modules share lies in the file once and counts once.
    parameters = {
        checkpoint.place(name) for name in checkpoint.tensors if is_parameter(name) and name not in left_out
    }
    return ModelDescription(
        source=source,
        architecture=recognition.architecture if recognition else None,
        architecture_title=recognition.title if recognition else "",
        layers=layers,
        parameters=sum(tensor.elements for tensor in parameters),
        input_shape=recognition.input_shape if recognition else _shape_in(checkpoint.metadata),
        num_classes=recognition.num_classes if recognition else None,
        file_bytes=checkpoint.file_bytes,
        notes=(*checkpoint.notes, *notes),
        recorded_accuracy=checkpoint.recorded_accuracy,
        channels_removed=recognition is not None and recognition.channels_removed,
    )


def recognise_checkpoint(
    checkpoint: Checkpoint, source: ModelSource
) -> tuple[Recognition | None, tuple[str, ...]]:
    """The network that a file's tensors belong to, and what the user should know about that.

    Raises:
        StudioError: if the tensors do not fit the architecture that the user chose.
    """
    shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
    claimed = checkpoint.metadata.get("architecture")
    if checkpoint.metadata.get(CHANNELS) == CHANNELS_REMOVED and (chosen := source.architecture or claimed):
        try:
            recognition = recognise_narrower(chosen, shapes, checkpoint.path.name)
            return recognition, recognition.notes
        except StudioError as error:
            if source.architecture is not None:
                raise
            return recognise(shapes), (error.message,)
    if source.architecture is not None:
        recognition = recognise_as(source.architecture, shapes, checkpoint.path.name)
        return recognition, recognition.notes
    if claimed and claimed.startswith(PYTHON_PREFIX):
        return _of_program(claimed, checkpoint)
    if claimed:
        try:
            recognition = recognise_as(claimed, shapes, checkpoint.path.name)
            return recognition, recognition.notes
        except StudioError:
            # What the file says of itself is only a hint; the tensors decide.
            pass
    found = recognise(shapes)
    if found is not None:
        return found, found.notes
    near = near_miss(shapes)
    return None, (UNKNOWN, near) if near else (UNKNOWN,)


def _of_program(architecture: str, checkpoint: Checkpoint) -> tuple[Recognition | None, tuple[str, ...]]:
    """What is known, without running it, of a network that a trusted Python file builds."""
    trusted = TrustStore().find(architecture.removeprefix(PYTHON_PREFIX))
    if trusted is None:
        note = (
            "Its network is built by a Python file that is not trusted here: open that file first to run it."
        )
        return None, (note,)
    name = Path(trusted.path).name
    classes = checkpoint.metadata.get("num_classes", "")
    recognition = Recognition(
        architecture=architecture,
        title=f"network of {name}",
        num_classes=int(classes) if classes.isdecimal() and len(classes) < 10 else None,
        input_shape=_shape_in(checkpoint.metadata),
        layers=guessed_layers(checkpoint.tensors),
    )
    return recognition, (f"Its network is built by the trusted file {name}.",)


def _shape_in(metadata: Mapping[str, str]) -> tuple[int, ...] | None:
    try:
        shape = json.loads(metadata.get("input_shape", ""))
    except ValueError:
        return None
    if isinstance(shape, list) and shape and all(type(size) is int and size > 0 for size in shape):
        return tuple(shape)
    return None
