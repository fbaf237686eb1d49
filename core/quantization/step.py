"""The quantization steps: from settings to grids, to weights on them and to ranges of activations."""

from dataclasses import dataclass

import torch
from torch import nn

from core.errors import StudioError
from core.events import Notice
from core.formatting import count
from core.job import JobContext
from core.models.description import Layer
from core.quantization.calibration import Calibration, activations_of, observe
from core.quantization.grid import find_grid, on_grid
from core.quantization.record import QuantizedWeight, Scheme
from core.quantization.settings import GridSettings, QuantizeAwareSettings, QuantizeSettings
from core.recipe import matches
from core.run_state import RunState
from core.training.step import fine_tune, fine_tune_work

_AS_IT_IS = 32
_TRANSPOSED = "conv_transpose"


@dataclass(frozen=True)
class Precision:
    """What a layer's weight becomes: "affine" with so many bits, or a float type."""

    scheme: Scheme
    bits: int


def quantize_work(settings: GridSettings, state: RunState) -> float:
    """Forward passes over the calibration examples."""
    if not settings.needs_data and not settings.quantizes_activations:
        return 1.0
    passes = 0.0
    if settings.quantizes_activations:
        passes += 1 if settings.activation_ranges == "min-max" else 2
    task = state.task
    available = 0 if task is None else len(task.train or task.validation or ())
    return 1.0 + passes * min(settings.examples, available)


def quantize_and_train_work(settings: QuantizeAwareSettings, state: RunState) -> float:
    """Calibration and training."""
    return quantize_work(settings, state) + fine_tune_work(settings, state)


def quantize_model(settings: QuantizeSettings, state: RunState, context: JobContext) -> None:
    """Quantize the model of `state` after its training; weights that are zero stay zero.

    Raises:
        StudioError: if every layer is left alone, weights or activations are NaN, or calibration examples are missing.
    """
    precisions = _prepare(settings, state, context)
    with torch.no_grad():
        for name, record in state.quantization.weights.items():
            if name in precisions:
                weight = state.module.get_parameter(name)
                weight.copy_(on_grid(weight, record))
    state.masks.zero_removed(state.module)
    _tell(state, context, precisions)
    context.advance(1.0, settings.title)


def quantize_and_train(settings: QuantizeAwareSettings, state: RunState, context: JobContext) -> None:
    """Find grids and ranges, then train with everything rounded to them; the weights end on their grids.

    Raises:
        StudioError: as `quantize_model` and `fine_tune` do.
    """
    if state.half_done is None:
        precisions = _prepare(settings, state, context)
        _tell(state, context, precisions)
    fine_tune(settings, state, context)
    context.advance(1.0, settings.title)


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


def record_for(
    settings: GridSettings, layer: Layer, precision: Precision, weight: torch.Tensor
) -> QuantizedWeight:
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


def _prepare(settings: GridSettings, state: RunState, context: JobContext) -> dict[str, Precision]:
    """Put grids and ranges into the state; the weights stay as they are. Returns what was chosen by weight name."""
    chosen = {}
    for layer in state.description.layers:
        precision = precision_of(settings, layer)
        if precision is not None:
            chosen[layer.name] = (layer, precision)
    if not chosen:
        raise StudioError(
            f"{state.place} leaves every layer as it is: remove an entry from “Leave alone” or “Own bits for”."
        )
    state.module.eval()
    for layer, _ in chosen.values():
        if not bool(torch.isfinite(state.module.get_parameter(layer.weight_name)).all()):
            raise StudioError(
                f"The weights of “{layer.name}” hold NaN or infinite values, so {state.place} cannot quantize them: "
                "use an earlier checkpoint."
            )
    activations = {}
    if settings.quantizes_activations:
        calibration = Calibration(settings.examples, state, context, settings.title)
        layers: dict[str, nn.Module] = {
            name: state.module.get_submodule(name)
            for name, (layer, precision) in chosen.items()
            if precision.scheme == "affine" and layer.kind != "embedding"
        }
        observers = observe(
            state.module, layers, calibration, histograms=settings.activation_ranges != "min-max"
        )
        activations = activations_of(observers, settings)
    weights = {}
    for layer, precision in chosen.values():
        context.checkpoint()
        weight = state.module.get_parameter(layer.weight_name)
        weights[layer.weight_name] = record_for(settings, layer, precision, weight)
    state.quantization = state.quantization.with_weights(weights).with_activations(activations)
    return {layer.weight_name: precision for layer, precision in chosen.values()}


def _tell(state: RunState, context: JobContext, precisions: dict[str, Precision]) -> None:
    by_bits: dict[int, int] = {}
    for precision in precisions.values():
        by_bits[precision.bits] = by_bits.get(precision.bits, 0) + 1
    parts = [f"{count(layers)} to {bits} bits" for bits, layers in sorted(by_bits.items())]
    total = len(state.description.layers)
    left = total - len(precisions)
    rest = f"; {count(left)} stay as they are" if left else ""
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} quantized {' and '.join(parts)} of {count(total)} layers{rest}.",
        )
    )
