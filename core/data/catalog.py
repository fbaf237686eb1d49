"""From a task's name to its data in memory."""

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

from core.data.cifar import read_cifar10
from core.data.digits import read_digits
from core.data.folder import read_folder
from core.data.mnist import read_mnist
from core.data.spec import FOLDER, TaskSpec
from core.data.split import Split
from core.data.task import ALL_PARTS, TEST, TRAIN, VALIDATION, RawData, Task, check_fits
from core.errors import StudioError

__all__ = ["ALL_PARTS", "TEST", "TRAIN", "VALIDATION", "Split", "Task", "check_fits", "load_task"]

RESIZE_CHUNK = 4096


def _never() -> None:
    """Nobody cancels."""


def _silent(activity: str, fraction: float | None) -> None:
    """Nobody watches."""


def load_task(
    spec: TaskSpec,
    check: Callable[[], None] = _never,
    progress: Callable[[str, float | None], None] = _silent,
    parts: frozenset[str] = ALL_PARTS,
) -> Task:
    """Read (and where needed download) a task's data into memory.

    Args:
        check: called now and then on this thread; may raise to give up.
        progress: called with what is going on ("Reading images") and the fraction done, or
            None.
        parts: which of "train", "validation" and "test" are needed; the others are not read and are None.

    Raises:
        StudioError: if the data are missing, damaged, too large, or do not fit `spec`'s preprocessing.
    """
    check()
    raw = _read(spec, parts, check, progress)
    mean = raw.mean if spec.mean is None else spec.mean
    std = raw.std if spec.std is None else spec.std
    channels = next(iter(raw.examples.values()))[0].shape[1] if raw.examples else len(raw.mean)
    for option, values in (("mean", mean), ("standard deviation", std)):
        if len(values) != channels:
            raise StudioError(
                f"{spec.title} has {channels} channel{'s' if channels > 1 else ''}, but its {option} has "
                f"{len(values)} value{'s' if len(values) > 1 else ''}: give one for each channel."
            )
    part_names = dict(raw.part_names)
    splits: dict[str, Split | None] = dict.fromkeys(ALL_PARTS)
    for part, (images, labels) in raw.examples.items():
        if spec.image_size is not None and tuple(images.shape[2:]) != spec.image_size:
            images = _resized(images, spec.image_size, check)
        splits[part] = Split(part_names.get(part, part), images, labels, mean, std)
    return Task(
        spec=spec,
        title=spec.title,
        class_names=raw.class_names,
        train=splits[TRAIN],
        validation=splits[VALIDATION],
        test=splits[TEST],
        mean=mean,
        std=std,
        notes=raw.notes,
    )


def _read(
    spec: TaskSpec,
    parts: frozenset[str],
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> RawData:
    if spec.name == "digits":
        return read_digits(spec, parts)
    if spec.name in ("mnist", "fashion-mnist"):
        return read_mnist(spec, parts, check, progress)
    if spec.name == "cifar10":
        return read_cifar10(spec, parts, check, progress)
    if spec.name == FOLDER and spec.folder is not None:
        return read_folder(spec, parts, check, progress)
    raise StudioError(f"There is no task “{spec.name}”: choose another one.")


def _resized(images: Tensor, size: tuple[int, int], check: Callable[[], None]) -> Tensor:
    """Bilinear with antialiasing, in chunks; keeps the element type."""
    result = torch.empty((*images.shape[:2], *size), dtype=images.dtype)
    for start in range(0, len(images), RESIZE_CHUNK):
        check()
        chunk = images[start : start + RESIZE_CHUNK].float()
        scaled = functional.interpolate(chunk, size, mode="bilinear", antialias=True, align_corners=False)
        if images.dtype == torch.uint8:
            scaled = scaled.round_().clamp_(0, 255)
        result[start : start + len(chunk)] = scaled.to(images.dtype)
    return result
