"""Small models with known weights for the tests of the layer table and the inspector."""

import numpy as np

from core.models.description import Layer, ModelDescription
from core.models.opened import OpenedModel, from_arrays
from core.models.source import SAMPLE

RANDOM = np.random.default_rng(11)


def weights(*shape: int, zeros: float = 0.0) -> np.ndarray:
    """Normal weights of which the smallest fraction `zeros` is exactly zero."""
    values = RANDOM.standard_normal(shape).astype(np.float32)
    if zeros:
        values[np.abs(values) <= np.quantile(np.abs(values), zeros)] = 0
    return values


def model_of(arrays: dict[str, np.ndarray]) -> OpenedModel:
    """An open model whose layers have these names and weights."""
    kinds = {1: "vector", 2: "linear", 3: "conv1d", 4: "conv2d"}
    layers = tuple(
        Layer(name, kinds[array.ndim], f"{name}.weight", array.shape, 0, 64 if array.ndim == 4 else 1)
        for name, array in arrays.items()
    )
    total = sum(array.size for array in arrays.values())
    description = ModelDescription(SAMPLE, None, "", layers, total)
    return from_arrays(description, {f"{name}.weight": array for name, array in arrays.items()})


def small_model() -> OpenedModel:
    """Four layers: two convolutions (the second half zero), two linear ones."""
    return model_of(
        {
            "conv1": weights(8, 3, 3, 3),
            "conv10": weights(16, 8, 3, 3, zeros=0.5),
            "conv2": weights(16, 16, 3, 3),
            "fc": weights(10, 64, zeros=0.9),
        }
    )
