"""A teacher's outputs on disk: computed once, read as memory where the same examples come again and again."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.data.spec import TaskSpec
from core.data.split import Split
from core.distillation.teachers import Teacher, outputs_on
from core.files import written_whole

PREFIX = "teacher-"
ROOM_LEFT = 1 << 30
"""So many bytes of the disk are left free."""


@dataclass(frozen=True, eq=False)
class CachedOutputs:
    """What a teacher says of each example of a split.

    Attributes:
        logits: float32 [N, classes], mapped from `path`.
        seconds: what computing them took just now; None if they were there already.
    """

    path: Path
    logits: Tensor
    seconds: float | None

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size


def cache_key(teacher: Teacher, task: TaskSpec, split: Split, selection: str) -> str:
    """What outputs depend on, as a short digest: weights of the teacher, data, preprocessing, chosen examples."""
    facts = {
        "teacher": teacher.fingerprint(),
        "task": task.to_json(),
        "split": split.name,
        "examples": len(split),
        "shape": split.input_shape,
        "mean": split.mean,
        "std": split.std,
        "selection": selection,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def cached_outputs(
    teacher: Teacher,
    split: Split,
    key: str,
    folder: Path,
    device: torch.device,
    on_batch: Callable[[int], None],
) -> CachedOutputs | None:
    """The outputs from the folder, computed and written first where they are missing; None if the disk has no room.

    Raises:
        StudioError: if the file cannot be written.
    """
    path = folder / f"{PREFIX}{key}.npy"
    seconds = None
    if not _fits(path, len(split)):
        classes = teacher.logits(torch.zeros((1, *split.input_shape), device=device)).shape[1]
        if shutil.disk_usage(folder).free < 4 * classes * len(split) + ROOM_LEFT:
            return None
        began = time.monotonic()
        outputs = outputs_on(teacher.network, split, device, on_batch)
        seconds = time.monotonic() - began
        with written_whole(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, outputs.numpy(), allow_pickle=False)
    # Copy on write: torch wants memory that may be written; nothing reaches the file.
    mapped = np.load(path, mmap_mode="c", allow_pickle=False)
    return CachedOutputs(path, torch.from_numpy(mapped), seconds)


def forget_outputs(folder: Path) -> None:
    """Remove all kept outputs of a run that is over."""
    for path in folder.glob(f"{PREFIX}*.npy"):
        with suppress(OSError):
            path.unlink()


def _fits(path: Path, count: int) -> bool:
    if not path.exists():
        return False
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    return found.dtype == np.float32 and found.ndim == 2 and len(found) == count
