"""The curve of Optimal Brain Damage on a toy: right at its ends, true to its definition, and without a trace."""

import pytest
import torch
from torch import nn

from core.pruning.curvature import gauss_newton_diagonal
from core.pruning.deletion_curve import deletion_curve
from core.steps import FineTuneSettings
from core.training.step import fine_tune

from .toys import Watcher, toy_state


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    state = toy_state(FineTuneSettings(epochs=30, learning_rate=0.02))
    fine_tune(state.request.recipe.steps[0], state, Watcher(tmp_path_factory.mktemp("run")))
    x, y = state.task.train.batch(torch.arange(100))
    names = {name: f"{name}.weight" for name in ("0", "3", "5")}
    diagonal = gauss_newton_diagonal(state.module, names, [(x, y)], "cross-entropy")
    weights = {weight: state.module.get_parameter(weight).detach().clone() for weight in names.values()}
    saliencies = {names[name]: 0.5 * diagonal[name] * weights[names[name]] ** 2 for name in names}
    return state.module, saliencies, weights, [(x[:64], y[:64]), (x[64:], y[64:])]


def test_every_point_is_what_deleting_by_hand_gives(trained) -> None:
    module, saliencies, weights, batches = trained
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    points = deletion_curve(module, saliencies, lambda: batches, [371, 0, 100])
    assert [point.removed for point in points] == [0, 100, 371]
    assert points[0].predicted == points[0].measured
    flat = torch.cat([saliencies[name].flatten() for name in saliencies])
    limit = flat.sort().values[99]
    with torch.no_grad():
        for name, weight in weights.items():
            module.get_parameter(name).copy_(torch.where(saliencies[name] <= limit, 0.0, weight))
        by_hand = nn.functional.cross_entropy(module(x), y).item()
        for name, weight in weights.items():
            module.get_parameter(name).copy_(weight)
    assert points[1].measured == pytest.approx(by_hand, rel=1e-5)
    assert points[1].predicted - points[0].measured == pytest.approx(
        float(flat.sort().values[:100].sum()), rel=1e-4
    )
    assert points[2].measured > points[0].measured


def test_the_network_is_as_it_was_even_if_the_user_gives_up(trained) -> None:
    module, saliencies, weights, batches = trained
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        deletion_curve(module, saliencies, lambda: batches, [10, 200, 300], check=check)
    for name, weight in weights.items():
        assert torch.equal(module.get_parameter(name), weight)


def test_another_ranking_foretells_more_loss_for_as_many_weights(trained) -> None:
    """Of all choices, the lowest saliencies foretell the least; magnitudes are one of the others."""
    module, saliencies, weights, batches = trained
    counts = [50, 150, 250]
    by_saliency = deletion_curve(module, saliencies, lambda: batches, counts)
    magnitudes = {name: weight.abs() for name, weight in weights.items()}
    by_magnitude = deletion_curve(module, saliencies, lambda: batches, counts, ranking=magnitudes)
    for ours, theirs in zip(by_saliency, by_magnitude, strict=True):
        assert ours.predicted <= theirs.predicted + 1e-9
