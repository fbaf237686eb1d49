"""The built-in task: scikit-learn's 1,797 real handwritten digits of 8 × 8 pixels, shipped as a small file.

`python -m core.data.digits` writes that file again (it needs scikit-learn; reading needs only numpy).
"""

import sys
from pathlib import Path

import numpy as np
import torch

from core.data.partition import partition
from core.data.spec import TaskSpec
from core.data.task import TEST, TRAIN, VALIDATION, RawData
from core.errors import StudioError
from core.files import written_whole
from resources import RESOURCES

PATH = RESOURCES / "digits.npz"
LEVELS = 16
"""Pixels count inked dots of 4 × 4 in the original bitmaps: 0 to 16."""
TEST_COUNT = 450
VALIDATION_COUNT = 150
TEST_SEED = 0
# Of the 1,197 training images of split seed 0, pixels divided by 16.
MEAN, STD = (0.3066,), (0.3765,)


def read_digits(spec: TaskSpec, parts: frozenset[str]) -> RawData:
    """The digits: 1,197 for training, 150 for validation, 450 for testing, each stratified.

    The test images are the same for every seed; `spec.split_seed` chooses the validation images among the
    rest.

    Raises:
        StudioError: if the shipped file is damaged.
    """
    try:
        with np.load(PATH, allow_pickle=False) as file:
            images = torch.from_numpy(file["images"])
            labels = torch.from_numpy(file["labels"]).long()
    except (OSError, ValueError, KeyError) as error:
        raise StudioError(
            f"{PATH.name} of the studio is damaged: install the studio again.", details=str(error)
        ) from error
    pixels = images.float().div_(LEVELS).unsqueeze(1)
    test, rest = partition(labels, (TEST_COUNT,), TEST_SEED)
    held_out, left = partition(labels[rest], (VALIDATION_COUNT,), spec.split_seed)
    chosen = {TRAIN: rest[left], VALIDATION: rest[held_out], TEST: test}
    return RawData(
        class_names=tuple("0123456789"),
        examples={part: (pixels[chosen[part]], labels[chosen[part]]) for part in parts},
        mean=MEAN,
        std=STD,
    )


def write_digits(path: Path = PATH) -> None:
    """Write the shipped file from scikit-learn's copy of the data."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream, images=bunch.images.astype(np.uint8), labels=bunch.target.astype(np.uint8)
        )


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]) if len(sys.argv) > 1 else PATH)
