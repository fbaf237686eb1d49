"""How much the masks of several networks agree, beside what chance alone would give. Without torch."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.findings import Matrix

Alive: TypeAlias = Mapping[str, NDArray[np.bool_]]
"""By weight name: True where a weight lives."""


def alive(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
    """Where the weights of a pruned network live: those of two and more dimensions that are not zero."""
    return {name: values != 0 for name, values in tensors.items() if values.ndim >= 2}


def jaccard(first: Alive, second: Alive) -> tuple[float, float]:
    """Weights that live in both, as a fraction of those that live in either; and the same by chance.

    By chance: each layer keeps as many weights as it does, but independently chosen ones, so that a · b / n of its n
    weights are expected in both (the hypergeometric mean).

    Raises:
        ValueError: for networks with different weights.
    """
    if {name: mask.shape for name, mask in first.items()} != {
        name: mask.shape for name, mask in second.items()
    }:
        raise ValueError("the networks have different weights")
    living = both = expected = 0.0
    for name, mask in first.items():
        one, other = np.count_nonzero(mask), np.count_nonzero(second[name])
        living += one + other
        both += np.count_nonzero(mask & second[name])
        expected += one * other / mask.size if mask.size else 0.0
    if not living:
        return 1.0, 1.0
    return float(both / (living - both)), float(expected / (living - expected))


def overlap_matrix(masks: Sequence[Alive], names: Sequence[str], label: str) -> Matrix:
    """Jaccard indices (%) of all pairs; the note tells the mean beside chance.

    Raises:
        ValueError: for fewer than two networks, or networks with different weights.
    """
    if len(masks) < 2:
        raise ValueError("an overlap needs two networks")
    pairs = {(i, j): jaccard(masks[i], masks[j]) for i in range(len(masks)) for j in range(i + 1, len(masks))}
    values = tuple(
        tuple(100.0 if i == j else 100 * pairs[min(i, j), max(i, j)][0] for j in range(len(masks)))
        for i in range(len(masks))
    )
    mean, chance = (100 * sum(pair[k] for pair in pairs.values()) / len(pairs) for k in (0, 1))
    return Matrix(
        values,
        tuple(names),
        tuple(names),
        label,
        label,
        unit="%",
        low=0,
        high=100,
        note=f"Weights that live in both, of those that live in either: {mean:.2f} % on average; "
        f"independently chosen masks of the same sizes would share {chance:.2f} %.",
    )
