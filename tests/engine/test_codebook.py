"""Shared weights: k-means against scikit-learn, zeros that stay, values trained by summed gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from core.errors import StudioError
from core.export.packed_file import packed_size
from core.job import JobInterrupted
from core.quantization.codebook import share_weights
from core.quantization.kmeans import cluster
from core.quantization.settings import CodebookSettings
from core.quantization.training import QuantizedTraining
from core.steps import PruneSettings
from core.training.checkpoint import load_checkpoint

from .toys import Watcher, toy_network, toy_state


def two_lobes(count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    return np.concatenate([random.normal(-0.1, 0.03, count), random.normal(0.12, 0.04, count)])


@pytest.mark.parametrize("start", ["linear", "density", "random"])
@pytest.mark.parametrize("count", [1, 5, 31])
def test_clusters_are_those_of_scikit_learn_from_the_same_start(start: str, count: int):
    values = two_lobes(700)
    ours = cluster(values, count, start, seed=4)
    ordered = np.sort(values)
    if start == "linear":
        begin = np.linspace(ordered[0], ordered[-1], count)
    elif start == "density":
        begin = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    else:
        begin = ordered[np.random.default_rng(4).choice(ordered.size, count, replace=False)]
    theirs = KMeans(count, init=begin.reshape(-1, 1), n_init=1, max_iter=300, tol=0, algorithm="lloyd")
    theirs.fit(values.reshape(-1, 1))
    ours_error = float((np.abs(values[:, None] - ours[None]).min(1) ** 2).sum())
    assert ours_error <= theirs.inertia_ * 1.02
    if start != "linear":
        # Where no cluster runs empty, the two agree value by value.
        assert np.allclose(np.sort(theirs.cluster_centers_.reshape(-1)), ours, atol=1e-6)


def test_few_distinct_values_are_kept_exactly():
    assert cluster(np.array([0.5, -1.0, 0.5, 2.0]), 7, "density").tolist() == [-1.0, 0.5, 2.0]


def test_zeros_stay_and_values_become_few(tmp_path: Path):
    from core.pruning.step import prune

    settings = CodebookSettings(bits=2, convolution_bits=3, exclude=("5",))
    state = toy_state(settings)
    prune(PruneSettings(sparsity=0.5), state, Watcher(tmp_path))
    zeros = {name: state.module.get_parameter(name) == 0 for name in ("0.weight", "3.weight")}
    before = packed_size(state.module.state_dict(), {})
    share_weights(settings, state, Watcher(tmp_path))
    for name, most in (("0.weight", 7), ("3.weight", 3)):
        weight = state.module.get_parameter(name).detach()
        assert torch.equal(weight == 0, zeros[name])
        book = state.quantization.weights[name].book
        assert book is not None
        assert torch.equal(torch.unique(weight[weight != 0]), book)
        assert book.numel() <= most
    assert "5.weight" not in state.quantization.weights
    assert packed_size(state.module.state_dict(), {}) < before


def test_gradients_of_shared_weights_are_summed():
    module = toy_network()
    with torch.no_grad():
        weight = module.get_parameter("3.weight")
        weight.copy_(torch.where(weight > 0.05, 0.1, torch.where(weight < -0.05, -0.2, 0.0)))
    from core.quantization.record import Quantization, QuantizedWeight

    book = torch.tensor([-0.2, 0.1])
    x = torch.randn(9, 1, 6, 6)
    module(x).square().sum().backward()
    assert weight.grad is not None
    plain = weight.grad.clone()
    module.zero_grad()
    training = QuantizedTraining(
        module, Quantization({"3.weight": QuantizedWeight("codebook", 2, book=book)})
    )
    training.begin()
    module(x).square().sum().backward()
    training.end()
    for value in book:
        members = weight == value
        assert torch.allclose(weight.grad[members], plain[members].sum(), rtol=1e-5)
    assert not weight.grad[weight == 0].any()


def test_training_keeps_who_shares_with_whom_and_resumes_to_the_same_bits(tmp_path: Path):
    settings = CodebookSettings(bits=2, epochs=3, learning_rate=0.01)
    state = toy_state(settings)
    untrained = toy_state(settings.model_copy(update={"epochs": 0}))
    share_weights(untrained.request.recipe.steps[0], untrained, Watcher(tmp_path))
    share_weights(settings, state, Watcher(tmp_path))
    for name, record in state.quantization.weights.items():
        weight, start = state.module.get_parameter(name), untrained.module.get_parameter(name)
        assert record.book is not None
        assert torch.equal(torch.unique(weight[weight != 0]), record.book)
        for value in torch.unique(start):
            assert torch.unique(weight[start == value]).numel() == 1
        assert not torch.equal(weight, start)
    again = toy_state(settings)
    with pytest.raises(JobInterrupted):
        share_weights(settings, again, Watcher(tmp_path, at=9, act="interrupt"))
    resumed = toy_state(settings)
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    resumed.take_up(saved)
    assert resumed.half_done is not None
    share_weights(settings, resumed, Watcher(tmp_path))
    for name, tensor in state.module.state_dict().items():
        assert torch.equal(tensor, resumed.module.state_dict()[name])


def test_bad_input_is_told_in_a_sentence(tmp_path: Path):
    with pytest.raises(StudioError, match="leaves every layer alone"):
        share_weights(CodebookSettings(exclude=("*",)), toy_state(CodebookSettings()), Watcher(tmp_path))
    module = toy_network()
    with torch.no_grad():
        module.get_parameter("3.weight")[0, 0] = float("inf")
    with pytest.raises(StudioError, match="“3” hold NaN or infinite"):
        share_weights(CodebookSettings(), toy_state(CodebookSettings(), module=module), Watcher(tmp_path))


def test_a_layer_of_zeros_has_no_values_to_share(tmp_path: Path):
    module = toy_network()
    with torch.no_grad():
        module.get_parameter("3.weight").zero_()
    state = toy_state(CodebookSettings(), module=module)
    share_weights(CodebookSettings(bits=2, epochs=1), state, Watcher(tmp_path))
    assert not state.module.get_parameter("3.weight").any()
    assert isinstance(state.module, nn.Module)
