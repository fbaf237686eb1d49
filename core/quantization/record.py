"""What is recorded of a quantized model: the grid of every weight and the range of every activation."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from core.errors import StudioError

METADATA: Final = "quantization"
"""Under this name files carry the record in their metadata."""

VERSION: Final = 1
Scheme = Literal["affine", "codebook", "float16", "bfloat16"]
SCHEMES: Final = ("affine", "codebook", "float16", "bfloat16")


@dataclass(frozen=True)
class ActivationRange:
    """The range that values of a layer's input or output are clipped to, and the integers that it is divided into.

    Attributes:
        low, high: low ≤ 0 ≤ high; symmetric ranges use the larger of both.
        bits: of the integers: 0 … 2^bits − 1, or −(2^(bits−1) − 1) … 2^(bits−1) − 1 where symmetric.
    """

    low: float
    high: float
    bits: int = 8
    symmetric: bool = False

    @property
    def lowest(self) -> int:
        """The smallest integer."""
        return lowest_of(self.bits, self.symmetric)

    @property
    def highest(self) -> int:
        """The largest integer."""
        return highest_of(self.bits, self.symmetric)

    @property
    def scale(self) -> float:
        """What a step of one integer is worth; float32."""
        if self.symmetric:
            width, steps = max(-self.low, self.high), self.highest
        else:
            width, steps = self.high - self.low, self.highest
        scale = float(np.float32(width / steps))
        # A constant zero needs no steps; any scale represents it.
        return scale if scale > 0 else 1.0

    @property
    def zero_point(self) -> int:
        """The integer that stands for exactly zero."""
        if self.symmetric:
            return 0
        return min(self.highest, max(0, round(-self.low / self.scale)))


@dataclass(frozen=True)
class LayerActivations:
    """The ranges at a layer; None where that side is not quantized."""

    input: ActivationRange | None = None
    output: ActivationRange | None = None


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """How the values of one weight are limited.

    Attributes:
        scheme: "affine": scale · (integer − zero point); "codebook": one of few shared values, or exactly zero;
            "float16", "bfloat16": rounded to that type.
        bits: of an integer or of an index; 16 for the float types.
        symmetric: affine only: zero point 0 and integers ±(2^(bits−1) − 1); otherwise integers 0 … 2^bits − 1.
        axis: affine only: the dimension with a scale for each index (output channels), or None for the whole tensor.
        group_size: affine only: so many neighbouring weights of a row share a scale; 0: the whole row.
        scale: affine only: float32 [rows, groups], all above zero.
        zero_point: affine only: int32 [rows, groups].
        book: codebook only: float32 [values], rising, without zero.
    """

    scheme: Scheme
    bits: int
    symmetric: bool = True
    axis: int | None = None
    group_size: int = 0
    scale: Tensor | None = None
    zero_point: Tensor | None = None
    book: Tensor | None = None

    @property
    def lowest(self) -> int:
        """The smallest integer of an affine grid."""
        return lowest_of(self.bits, self.symmetric)

    @property
    def highest(self) -> int:
        """The largest integer of an affine grid."""
        return highest_of(self.bits, self.symmetric)

    def to(self, device: torch.device) -> "QuantizedWeight":
        """The same record with its tensors on `device`."""
        moved = {
            name: None if tensor is None else tensor.to(device)
            for name, tensor in (("scale", self.scale), ("zero_point", self.zero_point), ("book", self.book))
        }
        return replace(self, **moved)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Quantization:
    """Everything about the quantization of one model.

    Attributes:
        weights: by parameter name ("conv1.weight").
        activations: by layer name ("conv1").
    """

    weights: Mapping[str, QuantizedWeight] = field(default_factory=dict)
    activations: Mapping[str, LayerActivations] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.weights or self.activations)

    def with_weights(self, weights: Mapping[str, QuantizedWeight]) -> "Quantization":
        """The same with some weights' records replaced or added."""
        return replace(self, weights={**self.weights, **weights})

    def with_activations(self, activations: Mapping[str, LayerActivations]) -> "Quantization":
        """The same with some layers' ranges replaced or added."""
        return replace(self, activations={**self.activations, **activations})

    def to(self, device: torch.device) -> "Quantization":
        """The same with all tensors on `device`."""
        return replace(self, weights={name: weight.to(device) for name, weight in self.weights.items()})

    def to_json(self, leave_out: frozenset[str] = frozenset()) -> str:
        """Exact JSON text.

        Args:
            leave_out: weights whose scales, zero points and books stand elsewhere (in the streams of a packed file).
        """
        data: dict[str, Any] = {
            "version": VERSION,
            "weights": {
                name: _weight_data(weight, name in leave_out) for name, weight in self.weights.items()
            },
            "activations": {name: _activation_data(layer) for name, layer in self.activations.items()},
        }
        return json.dumps(data, separators=(",", ":"))


