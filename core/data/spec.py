"""Which data a model is trained and judged on, as a small value that can be stored and typed; no torch."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import StudioError

TASK_TITLES = {
    "digits": "Digits (8×8, built in)",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
}
FOLDER = "folder"


@dataclass(frozen=True)
class TaskSpec:
    """A task by name, with its preprocessing.

    Attributes:
        name: "digits", "mnist", "fashion-mnist", "cifar10" or "folder".
        folder: for "folder", the image folder; for the others, where their files lie if not in the studio's
            own data folder.
        image_size: (height, width) that images are resized to, or None to keep the size that they have.
        mean, std: per channel, subtracted from and divided into pixels in [0, 1]; None means the task's usual
            ones.
        split_seed: fixes which examples are held out, independent of a run's seed.
        evaluate_all: judge on all images of a folder that has no test part of its own (nothing was trained on
            them).
    """

    name: str
    folder: str | None = None
    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    split_seed: int = 0
    evaluate_all: bool = False

    @property
    def title(self) -> str:
        """For people: `CIFAR-10`, `Image folder cifar10-jpeg`."""
        if self.name == FOLDER and self.folder is not None:
            return f"Image folder {Path(self.folder).name}"
        return TASK_TITLES[self.name]

    def to_text(self) -> str:
        """The form that `parse_task` reads back (without the preprocessing)."""
        return f"{FOLDER}:{self.folder}" if self.name == FOLDER else self.name

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of all fields."""
        return asdict(self)


def task_from_json(data: dict[str, Any]) -> TaskSpec:
    """The inverse of `TaskSpec.to_json` (JSON's lists become tuples again)."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    return TaskSpec(**fields)


def parse_task(
    text: str,
    *,
    image_size: tuple[int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> TaskSpec:
    """A task from what a user types: a name such as `mnist`, or `folder:DIR`.

    Raises:
        StudioError: for an unknown name, a folder that does not exist, and unusable preprocessing.
    """
    name, colon, folder = text.partition(":")
    if name == FOLDER and colon:
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise StudioError(
                f"{folder} is not a folder: give a folder with one sub-folder of images for each class."
            )
        spec = TaskSpec(FOLDER, folder=str(path.absolute()))
    elif text in TASK_TITLES:
        spec = TaskSpec(text)
    else:
        known = ", ".join(f"“{known}”" for known in TASK_TITLES)
        raise StudioError(f"There is no task “{text}”: use {known} or “folder:DIR”.")
    if image_size is not None and min(image_size) < 1:
        raise StudioError(
            f"An image size must be at least 1 × 1 pixel, not {image_size[0]} × {image_size[1]}."
        )
    if std is not None and any(value <= 0 for value in std):
        raise StudioError("Each standard deviation must be above 0: correct --std.")
    if mean is not None and std is not None and len(mean) != len(std):
        raise StudioError(
            f"--mean has {len(mean)} values and --std has {len(std)}: give one of each per channel."
        )
    return replace(spec, image_size=image_size, mean=mean, std=std)
