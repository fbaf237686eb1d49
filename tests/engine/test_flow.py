"""Steps that follow each other: repetitions, rewinding, gradual cuts, iterations; and the same bits after any stop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from core import pipeline
from core.data.spec import TaskSpec
from core.errors import StudioError
from core.events import Failed, Finished, Interrupted, MetricPoint, Progress, StepStarted
from core.job import JobContext, JobInterrupted
from core.models.source import SAMPLE, ModelSource
from core.pruning.rewind import rewind
from core.pruning.step import prune
from core.recipe import Recipe, check_recipe, recipe_from_json
from core.repetition import write_out
from core.request import RunRequest
from core.run_state import RunState
from core.steps import FineTuneSettings, PruneSettings, StepSettings
from core.steps_flow import GradualSettings, RepeatSettings, RewindSettings
from core.training.checkpoint import load_checkpoint
from core.training.early_stop import early_stop
from core.training.optimizers import learning_rate_at
from core.training.step import fine_tune

from .toys import Watcher, toy_state

TUNE = FineTuneSettings(iterations=10, batch_size=16, learning_rate=0.01, evaluate_every=4)
FIFTH = PruneSettings(sparsity=0.2, of="remaining", scope="layer")
A, B, C = FineTuneSettings(epochs=1), PruneSettings(), FineTuneSettings(epochs=2)


def weights(state: RunState) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in state.module.state_dict().items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


# -- repetitions


def order(*steps: StepSettings) -> list[tuple[int, int]]:
    return [(planned.index, planned.round) for planned in write_out(steps)]


def test_a_repetition_stands_for_the_steps_before_it() -> None:
    assert order(A, B, C) == [(0, 0), (1, 0), (2, 0)]
    assert order(A, B, C, RepeatSettings(steps=2, times=3)) == [
        (0, 0),
        (1, 1),
        (2, 1),
        (1, 2),
        (2, 2),
        (1, 3),
        (2, 3),
    ]
    assert order(A, RepeatSettings(steps=1, times=2), B) == [(0, 1), (0, 2), (2, 0)]


def test_repetitions_nest() -> None:
    inner = (A, RepeatSettings(steps=1, times=2), B, RepeatSettings(steps=3, times=2))
    assert [index for index, _ in order(*inner)] == [0, 0, 2, 0, 0, 2]
    assert [number for _, number in order(*inner)] == [1, 1, 1, 2, 2, 2]
    planned = write_out(inner)
    assert planned[3].title == "Fine-tune (round 2 of 2)"
    assert planned[3].place == "Step 1 (round 2)"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((RepeatSettings(steps=1),), "no step stands before it"),
        ((A, B, RepeatSettings(steps=3)), "repeats 3, but only 2 stand before it"),
        (
            (A, RepeatSettings(steps=1, times=1000), RepeatSettings(steps=2, times=1000)),
            "makes 1000000 steps of the recipe, above the 10000",
        ),
    ],
)
def test_a_repetition_that_cannot_be_written_out_is_one_sentence(
    steps: tuple[StepSettings, ...], words: str
) -> None:
    with pytest.raises(StudioError, match=words):
        check_recipe(Recipe(steps=steps), ["a"])


def test_patterns_of_gradual_steps_are_checked_too() -> None:
    with pytest.raises(StudioError, match="no prunable layer “fc9”"):
        check_recipe(Recipe(steps=(GradualSettings(overrides={"fc9": 0.5}),)), ["fc1"])


def test_recipes_of_earlier_versions_mean_the_same() -> None:
    """Only fields were added: a file without them, and a checkpoint's recipe without them, are still read."""
    text = (
        '{"format": "compression-studio-recipe", "version": 1, "name": "Old", "description": "", "steps": ['
        '{"step": "prune", "criterion": "magnitude", "sparsity": 0.8, "scope": "global", "overrides": {}, '
        '"exclude": []},'
        '{"step": "fine-tune", "epochs": 3, "learning_rate": 0.001, "batch_size": 64, "optimizer": "adam", '
        '"schedule": "cosine", "augmentation": "none", "keep": "best", "momentum": 0.9, "weight_decay": 0.0}]}'
    )
    assert recipe_from_json(text, "old.json").steps == (PruneSettings(), FineTuneSettings())


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be above the 4 that stay"):
        PruneSettings(granularity="n-of-m", keep_n=4, group_m=4)


