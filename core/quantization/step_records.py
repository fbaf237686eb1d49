"""What the settings of quantization make of a layer's weight."""

from torch import Tensor

from core.models.description import Layer
from core.quantization.grid import find_grid
from core.quantization.precision import Precision
from core.quantization.record import QuantizedWeight
from core.quantization.settings import GridSettings

_TRANSPOSED = "conv_transpose"


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
