"""From scores to masks: any scores rank exactly, whole groups go together, budgets hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.errors import StudioError
from core.pruning.magnitudes import MagnitudeIndex, erk_densities, layer_budgets, plan_magnitude
from core.pruning.selection import ScoredLayer, keys_of, select
from core.pruning.step import prune
from core.steps import PruneSettings

from .toys import Watcher, toy_state

RANDOM = np.random.default_rng(0)


def scored(shape: tuple[int, ...], gone: float = 0.0, signed: bool = False, seed: int = 0) -> ScoredLayer:
    random = np.random.default_rng(seed)
    scores = random.normal(size=shape).astype(np.float32)
    return ScoredLayer(scores if signed else np.abs(scores), random.random(shape) >= gone)


def slow_global(layers: dict[str, ScoredLayer], remove: int) -> dict[str, np.ndarray]:
    """The definition: gone weights first, then the lowest scores; ties by layer, then by flat order."""
    scores = np.concatenate(
        [np.where(layer.lives, layer.scores, -np.inf).ravel() for layer in layers.values()]
    )
    keep = np.ones(scores.size, np.bool_)
    keep[np.argsort(scores, kind="stable")[:remove]] = False
    masks, at = {}, 0
    for name, layer in layers.items():
        masks[name] = keep[at : at + layer.scores.size].reshape(layer.scores.shape)
        at += layer.scores.size
    return masks


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("of", ["all", "remaining"])
@pytest.mark.parametrize("gone", [0.0, 0.4])
def test_any_scores_rank_as_a_stable_sort_does(signed: bool, of: str, gone: float) -> None:
    layers = {"a": scored((6, 5, 3, 3), gone, signed, 1), "b": scored((10, 30), gone, signed, 2)}
    total = sum(layer.scores.size for layer in layers.values())
    already = sum(int((~layer.lives).sum()) for layer in layers.values())
    sparsity = 0.7
    remove = round(sparsity * total) if of == "all" else already + round(sparsity * (total - already))
    masks = select(PruneSettings(criterion="random", sparsity=sparsity, of=of), layers)
    expected = slow_global(layers, remove)
    for name in layers:
        assert np.array_equal(masks[name], expected[name])


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_keys_order_like_scores_and_only_what_is_gone_is_zero(scores: np.ndarray) -> None:
    lives = np.arange(scores.size) % 3 != 0
    keys = keys_of({"a": ScoredLayer(scores, lives)})["a"]
    assert np.isfinite(keys).all()
    assert np.array_equal(keys == 0, ~lives)
    order = np.argsort(scores[lives], kind="stable")
    assert (np.diff(keys[lives][order]) >= 0).all()
    if (scores[lives] >= 0).all():
        assert np.array_equal(np.diff(keys[lives][order]) > 0, np.diff(scores[lives][order]) > 0)


def test_a_living_weight_with_score_zero_outlives_a_gone_one() -> None:
    layer = ScoredLayer(np.zeros(10, np.float32), np.arange(10) >= 4)
    masks = select(PruneSettings(criterion="gradient", sparsity=0.4), {"a": layer})
    assert np.array_equal(masks["a"], layer.lives)


@pytest.mark.parametrize(("keep", "group"), [(2, 4), (1, 4), (4, 8), (1, 2)])
@pytest.mark.parametrize("shape", [(3, 8), (3, 10, 3, 3), (3, 1, 3, 3)])
def test_n_of_m_keeps_the_best_of_every_group_along_the_inputs(
    keep: int, group: int, shape: tuple[int, ...]
) -> None:
    layer = scored(shape)
    settings = PruneSettings(granularity="n-of-m", keep_n=keep, group_m=group)
    mask = select(settings, {"a": layer}).get("a", np.ones(shape, np.bool_))
    for start in range(0, shape[1], group):
        part, kept = layer.scores[:, start : start + group], mask[:, start : start + group]
        assert (kept.sum(1) == min(keep, part.shape[1])).all()
        lowest_kept = np.where(kept, part, np.inf).min(1)
        assert (np.where(kept, -np.inf, part).max(1) < lowest_kept).all()


def test_n_of_m_never_brings_weights_back() -> None:
    layer = scored((4, 16), gone=0.6)
    mask = select(PruneSettings(granularity="n-of-m"), {"a": layer})["a"]
    assert not (mask & ~layer.lives).any()
    assert (mask.reshape(4, 4, 4).sum(2) == np.minimum(2, layer.lives.reshape(4, 4, 4).sum(2))).all()


def test_blocks_go_as_a_whole_and_the_weakest_go() -> None:
    layer = scored((8, 12))
    mask = select(PruneSettings(granularity="blocks", block=4, sparsity=0.5), {"a": layer})["a"]
    blocks = mask.reshape(2, 4, 3, 4).transpose(0, 2, 1, 3).reshape(6, 16)
    sums = layer.scores.reshape(2, 4, 3, 4).transpose(0, 2, 1, 3).reshape(6, 16).sum(1)
    assert (blocks.all(1) | ~blocks.any(1)).all()
    assert set(np.flatnonzero(blocks.all(1))) == set(np.argsort(sums)[3:])


def test_blocks_at_the_edge_are_smaller() -> None:
    layer = scored((5, 7))
    mask = select(PruneSettings(granularity="blocks", block=4, sparsity=0.5), {"a": layer})["a"]
    for rows in (slice(0, 4), slice(4, 5)):
        for columns in (slice(0, 4), slice(4, 7)):
            part = mask[rows, columns]
            assert part.all() or not part.any()


def test_kernels_go_as_a_whole() -> None:
    layers = {"conv": scored((6, 5, 3, 3)), "fc": scored((4, 6))}
    masks = select(PruneSettings(granularity="kernels", sparsity=0.6, scope="layer"), layers)
    kernels = masks["conv"].reshape(30, 9)
    assert (kernels.all(1) | ~kernels.any(1)).all()
    assert (~kernels.any(1)).sum() == 18
    assert (~masks["fc"]).sum() == round(0.6 * 24)


@pytest.mark.parametrize("of", ["all", "remaining"])
def test_by_output_every_row_loses_the_same_share(of: str) -> None:
    layer = scored((5, 3, 2, 2), gone=0.3)
    mask = select(PruneSettings(scope="output", sparsity=0.5, of=of), {"a": layer})["a"]
    rows, lives, scores = mask.reshape(5, 12), layer.lives.reshape(5, 12), layer.scores.reshape(5, 12)
    for row, alive, score in zip(rows, lives, scores, strict=True):
        gone = 12 - alive.sum()
        remove = gone + round(0.5 * (12 - gone)) if of == "remaining" else 6
        assert (~row).sum() == max(remove, gone)
        assert not (row & ~alive).any()
        if (alive & ~row).any():
            assert score[alive & ~row].max() <= score[row].min()


def test_erk_budgets_are_rigls() -> None:
    """ResNet-like shapes: proportional to (sum of the shape) / (its product), capped at dense, the total exact."""
    shapes = {"stem": (16, 3, 3, 3), "body": (64, 64, 3, 3), "wide": (256, 128, 3, 3), "head": (10, 256)}
    densities = erk_densities(shapes, 0.1)
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    kept = sum(densities[name] * int(np.prod(shape)) for name, shape in shapes.items())
    assert kept == pytest.approx(0.1 * total)
    assert densities["stem"] == 1.0
    raw = {name: sum(shape) / np.prod(shape) for name, shape in shapes.items()}
    assert densities["body"] / densities["wide"] == pytest.approx(raw["body"] / raw["wide"])
    assert erk_densities(shapes, 1.0) == dict.fromkeys(shapes, 1.0)


def test_erk_holds_over_all_layers_and_own_budgets_stand_apart() -> None:
    layers = [
        ("stem", RANDOM.normal(size=(8, 3, 3, 3))),
        ("body", RANDOM.normal(size=(32, 32, 3, 3))),
        ("head", RANDOM.normal(size=(10, 32))),
    ]
    plan = plan_magnitude(PruneSettings(sparsity=0.8, scope="erk"), layers)
    assert plan.removed == pytest.approx(0.8 * plan.weights, abs=2)
    assert plan.layer("stem").sparsity < plan.layer("body").sparsity
    own = plan_magnitude(PruneSettings(sparsity=0.8, scope="erk", overrides={"stem": 0.9}), layers)
    assert own.layer("stem").sparsity == pytest.approx(0.9, abs=3e-3)
    rest = plan.weights - 216
    assert own.removed - own.layer("stem").removed == pytest.approx(0.8 * rest, abs=2)


def test_of_the_remaining_prunes_geometrically() -> None:
    weights = {"a": RANDOM.normal(size=1000), "b": RANDOM.normal(size=400)}
    settings = PruneSettings(sparsity=0.2, scope="layer", of="remaining", overrides={"b": 0.1})
    for step in range(1, 5):
        plan = MagnitudeIndex(list(weights), weights.__getitem__).plan(settings)
        for name, rate in (("a", 0.8), ("b", 0.9)):
            left = plan.layer(name).weights - plan.layer(name).removed
            assert left == pytest.approx(rate**step * weights[name].size, abs=2)
            threshold = plan.layer(name).threshold
            assert threshold is not None
            weights[name] = np.where(np.abs(weights[name]).astype(np.float32) <= threshold, 0, weights[name])


@pytest.mark.parametrize(
    "settings",
    [
        PruneSettings(criterion="obd", sparsity=0.99, scope="layer"),
        PruneSettings(scope="output", sparsity=0.99),
        PruneSettings(granularity="blocks", block=256, sparsity=0.9),
        PruneSettings(granularity="kernels", sparsity=0.99),
    ],
)
def test_a_layer_pruned_to_nothing_is_one_sentence(settings: PruneSettings) -> None:
    with pytest.raises(StudioError, match="Layer “conv” would lose all weights"):
        select(settings, {"conv": scored((3, 4, 2, 2))})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_one_sentence(bad: float) -> None:
    layer = scored((4, 4))
    layer.scores[1, 1] = bad
    with pytest.raises(StudioError, match="scores of layer “a” are not finite"):
        select(PruneSettings(criterion="obd", sparsity=0.5), {"a": layer})
    layer.lives[1, 1] = False
    assert not select(PruneSettings(criterion="obd", sparsity=0.5), {"a": layer})["a"][1, 1]


def test_excluded_layers_are_left_alone() -> None:
    layers = {"a": scored((4, 8)), "b": scored((4, 8))}
    for granularity in ("weights", "n-of-m", "blocks", "kernels"):
        settings = PruneSettings(
            criterion="random", granularity=granularity, sparsity=0.5, exclude=("b",), block=2
        )
        assert set(select(settings, layers)) == {"a"}


def test_the_output_layer_has_its_own_budget_whatever_the_criterion() -> None:
    layers = {"a": scored((8, 8)), "b": scored((8, 8)), "fc": scored((10, 10))}
    settings = PruneSettings(sparsity=0.5, scope="layer", output_sparsity=0.1)
    for found in (
        {budget.name: budget.sparsity for budget in layer_budgets(settings, layers)},
        {name: 1 - mask.mean() for name, mask in select(settings, layers).items()},
    ):
        assert found == pytest.approx({"a": 0.5, "b": 0.5, "fc": 0.1})
    named = settings.model_copy(update={"overrides": {"fc": 0.3}})
    assert layer_budgets(named, layers)[-1].sparsity == 0.3
    excluded = settings.model_copy(update={"exclude": ("fc",)})
    assert [budget.sparsity for budget in layer_budgets(excluded, layers)] == [0.5, 0.5, 0.0]


def test_an_excluded_output_layer_hands_its_budget_to_no_other(tmp_path: Path) -> None:
    settings = PruneSettings(
        criterion="random", sparsity=0.5, scope="layer", output_sparsity=0.1, exclude=("5",)
    )
    state = toy_state(settings, task=False)
    prune(settings, state, Watcher(tmp_path))
    assert "5.weight" not in state.masks
    assert (~state.masks["3.weight"]).float().mean() == pytest.approx(0.5, abs=0.01)