NOT_QUANTIZED: Final = Quantization()


def quantization_from_json(text: str, where: str) -> Quantization:
    """The inverse of `Quantization.to_json`; what was left out is None.

    Raises:
        StudioError: naming `where`, for anything that `to_json` would not write.
    """
    try:
        data = json.loads(text)
        if data["version"] > VERSION:
            raise StudioError(
                f"{where} was quantized by a newer version of the studio: update Compression Studio to open it."
            )
        return Quantization(
            {str(name): _weight(each) for name, each in data["weights"].items()},
            {str(name): _activations(each) for name, each in data["activations"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudioError(
            f"{where} is damaged: what it says about its quantization makes no sense. Save it again.",
            details=str(error),
        ) from None


def lowest_of(bits: int, symmetric: bool) -> int:
    """The smallest integer of so many bits."""
    return -((1 << (bits - 1)) - 1) if symmetric else 0


def highest_of(bits: int, symmetric: bool) -> int:
    """The largest integer of so many bits."""
    return (1 << (bits - 1)) - 1 if symmetric else (1 << bits) - 1


def _weight_data(weight: QuantizedWeight, without_tensors: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"scheme": weight.scheme, "bits": weight.bits}
    if weight.scheme == "affine":
        data |= {"symmetric": weight.symmetric, "axis": weight.axis, "group_size": weight.group_size}
    if without_tensors:
        return data
    if weight.scale is not None and weight.zero_point is not None:
        data["shape"] = list(weight.scale.shape)
        data["scale"] = _text(weight.scale)
        if not weight.symmetric:
            data["zero_point"] = _text(weight.zero_point)
    if weight.book is not None:
        data["book"] = _text(weight.book)
    return data


def _weight(data: dict[str, Any]) -> QuantizedWeight:
    scheme, bits, axis = data["scheme"], data["bits"], data.get("axis")
    group_size = data.get("group_size", 0)
    if scheme not in SCHEMES or type(bits) is not int or not 1 <= bits <= 16:
        raise ValueError("scheme or bits")
    if not (axis is None or type(axis) is int) or type(group_size) is not int or group_size < 0:
        raise ValueError("axis or group size")
    scale = zero_point = book = None
    if "scale" in data:
        rows, groups = data["shape"]
        scale = _floats(data["scale"]).reshape(rows, groups)
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError("scale")
        zero_point = torch.zeros(rows, groups, dtype=torch.int32)
        if "zero_point" in data:
            zero_point = _integers(data["zero_point"]).reshape(rows, groups)
    if "book" in data:
        book = _floats(data["book"])
    symmetric = bool(data.get("symmetric", True))
    return QuantizedWeight(scheme, bits, symmetric, axis, group_size, scale, zero_point, book)


def _activation_data(layer: LayerActivations) -> dict[str, Any]:
    sides = (("input", layer.input), ("output", layer.output))
    return {
        name: [side.low, side.high, side.bits, side.symmetric] for name, side in sides if side is not None
    }


def _activations(data: dict[str, Any]) -> LayerActivations:
    return LayerActivations(_range(data.get("input")), _range(data.get("output")))


def _range(data: Any) -> ActivationRange | None:
    if data is None:
        return None
    low, high, bits, symmetric = data
    if not (np.isfinite(low) and np.isfinite(high) and low <= 0 <= high):
        raise ValueError("range")
    if type(bits) is not int or not 2 <= bits <= 16:
        raise ValueError("bits")
    return ActivationRange(float(low), float(high), bits, bool(symmetric))


def _text(tensor: Tensor) -> str:
    array = tensor.detach().cpu().contiguous().numpy()
    return base64.b64encode(array.astype("<f4" if tensor.is_floating_point() else "<i4").tobytes()).decode()


def _floats(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32))


def _integers(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text, validate=True), "<i4").astype(np.int32))
