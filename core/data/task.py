"""A task in memory: its splits, its classes, and whether a model fits it."""

from dataclasses import dataclass

from torch import Tensor

from core.data.spec import TaskSpec
from core.data.split import Split
from core.errors import StudioError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
ALL_PARTS = frozenset({TRAIN, VALIDATION, TEST})

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class RawData:
    """Decoded pixels of a data set before they become splits.

    Attributes:
        class_names: in the order of the labels.
        examples: per part: images, uint8 or float32 in [0, 1], [N, C, H, W], and labels, int64 [N].
        mean, std: the data set's usual normalisation, one value per channel.
        part_names: what a part is called where it is not its role's name.
        notes: sentences about how the parts came about.
    """

    class_names: tuple[str, ...]
    examples: dict[str, tuple[Tensor, Tensor]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    part_names: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A data set with its splits and preprocessing.

    `train` is what weights are fitted on, `validation` is what decisions are made on (which epoch is best),
    `test` is touched by nothing but the final accuracy. A split is None where it was not asked for or does
    not exist.

    Attributes:
        class_names: in the order of the labels.
        mean, std: per channel, as used.
        notes: sentences about how the splits came about.
    """

    spec: TaskSpec
    title: str
    class_names: tuple[str, ...]
    train: Split | None
    validation: Split | None
    test: Split | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one example."""
        for split in (self.test, self.train, self.validation):
            if split is not None:
                return split.input_shape
        raise ValueError("the task has no split")

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)


def check_fits(
    task: Task,
    input_shape: tuple[int, ...] | None,
    num_classes: int | None,
    *,
    model: str = "the model",
    any_size: bool = False,
) -> None:
    """Check that a model can be trained and judged on a task.

    Args:
        input_shape: (C, H, W) that the model expects, or None where unknown.
        num_classes: length of the model's output vector, or None where unknown.
        model: what the sentence calls the model.
        any_size: the model takes images of any size, so only the channels must agree.

    Raises:
        StudioError: naming the first of channels, size and number of classes that does not fit.
    """
    channels, height, width = task.input_shape
    if input_shape is not None and len(input_shape) == 3:
        if input_shape[0] != channels:
            raise StudioError(
                f"{task.title} has {_counted(channels, 'channel')}, but {model} expects {input_shape[0]}: "
                "choose another task or model."
            )
        if not any_size and (height, width) != tuple(input_shape[1:]):
            raise StudioError(
                f"{task.title} has images of {height} × {width} pixels, but {model} expects {input_shape[1]} "
                f"× {input_shape[2]}: set the task's image size to {input_shape[1]}x{input_shape[2]}."
            )
    if num_classes is not None and num_classes != task.num_classes:
        raise StudioError(
            f"{task.title} has {_counted(task.num_classes, 'class')}, but {model} tells {num_classes} apart: "
            "choose another task or model."
        )


def _counted(number: int, thing: str) -> str:
    plural = "es" if thing.endswith("s") else "s"
    return f"{number} {thing}{'' if number == 1 else plural}"
