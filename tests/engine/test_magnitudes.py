"""Exact magnitude thresholds: against sorting, against torch, and at the edges (ties, zeros, NaN)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from core.errors import StudioError
from core.pruning import magnitudes
from core.pruning.magnitudes import MagnitudeIndex, layer_budgets, mask_of, plan_magnitude
from core.steps import PruneSettings


def layers_of(seed=0, sizes=(("conv1", (16, 3, 3, 3)), ("conv2", (32, 16, 3, 3)), ("fc", (10, 800)))):
    rng = np.random.default_rng(seed)
    return [
        (name, (rng.standard_normal(shape) * (n + 1) * 0.05).astype(np.float32))
        for n, (name, shape) in enumerate(sizes)
    ]


def sorted_masks(layers, k):
    """The definition, the slow way: a stable sort of all magnitudes in layer order, then flat order."""
    flat = np.concatenate([np.abs(weights).ravel() for _, weights in layers])
    lives = np.ones(flat.size, bool)
    lives[np.argsort(flat, kind="stable")[:k]] = False
    masks, start = {}, 0
    for name, weights in layers:
        masks[name] = lives[start : start + weights.size].reshape(weights.shape)
        start += weights.size
    return masks


@pytest.mark.parametrize("sparsity", [0.0, 0.001, 0.25, 0.5, 0.8, 0.9, 0.987, 0.9999])
def test_global_masks_are_those_of_a_stable_sort(sparsity):
    layers = layers_of()
    total = sum(weights.size for _, weights in layers)
    plan = plan_magnitude(PruneSettings(sparsity=sparsity), layers)
    assert plan.weights == total
    assert plan.removed == round(sparsity * total)
    expected = sorted_masks(layers, round(sparsity * total))
    for name, weights in layers:
        mask = mask_of(weights, plan, name)
        assert mask.shape == weights.shape
        np.testing.assert_array_equal(mask, expected[name])
        assert plan.layer(name).removed == np.count_nonzero(~mask)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        npst.arrays(
            np.float32,
            npst.array_shapes(max_dims=2, max_side=12),
            elements=st.one_of(
                st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, np.inf, -np.inf, 1e-45, -1e-45]),
                st.floats(width=32, allow_nan=False),
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_any_weights_with_ties_zeros_and_infinities(arrays, sparsity):
    layers = [(f"layer{n}", array) for n, array in enumerate(arrays)]
    k = round(sparsity * sum(array.size for array in arrays))
    plan = plan_magnitude(PruneSettings(sparsity=sparsity), layers)
    expected = sorted_masks(layers, k)
    assert plan.removed == k
    for name, weights in layers:
        np.testing.assert_array_equal(mask_of(weights, plan, name), expected[name])


def test_layers_longer_than_a_chunk(monkeypatch):
    monkeypatch.setattr(magnitudes, "CHUNK", 64)
    rng = np.random.default_rng(1)
    layers = [
        ("a", rng.integers(-3, 4, 1000).astype(np.float32)),
        ("b", rng.integers(-3, 4, 333).astype(np.float32)),
    ]
    plan = plan_magnitude(PruneSettings(sparsity=0.4), layers)
    expected = sorted_masks(layers, round(0.4 * 1333))
    for name, weights in layers:
        np.testing.assert_array_equal(mask_of(weights, plan, name), expected[name])


@pytest.mark.parametrize("sparsity", [0.3, 0.8, 0.95])
def test_as_many_per_layer_as_torch_takes_globally(sparsity):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    layers = layers_of(3)
    plan = plan_magnitude(PruneSettings(sparsity=sparsity), layers)
    modules = []
    for _, weights in layers:
        module = torch.nn.Linear(1, 1)
        module.weight = torch.nn.Parameter(torch.from_numpy(weights.copy()))
        modules.append(module)
    prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=plan.removed)
    for (name, weights), module in zip(layers, modules):
        np.testing.assert_array_equal(mask_of(weights, plan, name), module.weight_mask.numpy().astype(bool))


def test_layer_scope_takes_the_same_fraction_of_each():
    layers = layers_of()
    plan = plan_magnitude(PruneSettings(sparsity=0.6, scope="layer"), layers)
    for name, weights in layers:
        assert plan.layer(name).removed == round(0.6 * weights.size)
        np.testing.assert_array_equal(
            mask_of(weights, plan, name), sorted_masks([(name, weights)], round(0.6 * weights.size))[name]
        )


def test_excluded_and_own_layers_stay_out_of_the_global_ranking():
    layers = layers_of()
    weights = dict(layers)
    plan = plan_magnitude(PruneSettings(sparsity=0.7, overrides={"conv1": 0.2}, exclude=("conv2",)), layers)
    assert plan.layer("conv1").removed == round(0.2 * weights["conv1"].size)
    assert plan.layer("conv2").removed == 0
    assert plan.layer("conv2").threshold is None
    assert mask_of(weights["conv2"], plan, "conv2").all()
    assert plan.layer("fc").removed == round(0.7 * weights["fc"].size)
    assert set(plan.thresholds) == {"conv1", "fc"}


def test_exact_names_beat_patterns_and_later_entries_beat_earlier_ones():
    wanted = PruneSettings(
        overrides={"layer1.conv2": 0.1, "layer1.*": 0.2, "*.conv1": 0.3}, exclude=("fc*",), sparsity=0.5
    )
    budgets = {
        b.name: b for b in layer_budgets(wanted, ["layer1.conv1", "layer1.conv2", "layer1.conv3", "x", "fc2"])
    }
    assert budgets["layer1.conv1"].sparsity == 0.3
    assert budgets["layer1.conv2"].sparsity == 0.1
    assert budgets["layer1.conv3"].sparsity == 0.2
    assert (budgets["x"].ranked, budgets["x"].sparsity) == ("scope", 0.5)
    assert budgets["fc2"].ranked == "excluded"


def test_zeros_count_towards_the_sparsity_and_go_first():
    weights = np.array([0.0, 3.0, -0.0, 1.0, 2.0, 0.0, -4.0, 5.0], np.float32)
    plan = plan_magnitude(PruneSettings(sparsity=0.5), [("a", weights)])
    np.testing.assert_array_equal(mask_of(weights, plan, "a"), [0, 1, 0, 0, 1, 0, 1, 1])


def test_nan_is_refused_by_name_unless_the_layer_is_left_alone():
    layers = [*layers_of(), ("broken", np.array([1.0, np.nan], np.float32))]
    with pytest.raises(StudioError, match=r"“broken”.*NaN"):
        plan_magnitude(PruneSettings(), layers)
    assert plan_magnitude(PruneSettings(exclude=("broken",)), layers).layer("broken").removed == 0


def test_a_layer_that_would_be_emptied_is_named():
    layers = [("tiny", np.full(4, 1e-6, np.float32)), ("large", np.ones(16, np.float32))]
    plan = plan_magnitude(PruneSettings(sparsity=0.5), layers)
    assert plan.emptied == ("tiny",)
    with pytest.raises(StudioError, match="“tiny” would lose all weights"):
        plan.require_living_layers()
    plan_magnitude(PruneSettings(sparsity=0.1), layers).require_living_layers()


def test_other_number_formats_are_judged_as_float32():
    half = np.array([[0.5, 0.25], [1.5, -0.125]], np.float16)
    plan = plan_magnitude(PruneSettings(sparsity=0.5), [("a", half)])
    np.testing.assert_array_equal(mask_of(half, plan, "a"), [[True, False], [True, False]])
    turned = np.asfortranarray(half.astype(np.float64))
    np.testing.assert_array_equal(mask_of(turned, plan, "a"), [[True, False], [True, False]])


def test_the_index_counts_each_layer_once_and_forgets_what_is_too_much(monkeypatch):
    layers = dict(layers_of())
    reads = []

    def read(name):
        reads.append(name)
        return layers[name]

    index = MagnitudeIndex(list(layers), read)
    first = index.plan(PruneSettings(sparsity=0.8))
    assert len(reads) <= 2 * len(layers)
    reads.clear()
    assert index.plan(PruneSettings(sparsity=0.8)) == first
    assert not reads
    monkeypatch.setattr(magnitudes, "_REMEMBERED_BYTES", 0)
    for sparsity in np.linspace(0.01, 0.99, 30):
        chosen = PruneSettings(sparsity=float(sparsity))
        assert index.plan(chosen) == plan_magnitude(chosen, list(layers.items()))


def test_zeros_are_counted_layer_by_layer():
    layers = {"a": np.array([0.0, -0.0, 1e-45, 2.0], np.float32), "b": np.ones(3, np.float32)}
    assert MagnitudeIndex(list(layers), layers.__getitem__).zeros() == {"a": 2, "b": 0}


def test_work_that_nobody_waits_for_is_given_up():
    class EnoughError(Exception):
        pass

    def stop():
        raise EnoughError

    with pytest.raises(EnoughError):
        plan_magnitude(PruneSettings(), layers_of(), stop)


def test_nothing_to_rank():
    assert plan_magnitude(PruneSettings(), []).removed == 0
    layers = layers_of()
    plan = plan_magnitude(PruneSettings(exclude=("*",)), layers)
    assert plan.removed == 0
    assert plan.thresholds == {}
