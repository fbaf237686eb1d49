"""From scores to masks: any saliency, by single weights, n of m, blocks or kernels, with the budgets of a prune step.

Scores of any kind are turned into keys that order like them and among which only weights that are gone already are
zero. Keys are then ranked as magnitudes are (`core.pruning.magnitudes`): exactly, without sorting the model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.errors import StudioError
from core.pruning.magnitudes import Array, layer_budgets, mask_of, plan_magnitude, removal_count
from core.steps import PruneSettings

Scores: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

_LARGEST = np.float32(1e38)
"""Scores beyond are cut off, so that every key is a finite number."""


@dataclass(frozen=True)
class ScoredLayer:
    """One layer to be pruned.

    Attributes:
        scores: float32 in the shape of the weight; the lowest go first.
        lives: bool in that shape; False where a weight is gone already.
    """

    scores: Scores
    lives: Mask


def select(
    settings: PruneSettings,
    layers: Mapping[str, ScoredLayer],
    check: Callable[[], None] | None = None,
) -> dict[str, Mask]:
    """The mask of every layer that loses weights, True where one stays.

    Args:
        layers: in the order of the model; ties are decided by that order, then by flat (C) order.
        check: called now and then; may raise to give up.

    Raises:
        StudioError: naming the first layer whose scores are not finite, or that would keep no weight.
    """
    budgets = {budget.name: budget for budget in layer_budgets(settings, layers)}
    ranked = {name: layer for name, layer in layers.items() if budgets[name].ranked != "excluded"}
    for name, layer in ranked.items():
        if not np.isfinite(layer.scores[layer.lives]).all():
            raise StudioError(
                f"The scores of layer “{name}” are not finite numbers (NaN or infinite): choose another criterion, "
                "train with a lower learning rate before, or leave this layer alone."
            )
    if settings.granularity == "n-of-m":
        masks = {name: _n_of_m(layer, settings.keep_n, settings.group_m) for name, layer in ranked.items()}
    elif settings.granularity in ("blocks", "kernels"):
        masks = _whole_groups(settings, ranked, check)
    elif settings.scope == "output":
        masks = {
            name: _by_output(layer, budgets[name].sparsity, settings.of == "remaining")
            for name, layer in ranked.items()
        }
    else:
        masks = _single(settings, ranked, check, {})
    for name, mask in masks.items():
        if mask.size and not mask.any():
            raise StudioError(
                f"Layer “{name}” would lose all weights and pass nothing on: lower the sparsity, give the layer a "
                "sparsity of its own, or leave it alone."
            )
    return {name: mask for name, mask in masks.items() if not mask.all()}


def keys_of(layers: Mapping[str, ScoredLayer]) -> dict[str, Scores]:
    """Positive float32 keys that order like the scores over all layers; 0 exactly where a weight is gone.

    Scores without a negative one keep every bit of their order; signed scores lose the last bit of theirs.
    """
    signed = any(bool((layer.scores[layer.lives] < 0).any()) for layer in layers.values())
    return {name: _keys(layer, signed) for name, layer in layers.items()}


def _keys(layer: ScoredLayer, signed: bool) -> Scores:
    # Adding zero makes one zero of the two that floats have.
    clipped = np.clip(layer.scores, -_LARGEST, _LARGEST) + np.float32(0)
    bits = clipped.view(np.uint32)
    if signed:
        sign = np.uint32(0x8000_0000)
        ordered = np.where(bits & sign, ~bits, bits | sign) >> np.uint32(1)
    else:
        ordered = bits
    return np.where(layer.lives, ordered + np.uint32(1), np.uint32(0)).astype(np.uint32).view(np.float32)


def _single(
    settings: PruneSettings,
    layers: Mapping[str, ScoredLayer],
    check: Callable[[], None] | None,
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Mask]:
    keys = keys_of(layers)
    plan = plan_magnitude(settings, list(keys.items()), check, shapes)
    return {name: mask_of(array, plan, name) for name, array in keys.items()}


def _n_of_m(layer: ScoredLayer, keep: int, group: int) -> Mask:
    """Of every `group` weights next to each other along the inputs (dimension 1), the best `keep` stay."""
    if layer.scores.ndim < 2:
        return layer.lives
    keys = np.moveaxis(_keys(layer, bool((layer.scores < 0).any())), 1, -1)
    inputs = keys.shape[-1]
    padding = -inputs % group
    # What is padded ranks below everything, so that a last, shorter group keeps up to `keep` weights.
    padded = np.pad(keys, [(0, 0)] * (keys.ndim - 1) + [(0, padding)], constant_values=-1.0)
    groups = padded.reshape(*padded.shape[:-1], -1, group)
    mask = (_ranks(-groups) < keep).reshape(padded.shape)[..., :inputs]
    return np.ascontiguousarray(np.moveaxis(mask, -1, 1)) & layer.lives


def _by_output(layer: ScoredLayer, sparsity: float, remaining: bool) -> Mask:
    """The same fraction of every output's weights goes."""
    keys = _keys(layer, bool((layer.scores < 0).any())).reshape(layer.scores.shape[0], -1)
    gone = np.count_nonzero(keys == 0, axis=1) if remaining else np.zeros(len(keys), np.int64)
    remove = np.array([count + removal_count(sparsity, keys.shape[1] - count) for count in gone.tolist()])
    return (_ranks(keys) >= remove[:, None]).reshape(layer.scores.shape) & layer.lives


