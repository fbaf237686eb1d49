"""What models answered to each example of a test split: the file that a run keeps of it, read without torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.spec import TaskSpec, task_from_json
from core.errors import StudioError

FILE_NAME = "predictions.safetensors"
KIND = "predictions"
"""How the file is announced among a run's artifacts."""

FORMAT = "compression-studio predictions 1"
BEFORE, AFTER, TEACHER = "before", "after", "teacher"
WHO = (BEFORE, AFTER, TEACHER)
LABELS = "labels"
CONFIDENCE = "confidence of "
"""Stands before the name in the file's tensor of confidences."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What one model says of each example.

    Attributes:
        predicted: the class with the greatest output, int32 [N].
        confidence: the softmax probability of that class, float32 [N]; the file keeps half precision.
    """

    predicted: NDArray[np.int32]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The answers that one run kept.

    Attributes:
        task: whose test split was judged; images can be read again from it.
        split: the split's own name, such as "test" or "all".
        class_names: in the order of the labels.
        fingerprint: SHA-256 of the split's labels and pixels: equal only for the same examples in the same order.
        labels: the true classes, int32 [N].
        answers: by who answered: "before", "after", "teacher".
    """

    task: TaskSpec
    title: str
    split: str
    class_names: tuple[str, ...]
    fingerprint: str
    labels: NDArray[np.int32]
    answers: Mapping[str, Answers] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """Who stands for the run in comparisons: the model after it, or the source that was only measured."""
        return AFTER if AFTER in self.answers else BEFORE


def read_predictions(path: Path) -> Predictions:
    """Read a run's file of predictions; it is data only, no code of it is run.

    Raises:
        StudioError: if it is missing, damaged or of another version.
    """
    # Imported here: whoever only names the file needs no reader.
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise StudioError(f"{path} is no longer there: run the recipe again to get the predictions back.")
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise StudioError(
                    f"{path} was written by another version of the studio: run the recipe again."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        classes = tuple(str(name) for name in json.loads(metadata["classes"]))
        labels = _classes(tensors[LABELS], len(classes), None)
        answers = {
            who: Answers(
                _classes(tensors[who], len(classes), len(labels)),
                _confidences(tensors[CONFIDENCE + who], len(labels)),
            )
            for who in WHO
            if who in tensors
        }
        return Predictions(
            task_from_json(json.loads(metadata["task"])),
            metadata["title"],
            metadata["split"],
            classes,
            metadata["fingerprint"],
            labels,
            answers,
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudioError(
            f"{path} is damaged: run the recipe again to get the predictions back.", details=str(error)
        ) from error


def require_same_examples(first: Predictions, second: Predictions, names: tuple[str, str]) -> None:
    """Check that two runs judged the same examples in the same order: only then do flips mean anything.

    Args:
        names: what the sentence calls the two, such as "run 1" and "run 2".

    Raises:
        StudioError: saying what differs.
    """
    if first.fingerprint == second.fingerprint and first.class_names == second.class_names:
        return
    one, other = names
    if first.title != second.title or first.class_names != second.class_names:
        why = f"{one} was judged on {first.title} and {other} on {second.title}"
    elif len(first.labels) != len(second.labels):
        why = f"{one} was judged on {len(first.labels):,} examples and {other} on {len(second.labels):,}"
    else:
        why = f"{first.title} has changed between them, or its images had another size"
    raise StudioError(
        f"The predictions of {one} and {other} cannot be compared, because {why}: run both on the same test split."
    )


def _classes(values: NDArray[np.generic], classes: int, length: int | None) -> NDArray[np.int32]:
    if values.ndim != 1 or values.dtype.kind != "i" or (length is not None and len(values) != length):
        raise ValueError(f"classes of shape {values.shape} and type {values.dtype}")
    found = values.astype(np.int32)
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ValueError(f"classes beyond the {classes} that there are")
    return found


def _confidences(values: NDArray[np.generic], length: int) -> NDArray[np.float32]:
    if values.shape != (length,) or values.dtype.kind != "f":
        raise ValueError(f"confidences of shape {values.shape} and type {values.dtype}")
    return values.astype(np.float32)