# -- rewinding


def test_rewinding_restores_survivors_and_keeps_the_rest_at_zero(tmp_path: Path) -> None:
    state = toy_state(RewindSettings())
    start = weights(state)
    fine_tune(TUNE, state, Watcher(tmp_path))
    prune(FIFTH, state, Watcher(tmp_path))
    rewind(RewindSettings(), state, Watcher(tmp_path))
    for name, tensor in state.module.state_dict().items():
        if name in state.masks:
            mask = state.masks[name]
            assert 0.1 < (~mask).float().mean() < 0.3
            assert not tensor[~mask].any()
            assert torch.equal(tensor[mask], start[name][mask])
        else:
            assert torch.equal(tensor, start[name])


def test_rewinding_to_an_early_iteration(tmp_path: Path) -> None:
    steps = (RewindSettings(to="iteration", iteration=3), RewindSettings(to="iteration", iteration=0))
    state, short = toy_state(*steps), toy_state()
    start = weights(state)
    constant = TUNE.model_copy(update={"schedule": "constant", "keep": "last"})
    fine_tune(constant.model_copy(update={"iterations": 3}), short, Watcher(tmp_path))
    fine_tune(constant, state, Watcher(tmp_path))
    assert set(state.early) == {0, 3}
    rewind(steps[0], state, Watcher(tmp_path))
    assert_same(weights(state), weights(short))
    rewind(steps[1], state, Watcher(tmp_path))
    assert_same(weights(state), start)


def test_an_iteration_never_reached_is_one_sentence(tmp_path: Path) -> None:
    step = RewindSettings(to="iteration", iteration=99)
    state = toy_state(step)
    fine_tune(TUNE, state, Watcher(tmp_path))
    with pytest.raises(StudioError, match="cannot go back to iteration 99: the run has only made 10 updates"):
        rewind(step, state, Watcher(tmp_path))


