"""Teacher and student before anything is trained: costs, layers, pairs and the teacher's answers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.distillation.prospect import prospect, teacher_answers
from core.distillation.settings import DistillSettings, StudentSettings
from core.distillation.temperature import soft_targets
from core.errors import StudioError
from core.measurement.cost import count_macs
from core.models.opening import load_module
from core.models.source import SAMPLE, parse_source
from core.pruning.structured_settings import PruneChannelsSettings
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import PruneSettings, StepSettings

CPU = torch.device("cpu")
DIGITS = TaskSpec("digits")


def request(*steps: StepSettings, task: TaskSpec | None = DIGITS) -> RunRequest:
    return RunRequest(Recipe(steps=steps), SAMPLE, task)


def test_both_sides_cost_what_they_cost() -> None:
    found = prospect(request(StudentSettings(width=0.5), DistillSettings()), 1)
    assert found.teacher is not None
    loaded = load_module(SAMPLE)
    assert loaded.description.input_shape is not None
    assert found.teacher.parameters == sum(p.numel() for p in loaded.module.parameters())
    assert found.teacher.macs == count_macs(loaded.module, loaded.description.input_shape, CPU)
    assert found.teacher.bytes > 4 * found.teacher.parameters
    assert found.student.parameters < found.teacher.parameters / 3
    assert [name for name, _ in found.student.layers] == [name for name, _ in found.teacher.layers]
    assert found.student.shape_of("conv2") == (16, 8, 8)
    assert found.problem == ""


def test_the_student_is_what_earlier_steps_leave() -> None:
    same = prospect(request(PruneSettings(), DistillSettings()), 1)
    assert same.teacher is not None
    assert same.student.parameters == same.teacher.parameters
    narrower = prospect(request(PruneChannelsSettings(amount=0.5), DistillSettings()), 1)
    assert narrower.teacher is not None
    assert narrower.student.macs is not None
    assert narrower.teacher.macs is not None
    assert narrower.student.macs <= narrower.teacher.macs / 2


def test_pairs_say_what_is_put_between_them_or_why_not() -> None:
    found = prospect(request(StudentSettings(width=0.5), DistillSettings(method="hints")), 1)
    assert found.pair_words("conv2", "conv2", "hints") == (
        True,
        "a learned 1×1 convolution takes 16 to 32 channels",
    )
    fits, words = found.pair_words("fc1", "conv2", "hints")
    assert not fits
    assert "cannot be projected" in words
    assert found.pair_words("fc1", "conv2", "attention")[0] is False
    assert found.pair_words("gone", "conv2", "hints") == (False, "there is no layer “gone”")


def test_teachers_that_do_not_fit_are_told() -> None:
    missing = prospect(request(DistillSettings(teachers=("nowhere.pt",))), 0)
    assert missing.teacher is None
    assert "nowhere.pt" in missing.problem
    with pytest.raises(StudioError, match="28 × 28"):
        prospect(request(StudentSettings(architecture="zoo:lenet-5"), DistillSettings()), 1)
    steps = (DistillSettings(teachers=("zoo:perceptron-800",)),)
    smaller = prospect(RunRequest(Recipe(steps=steps), parse_source("zoo:perceptron-1200"), None), 0)
    assert "smaller than the student" in smaller.problem
    steps = (DistillSettings(teachers=("torchvision:resnet18",)),)
    other = prospect(RunRequest(Recipe(steps=steps), parse_source("zoo:resnet20"), None), 0)
    assert "The teacher tells 1000 classes apart, the student 10" in other.problem


def test_the_teachers_answers_are_the_models_own() -> None:
    found = teacher_answers(request(DistillSettings()), 0, 8)
    assert sorted(found.labels.tolist()) == list(range(8))
    assert found.images.dtype == np.uint8
    assert found.images.shape == (8, 1, 8, 8)
    task = load_task(DIGITS)
    assert task.test is not None
    place = int(torch.nonzero(task.test.labels == 0)[0])
    inputs, _ = task.test.batch(torch.tensor([place]), CPU)
    with torch.no_grad():
        expected = load_module(SAMPLE).module.eval()(inputs).numpy()[0]
    np.testing.assert_allclose(found.logits[0], expected, atol=1e-4)
    with pytest.raises(StudioError, match="Choose a task"):
        teacher_answers(request(DistillSettings(), task=None), 0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_soft_targets_are_torchs(temperature: float) -> None:
    logits = np.random.default_rng(3).normal(0, 8, (5, 10)).astype(np.float32)
    expected = functional.softmax(torch.from_numpy(logits).double() / temperature, -1).numpy()
    np.testing.assert_allclose(soft_targets(logits, temperature), expected, atol=1e-12)
