"""What saliencies, masks and masked training cost, beside the libraries or loops that one would use instead."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from core.data.spec import TaskSpec
from core.data.split import Split
from core.data.task import Task
from core.job import JobContext
from core.models.description import ModelDescription
from core.models.modules import build_module
from core.models.source import SAMPLE
from core.pruning.curvature import gauss_newton_diagonal
from core.pruning.examples import MOST_EXAMPLES
from core.pruning.magnitudes import mask_of, plan_magnitude
from core.pruning.masks import Masks
from core.pruning.selection import ScoredLayer, select
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings, PruneSettings
from core.training.step import fine_tune

EXAMPLES = 10_000
NAMES = {name: f"{name}.weight" for name in ("fc1", "fc2", "fc3")}


def random_split(count: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    split = Split("train", images, labels, (0.1307,), (0.3081,))
    split.normalised()
    return split


def as_sequential(model: nn.Module) -> nn.Sequential:
    """LeNet-300-100 in the only form that BackPACK takes, with the same weights."""
    return nn.Sequential(nn.Flatten(), model.fc1, nn.ReLU(), model.fc2, nn.ReLU(), model.fc3)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_obd_diagonal_of_lenet_over_10000_samples(
    against: Callable[..., float], say: Callable[[str], None]
) -> None:
    backpack = pytest.importorskip("backpack")
    from backpack.extensions import DiagGGNExact

    split = random_split(EXAMPLES)
    images, labels = split.normalised(), split.labels
    assert images is not None
    model = build_module("zoo:lenet-300-100")
    ours: dict[str, torch.Tensor] = {}
    theirs: dict[str, torch.Tensor] = {}

    def our_diagonal() -> None:
        batches = zip(images.split(MOST_EXAMPLES), labels.split(MOST_EXAMPLES), strict=True)
        ours.update(gauss_newton_diagonal(model, NAMES, batches, "cross-entropy"))

    other = build_module("zoo:lenet-300-100")
    extended = backpack.extend(as_sequential(other))
    loss_function = backpack.extend(nn.CrossEntropyLoss(reduction="sum"))

    def their_diagonal() -> None:
        totals = {name: torch.zeros_like(other.get_parameter(weight)) for name, weight in NAMES.items()}
        for x, y in zip(images.split(MOST_EXAMPLES), labels.split(MOST_EXAMPLES), strict=True):
            extended.zero_grad()
            with backpack.backpack(DiagGGNExact()):
                loss_function(extended(x), y).backward()
            for name, weight in NAMES.items():
                totals[name] += other.get_parameter(weight).diag_ggn_exact
        theirs.update((name, total / EXAMPLES) for name, total in totals.items())

    ratio = against(
        "OBD diagonal, LeNet-300-100, 10,000 samples", our_diagonal, "BackPACK", their_diagonal, rounds=3
    )
    worst = max(
        float(((ours[name] - theirs[name]).abs() / theirs[name].abs().clamp_min(1e-12)).max())
        if name != "fc1"
        else float((ours[name] - theirs[name]).abs().max() / theirs[name].abs().max())
        for name in NAMES
    )
    say(f"largest difference of the diagonals: {worst:.2e}")
    for name in NAMES:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=float(theirs[name].max()) * 1e-6)
    start = time.perf_counter()
    our_diagonal()
    say(f"OBD diagonal, LeNet-300-100, 10,000 samples: {time.perf_counter() - start:.2f} s (goal: 1 s)")
    assert ratio < 1.0


def test_global_masks_from_any_scores_of_a_large_model(against: Callable[..., float]) -> None:
    """100 million scores: radix selection beside the usual way, which concatenates and sorts them."""
    random = np.random.default_rng(0)
    layers = {f"layer{n}": random.standard_normal((2048, 2048), dtype=np.float32) for n in range(24)}

    def ours() -> None:
        plan = plan_magnitude(PruneSettings(sparsity=0.8), list(layers.items()))
        for name, weights in layers.items():
            mask_of(weights, plan, name)

    tensors = [torch.from_numpy(weights) for weights in layers.values()]

    def theirs() -> None:
        magnitudes = torch.cat([tensor.reshape(-1) for tensor in tensors]).abs()
        threshold = magnitudes.sort().values[round(0.8 * magnitudes.numel()) - 1]
        for tensor in tensors:
            tensor.abs().gt(threshold)

    ratio = against("global masks, 100 M weights", ours, "cat, sort and compare", theirs, rounds=2)
    assert ratio < 1 / 4


def test_masks_from_saliencies_cost_little_more_than_from_magnitudes(against: Callable[..., float]) -> None:
    random = np.random.default_rng(0)
    weights = {f"layer{n}": random.standard_normal((1024, 1024), dtype=np.float32) for n in range(12)}
    scored = {
        name: ScoredLayer(np.abs(array), np.ones(array.shape, np.bool_)) for name, array in weights.items()
    }

    def by_scores() -> None:
        select(PruneSettings(criterion="obd", sparsity=0.8), scored)

    def by_magnitudes() -> None:
        plan = plan_magnitude(PruneSettings(sparsity=0.8), list(weights.items()))
        for name, array in weights.items():
            mask_of(array, plan, name)

    against("masks from scores, 12.6 M weights", by_scores, "masks from magnitudes", by_magnitudes, rounds=5)


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """The usual way: an image object and transforms for each example."""

    def __init__(self, split: Split) -> None:
        self._images = [Image.fromarray(image[0].numpy()) for image in split.images]
        self._labels = split.labels.tolist()
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self._transform(self._images[index]), self._labels[index]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A network as small as this is fastest on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_masked_training_against_a_data_loader(against: Callable[..., float], tmp_path: Path) -> None:
    split = random_split(18_000)
    tiny = Split("validation", split.images[:60], split.labels[:60], split.mean, split.std)
    task = Task(TaskSpec("mnist"), "MNIST", tuple("0123456789"), split, tiny, tiny, split.mean, split.std)
    settings = FineTuneSettings(
        iterations=300,
        evaluate_every=300,
        batch_size=60,
        learning_rate=1.2e-3,
        schedule="constant",
        keep="last",
    )

    def ours() -> None:
        model = build_module("zoo:lenet-300-100")
        request = RunRequest(Recipe(), SAMPLE, None)
        description = ModelDescription(SAMPLE, None, "", (), 0)
        state = RunState(request, model, description, task, torch.device("cpu"))
        state.masks = Masks(
            {weight: torch.rand_like(model.get_parameter(weight)) > 0.8 for weight in NAMES.values()}
        )
        fine_tune(settings, state, JobContext("run", lambda event: None, tmp_path))

    loader = DataLoader(Pictures(split), batch_size=60, shuffle=True)

    def theirs() -> None:
        model = build_module("zoo:lenet-300-100").train()
        optimizer = torch.optim.Adam(model.parameters(), 1.2e-3)
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    ratio = against("300 masked iterations", ours, "DataLoader over images, unmasked", theirs, rounds=5)
    assert ratio <= 1 / 3
