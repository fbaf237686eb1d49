"""CIFAR-10 in its original form, read by torchvision."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from core.data.download import download
from core.data.locations import candidate_roots
from core.data.partition import partition
from core.data.spec import TaskSpec
from core.data.task import IMAGENET_MEAN, IMAGENET_STD, TEST, TRAIN, VALIDATION, RawData
from core.errors import StudioError

FOLDER = "cifar-10-batches-py"
TITLE = "CIFAR-10"
VALIDATION_COUNT = 5_000
"""Held out of the 50,000 training images, as in Frankle and Carbin 2019."""

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar10(
    spec: TaskSpec,
    parts: frozenset[str],
    check: Callable[[], None],
    progress: Callable[[str, float | None], None],
) -> RawData:
    """CIFAR-10: 45,000 for training, 5,000 for validation, the original 10,000 for testing.

    Raises:
        StudioError: if the files are damaged, or missing and not to be downloaded.
    """
    roots = candidate_roots(spec)
    root = next((root for root in roots if (root / FOLDER).is_dir()), roots[-1])
    if not (root / FOLDER).is_dir():
        _download(root, check, progress)
    progress(f"Reading {TITLE}", None)
    examples: dict[str, tuple[Tensor, Tensor]] = {}
    if TEST in parts:
        examples[TEST] = _read(root, train=False)
    check()
    if parts & {TRAIN, VALIDATION}:
        images, labels = _read(root, train=True)
        check()
        held_out, rest = partition(labels, (VALIDATION_COUNT,), spec.split_seed)
        for part, chosen in ((VALIDATION, held_out), (TRAIN, rest)):
            if part in parts:
                examples[part] = (images[chosen], labels[chosen])
    return RawData(CLASS_NAMES, examples, IMAGENET_MEAN, IMAGENET_STD)


def _download(root: Path, check: Callable[[], None], progress: Callable[[str, float | None], None]) -> None:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import extract_archive

    archive = root / CIFAR10.filename
    if not archive.is_file():
        download([CIFAR10.url], archive, CIFAR10.tgz_md5, TITLE, check, progress)
    progress(f"Unpacking {TITLE}", None)
    try:
        extract_archive(str(archive), str(root))
    except (OSError, EOFError, RuntimeError) as error:
        raise StudioError(
            f"{archive} cannot be unpacked: delete it and try again.", details=str(error)
        ) from error


def _read(root: Path, train: bool) -> tuple[Tensor, Tensor]:
    from torchvision.datasets import CIFAR10

    try:
        # torchvision compares every file with its published MD5 sum before it unpickles it.
        dataset = CIFAR10(str(root), train=train, download=False)
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise StudioError(
            f"{root / FOLDER} is incomplete or damaged: delete it, so that {TITLE} is downloaded again.",
            details=str(error),
        ) from error
    images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(dataset.targets, dtype=torch.int64)
