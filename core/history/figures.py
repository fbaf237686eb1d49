"""The figures of a measurement: how each is read, shown, compared, and when comparing it would mean nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from core import formatting
from core.formatting import NOT_MEASURED
from core.measurement.difference import MAY_BE_CHANCE, may_be_chance
from core.measurement.records import Accuracy, Latency, Measurement


def _nothing(ours: Measurement, base: Measurement) -> str:
    return ""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        pick: the raw value, None where it was not measured.
        show: the same for people, with its unit and what belongs to it.
        difference: of a value and the baseline's, with arrow and sign.
        sense: 1 where more is better, -1 where less is, 0 for neither.
        incomparable: why two measurements cannot be compared; "" if they can.
        remark: what to know about a difference; "" mostly.
    """

    label: str
    pick: Callable[[Measurement], float | None]
    show: Callable[[Measurement], str]
    difference: Callable[[float, float], str]
    sense: int
    incomparable: Callable[[Measurement, Measurement], str] = _nothing
    remark: Callable[[Measurement, Measurement], str] = _nothing


def _accuracy_text(measurement: Measurement) -> str:
    accuracy = measurement.accuracy
    if accuracy is None:
        return NOT_MEASURED
    interval = f"{100 * accuracy.low:.2f} to {formatting.percent(accuracy.high)}"
    return f"{formatting.percent(accuracy.value)} ({interval}, n = {formatting.count(accuracy.count)})"


def _latency_text(measurement: Measurement) -> str:
    latency = measurement.latency
    if latency is None:
        return NOT_MEASURED
    low, high = (
        formatting.significant(latency.lower_quartile_ms),
        formatting.milliseconds(latency.upper_quartile_ms),
    )
    busy = ", machine busy" if latency.machine_busy else ""
    return f"{formatting.milliseconds(latency.median_ms)} (quartiles {low} to {high}{busy})"


def protocol(latency: Latency) -> str:
    """How a latency was obtained, in one line."""
    return (
        f"batch {latency.batch_size} · {latency.threads} threads · {latency.warmup} warm-ups · "
        f"{latency.repetitions} repetitions · {latency.runtime} · {latency.device}"
    )


def _same_test(ours: Measurement, base: Measurement) -> str:
    def test(accuracy: Accuracy | None) -> tuple[str, str, int] | None:
        return None if accuracy is None else (accuracy.task, accuracy.split, accuracy.count)

    if test(ours.accuracy) == test(base.accuracy) or None in (ours.accuracy, base.accuracy):
        return ""
    return "Measured on other examples than the baseline, so the two cannot be compared."


def _within_noise(ours: Measurement, base: Measurement) -> str:
    if ours.accuracy is None or base.accuracy is None or ours.accuracy.correct == base.accuracy.correct:
        return ""
    return MAY_BE_CHANCE if may_be_chance(ours.accuracy, base.accuracy) else ""


def _same_protocol(ours: Measurement, base: Measurement) -> str:
    if ours.latency is None or base.latency is None:
        return ""
    for name in ("batch_size", "threads", "runtime", "device"):
        if getattr(ours.latency, name) != getattr(base.latency, name):
            return "Measured by another protocol than the baseline, so the two cannot be compared."
    return ""


def _same_packing(ours: Measurement, base: Measurement) -> str:
    if ours.packing == base.packing:
        return ""
    return f"Packed as {ours.packing}, the baseline as {base.packing}."


def _same_input(ours: Measurement, base: Measurement) -> str:
    if ours.input_shape == base.input_shape or None in (ours.macs, base.macs):
        return ""
    return "Counted for another input shape than the baseline, so the two cannot be compared."


def _relative(value: float, base: float) -> str:
    """A change in percent of the baseline: ▼ −76.4 %."""
    change = value - base
    if change == 0:
        return "±0 %"
    arrow, sign = ("▲", "+") if change > 0 else ("▼", "−")
    if base == 0:
        return f"{arrow} {sign}{formatting.significant(abs(change))}"
    return f"{arrow} {sign}{formatting.significant(abs(100 * change / base))} %"


def _points(value: float, base: float) -> str:
    return formatting.points(value - base)


FIGURES = (
    Figure(
        "Accuracy",
        lambda m: None if m.accuracy is None else m.accuracy.value,
        _accuracy_text,
        _points,
        1,
        _same_test,
        _within_noise,
    ),
    Figure(
        "Loss",
        lambda m: None if m.accuracy is None else m.accuracy.loss,
        lambda m: NOT_MEASURED if m.accuracy is None else formatting.significant(m.accuracy.loss),
        _relative,
        -1,
        _same_test,
    ),
    Figure("Sparsity", lambda m: m.sparsity, lambda m: formatting.percent(m.sparsity), _points, 0),
    Figure(
        "Non-zero weights",
        lambda m: m.nonzero_weights,
        lambda m: f"{formatting.count(m.nonzero_weights)} of {formatting.count(m.weights)}",
        _relative,
        -1,
    ),
    Figure("Parameters", lambda m: m.parameters, lambda m: formatting.count(m.parameters), _relative, -1),
    Figure("MACs", lambda m: m.macs, lambda m: formatting.macs(m.macs), _relative, -1, _same_input),
    Figure(
        "Dense file",
        lambda m: m.dense_bytes,
        lambda m: formatting.data_size(m.dense_bytes),
        _relative,
        -1,
    ),
    Figure(
        "Packed size",
        lambda m: m.packed_bytes,
        lambda m: f"{formatting.data_size(m.packed_bytes)} ({m.packing.partition(':')[0]})",
        _relative,
        -1,
        remark=_same_packing,
    ),
    Figure(
        "Latency",
        lambda m: None if m.latency is None else m.latency.median_ms,
        _latency_text,
        _relative,
        -1,
        _same_protocol,
    ),
)
