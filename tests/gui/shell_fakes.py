"""Hand-written stand-ins for tests of the shell: models without files, controllers that only note what they hear."""

from collections.abc import Callable

import numpy as np

from core.errors import StudioError
from core.models.description import Layer, ModelDescription
from core.models.opened import OpenedModel, from_arrays
from core.models.source import SAMPLE, ModelSource


def small_model(
    source: ModelSource = SAMPLE,
    input_shape: tuple[int, ...] | None = (1, 8, 8),
    num_classes: int | None = 10,
    zeros: int = 0,
) -> OpenedModel:
    """A model of two linear layers; the first `zeros` weights of the first are zero."""
    generator = np.random.default_rng(0)
    first = generator.normal(size=(6, 64)).astype(np.float32)
    first.reshape(-1)[:zeros] = 0
    arrays = {
        "fc1.weight": first,
        "fc1.bias": np.ones(6, np.float32),
        "fc2.weight": generator.normal(size=(10, 6)).astype(np.float32),
        "fc2.bias": np.ones(10, np.float32),
    }
    layers = (
        Layer("fc1", "linear", "fc1.weight", (6, 64), 6, 1),
        Layer("fc2", "linear", "fc2.weight", (10, 6), 10, 1),
    )
    description = ModelDescription(
        source, "zoo:small", "Small net", layers, 460, input_shape=input_shape, num_classes=num_classes
    )
    return from_arrays(description, arrays)


class Opener:
    """Opens sources as small models; names in `broken` fail with a sentence."""

    def __init__(self) -> None:
        self.opened: list[ModelSource] = []
        self.broken: set[str] = set()
        self.input_shape: tuple[int, ...] | None = (1, 8, 8)

    def __call__(self, source: ModelSource, check: Callable[[], None]) -> OpenedModel:
        check()
        self.opened.append(source)
        if source.title in self.broken:
            raise StudioError(f"{source.title} is not a model: choose another file.", details="byte 0")
        return small_model(source, self.input_shape)
