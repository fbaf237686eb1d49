"""What the layer table knows of a row: of one layer from its summary, of a branch put together from its layers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.summary import LayerSummary

Values = NDArray[np.float64]

SUMMED = ("count", "zeros", "near_zeros", "not_finite", "dead_channels")
"""Figures of which a branch has the sum of its layers'."""


@dataclass(frozen=True)
class LayerFigures:
    """Counted figures of a layer or branch; None where they are not known or not defined.

    Attributes:
        near_zeros: weights w with 0 < |w| < the limit in force; None also while they are counted with another one.
        dead_channels: output channels of which every weight is exactly zero.
        minimum, maximum, mean, std: over the finite weights; of a branch, over all its weights together.
    """

    count: float
    zeros: float
    near_zeros: float | None
    not_finite: float
    dead_channels: float | None
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    kurtosis: float | None

    @property
    def sparsity(self) -> float:
        """Fraction of the weights that are exactly zero."""
        return self.zeros / self.count if self.count else 0.0


def figures_of(summary: LayerSummary, near_zero: float) -> LayerFigures:
    """The figures of a layer; `near_zero` is the limit in force."""
    found = summary.statistics
    return LayerFigures(
        found.count,
        found.zeros,
        found.near_zeros if found.near_zero == near_zero else None,
        found.not_finite,
        summary.dead_channels,
        found.minimum,
        found.maximum,
        found.mean,
        found.std,
        found.kurtosis,
    )


def branch_arrays(
    layers: Mapping[str, Values], members: NDArray[np.intp], starts: NDArray[np.intp]
) -> dict[str, Values]:
    """Figures of branches, each from those of its layers.

    Args:
        layers: figures of the layers by name, [layers]; NaN where not known, as `count` is before it was counted.
        members: the layers of all branches, one branch after the other; every branch has at least one.
        starts: where each branch begins in `members`.
    """
    if not starts.size:
        return {name: np.zeros(0) for name in layers}

    def total(values: Values) -> Values:
        return np.add.reduceat(values[members], starts)

    found = {name: total(layers[name]) for name in SUMMED}
    known = np.isfinite(layers["count"])
    finite = np.where(known, layers["count"] - layers["not_finite"], np.nan)
    weight = np.where(finite > 0, finite, 0.0)
    mean = np.where(weight > 0, layers["mean"], 0.0)
    std = np.where(weight > 0, layers["std"], 0.0)
    with np.errstate(all="ignore"):
        weights = total(np.where(known, weight, np.nan))
        found["mean"] = total(weight * mean) / weights
        # Spread within the layers plus spread of their means, written with the smaller numbers.
        within = total(weight * std**2)
        shifted = mean[members] - np.repeat(found["mean"], np.diff(starts, append=members.size))
        between = np.add.reduceat(weight[members] * shifted**2, starts)
        found["std"] = np.sqrt((within + between) / weights)
        empty = weights == 0
        low = np.where(known & ~(weight > 0), np.inf, layers["minimum"])
        high = np.where(known & ~(weight > 0), -np.inf, layers["maximum"])
        found["minimum"] = np.where(empty, np.nan, np.minimum.reduceat(low[members], starts))
        found["maximum"] = np.where(empty, np.nan, np.maximum.reduceat(high[members], starts))
    found["kurtosis"] = np.full(starts.size, np.nan)
    return found


def counted_column(arrays: Mapping[str, Values], key: str) -> Values:
    """The figures by which a column of the table is sorted and filtered."""
    match key:
        case "zeros":
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(arrays["count"] == 0, 0.0, arrays["zeros"] / arrays["count"])
        case "distribution":
            return arrays["std"]
    return arrays[key]


def figures_at(arrays: Mapping[str, Values], place: int) -> LayerFigures | None:
    """The figures in one place of such arrays; None while they are not all counted."""
    values = {name: _known(float(column[place])) for name, column in arrays.items()}
    if values["count"] is None or values["zeros"] is None:
        return None
    return LayerFigures(**values)  # type: ignore[arg-type]


def empty_arrays(layers: int) -> dict[str, Values]:
    """Arrays for that many layers of which nothing is known."""
    names: Sequence[str] = LayerFigures.__dataclass_fields__.keys()  # type: ignore[assignment]
    return {name: np.full(layers, np.nan) for name in names}


def put(arrays: Mapping[str, Values], place: int, found: LayerFigures) -> None:
    """Write a layer's figures into the arrays."""
    for name, column in arrays.items():
        value = getattr(found, name)
        column[place] = np.nan if value is None else value


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
