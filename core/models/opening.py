"""Opens a source for inspection: files and the sample without torch, networks by name with it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import StudioError
from core.files import sha256_of_all
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
from resources import RESOURCES

if TYPE_CHECKING:
    from torch import nn

SAMPLE_FILE = "sample.safetensors"
# Hashing reads the whole file, which must not delay the first look at a large one; a run hashes any size.
HASHED_AT_ONCE = 256_000_000

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
    """
    if source.kind not in ("file", "sample"):
        loaded = load_module(source, check=check)
        arrays = {name: tensor.numpy() for name, tensor in loaded.module.state_dict().items()}
        return from_arrays(loaded.description, arrays)
    checkpoint = open_checkpoint(path_of(source))
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
    return None, (near_miss(shapes) or "Its architecture is not known, so it can be inspected but not run.",)


def _shape_in(metadata: Mapping[str, str]) -> tuple[int, ...] | None:
    try:
        shape = json.loads(metadata.get("input_shape", ""))
    except ValueError:
        return None
    if isinstance(shape, list) and shape and all(type(size) is int and size > 0 for size in shape):
        return tuple(shape)
    return None
