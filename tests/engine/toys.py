"""Small networks and data for the tests of training and pruning: a learnable toy task, run states, a watcher."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.events import MetricPoint
from core.job import JobContext
from core.models.description import ModelDescription
from core.models.layers import describe_module
from core.models.source import SAMPLE
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import StepSettings


def toy_split(name: str, count: int, seed: int) -> Split:
    """Noise whose class is where the bright corner is: learnable, but not at once."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    images = torch.randint(0, 120, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    for corner, (row, column) in enumerate(((0, 0), (0, 4), (4, 0))):
        images[labels == corner, :, row : row + 2, column : column + 2] += 100
    return Split(name, images, labels, (0.3,), (0.2,))


def toy_task() -> Task:
    return Task(
        TaskSpec("digits"),
        "Toy",
        ("a", "b", "c"),
        toy_split("train", 100, 1),
        toy_split("validation", 60, 2),
        toy_split("test", 60, 3),
        (0.3,),
        (0.2,),
    )


def toy_network(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), activation(), nn.Flatten(), nn.Linear(64, 5), activation(), nn.Linear(5, 3)
    ).eval()


def toy_state(
    *steps: StepSettings, module: nn.Module | None = None, task: bool = True, seed: int = 0
) -> RunState:
    module = module or toy_network()
    description: ModelDescription = describe_module(
        module, SAMPLE, architecture=None, architecture_title="", input_shape=(1, 6, 6)
    )
    request = RunRequest(Recipe(steps=steps), SAMPLE, None, seed=seed)
    return RunState(request, module, description, toy_task() if task else None, torch.device("cpu"))


class Watcher(JobContext):
    """A context that notes what is emitted and asks for something at the n-th checkpoint."""

    def __init__(self, folder: Path, at: int = -1, act: str = "") -> None:
        self.events: list[Any] = []
        super().__init__("run", self.events.append, folder)
        self._left = at
        self._act = act

    def checkpoint(self) -> None:
        if self._left == 0:
            getattr(self, f"request_{self._act}")()
        self._left -= 1
        super().checkpoint()

    def points(self, split: str, metric: str) -> list[MetricPoint]:
        return [
            e for e in self.events if isinstance(e, MetricPoint) and (e.split, e.metric) == (split, metric)
        ]

    def values(self, split: str, metric: str) -> list[float]:
        return [point.value for point in self.points(split, metric)]
