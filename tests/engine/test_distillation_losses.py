"""The losses of distillation are what their papers' formulas give, computed by hand with numpy or another routine."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.distillation.bias_correction import corrected_biases
from core.distillation.losses import (
    angle_loss,
    attention_loss,
    distance_loss,
    hint_loss,
    logit_loss,
    relational_loss,
    soft_probabilities,
    soft_target_loss,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
def test_soft_targets_are_the_scaled_divergence(generator: torch.Generator, temperature: float) -> None:
    student, teacher = torch.randn(2, 6, 10, generator=generator).double().unbind()
    targets = soft_probabilities([teacher], temperature)
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, 1), targets, reduction="batchmean"
    )
    assert soft_target_loss(student, targets, temperature) == pytest.approx(
        float(divergence) * temperature**2, rel=1e-4
    )
    assert float(soft_target_loss(teacher, targets, temperature)) == pytest.approx(0, abs=1e-3)


def test_at_high_temperature_gradients_are_those_of_matching_centred_logits(
    generator: torch.Generator,
) -> None:
    # Hinton et al. 2015, equation 4: (z - v) / N for logits of mean zero, once scaled by T².
    student, teacher = torch.randn(2, 4, 5, generator=generator).double().unbind()
    student = (student - student.mean(1, keepdim=True)).requires_grad_()
    teacher = teacher - teacher.mean(1, keepdim=True)
    (gradient,) = torch.autograd.grad(
        soft_target_loss(student, soft_probabilities([teacher], 1000.0), 1000.0), student
    )
    expected = (student.detach() - teacher) / 5 / 4
    assert gradient.numpy() == pytest.approx(expected.numpy(), rel=1e-2, abs=1e-4)


def test_several_teachers_are_averaged(generator: torch.Generator) -> None:
    first, second = torch.randn(2, 3, 4, generator=generator).unbind()
    mean = soft_probabilities([first, second], 2.0)
    assert torch.allclose(mean, (torch.softmax(first / 2, 1) + torch.softmax(second / 2, 1)) / 2)
    student = torch.randn(3, 4, generator=generator)
    expected = ((student - (first + second) / 2) ** 2).mean()
    assert logit_loss(student, [first, second]) == pytest.approx(float(expected), rel=1e-6)


def test_hints_and_attention(generator: torch.Generator) -> None:
    ours, theirs = torch.randn(2, 3, 4, 5, 5, generator=generator).unbind()
    assert hint_loss(ours, theirs) == pytest.approx(float(((ours - theirs) ** 2).mean() / 2), rel=1e-6)
    maps = []
    for values in (ours.numpy(), theirs.numpy()):
        flat = (values**2).mean(1).reshape(3, -1)
        maps.append(flat / np.linalg.norm(flat, axis=1, keepdims=True))
    expected = 0.5 * ((maps[0] - maps[1]) ** 2).sum(1).mean()
    assert attention_loss(ours, theirs) == pytest.approx(float(expected), rel=1e-5)
    # More channels on one side, and other magnitudes, make no difference to where a network looks.
    assert float(attention_loss(ours, torch.cat([ours, ours], 1) * 3)) == pytest.approx(0, abs=1e-6)


def huber(difference: np.ndarray) -> float:
    small = np.abs(difference) < 1
    return float(np.where(small, 0.5 * difference**2, np.abs(difference) - 0.5).mean())


def test_relations_are_distances_and_angles(generator: torch.Generator) -> None:
    ours, theirs = torch.randn(6, 3, generator=generator), torch.randn(6, 8, generator=generator)
    distances, cosines = [], []
    for values in (ours.double().numpy(), theirs.double().numpy()):
        between = np.linalg.norm(values[:, None] - values[None], axis=2)
        distances.append(between / between.sum() * 30)
        found = np.zeros((6, 6, 6))
        for corner in range(6):
            for i in range(6):
                for j in range(6):
                    a, b = values[i] - values[corner], values[j] - values[corner]
                    norm = np.linalg.norm(a) * np.linalg.norm(b)
                    found[corner, i, j] = 0 if norm == 0 else a @ b / norm
        cosines.append(found)
    assert distance_loss(ours, theirs) == pytest.approx(huber(distances[0] - distances[1]), rel=1e-4)
    assert angle_loss(ours, theirs) == pytest.approx(huber(cosines[0] - cosines[1]), rel=1e-4)
    assert relational_loss(ours, theirs) == pytest.approx(
        float(distance_loss(ours, theirs) + 2 * angle_loss(ours, theirs)), rel=1e-6
    )
    # Scale and rotation are no relations.
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    assert float(relational_loss(ours, 5 * ours @ rotation)) == pytest.approx(0, abs=1e-5)


def test_equal_examples_have_gradients(generator: torch.Generator) -> None:
    ours = torch.ones(4, 3, requires_grad=True)
    relational_loss(ours, torch.randn(4, 3, generator=generator)).backward()
    assert ours.grad is not None
    assert bool(torch.isfinite(ours.grad).all())


def test_the_best_bias_is_found_exactly(generator: torch.Generator) -> None:
    outputs = torch.randn(200, 4, generator=generator).double()
    labels = torch.randint(0, 4, (200,), generator=generator)
    outputs[torch.arange(200), labels] += 1.5
    outputs[:, [1, 3]] -= 4
    shift, before, after = corrected_biases(outputs, labels, [1, 3])
    tried = []
    for bias in np.linspace(-2, 8, 2001):
        moved = outputs.clone()
        moved[:, [1, 3]] += bias
        tried.append(float((moved.argmax(1) == labels).double().mean()))
    assert before == float((outputs.argmax(1) == labels).double().mean())
    assert after == max(tried)
    moved = outputs.clone()
    moved[:, [1, 3]] += shift
    assert float((moved.argmax(1) == labels).double().mean()) == after
    assert corrected_biases(moved, labels, [1, 3])[0] == 0
