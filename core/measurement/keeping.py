"""Writing what models answer during a run into the run's folder, one answer after the other."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.data.split import Split
from core.data.task import Task
from core.errors import StudioError
from core.export.safetensors_file import save_tensors
from core.measurement.predictions import (
    BEFORE,
    CONFIDENCE,
    FILE_NAME,
    FORMAT,
    LABELS,
    Answers,
    Predictions,
    read_predictions,
)


def answers_from(predicted: Tensor, confidence: Tensor) -> Answers:
    """Answers from a model's predicted classes (integers [N]) and their probabilities ([N])."""
    return Answers(
        predicted.cpu().numpy().astype(np.int32),
        confidence.float().cpu().numpy(),
    )


def keep_answers(
    folder: Path,
    task: Task,
    split: Split,
    who: str,
    answers: Answers,
    check: Callable[[], None] | None = None,
) -> Path:
    """Add the answers of one model to the run's file, written beside and renamed; others of the same split stay.

    Args:
        who: "before", which begins a new file, "after" or "teacher".
        check: called while the split is read through for its fingerprint; may raise to give up.

    Raises:
        StudioError: if the file cannot be written.
    """
    path = folder / FILE_NAME
    fingerprint = split.fingerprint(check)
    kept: dict[str, Answers] = {}
    if who != BEFORE and path.exists():
        # A damaged file, or one of other examples (images changed while the run was interrupted), is given up.
        with suppress(StudioError):
            earlier = read_predictions(path)
            if earlier.fingerprint == fingerprint and earlier.class_names == task.class_names:
                kept = dict(earlier.answers)
    kept[who] = answers
    _write(
        path,
        Predictions(
            task.spec,
            task.title,
            split.name,
            task.class_names,
            fingerprint,
            split.labels.numpy().astype(np.int32),
            kept,
        ),
    )
    return path


def _write(path: Path, predictions: Predictions) -> None:
    narrow = np.int16 if len(predictions.class_names) <= np.iinfo(np.int16).max else np.int32
    tensors = {LABELS: torch.from_numpy(predictions.labels.astype(narrow))}
    for who, answers in predictions.answers.items():
        tensors[who] = torch.from_numpy(answers.predicted.astype(narrow))
        tensors[CONFIDENCE + who] = torch.from_numpy(answers.confidence.astype(np.float16))
    metadata = {
        "format": FORMAT,
        "title": predictions.title,
        "split": predictions.split,
        "task": json.dumps(predictions.task.to_json(), ensure_ascii=False),
        "classes": json.dumps(predictions.class_names, ensure_ascii=False),
        "fingerprint": predictions.fingerprint,
    }
    save_tensors(tensors, path, metadata)
