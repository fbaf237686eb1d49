"""What training costs beside the loop that one would write by hand, and in bfloat16 beside float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.events import MetricPoint
from core.job import JobContext
from core.models.description import ModelDescription
from core.models.modules import build_module
from core.models.source import SAMPLE
from core.pruning.masks import Masks
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings
from core.training.step import fine_tune

EXAMPLES, BATCH = 30_000, 60


@pytest.fixture(scope="module")
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (EXAMPLES, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (EXAMPLES,), generator=generator)
    split = Split("train", images, labels, (0.1307,), (0.3081,))
    split.normalised()
    return split


def bare_loop(split: Split) -> Callable[[], None]:
    images, labels = split.normalised(), split.labels
    assert images is not None

    def train() -> None:
        model = build_module("zoo:lenet-300-100")
        optimizer = torch.optim.Adam(model.parameters(), 1.2e-3, fused=True)
        model.train()
        for chosen in torch.randperm(EXAMPLES).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def our_step(split: Split, folder: Path, masked: bool) -> Callable[[], None]:
    tiny = Split("validation", split.images[:60], split.labels[:60], split.mean, split.std)
    task = Task(TaskSpec("mnist"), "MNIST", tuple("0123456789"), split, tiny, tiny, split.mean, split.std)
    settings = FineTuneSettings(epochs=1, batch_size=BATCH, learning_rate=1.2e-3)

    def train() -> None:
        model = build_module("zoo:lenet-300-100")
        state = RunState(
            RunRequest(Recipe(), SAMPLE, None),
            model,
            ModelDescription(SAMPLE, None, "", (), 0),
            task,
            torch.device("cpu"),
        )
        if masked:
            names = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
            state.masks = Masks({name: torch.rand_like(model.get_parameter(name)) > 0.8 for name in names})
        fine_tune(settings, state, JobContext("run", lambda event: None, folder))

    return train


@pytest.mark.parametrize("masked", [False, True], ids=["dense", "masked"])
def test_training_against_a_bare_loop(
    against: Callable[..., float], split: Split, tmp_path: Path, masked: bool
) -> None:
    ratio = against(
        f"500 iterations of LeNet-300-100, {'masked' if masked else 'dense'}",
        our_step(split, tmp_path, masked),
        "bare loop with fused Adam",
        bare_loop(split),
    )
    assert ratio <= 1.1


IMAGES, UPDATES = 1_280, 10


def resnet_step(
    folder: Path, precision: Literal["float32", "bfloat16"], losses: list[float]
) -> Callable[[], None]:
    """Ten updates of ResNet-20 on one thread, batch 128; the loss of the epoch is added to `losses`."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (IMAGES,), generator=generator)
    half = ((0.5,) * 3, (0.5,) * 3)
    split = Split("train", images, labels, *half)
    tiny = Split("validation", images[:60], labels[:60], *half)
    task = Task(TaskSpec("cifar10"), "CIFAR-10", tuple("0123456789"), split, tiny, tiny, *half)
    settings = FineTuneSettings(
        epochs=1, batch_size=IMAGES // UPDATES, learning_rate=0.01, optimizer="sgd", precision=precision
    )

    def take(event: object) -> None:
        if isinstance(event, MetricPoint) and (event.split, event.metric) == ("train", "loss"):
            losses.append(event.value)

    def train() -> None:
        torch.manual_seed(0)
        state = RunState(
            RunRequest(Recipe(), SAMPLE, None),
            build_module("zoo:resnet20"),
            ModelDescription(SAMPLE, None, "", (), 0),
            task,
            torch.device("cpu"),
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            fine_tune(settings, state, JobContext("run", take, folder))
        finally:
            torch.set_num_threads(threads)

    return train


def test_bfloat16_against_float32(against: Callable[..., float], tmp_path: Path) -> None:
    short: list[float] = []
    plain: list[float] = []
    ratio = against(
        f"{UPDATES} updates of ResNet-20 in bfloat16, batch {IMAGES // UPDATES}, one thread",
        resnet_step(tmp_path, "bfloat16", short),
        "in float32",
        resnet_step(tmp_path, "float32", plain),
    )
    # The same seed: eight bits of mantissa change the course of ten updates by little.
    assert short[-1] == pytest.approx(plain[-1], rel=0.02)
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "avx512_bf16" in flags.read_text():
        assert ratio < 0.75
