"""What an interrupted run needs to go on to the same result: written beside and renamed, read without running code."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import StudioError
from core.files import written_whole
from core.measurement.records import Measurement, measurement_from_json, measurement_to_json

FILE_NAME = "checkpoint.pt"
VERSION = 1


@dataclass
class BestSoFar:
    """The best weights of a training step by validation accuracy, then by loss."""

    accuracy: float
    loss: float
    epoch: float
    tensors: dict[str, Tensor]


@dataclass
class TrainingProgress:
    """Where a training step stands in the middle of it.

    Attributes:
        epoch: epochs completed; `batch` more batches of the next one are done.
        order_state: of the generator that shuffles, at the beginning of the epoch under way.
        torch_state: of torch's global generator (dropout), now.
        sums: loss × examples, correct and seen examples since the last point of the training curve.
        optimizer: the optimizer's state dict.
        evaluated: after how many updates of the step the validation split was looked at last; -1 if never.
        objective: what the step trains beside the network, by name.
    """

    epoch: int
    batch: int
    order_state: Tensor
    torch_state: Tensor
    sums: Tensor
    optimizer: dict[str, Any]
    best: BestSoFar | None = None
    evaluated: int = -1
    objective: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class RunCheckpoint:
    """A whole run in the middle of it.

    Attributes:
        step: index of the step under way or next, once repetitions are written out.
        initial: the weights with which the run began, cut to the present shapes; empty unless channels were removed and
            a later step goes back to them.
        early: weights after so many updates, kept for a later step that goes back to them.
        quantization: the JSON of what the model is quantized to; empty where it is not.
        student: the architecture of the network that has taken the source's place; empty where none has.
    """

    step: int
    iteration: int
    seconds: float
    work_done: float
    tensors: dict[str, Tensor]
    masks: dict[str, Tensor]
    progress: TrainingProgress | None = None
    recipe: str = ""
    source_sha256: str | None = None
    before: Measurement | None = None
    early: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    initial: dict[str, Tensor] = field(default_factory=dict)
    masks_before_shuffle: dict[str, Tensor] | None = None
    quantization: str = ""
    student: str = ""


def save_checkpoint(checkpoint: RunCheckpoint, folder: Path) -> Path:
    """Write the checkpoint of a run's folder whole or not at all; the earlier one stays until then.

    Raises:
        StudioError: if it cannot be written.
    """
    path = folder / FILE_NAME
    progress = checkpoint.progress
    data: dict[str, Any] = {
        "version": VERSION,
        "step": checkpoint.step,
        "iteration": checkpoint.iteration,
        "seconds": checkpoint.seconds,
        "work_done": checkpoint.work_done,
        "tensors": checkpoint.tensors,
        "masks": checkpoint.masks,
        "recipe": checkpoint.recipe,
        "source_sha256": checkpoint.source_sha256,
        "before": None if checkpoint.before is None else json.dumps(measurement_to_json(checkpoint.before)),
        "initial": checkpoint.initial,
        "early": checkpoint.early,
        "masks_before_shuffle": checkpoint.masks_before_shuffle,
        "quantization": checkpoint.quantization,
        "student": checkpoint.student,
        "progress": None
        if progress is None
        else {**vars(progress), "best": None if progress.best is None else vars(progress.best)},
    }
    with written_whole(path) as temporary:
        torch.save(data, temporary)
    return path


def load_checkpoint(folder: Path) -> RunCheckpoint | None:
    """The checkpoint of a run's folder, or None where there is none.

    Raises:
        StudioError: if it is damaged or from another version.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        if data["version"] != VERSION:
            raise StudioError(f"{path} was written by another version of the studio: start the run anew.")
        progress = data["progress"]
        if progress is not None:
            best = progress["best"]
            progress = TrainingProgress(**{**progress, "best": None if best is None else BestSoFar(**best)})
        return RunCheckpoint(
            step=data["step"],
            iteration=data["iteration"],
            seconds=data["seconds"],
            work_done=data["work_done"],
            tensors=data["tensors"],
            masks=data["masks"],
            progress=progress,
            recipe=data["recipe"],
            source_sha256=data["source_sha256"],
            before=None if data["before"] is None else measurement_from_json(json.loads(data["before"])),
            initial=data.get("initial", {}),
            early=data.get("early", {}),
            masks_before_shuffle=data.get("masks_before_shuffle"),
            quantization=data.get("quantization", ""),
            student=data.get("student", ""),
        )
    except StudioError:
        raise
    except Exception as error:
        raise StudioError(
            f"{path} is damaged, so the run cannot be resumed: start it anew.", details=str(error)
        ) from error
