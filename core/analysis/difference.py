"""Two models side by side: which layers correspond, and what changed in each, counted weight by weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from core.analysis.chunks import Array, Check
from core.analysis.pictures import changes
from core.models.description import Layer

_PIECE = 1 << 16


@dataclass(frozen=True)
class Unmatched:
    """A layer without a counterpart, and why, in a few words."""

    name: str
    shape: tuple[int, ...]
    in_first: bool
    reason: str


@dataclass(frozen=True)
class Matching:
    """Layers that both models have under the same name and in the same shape, in the order of the first."""

    pairs: tuple[Layer, ...]
    unmatched: tuple[Unmatched, ...]


@dataclass(frozen=True)
class LayerDifference:
    """What changed in one layer from `before` to `after`, over the weights that are finite in both.

    Attributes:
        weights: all weights.
        changed: weights that are not the same; where both are NaN, or both the same infinity, nothing changed.
        largest: max |after − before|; None where no weight is finite in both.
        mean: mean |after − before|, over all compared weights, changed or not; None likewise.
        relative: ‖after − before‖₂ / ‖before‖₂; None where `before` is all zero.
        cosine: of the angle between the two as vectors; None where one of them is all zero.
        zeros_before, zeros_after: weights that are exactly zero.
        not_compared: weights that are NaN or infinite in one of the two.
    """

    weights: int
    changed: int
    largest: float | None
    mean: float | None
    relative: float | None
    cosine: float | None
    zeros_before: int
    zeros_after: int
    not_compared: int

    @property
    def share(self) -> float:
        """The fraction of weights that changed (0 without weights)."""
        return self.changed / self.weights if self.weights else 0.0


def match_layers(first: Sequence[Layer], second: Sequence[Layer]) -> Matching:
    """Pair layers by name and shape, and say of all others why they have no counterpart."""
    others = {layer.name: layer for layer in second}
    pairs, unmatched = [], []
    for layer in first:
        other = others.pop(layer.name, None)
        if other is None:
            unmatched.append(Unmatched(layer.name, layer.shape, True, "only in the open model"))
        elif other.shape != layer.shape:
            reason = f"{_shape(layer.shape)} here, {_shape(other.shape)} in the other model"
            unmatched.append(Unmatched(layer.name, layer.shape, True, reason))
        else:
            pairs.append(layer)
    unmatched += [
        Unmatched(layer.name, layer.shape, False, "only in the other model") for layer in others.values()
    ]
    return Matching(tuple(pairs), tuple(unmatched))


def layer_difference(after: Array, before: Array, check: Check | None = None) -> LayerDifference:
    """Compare two weights of the same shape, in pieces; `check` may raise to give up.

    Sums are in float64.

    Raises:
        ValueError: for different shapes.
    """
    if after.shape != before.shape:
        raise ValueError(f"{after.shape} and {before.shape} cannot be compared")
    first, second = after.reshape(-1), before.reshape(-1)
    changed = zeros_after = zeros_before = compared = 0
    largest = total = squares = dot = norm_after = norm_before = 0.0
    for start in range(0, first.size, _PIECE):
        if check is not None:
            check()
        a, b = first[start : start + _PIECE], second[start : start + _PIECE]
        zeros_after += int(np.count_nonzero(a == 0))
        zeros_before += int(np.count_nonzero(b == 0))
        same = (a == b) | ((a != a) & (b != b))
        changed += int(a.size - np.count_nonzero(same))
        finite = np.isfinite(a) & np.isfinite(b)
        if not finite.all():
            a, b = a[finite], b[finite]
        compared += a.size
        if not a.size:
            continue
        delta = np.abs(changes(a, b)).astype(np.float64)
        largest = max(largest, float(delta.max()))
        with np.errstate(over="ignore"):
            total += float(delta.sum())
            squares += float(np.square(delta).sum())
            kind = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
            wide_a, wide_b = a.astype(kind), b.astype(kind)
            norm_after += float(np.square(np.abs(wide_a)).sum())
            norm_before += float(np.square(np.abs(wide_b)).sum())
            dot += float((wide_a * wide_b.conj()).real.sum())
    return LayerDifference(
        weights=int(first.size),
        changed=changed,
        largest=largest if compared else None,
        mean=total / compared if compared else None,
        relative=sqrt(squares / norm_before) if norm_before > 0 else None,
        cosine=_cosine(dot, norm_after, norm_before),
        zeros_before=zeros_before,
        zeros_after=zeros_after,
        not_compared=int(first.size) - compared,
    )


def _cosine(dot: float, norm_after: float, norm_before: float) -> float | None:
    if norm_after <= 0 or norm_before <= 0:
        return None
    # Rounding may lead a hair beyond 1.
    return min(1.0, max(-1.0, dot / (sqrt(norm_after) * sqrt(norm_before))))


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape) or "a single number"
