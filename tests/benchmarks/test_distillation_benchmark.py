"""A distillation step beside a plain step and the teacher's forward pass."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.distillation.settings import DistillSettings
from core.distillation.step import distill
from core.models.opening import load_module
from core.models.source import ModelSource, parse_source
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings, StepSettings
from core.training.step import fine_tune

from ..engine.toys import Watcher

CPU = torch.device("cpu")
BATCH, UPDATES = 128, 60
ROUNDS = 5


def task_for(shape: tuple[int, int, int]) -> Task:
    generator = torch.Generator().manual_seed(0)

    def split(name: str, count: int) -> Split:
        images = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, 10, (count,), generator=generator)
        return Split(name, images, labels, (0.5,) * shape[0], (0.25,) * shape[0])

    names = tuple(str(n) for n in range(10))
    parts = (split("train", BATCH * 20), split("validation", 64), split("test", 64))
    return Task(TaskSpec("mnist"), "Noise", names, *parts, (0.5,) * shape[0], (0.25,) * shape[0])


def state_of(source: ModelSource, task: Task, step: StepSettings) -> RunState:
    loaded = load_module(source)
    request = RunRequest(Recipe(steps=(step,)), source, None)
    return RunState(request, loaded.module, loaded.description, task, CPU)


@pytest.mark.parametrize(
    ("student", "teacher", "shape"),
    [
        ("zoo:perceptron-800", "zoo:perceptron-1200", (1, 28, 28)),
        ("zoo:resnet20", "zoo:resnet56", (3, 32, 32)),
    ],
)
def test_a_step_costs_the_teachers_pass_and_little_more(
    student: str, teacher: str, shape: tuple[int, int, int], tmp_path: Path, say: Callable[[str], None]
) -> None:
    torch.set_num_threads(2)
    updates = UPDATES if "perceptron" in student else 10
    task = task_for(shape)
    common = {"iterations": updates, "batch_size": BATCH, "keep": "last", "evaluate_every": updates}
    plain = FineTuneSettings(**common)
    kept = DistillSettings(**common, teachers=(teacher,))
    asked = DistillSettings(**common, teachers=(teacher,), cache=False)
    source = parse_source(student)
    module = load_module(parse_source(teacher)).module.eval()
    inputs = torch.randn(BATCH, *shape)

    def training(settings: StepSettings, carry_out: Callable[..., None]) -> float:
        state = state_of(source, task, settings)
        folder = tmp_path / settings.step
        folder.mkdir(exist_ok=True)
        watcher = _Timed(folder)
        carry_out(settings, state, watcher)
        return watcher.typical()

    def forward() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(updates):
                module(inputs)
        return (time.perf_counter() - start) / updates

    taken: dict[str, list[float]] = {name: [] for name in ("plain", "kept", "asked", "forward")}
    for _ in range(ROUNDS):
        taken["plain"].append(training(plain, fine_tune))
        taken["kept"].append(training(kept, distill))
        taken["asked"].append(training(asked, distill))
        taken["forward"].append(forward())
    ms = {name: 1e3 * statistics.median(values) for name, values in taken.items()}
    over = (ms["asked"] - ms["forward"]) / ms["plain"]
    say(
        f"{student} taught by {teacher}, batch {BATCH}: plain step {ms['plain']:.2f} ms, teacher forward "
        f"{ms['forward']:.2f} ms, distillation {ms['asked']:.2f} ms (the teacher + {over:.3f}× the plain step), "
        f"outputs kept {ms['kept']:.2f} ms ({ms['kept'] / ms['plain']:.3f}×)"
    )


class _Timed(Watcher):
    """Notes when updates begin: before each the loop looks whether to stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.times: list[float] = []

    @property
    def stop_requested(self) -> bool:
        self.times.append(time.perf_counter())
        return False

    def typical(self) -> float:
        """Seconds between two updates."""
        return statistics.median(b - a for a, b in zip(self.times, self.times[1:]))
