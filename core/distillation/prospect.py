"""What a distillation would set against each other: the student and its teacher, their costs, layers and answers."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.catalog import load_task
from core.distillation.features import LayerPair, Shape, output_shapes
from core.distillation.settings import DistillSettings, StudentSettings
from core.distillation.student import take_student
from core.distillation.teachers import load_teacher
from core.errors import StudioError
from core.events import Event
from core.job import JobContext
from core.measurement.cost import count_macs
from core.measurement.size import dense_bytes
from core.models.opening import load_module
from core.pruning.structured import prune_channels
from core.pruning.structured_settings import PruneChannelsSettings
from core.request import RunRequest
from core.run_state import RunState

Check = Callable[[], None]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Network:
    """One side.

    Attributes:
        title: for people.
        bytes: of its dense file.
        macs: multiply-accumulates for one example; None where the input size is not known.
        layers: what can be compared: path and shape of the output for one example, in the order of the network.
    """

    title: str
    parameters: int
    bytes: int
    macs: int | None
    layers: tuple[tuple[str, Shape], ...]

    def shape_of(self, layer: str) -> Shape | None:
        """The shape of a layer's output."""
        return dict(self.layers).get(layer)


@dataclass(frozen=True)
class Prospect:
    """Student and teacher before anything is trained.

    Attributes:
        teacher: the first of the teachers; None where it cannot be opened, `problem` says why.
    """

    student: Network
    teacher: Network | None
    problem: str = ""

    def pair_words(self, student: str, teacher: str, method: str) -> tuple[bool, str]:
        """Whether two layers can be compared by a method, and what is put between them or why not."""
        ours = self.student.shape_of(student)
        theirs = None if self.teacher is None else self.teacher.shape_of(teacher)
        if ours is None or theirs is None:
            missing = student if ours is None else teacher
            return False, f"there is no layer “{missing}”"
        pair = LayerPair(student, teacher, ours, theirs)
        problem = pair.problem(method)
        if problem is not None:
            return False, problem
        return True, pair.adaptation(method) or "compared as they are"


@dataclass(frozen=True, eq=False)
class Answers:
    """What a teacher says about a few examples of the test split.

    Attributes:
        images: uint8 [n, C, H, W].
        labels: int64 [n].
        logits: float32 [n, classes].
    """

    teacher: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    class_names: tuple[str, ...]


def prospect(request: RunRequest, step: int, check: Check = lambda: None) -> Prospect:
    """Both sides of the distillation that is step number `step` of the request's recipe.

    Earlier steps are carried out as far as they change the architecture (students, channels); weights do not matter.

    Raises:
        StudioError: if the model cannot be opened, or an earlier step cannot be carried out.
    """
    state = _before(request, step, check)
    settings = _settings(request, step)
    student = _network(state.description.architecture_title or "the student", state.module, state, check)
    try:
        found = load_teacher(settings.teachers[0], state, check)
    except StudioError as error:
        return Prospect(student, None, error.message)
    teacher = _network(found.name, found.module, state, check)
    problem = ""
    if teacher.layers and student.layers and teacher.layers[-1][1] != student.layers[-1][1]:
        ours, theirs = (_classes(network) for network in (student, teacher))
        problem = f"The teacher tells {theirs} classes apart, the student {ours}: choose another teacher."
    elif teacher.parameters < student.parameters:
        problem = "The teacher is smaller than the student: it may have little to teach."
    return Prospect(student, teacher, problem)


def teacher_answers(
    request: RunRequest, step: int, examples: int = 8, check: Check = lambda: None
) -> Answers:
    """The first teacher's outputs for examples of as many classes as there is room for.

    Raises:
        StudioError: without a task, without a test split, or if the teacher cannot be opened or run.
    """
    if request.task is None:
        raise StudioError("Choose a task to see what the teacher says about its examples.")
    task = load_task(request.task, check=check, parts=frozenset({"test"}))
    test = task.test
    if test is None or not len(test):
        raise StudioError(f"{task.title} has no test examples to ask the teacher about.")
    state = _before(request, 0, check)
    teacher = load_teacher(_settings(request, step).teachers[0], state, check)
    chosen = _one_of_each(test.labels.numpy(), examples)
    indices = torch.from_numpy(chosen)
    inputs, labels = test.batch(indices, CPU)
    try:
        logits = teacher.logits(inputs).float().numpy()
    except (RuntimeError, ValueError) as error:
        raise StudioError(
            f"The teacher {teacher.name} cannot compute on the images of {task.title}: choose another teacher or task.",
            details=str(error),
        ) from error
    images = test.images[indices]
    if images.dtype != torch.uint8:
        images = (images.clamp(0, 1) * 255).round().to(torch.uint8)
    return Answers(teacher.name, images.numpy(), labels.numpy(), logits, tuple(task.class_names))


def _one_of_each(labels: NDArray[np.int64], examples: int) -> NDArray[np.int64]:
    """The first example of each class, then the second ones, until there are enough; in order of class."""
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.count_nonzero(labels == label))
    order = np.lexsort((labels, rank))[:examples]
    return order[np.argsort(labels[order], kind="stable")]


def _settings(request: RunRequest, step: int) -> DistillSettings:
    settings = request.recipe.steps[step]
    assert isinstance(settings, DistillSettings)
    return settings


def _before(request: RunRequest, step: int, check: Check) -> RunState:
    loaded = load_module(request.source, seed=request.seed, check=check)
    state = RunState(request, loaded.module.eval(), loaded.description, None, CPU)
    with tempfile.TemporaryDirectory(prefix="prospect-") as folder:
        context = _Silent(Path(folder), check)
        for number, settings in enumerate(request.recipe.steps[:step]):
            state.step = number
            if isinstance(settings, StudentSettings):
                take_student(settings, state, context)
            elif isinstance(settings, PruneChannelsSettings):
                prune_channels(settings, state, context)
    state.step = step
    return state


class _Silent(JobContext):
    """A context that nobody listens to, but that gives up when asked to."""

    def __init__(self, folder: Path, check: Check) -> None:
        super().__init__("prospect", _ignore, folder)
        self._check = check

    def checkpoint(self) -> None:
        self._check()


def _ignore(_event: Event) -> None:
    return


def _network(title: str, module: nn.Module, state: RunState, check: Check) -> Network:
    check()
    tensors = module.state_dict()
    shape = state.description.input_shape
    layers: Sequence[tuple[str, Shape]] = ()
    macs = None
    if shape is not None:
        try:
            layers = tuple((name, found) for name, found in output_shapes(module, shape, CPU).items() if name)
            macs = count_macs(module, shape, CPU)
        except (RuntimeError, ValueError, AssertionError, IndexError):
            layers, macs = (), None
    return Network(
        title,
        sum(parameter.numel() for parameter in module.parameters()),
        dense_bytes(tensors, {}),
        macs,
        tuple(layers),
    )


def _classes(network: Network) -> str:
    return " × ".join(map(str, network.layers[-1][1]))