def _ranks(keys: Array) -> Array:
    """The rank of each key along the last axis, from 0; equal keys in their order."""
    return np.argsort(np.argsort(keys, axis=-1, kind="stable"), axis=-1, kind="stable")


def _whole_groups(
    settings: PruneSettings, layers: Mapping[str, ScoredLayer], check: Callable[[], None] | None
) -> dict[str, Mask]:
    """Blocks or kernels rank by the sum of the scores of their living weights and go as a whole."""
    grouped = {name: _grouped(layer, settings) for name, layer in layers.items()}
    shapes = {name: layer.scores.shape for name, layer in layers.items()}
    masks = _single(settings, grouped, check, shapes)
    return {
        name: _spread(masks[name], layer.scores.shape, _block_sides(layer, settings)) & layer.lives
        for name, layer in layers.items()
    }


def _block_sides(layer: ScoredLayer, settings: PruneSettings) -> tuple[int, int]:
    """Rows and columns of a group in the weight as a matrix (outputs × everything else)."""
    shape = layer.scores.shape
    if settings.granularity == "blocks":
        return settings.block, settings.block
    return 1, max(1, layer.scores.size // max(1, shape[0] * shape[1])) if len(shape) > 1 else 1


def _grouped(layer: ScoredLayer, settings: PruneSettings) -> ScoredLayer:
    rows, columns = _block_sides(layer, settings)
    outputs = layer.scores.shape[0]
    scores = np.where(layer.lives, layer.scores, 0).reshape(outputs, -1).astype(np.float64)
    lives = layer.lives.reshape(outputs, -1)
    row_starts, column_starts = np.arange(0, outputs, rows), np.arange(0, scores.shape[1], columns)
    sums = np.add.reduceat(np.add.reduceat(scores, row_starts, axis=0), column_starts, axis=1)
    any_lives = np.logical_or.reduceat(
        np.logical_or.reduceat(lives, row_starts, axis=0), column_starts, axis=1
    )
    limited = np.clip(sums, -_LARGEST, _LARGEST).astype(np.float32)
    return ScoredLayer(limited, any_lives)


def _spread(mask: Mask, shape: tuple[int, ...], sides: tuple[int, int]) -> Mask:
    matrix = mask.repeat(sides[0], axis=0).repeat(sides[1], axis=1)
    columns = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return np.ascontiguousarray(matrix[: shape[0], :columns]).reshape(shape)
