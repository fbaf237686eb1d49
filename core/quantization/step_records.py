"""What the settings of quantization make of a layer's weight."""

from dataclasses import dataclass

from torch import Tensor

from core.models.description import Layer
from core.quantization.grid import find_grid
from core.quantization.record import QuantizedWeight, Scheme
from core.quantization.settings import GridSettings
from core.recipe import matches

_AS_IT_IS = 32
_TRANSPOSED = "conv_transpose"


@dataclass(frozen=True)
class Precision:
    """What a layer's weight becomes: "affine" with so many bits, or a float type."""

    scheme: Scheme
    bits: int


def precision_of(settings: GridSettings, layer: Layer) -> Precision | None:
    """What the settings make of a layer; None where it stays as it is."""
    if any(matches(layer.name, pattern) for pattern in settings.exclude):
        return None
    for pattern, bits in settings.overrides.items():
        if matches(layer.name, pattern):
            if bits == _AS_IT_IS:
                return None
            return Precision("affine", bits) if bits <= 8 else Precision("float16", 16)
    if settings.what == "float16":
        return Precision("float16", 16)
    if settings.what == "bfloat16":
        return Precision("bfloat16", 16)
    return Precision("affine", settings.bits)


def output_axis(layer: Layer) -> int:
    """The dimension of a weight that stands for its layer's outputs."""
    return 1 if layer.kind.startswith(_TRANSPOSED) else 0


def record_for(settings: GridSettings, layer: Layer, precision: Precision, weight: Tensor) -> QuantizedWeight:
    """The record of a layer's weight."""
    if precision.scheme != "affine":
        return QuantizedWeight(precision.scheme, precision.bits)
    return find_grid(
        weight,
        precision.bits,
        symmetric=settings.symmetric_weights,
        axis=None if settings.granularity == "tensor" else output_axis(layer),
        group_size=settings.group_size if settings.granularity == "group" else 0,
        ranges=settings.weight_ranges,
        percentile=settings.percentile,
    )
