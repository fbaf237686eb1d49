"""MNIST and Fashion-MNIST: the original files where they are, torchvision's addresses where they are not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from core.data.download import download
from core.data.idx import find_idx, read_idx
from core.data.locations import candidate_roots
from core.data.partition import partition
from core.data.spec import TaskSpec
from core.data.task import TEST, TRAIN, VALIDATION, RawData
from core.errors import StudioError

VALIDATION_COUNT = 5_000
"""Held out of the training images, as in Frankle and Carbin 2019."""

FILES = {
    TRAIN: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    TEST: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class _Family:
    """One data set in MNIST's file format; `dataset` is its class in torchvision and its folder's name."""

    dataset: str
    title: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


# Means and standard deviations are those of the 60,000 training images.
FAMILIES = {
    "mnist": _Family("MNIST", "MNIST", tuple("0123456789"), (0.1307,), (0.3081,)),
    "fashion-mnist": _Family(
        "FashionMNIST",
        "Fashion-MNIST",
        (
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        (0.2860,),
        (0.3530,),
    ),
}  # fmt: skip


def read_mnist(
    spec: TaskSpec,
    parts: frozenset[str],
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> RawData:
    """MNIST or Fashion-MNIST: 55,000 for training, 5,000 for validation, the original 10,000 for testing.

    Raises:
        StudioError: if files are damaged, or missing and not to be downloaded.
    """
    family = FAMILIES[spec.name]
    folder = _folder_with(family, spec, check, progress)
    examples: dict[str, tuple[Tensor, Tensor]] = {}
    if TEST in parts:
        examples[TEST] = _read_pair(folder, TEST, family)
    check()
    if parts & {TRAIN, VALIDATION}:
        images, labels = _read_pair(folder, TRAIN, family)
        check()
        held_out, rest = partition(labels, (min(VALIDATION_COUNT, len(labels) // 12),), spec.split_seed)
        for part, chosen in ((VALIDATION, held_out), (TRAIN, rest)):
            if part in parts:
                examples[part] = (images[chosen], labels[chosen])
    return RawData(family.class_names, examples, family.mean, family.std)


def _folder_with(
    family: _Family,
    spec: TaskSpec,
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> Path:
    folders = [root / family.dataset / "raw" for root in candidate_roots(spec)]
    names = [name for pair in FILES.values() for name in pair]
    for folder in folders:
        if all(find_idx(folder, name) for name in names):
            return folder
    _download(family, folders[-1], check, progress)
    return folders[-1]


def _download(
    family: _Family, folder: Path, check: Callable[[], None], progress: Callable[[str, float | None], None]
) -> None:
    resources, mirrors = published_files(family.dataset)
    for number, (name, md5) in enumerate(resources):
        if find_idx(folder, name.removesuffix(".gz")) is not None:
            continue

        def report(activity: str, fraction: float | None, number: int = number) -> None:
            progress(activity, None if fraction is None else (number + fraction) / len(resources))

        download([mirror + name for mirror in mirrors], folder / name, md5, family.title, check, report)


def published_files(dataset: str) -> tuple[list[tuple[str, str]], list[str]]:
    """File names with their MD5 sums, and base addresses, of one of torchvision's MNIST-like classes."""
    import torchvision.datasets

    described = getattr(torchvision.datasets, dataset)
    return list(described.resources), list(described.mirrors)


def _read_pair(folder: Path, part: str, family: _Family) -> tuple[Tensor, Tensor]:
    image_path, label_path = (find_idx(folder, name) for name in FILES[part])
    if image_path is None or label_path is None:
        raise StudioError(f"{folder} has lost files of {family.title}: download the data set again.")
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or len(images) == 0:
        raise StudioError(
            f"{image_path.name} and {label_path.name} in {folder} do not belong together (shapes "
            f"{images.shape} and {labels.shape}): download the data set again."
        )
    if int(labels.max()) >= len(family.class_names):
        raise StudioError(
            f"{label_path} has the label {int(labels.max())}, but {family.title} has "
            f"{len(family.class_names)} classes: download the data set again."
        )
    return torch.from_numpy(images.copy()).unsqueeze(1), torch.from_numpy(labels.copy()).long()
