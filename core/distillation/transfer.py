"""Transfer sets without labels: any images of a folder, brought to the size that the task's images have."""

from collections.abc import Callable
from pathlib import Path

import torch

from core.data.images import EXTENSIONS, read_images
from core.data.split import Split
from core.data.task import Task
from core.errors import StudioError

UNLABELLED = -1


def image_files(folder: str, place: str) -> list[Path]:
    """All image files below a folder, in the order of their names.

    Raises:
        StudioError: if there is no such folder, or no image in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise StudioError(f"{place}, field “transfer”: {folder} is no folder: give one that holds images.")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
    if not files:
        raise StudioError(f"{place}, field “transfer”: {folder} holds no images: give another folder.")
    return files


def read_transfer(
    folder: str, task: Task, place: str, check: Callable[[], None], progress: Callable[[int], None]
) -> Split:
    """The images with the task's size and preprocessing; every label is −1.

    Raises:
        StudioError: as `image_files`, and if an image cannot be read.
    """
    files = image_files(folder, place)
    channels, height, width = task.input_shape
    images = read_images(files, (height, width), channels, check, progress)
    labels = torch.full((len(files),), UNLABELLED, dtype=torch.int64)
    return Split("transfer", images, labels, task.mean, task.std)
