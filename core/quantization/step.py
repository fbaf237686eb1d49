"""The quantization steps: from settings to grids, to weights on them and to ranges of activations."""

import copy

import torch
from torch import nn

from core.errors import StudioError
from core.events import Notice
from core.formatting import count
from core.job import JobContext
from core.quantization.calibration import Calibration, activations_of, observe
from core.quantization.correction import inputs_of, learned_rounding, mean_shift
from core.quantization.folding import equalise, fold_batch_norms
from core.quantization.grid import on_grid
from core.quantization.precision import Precision, precision_of
from core.quantization.sensitivity import sensitivities, worst_layers
from core.quantization.settings import GridSettings, QuantizeAwareSettings, QuantizeSettings
from core.quantization.step_records import record_for
from core.run_state import RunState
from core.training.step import fine_tune, fine_tune_work


def quantize_work(settings: GridSettings, state: RunState) -> float:
    """Forward passes over the calibration examples."""
    if not settings.needs_data and not settings.quantizes_activations:
        return 1.0
    passes = 0.0
    if settings.quantizes_activations:
        passes += 1 if settings.activation_ranges == "min-max" else 2
    task = state.task
    available = 0 if task is None else len(task.train or task.validation or ())
    if isinstance(settings, QuantizeSettings) and settings.integers:
        learned = settings.rounding == "learned"
        if learned or settings.bias_correction:
            passes += len(state.description.layers) * (2 if learned else 1)
        if settings.keep_worst and task is not None:
            judged = len(state.description.layers) * len(task.validation or ())
            return 1.0 + passes * min(settings.examples, available) + judged
    return 1.0 + passes * min(settings.examples, available)


def quantize_and_train_work(settings: QuantizeAwareSettings, state: RunState) -> float:
    """Calibration and training."""
    return quantize_work(settings, state) + fine_tune_work(settings, state)


def quantize_model(settings: QuantizeSettings, state: RunState, context: JobContext) -> None:
    """Quantize the model of `state` after its training; weights that are zero stay zero.

    Raises:
        StudioError: if every layer is left alone, weights or activations are NaN, or calibration examples are missing.
    """
    _require_finite(state)
    if settings.integers and not state.quantization:
        if settings.fold_batch_norm:
            fold_batch_norms(state.module.eval())
        if settings.equalise:
            equalise(state.module)
    if settings.integers and settings.keep_worst:
        settings = _keeping_worst(settings, state, context)
    precisions = _prepare(settings, state, context)
    _round(settings, state, context, precisions)
    state.masks.zero_removed(state.module)
    _tell(state, context, precisions)
    context.advance(1.0, settings.title)


def quantize_and_train(settings: QuantizeAwareSettings, state: RunState, context: JobContext) -> None:
    """Find grids and ranges, then train with everything rounded to them; the weights end on their grids.

    Raises:
        StudioError: as `quantize_model` and `fine_tune` do.
    """
    if state.half_done is None:
        _require_finite(state)
        precisions = _prepare(settings, state, context)
        _tell(state, context, precisions)
    fine_tune(settings, state, context)
    context.advance(1.0, settings.title)


def _round(
    settings: QuantizeSettings, state: RunState, context: JobContext, precisions: dict[str, Precision]
) -> None:
    """Put the weights on their grids, layer after layer from the input on, with what corrects the outputs."""
    corrected = settings.integers and (settings.rounding == "learned" or settings.bias_correction)
    wanted = copy.deepcopy(state.module) if corrected else state.module
    generator = torch.Generator().manual_seed(state.step_seed())
    for layer in state.description.layers:
        if layer.weight_name not in precisions:
            continue
        context.checkpoint()
        record = state.quantization.weights[layer.weight_name]
        weight = state.module.get_parameter(layer.weight_name)
        rounded = on_grid(weight, record)
        here = state.module.get_submodule(layer.name)
        if corrected and record.scheme == "affine" and isinstance(here, _CORRECTED):
            calibration = Calibration(settings.examples, state, context, settings.title)
            before = list(inputs_of(wanted, wanted.get_submodule(layer.name), calibration.batches()))
            if settings.rounding == "learned":
                given = inputs_of(state.module, here, calibration.batches())
                rounded = learned_rounding(
                    here, record, before, given, settings.rounding_iterations, generator, context.checkpoint
                )
            if settings.bias_correction and here.bias is not None:
                shift = mean_shift(here, rounded, before)
                with torch.no_grad():
                    here.bias.sub_(shift)
        with torch.no_grad():
            weight.copy_(rounded)


_CORRECTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _require_finite(state: RunState) -> None:
    for layer in state.description.layers:
        if not bool(torch.isfinite(state.module.get_parameter(layer.weight_name)).all()):
            raise StudioError(
                f"The weights of “{layer.name}” hold NaN or infinite values, so {state.place} cannot quantize them: "
                "use an earlier checkpoint."
            )


def _keeping_worst(settings: QuantizeSettings, state: RunState, context: JobContext) -> QuantizeSettings:
    """The settings with the layers that suffer most kept in 16 bits."""
    found = sensitivities(
        settings, (settings.bits,), state, context, measured=True, examples=256, all_but=False
    )
    ours = {layer.name for layer in state.description.layers if precision_of(settings, layer) is not None}
    ranked = [each for each in found if each.layer in ours]
    worst = worst_layers(ranked, settings.bits, settings.keep_worst)
    names = ", ".join(f"“{name}”" for name in worst)
    context.emit(Notice(context.run_id, f"{state.place} keeps {names} in 16 bits: they suffer most."))
    # First come, first matched: a name stands before the patterns that hold it too.
    overrides = {
        **dict.fromkeys(worst, 16),
        **{k: v for k, v in settings.overrides.items() if k not in worst},
    }
    return settings.model_copy(update={"overrides": overrides})


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
