"""Which layer suffers from being quantized: measured on validation examples, or estimated from the outputs alone.

*Measured* judges the network once for each layer and number of bits with only that layer quantized, and once with all
but it. The *fast proxy* compares the network's outputs on a few examples: their signal-to-noise ratio (SQNR). Both
quantize weights only, to the nearest value; the test split is not looked at.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from core.data.split import Split
from core.errors import StudioError
from core.events import Finding, Notice
from core.findings import Line, Lines, Table
from core.job import JobContext
from core.measurement.accuracy import evaluate, wilson_interval
from core.models.description import Layer
from core.quantization.calibration import Calibration
from core.quantization.grid import on_grid
from core.quantization.precision import Precision
from core.quantization.ranking import KIND
from core.quantization.settings import GridSettings, QuantizeSettings, SensitivitySettings
from core.quantization.step_records import record_for
from core.run_state import RunState


@dataclass(frozen=True)
class Effect:
    """What a network does with some layers quantized.

    Attributes:
        correct, count: of the validation examples; None for the proxy.
        sqnr: 10 · log10 of the power of the outputs over that of their change, in dB; infinite where nothing changes.
    """

    correct: int | None
    count: int | None
    sqnr: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson interval of the accuracy."""
        if self.correct is None or self.count is None:
            return None
        return wilson_interval(self.correct, self.count)


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer at one number of bits: only it quantized, and all but it."""

    layer: str
    bits: int
    only: Effect
    all_but: Effect | None


class _Substituted(nn.Module):
    """The module with some weights replaced."""

    def __init__(self, module: nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.module = module
        self._weights = dict(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = functional_call(self.module, self._weights, (inputs,))
        return result


def sensitivities(
    settings: GridSettings,
    bits: tuple[int, ...],
    state: RunState,
    context: JobContext,
    *,
    measured: bool,
    examples: int,
    all_but: bool = True,
) -> list[LayerSensitivity]:
    """The effect of each layer at each number of bits; the weights stay as they are.

    Args:
        settings: how weights are quantized; their bits are ignored.
        examples: for the SQNR, from the training split.

    Raises:
        StudioError: without examples.
    """
    layers = state.description.layers
    calibration = Calibration(examples, state, context, "Sensitivity")
    inputs = list(calibration.batches("examples", 0.0))
    validation = _validation(state) if measured else None
    state.module.eval()
    wanted = _outputs(state.module, inputs)
    found = []
    for width in bits:
        rounded = {layer.weight_name: _rounded(settings, layer, width, state) for layer in layers}

        def effect(weights: Mapping[str, Tensor]) -> Effect:
            context.checkpoint()
            network = _Substituted(state.module, weights)
            change = _sqnr(wanted, _outputs(network, inputs))
            if validation is None:
                context.advance(len(calibration), "Sensitivity: fast proxy")
                return Effect(None, None, change)
            result = evaluate(network, validation, state.device, lambda _: context.checkpoint())
            context.advance(len(validation), "Sensitivity: measured")
            return Effect(result.correct, result.count, change)

        for layer in layers:
            others = {name: weight for name, weight in rounded.items() if name != layer.weight_name}
            found.append(
                LayerSensitivity(
                    layer.name,
                    width,
                    effect({layer.weight_name: rounded[layer.weight_name]}),
                    effect(others) if all_but else None,
                )
            )
    return found


def worst_layers(found: list[LayerSensitivity], bits: int, count: int) -> tuple[str, ...]:
    """The names of the layers that suffer most at so many bits, worst first."""
    ranked = sorted((each for each in found if each.bits == bits), key=_badness)
    return tuple(each.layer for each in ranked[:count])


def _badness(each: LayerSensitivity) -> tuple[float, float]:
    correct = each.only.correct
    return (math.inf if correct is None else correct, each.only.sqnr)


def sensitivity_work(settings: SensitivitySettings, state: RunState) -> float:
    """One or two judgements for each layer and number of bits."""
    task = state.require_task()
    judged = len(task.validation or ()) if settings.mode == "measured" else settings.examples
    return 1.0 + 2.0 * len(state.description.layers) * len(settings.bits) * judged


def find_sensitivity(settings: SensitivitySettings, state: RunState, context: JobContext) -> None:
    """Emit what quantizing each layer does, as a table and as curves; the model is not changed.

    Raises:
        StudioError: without examples, or where no bits are given.
    """
    like = QuantizeSettings(what="weights", granularity=settings.granularity)
    found = sensitivities(
        like,
        settings.bits,
        state,
        context,
        measured=settings.mode == "measured",
        examples=settings.examples,
    )
    how = (
        "measured: accuracy on all validation examples, with 95 % Wilson intervals"
        if settings.mode == "measured"
        else f"fast proxy: no accuracy, only what happens to the outputs of {settings.examples} training examples"
    )
    note = f"Weights only, {how}; ranked, worst first."
    key = state.place
    context.emit(
        Finding(
            context.run_id, KIND, f"{key} table", "Sensitivity to quantization", _table(found, note).to_data()
        )
    )
    context.emit(
        Finding(
            context.run_id,
            f"{KIND}-curves",
            key,
            "Sensitivity to quantization",
            _lines(found, note).to_data(),
        )
    )
    fewest = min(settings.bits)
    worst = worst_layers(found, fewest, 3)
    names = ", ".join(f"“{name}”" for name in worst)
    context.emit(
        Notice(
            context.run_id,
            f"{state.place}: at {fewest} bits {names} suffer most; keep them in 16 bits by “Own bits for”.",
        )
    )
    context.advance(1.0, settings.title)


def _table(found: list[LayerSensitivity], note: str) -> Table:
    ranked = sorted(found, key=lambda each: (each.bits, _badness(each)))
    rows = []
    for each in ranked:
        row: list[str | float | int | None] = [each.layer, each.bits]
        for effect in (each.only, each.all_but):
            interval = None if effect is None else effect.interval
            if effect is None or interval is None or effect.correct is None or not effect.count:
                row += [None, None, None]
            else:
                row += [100 * effect.correct / effect.count, 100 * interval[0], 100 * interval[1]]
            row.append(None if effect is None or not math.isfinite(effect.sqnr) else effect.sqnr)
        rows.append(tuple(row))
    titles = [("Layer", ""), ("Bits", "")]
    for words in ("only this", "all but this"):
        titles += [
            (f"Accuracy, {words}", "%"),
            (f"low, {words}", "%"),
            (f"high, {words}", "%"),
            (f"SQNR, {words}", "dB"),
        ]
    return Table(tuple(titles), tuple(rows), note)


def _lines(found: list[LayerSensitivity], note: str) -> Lines:
    names = list(dict.fromkeys(each.layer for each in found))
    measured = any(each.only.correct is not None for each in found)
    lines = []
    for name in names:
        own = sorted((each for each in found if each.layer == name), key=lambda each: each.bits)
        x = tuple(each.bits for each in own)
        if not measured:
            finite = [each.only.sqnr if math.isfinite(each.only.sqnr) else None for each in own]
            lines.append(Line(name, x, tuple(finite)))
            continue
        intervals = [each.only.interval or (0.0, 1.0) for each in own]
        y = tuple(100 * (each.only.correct or 0) / (each.only.count or 1) for each in own)
        low = tuple(100 * each[0] for each in intervals)
        high = tuple(100 * each[1] for each in intervals)
        lines.append(Line(name, x, y, low, high))
    label = "Validation accuracy, only this layer quantized (%)" if measured else "SQNR of the outputs (dB)"
    return Lines(tuple(lines), "Bits of the layer's weights", label, reverse_x=True, note=note)


def _validation(state: RunState) -> Split:
    task = state.require_task()
    if task.validation is None or len(task.validation) == 0:
        raise StudioError(
            f"{task.title} has no validation examples, on which {state.place} measures sensitivity: use a task "
            f"with a "
            "training part, or the fast proxy."
        )
    return task.validation


def _rounded(settings: GridSettings, layer: Layer, bits: int, state: RunState) -> Tensor:
    weight = state.module.get_parameter(layer.weight_name).detach()
    precision = Precision("float16", 16) if bits > 8 else Precision("affine", bits)
    return on_grid(weight, record_for(settings, layer, precision, weight))


@torch.inference_mode()
def _outputs(module: nn.Module, inputs: list[Tensor]) -> Tensor:
    return torch.cat([module(each) for each in inputs])


def _sqnr(wanted: Tensor, got: Tensor) -> float:
    """Signal-to-quantization-noise ratio in dB."""
    signal = float(wanted.square().sum(dtype=torch.float64))
    noise = float((got - wanted).square().sum(dtype=torch.float64))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
