"""What was measured and how, as frozen values without torch, so that history and window can read them."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy on one split.

    `low` and `high` bound the 95 % Wilson score interval of `correct / count`; `loss` is the mean cross-entropy.
    """

    correct: int
    count: int
    low: float
    high: float
    loss: float
    split: str
    task: str

    @property
    def value(self) -> float:
        """The fraction of examples classified correctly."""
        return self.correct / self.count


@dataclass(frozen=True)
class Latency:
    """Wall time of one forward pass in milliseconds, with its protocol."""

    median_ms: float
    lower_quartile_ms: float
    upper_quartile_ms: float
    minimum_ms: float
    batch_size: int
    threads: int
    warmup: int
    repetitions: int
    runtime: str  # "torch 2.14 eager"
    device: str

    @property
    def machine_busy(self) -> bool:
        """Whether the spread says that something else was using the machine (median over 1.3 times the minimum)."""
        return self.median_ms > 1.3 * self.minimum_ms


@dataclass(frozen=True)
class Measurement:
    """One model at one moment. What was not measured is None, never a guess.

    Attributes:
        parameters: all trainable parameters, biases and normalisation included.
        weights: weights of prunable layers; `nonzero_weights` of them are not exactly zero.
        macs: multiply-accumulates of one forward pass of one example of shape `input_shape` (C, H, W).
        dense_bytes: bytes of the safetensors file that the studio writes for this model.
        packed_bytes: bytes of the same tensors in the encoding named by `packing`.
    """

    parameters: int
    weights: int
    nonzero_weights: int
    dense_bytes: int
    packed_bytes: int
    packing: str
    macs: int | None = None
    input_shape: tuple[int, ...] | None = None
    accuracy: Accuracy | None = None
    latency: Latency | None = None

    @property
    def sparsity(self) -> float:
        """The fraction of prunable weights that are exactly zero; biases and normalisation are not counted."""
        return 1 - self.nonzero_weights / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class LayerStatistics:
    """One prunable layer at one moment.

    `weight_bits` and `activation_bits` are the precision that its weights and its inputs have, 32 for float32; None
    where it was not recorded.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    nonzero_weights: int
    macs: int | None
    weight_bits: int | None = None
    activation_bits: int | None = None

    @property
    def sparsity(self) -> float:
        """The fraction of the layer's weights that are exactly zero."""
        return 1 - self.nonzero_weights / self.weights if self.weights else 0.0


def measurement_to_json(measurement: Measurement) -> dict[str, Any]:
    """A JSON-ready dict with the derived figures added (`sparsity`, `accuracy.value`, `latency.machine_busy`)."""
    data = asdict(measurement)
    data["sparsity"] = measurement.sparsity
    if measurement.accuracy is not None:
        data["accuracy"]["value"] = measurement.accuracy.value
    if measurement.latency is not None:
        data["latency"]["machine_busy"] = measurement.latency.machine_busy
    return data


def measurement_from_json(data: dict[str, Any]) -> Measurement:
    """The inverse of `measurement_to_json`; derived figures are ignored."""
    fields = {key: value for key, value in data.items() if key != "sparsity"}
    if fields.get("accuracy") is not None:
        fields["accuracy"] = Accuracy(**{k: v for k, v in fields["accuracy"].items() if k != "value"})
    if fields.get("latency") is not None:
        fields["latency"] = Latency(**{k: v for k, v in fields["latency"].items() if k != "machine_busy"})
    if fields.get("input_shape") is not None:
        fields["input_shape"] = tuple(fields["input_shape"])
    return Measurement(**fields)
