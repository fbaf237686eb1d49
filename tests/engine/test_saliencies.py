"""Saliencies to look at: equal to second derivatives taken one by one, and clear about what they need."""

import pytest
import torch
from torch.nn import functional

from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.measurement import saliencies
from core.measurement.saliencies import saliencies_of
from core.models.opening import load_module
from core.models.source import SAMPLE

DIGITS = TaskSpec("digits")


def test_they_are_half_the_curvature_times_the_square() -> None:
    found = saliencies_of(SAMPLE, DIGITS, examples=3)
    loaded, task = load_module(SAMPLE), load_task(DIGITS)
    assert task.train is not None
    chosen = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))[:3]
    images, _ = task.train.batch(chosen)
    name = loaded.description.layers[-1].name
    weight = loaded.module.get_parameter(f"{name}.weight")
    # The Gauss-Newton matrix of one example is Jᵀ H J, H the second derivative of cross-entropy by the scores.
    total = torch.zeros_like(weight, dtype=torch.float64)
    for image in images:
        scores = loaded.module(image[None])[0]
        # In float64: where p is close to 1, p − p² would lose its digits.
        p = functional.softmax(scores.detach().double(), 0)
        curvature = torch.diag(p) - torch.outer(p, p)
        rows = torch.stack(
            [torch.autograd.grad(one, weight, retain_graph=True)[0].flatten().double() for one in scores]
        )
        total += torch.einsum("ki,kl,li->i", rows, curvature, rows).view_as(weight)
    expected = 0.5 * total / 3 * weight.detach() ** 2
    assert found.values[name] == pytest.approx(expected.detach().numpy(), rel=1e-3, abs=1e-9)
    assert found.examples == 3
    assert not found.sampled
    assert {layer.name for layer in loaded.description.layers} == set(found.values)


def test_progress_ends_at_all_examples_and_giving_up_is_heard() -> None:
    seen: list[tuple[int, int]] = []
    saliencies_of(SAMPLE, DIGITS, examples=100, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (100, 100)

    def give_up() -> None:
        if seen:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        saliencies_of(SAMPLE, DIGITS, examples=100, check=give_up)


def test_with_many_classes_they_are_estimated_without_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = saliencies_of(SAMPLE, DIGITS, examples=2000)
    monkeypatch.setattr(saliencies, "MOST_CLASSES", 5)
    estimated = saliencies_of(SAMPLE, DIGITS, examples=2000)
    assert estimated.sampled
    assert "estimated" in estimated.protocol
    assert "estimated" not in exact.protocol
    for name, values in exact.values.items():
        assert estimated.values[name].sum() == pytest.approx(values.sum(), rel=0.5)
