"""Fine-tuning on a toy: masks hold, curves come, best is kept, and a resumed run ends with the same bits."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.errors import StudioError
from core.events import MetricPoint, Notice, PausedChanged, Progress
from core.job import JobCancelled, JobInterrupted
from core.models.description import ModelDescription
from core.models.source import SAMPLE
from core.pruning.masks import MaskHolder, Masks
from core.quantization.record import Quantization, QuantizedWeight
from core.recipe import Recipe
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings
from core.training.checkpoint import load_checkpoint
from core.training.optimizers import learning_rate_at
from core.training.step import fine_tune

from .toys import Watcher, toy_task

SETTINGS = FineTuneSettings(epochs=3, batch_size=16, learning_rate=0.01, augmentation="shift")


def toy_state(seed: int = 0) -> RunState:
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 3)
    )
    request = RunRequest(Recipe(steps=(SETTINGS,)), SAMPLE, None, seed=seed)
    description = ModelDescription(SAMPLE, None, "", (), 0)
    return RunState(request, module, description, toy_task(), torch.device("cpu"))


def weights(state: RunState) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.module.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_removed_weights_stay_exactly_zero_and_living_ones_move(tmp_path: Path) -> None:
    state = toy_state()
    before = weights(state)
    for name in ("0.weight", "5.weight"):
        state.masks.narrow(name, torch.rand_like(state.module.get_parameter(name)) > 0.5)
    for optimizer in ("adam", "sgd"):
        fine_tune(SETTINGS.model_copy(update={"optimizer": optimizer}), state, Watcher(tmp_path))
        for name in state.masks:
            weight = state.module.get_parameter(name)
            mask = state.masks[name]
            assert torch.count_nonzero(weight[~mask]) == 0
            assert not torch.signbit(weight[~mask]).any()
            assert (weight[mask] != before[name][mask]).any()


def test_training_learns_and_reports_its_curves(tmp_path: Path) -> None:
    context = Watcher(tmp_path)
    fine_tune(SETTINGS, toy_state(), context)
    accuracy = context.points("validation", "accuracy")
    assert [p.epoch for p in accuracy] == [0, 1, 2, 3]
    assert accuracy[-1].value > accuracy[0].value + 0.2
    losses = context.points("train", "loss")
    assert losses[-1].value < losses[0].value
    assert [p.iteration for p in losses] == list(range(1, 22))
    fractions = [e.fraction for e in context.events if isinstance(e, Progress)]
    assert fractions == sorted(fractions)


def test_the_curve_agrees_with_torch_on_the_same_batches(tmp_path: Path) -> None:
    """The first training point is the loss of the first batch before any update."""
    state, context = toy_state(), Watcher(tmp_path)
    settings = SETTINGS.model_copy(update={"augmentation": "none", "epochs": 1})
    reference = toy_state()
    order = torch.randperm(100, generator=torch.Generator().manual_seed(reference.step_seed()))[:16]
    assert reference.task is not None
    assert reference.task.train is not None
    x, y = reference.task.train.batch(order)
    torch.manual_seed(reference.step_seed())
    loss = nn.functional.cross_entropy(reference.module.train()(x), y)
    fine_tune(settings, state, context)
    assert context.points("train", "loss")[0].value == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_keep(tmp_path: Path, keep: str) -> None:
    state, context = toy_state(), Watcher(tmp_path)
    fine_tune(SETTINGS.model_copy(update={"keep": keep, "learning_rate": 0.3}), state, context)
    assert state.task is not None
    assert state.task.validation is not None
    from core.measurement.accuracy import evaluate

    result = evaluate(state.module, state.task.validation, torch.device("cpu"))
    values = [p.value for p in context.points("validation", "accuracy")]
    expected = max(values) if keep == "best" else values[-1]
    assert result.correct / result.count == pytest.approx(expected)


def test_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    results = []
    for seed in (1, 1, 2):
        state = toy_state(seed)
        fine_tune(SETTINGS, state, Watcher(tmp_path))
        results.append(weights(state))
    assert_same(results[0], results[1])
    assert not torch.equal(results[0]["5.weight"], results[2]["5.weight"])


@pytest.mark.parametrize(
    ("at", "precision"), [*((at, "float32") for at in (0, 1, 3, 8, 9, 10, 12, 24)), (9, "bfloat16")]
)
def test_a_run_interrupted_anywhere_resumes_to_the_same_bits_and_the_same_curve(
    tmp_path: Path, at: int, precision: str
) -> None:
    settings = SETTINGS.model_copy(update={"precision": precision})
    whole, undisturbed = toy_state(), Watcher(tmp_path)
    whole.masks.narrow("5.weight", torch.arange(192).reshape(3, 64) % 3 > 0)
    masks = whole.masks.tensors()
    fine_tune(settings, whole, undisturbed)

    state, first = toy_state(), Watcher(tmp_path, at, "interrupt")
    state.masks = Masks(masks)
    state.save(first)
    with pytest.raises(JobInterrupted):
        fine_tune(settings, state, first)
    torch.manual_seed(12345)  # another process would have other random numbers
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    resumed, second = toy_state(), Watcher(tmp_path)
    resumed.request = state.request
    resumed.take_up(checkpoint)
    fine_tune(settings, resumed, second)

    assert_same(weights(whole), weights(resumed))
    expected = {
        (p.iteration, p.split, p.metric): p.value for p in undisturbed.events if isinstance(p, MetricPoint)
    }
    found = {
        (p.iteration, p.split, p.metric): p.value
        for p in (*first.events, *second.events)
        if isinstance(p, MetricPoint)
    }
    assert found == expected


def test_bfloat16_moves_float32_weights_and_changes_little(tmp_path: Path) -> None:
    exact, rounded = toy_state(), toy_state()
    start = weights(exact)
    gone = torch.arange(192).reshape(3, 64) % 3 == 0
    short = SETTINGS.model_copy(update={"epochs": 1, "optimizer": "sgd", "keep": "last"})
    for state, precision in ((exact, "float32"), (rounded, "bfloat16")):
        state.masks.narrow("5.weight", ~gone)
        fine_tune(short.model_copy(update={"precision": precision}), state, Watcher(tmp_path))
    for name, tensor in weights(rounded).items():
        same = weights(exact)[name]
        assert tensor.dtype == same.dtype
        assert tensor.is_contiguous()
        if tensor.is_floating_point() and name.endswith("weight"):
            moved = (same - start[name]).abs().max()
            assert 0 < (tensor - same).abs().max() < 0.1 * moved, name
    assert torch.count_nonzero(weights(rounded)["5.weight"][gone]) == 0


def test_bfloat16_of_a_quantized_model_is_refused(tmp_path: Path) -> None:
    state = toy_state()
    state.quantization = Quantization({"5.weight": QuantizedWeight("float16", 16)})
    with pytest.raises(StudioError, match="choose float32"):
        fine_tune(SETTINGS.model_copy(update={"precision": "bfloat16"}), state, Watcher(tmp_path))


def test_stopping_keeps_the_best_so_far(tmp_path: Path) -> None:
    state, context = toy_state(), Watcher(tmp_path, 14, "stop")
    fine_tune(SETTINGS, state, context)
    assert any(isinstance(e, Notice) and "Stopped at epoch" in e.text for e in context.events)
    assert 0 < max(e.iteration for e in context.events if isinstance(e, MetricPoint)) < 21


def test_cancel_leaves_at_once(tmp_path: Path) -> None:
    state, context = toy_state(), Watcher(tmp_path, 9, "cancel")
    with pytest.raises(JobCancelled):
        fine_tune(SETTINGS, state, context)
    assert state.iteration == 7


def test_pause_waits_and_tells(tmp_path: Path) -> None:
    import threading

    context = Watcher(tmp_path, 5, "pause")
    threading.Timer(0.2, context.request_resume).start()
    fine_tune(SETTINGS, toy_state(), context)
    assert [e.paused for e in context.events if isinstance(e, PausedChanged)] == [True, False]


def test_divergence_is_one_sentence(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": "sgd", "learning_rate": 10.0, "epochs": 20})
    state = toy_state()
    with torch.no_grad():
        state.module.get_parameter("5.weight").fill_(1e30)
    with pytest.raises(StudioError, match=r"diverged.*Lower the learning rate"):
        fine_tune(settings, state, Watcher(tmp_path))


def test_a_task_without_training_examples_is_refused(tmp_path: Path) -> None:
    state = toy_state()
    assert state.task is not None
    state.task = replace(state.task, train=None)
    with pytest.raises(StudioError, match="no training examples"):
        fine_tune(SETTINGS, state, Watcher(tmp_path))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(StudioError, match="damaged"):
        load_checkpoint(tmp_path)
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_cosine_schedule() -> None:
    settings = FineTuneSettings(learning_rate=0.2, schedule="cosine")
    assert learning_rate_at(settings, 0, 10) == 0.2
    assert learning_rate_at(settings, 5, 10) == pytest.approx(0.1)
    assert learning_rate_at(settings, 10, 10) == pytest.approx(0.0, abs=1e-12)
    assert learning_rate_at(settings.model_copy(update={"schedule": "constant"}), 9, 10) == 0.2


def test_masks_never_let_weights_come_back_and_clear_nan() -> None:
    module = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-1.0, math.nan, 3.0, 4.0]]))
    masks = Masks()
    masks.narrow("weight", torch.tensor([[False, True, True, True]]))
    masks.narrow("weight", torch.tensor([[True, False, True, True]]))
    masks.zero_removed(module)
    assert module.weight.tolist() == [[0.0, 0.0, 3.0, 4.0]]
    assert not torch.signbit(module.weight).any()
    with torch.no_grad():
        module.weight.add_(1)
    MaskHolder(module, masks).hold()
    assert module.weight.tolist() == [[0.0, 0.0, 4.0, 5.0]]
