"""What the settings of quantization make of a layer, in words of bits; knows no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.models.description import Layer
from core.quantization.settings import CodebookSettings, GridSettings
from core.recipe import matches

if TYPE_CHECKING:
    from core.quantization.record import Scheme

_AS_IT_IS = 32


@dataclass(frozen=True)
class Precision:
    """What a layer's weight becomes: "affine" with so many bits, or a float type."""

    scheme: "Scheme"
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


def book_bits_of(settings: CodebookSettings, layer: Layer) -> int:
    """Bits of a layer's indices into its shared values; 0 where it is left alone."""
    if any(matches(layer.name, pattern) for pattern in settings.exclude):
        return 0
    for pattern, bits in settings.overrides.items():
        if matches(layer.name, pattern):
            return bits
    if settings.convolution_bits is not None and layer.kind.startswith("conv"):
        return settings.convolution_bits
    return settings.bits