def test_new_random_weights_depend_on_the_seed_and_keep_the_masks(tmp_path: Path) -> None:
    from core.models.opening import load_module

    loaded = load_module(ModelSource("zoo", "lenet-300-100"))
    step = RewindSettings(to="random")
    found = []
    for seed in (0, 0, 1):
        request = RunRequest(Recipe(steps=(step,)), ModelSource("zoo", "lenet-300-100"), None, seed=seed)
        module = load_module(request.source).module
        state = RunState(request, module, loaded.description, None, torch.device("cpu"))
        prune(PruneSettings(sparsity=0.5), state, Watcher(tmp_path))
        rewind(step, state, Watcher(tmp_path))
        mask, weight = state.masks["fc1.weight"], module.get_parameter("fc1.weight")
        assert not weight[~mask].any()
        assert (weight[mask] != loaded.module.get_parameter("fc1.weight")[mask]).float().mean() > 0.99
        fresh = loaded.module.get_parameter("fc1.weight").detach()
        assert float(weight.detach().std()) == pytest.approx(float(fresh.std()), rel=0.4)
        found.append(weight.detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    with pytest.raises(StudioError, match=r"architecture of .* is not known"):
        rewind(step, toy_state(step), Watcher(tmp_path))


def test_shuffled_masks_keep_as_many_elsewhere_and_can_be_restored(tmp_path: Path) -> None:
    shuffle, restore = RewindSettings(masks="shuffle"), RewindSettings(masks="restore")
    state = toy_state(shuffle, restore)
    start = weights(state)
    prune(PruneSettings(sparsity=0.6, scope="layer"), state, Watcher(tmp_path))
    before = state.masks.tensors()
    rewind(shuffle, state, Watcher(tmp_path))
    for name, mask in state.masks.tensors().items():
        assert mask.sum() == before[name].sum()
        assert torch.equal(state.module.get_parameter(name)[mask], start[name][mask])
    assert any(not torch.equal(before[name], state.masks[name]) for name in before)
    rewind(restore, state, Watcher(tmp_path))
    assert all(torch.equal(before[name], state.masks[name]) for name in before)
    with pytest.raises(StudioError, match="none were shuffled"):
        rewind(restore, state, Watcher(tmp_path))


# -- training by iterations


def points(context: Watcher, split: str, metric: str) -> list[MetricPoint]:
    return [
        event
        for event in context.events
        if isinstance(event, MetricPoint) and (event.split, event.metric) == (split, metric)
    ]


def test_iterations_count_and_evaluations_come_on_time(tmp_path: Path) -> None:
    """100 examples in batches of 16 are 7 batches an epoch; 10 iterations end in the middle of the second."""
    context, state = Watcher(tmp_path), toy_state()
    fine_tune(TUNE.model_copy(update={"evaluate_test": True}), state, context)
    assert state.iteration == 10
    assert [point.iteration for point in points(context, "validation", "loss")] == [0, 4, 8, 10]
    assert [point.iteration for point in points(context, "test", "accuracy")] == [0, 4, 8, 10]
    assert points(context, "validation", "loss")[-1].epoch == pytest.approx(1 + 3 / 7)
    activities = [event.activity for event in context.events if isinstance(event, Progress)]
    assert activities[-1] == "Fine-tune: iteration 10 of 10"


def test_looking_more_often_changes_no_bit(tmp_path: Path) -> None:
    often, seldom = toy_state(), toy_state()
    fine_tune(TUNE.model_copy(update={"evaluate_every": 1, "keep": "last"}), often, Watcher(tmp_path))
    fine_tune(TUNE.model_copy(update={"evaluate_every": None, "keep": "last"}), seldom, Watcher(tmp_path))
    assert_same(weights(often), weights(seldom))


def test_the_lowest_loss_is_kept(tmp_path: Path) -> None:
    from core.measurement.accuracy import evaluate

    state, context = toy_state(), Watcher(tmp_path)
    fine_tune(
        TUNE.model_copy(update={"keep": "lowest-loss", "learning_rate": 0.3, "evaluate_every": 1}),
        state,
        context,
    )
    losses = points(context, "validation", "loss")
    found = early_stop(losses, 0)
    assert found is not None
    assert found.loss == min(point.value for point in losses)
    assert state.task is not None
    assert state.task.validation is not None
    assert evaluate(state.module, state.task.validation, torch.device("cpu")).loss == pytest.approx(
        found.loss
    )


def test_early_stop_counts_from_the_beginning_of_its_step() -> None:
    def point(step: int, iteration: int, value: float) -> MetricPoint:
        return MetricPoint("run", step, 0.0, iteration, "validation", "loss", value, 0.0)

    curve = [point(0, 0, 2.0), point(0, 50, 1.0), point(2, 50, 3.0), point(2, 60, 0.7), point(2, 70, 0.7)]
    found = early_stop(curve, 2)
    assert found is not None
    assert (found.iteration, found.loss) == (10, 0.7)
    assert early_stop(curve, 1) is None


def test_training_from_a_start_does_only_the_rest(tmp_path: Path) -> None:
    settings = TUNE.model_copy(update={"start": 6})
    state, context = toy_state(), Watcher(tmp_path)
    fine_tune(settings, state, context)
    assert state.iteration == 4
    assert learning_rate_at(settings, 6, 10) < 0.01 / 2
    with pytest.raises(StudioError, match="starts at iteration 10, but ends after 10"):
        fine_tune(TUNE.model_copy(update={"start": 10}), toy_state(), context)


def test_squared_error_trains_towards_plus_and_minus_one(tmp_path: Path) -> None:
    state, context = toy_state(), Watcher(tmp_path)
    fine_tune(FineTuneSettings(epochs=12, learning_rate=0.02, loss="squared-error"), state, context)
    losses = points(context, "validation", "loss")
    assert losses[-1].value < 0.6 * losses[0].value
    assert state.task is not None
    assert state.task.train is not None
    images, labels = state.task.train.batch(torch.arange(100))
    outputs = state.module(images).detach()
    targets = torch.nn.functional.one_hot(labels, 3) * 2 - 1
    assert torch.nn.functional.mse_loss(outputs, targets.float()) < 0.6


# -- gradual cuts


def test_gradual_cuts_follow_the_cubic(tmp_path: Path) -> None:
    settings = GradualSettings(
        sparsity=0.8, iterations=20, prune_every=4, prune_until=0.6, batch_size=16, evaluate_every=20
    )
    state, context = toy_state(settings), Watcher(tmp_path)
    fine_tune(settings, state, context)
    found = points(context, "model", "sparsity")
    assert [point.iteration for point in found] == [4, 8, 12]
    for point in found:
        assert point.value == pytest.approx(0.8 * (1 - (1 - point.iteration / 12) ** 3), abs=0.01)
    for name in state.masks:
        assert not state.module.get_parameter(name)[~state.masks[name]].any()
    assert context.events[-1].text.startswith("Step 1 set 80")


def test_gradual_keeps_no_weights_from_before_a_cut(tmp_path: Path) -> None:
    settings = GradualSettings(
        sparsity=0.9,
        iterations=20,
        prune_every=5,
        prune_until=1.0,
        batch_size=16,
        evaluate_every=1,
        keep="best",
    )
    state = toy_state(settings)
    fine_tune(settings, state, Watcher(tmp_path))
    for name in state.masks:
        weight = state.module.get_parameter(name)
        assert torch.equal(weight != 0, state.masks[name])


# -- whole runs and the same bits after every stop


def interruptible(settings: StepSettings, steps: tuple[StepSettings, ...], folder: Path, at: int) -> RunState:
    """Run one training step, interrupted at its `at`-th checkpoint and taken up in another state."""
    state, context = toy_state(*steps), Watcher(folder, at, "interrupt")
    state.save(context)
    try:
        fine_tune(settings, state, context)  # type: ignore[arg-type]
        return state
    except JobInterrupted:
        torch.manual_seed(987)
    checkpoint = load_checkpoint(folder)
    assert checkpoint is not None
    resumed = toy_state(*steps)
    resumed.request = state.request
    resumed.take_up(checkpoint)
    fine_tune(settings, resumed, Watcher(folder))  # type: ignore[arg-type]
    return resumed


@pytest.mark.parametrize("at", [0, 1, 3, 6, 8, 9, 13, 16, 17, 18, 19])
def test_a_gradual_step_interrupted_anywhere_ends_with_the_same_bits(tmp_path: Path, at: int) -> None:
    settings = GradualSettings(
        sparsity=0.7, iterations=12, prune_every=3, batch_size=16, evaluate_every=3, learning_rate=0.01
    )
    steps = (settings, RewindSettings(to="iteration", iteration=2))
    whole = toy_state(*steps)
    fine_tune(settings, whole, Watcher(tmp_path))
    (tmp_path / "parts").mkdir()
    resumed = interruptible(settings, steps, tmp_path / "parts", at)
    assert_same(weights(whole), weights(resumed))
    assert_same(whole.masks.tensors(), resumed.masks.tensors())
    assert_same(whole.early[2], resumed.early[2])


LOTTERY = (
    FineTuneSettings(
        iterations=8, batch_size=64, optimizer="adam", learning_rate=2e-3, keep="last", evaluate_every=4
    ),
    PruneSettings(sparsity=0.2, of="remaining", scope="layer", output_sparsity=0.1),
    RewindSettings(to="random"),
    FineTuneSettings(iterations=3, batch_size=64, keep="last"),
    RewindSettings(to="iteration", iteration=2, masks="shuffle"),
    RewindSettings(masks="restore"),
    FineTuneSettings(iterations=4, batch_size=64, keep="last", evaluate_every=2),
    PruneSettings(
        criterion="obd", sparsity=0.1, of="remaining", examples=32, curvature="gauss-newton-sampled"
    ),
    RepeatSettings(steps=7, times=2),
)


class Session(JobContext):
    """Collects events and asks for an interruption at the n-th checkpoint."""

    def __init__(self, folder: Path, *, at: int = -1, resume: bool = False) -> None:
        self.events: list[object] = []
        super().__init__("run", self.events.append, folder, resume=resume)
        self._left = at

    def checkpoint(self) -> None:
        if self._left == 0:
            self.request_interrupt()
        self._left -= 1
        super().checkpoint()


def model_bytes(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_lottery_interrupted_again_and_again_ends_with_the_same_file(tmp_path: Path) -> None:
    request = RunRequest(
        Recipe(steps=LOTTERY), SAMPLE, TaskSpec("digits"), threads=1, device="cpu", measure_latency=False
    )
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = Session(tmp_path / "whole")
    pipeline.run(request, whole)
    assert isinstance(whole.events[-1], Finished), whole.events[-1]
    started = [event for event in whole.events if isinstance(event, StepStarted)]
    assert [event.index for event in started] == list(range(15))
    assert started[1].title == "Prune (round 1 of 2)"
    assert started[-1].title == "Prune (round 2 of 2)"
    fractions = [event.fraction for event in whole.events if isinstance(event, Progress)]
    assert fractions[-1] == pytest.approx(1.0)
    sparsity = [e.value for e in whole.events if isinstance(e, MetricPoint) and e.metric == "sparsity"]
    assert sparsity[:2] == pytest.approx([0.2, 0.28], abs=0.01)

    interrupted = 0
    for session_number in range(60):
        # Each session gets a little further than the work that it must do again.
        session = Session(tmp_path / "parts", at=12 + 3 * session_number, resume=session_number > 0)
        pipeline.run(request, session)
        if isinstance(session.events[-1], Finished):
            break
        assert isinstance(session.events[-1], Interrupted), session.events[-1]
        interrupted += 1
    assert interrupted >= 4
    assert model_bytes(tmp_path / "whole") == model_bytes(tmp_path / "parts")


def test_a_failing_round_names_itself_and_writes_no_model(tmp_path: Path) -> None:
    steps = (PruneSettings(sparsity=0.97, of="remaining"), RepeatSettings(steps=1, times=9))
    request = RunRequest(Recipe(steps=steps), SAMPLE, None, threads=1, device="cpu", measure_latency=False)
    session = Session(tmp_path)
    pipeline.run(request, session)
    end = session.events[-1]
    assert isinstance(end, Failed)
    assert not end.bug
    assert "would lose all weights" in end.message
    assert not (tmp_path / "model.safetensors").exists()


def test_a_diverging_round_says_which(tmp_path: Path) -> None:
    wild = FineTuneSettings(iterations=30, optimizer="sgd", learning_rate=10, momentum=0.99)
    state = toy_state(wild, RepeatSettings(steps=1, times=3))
    state.step = 1
    with torch.no_grad():
        state.module[5].weight.fill_(1e25)
    with pytest.raises(StudioError, match=r"diverged.*of step 1 \(round 2\).*Lower the learning rate"):
        fine_tune(wild, state, Watcher(tmp_path))


def test_a_checkpoint_of_an_earlier_version_can_be_taken_up(tmp_path: Path) -> None:
    state = toy_state(FineTuneSettings())
    state.save(Watcher(tmp_path))
    data = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for name in ("early", "masks_before_shuffle"):
        del data[name]
    data["recipe"] = '{"steps": [{"step": "fine-tune", "epochs": 3}]}'
    torch.save(data, tmp_path / "checkpoint.pt")
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    toy_state(FineTuneSettings()).take_up(replace(checkpoint))
    with pytest.raises(StudioError, match="another recipe"):
        toy_state(FineTuneSettings(epochs=4)).take_up(checkpoint)
