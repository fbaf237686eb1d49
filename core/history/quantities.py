"""The quantities that charts set runs against each other by: where each is found, its unit, and which way is better."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from core import formatting
from core.history.records import RunRecord
from core.measurement.records import Measurement

Pick = Callable[[RunRecord | None, Measurement], float | None]


@dataclass(frozen=True)
class Quantity:
    """One quantity.

    Attributes:
        title: as an axis is named, without its unit; `help` says in a sentence what it is.
        column: its column in `RunColumns` (load it with `HistoryStore.with_fields` if it is not there).
        search: the field of the history's search that means it.
        sense: 1 where more is better, -1 where less is.
        show: a value for people, with its unit; `tick` the same for an axis that names `unit` in its title.
        pick: the value of one run's measurement; the run is None for the model that a run started from.
    """

    name: str
    title: str
    help: str
    column: str
    search: str
    sense: int
    show: Callable[[float], str]
    tick: Callable[[float], str]
    unit: str
    pick: Pick

    @property
    def smaller_is_better(self) -> bool:
        """Whether less of it is better."""
        return self.sense < 0

    @property
    def axis_title(self) -> str:
        """Title, unit and which way is better: `packed size (less is better)`."""
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.title}{unit} ({'less' if self.sense < 0 else 'more'} is better)"


def _percent_tick(value: float) -> str:
    return f"{100 * value:.6g}".replace("-", "−")


def _trimmed(text: str) -> str:
    """Without zeros at the end of decimals, which axes need not repeat: "10.0 MB" becomes "10 MB"."""
    return re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", text).replace(". ", " ").removesuffix(".")


def _bytes(value: float) -> str:
    return formatting.data_size(round(value))


def _tick(value: float) -> str:
    return f"{value:.4g}"


def _short(value: float) -> str:
    return _trimmed(formatting.short_count(value))


def _macs(value: float) -> str:
    return formatting.macs(round(value))


def _count(value: float) -> str:
    return formatting.count(round(value))


def _accuracy(_run: RunRecord | None, measured: Measurement) -> float | None:
    return None if measured.accuracy is None else measured.accuracy.value


def _loss(_run: RunRecord | None, measured: Measurement) -> float | None:
    return None if measured.accuracy is None else measured.accuracy.loss


def _latency(_run: RunRecord | None, measured: Measurement) -> float | None:
    return None if measured.latency is None else measured.latency.median_ms


def _change(run: RunRecord | None, measured: Measurement) -> float | None:
    before = None if run is None or run.before is None else run.before.accuracy
    return None if before is None or measured.accuracy is None else measured.accuracy.value - before.value


def _duration(run: RunRecord | None, _measured: Measurement) -> float | None:
    return None if run is None or run.started is None or run.ended is None else run.ended - run.started


QUANTITIES: tuple[Quantity, ...] = (
    Quantity(
        "accuracy", "accuracy", "Share of held-out examples that the result classifies correctly.",
        "accuracy", "accuracy", 1, formatting.percent, _percent_tick, "%", _accuracy,
    ),
    Quantity(
        "packed", "packed size", "Bytes of the result in a sparse encoding.",
        "packed", "size", -1, _bytes, lambda v: _trimmed(_bytes(v)), "", lambda _run, m: m.packed_bytes,
    ),
    Quantity(
        "dense", "dense size", "Bytes of the result as an ordinary file, where zeros take room as well.",
        "dense", "dense", -1, _bytes, lambda v: _trimmed(_bytes(v)), "", lambda _run, m: m.dense_bytes,
    ),
    Quantity(
        "macs", "multiply-accumulates", "Multiply-accumulates (MACs) of one forward pass of one example.",
        "macs", "macs", -1, _macs, lambda v: _trimmed(_macs(v)), "", lambda _run, m: m.macs,
    ),
    Quantity(
        "latency", "latency", "Median time of one forward pass on the machine that ran it.",
        "latency", "latency", -1, formatting.milliseconds, _tick, "ms", _latency,
    ),
    Quantity(
        "nonzero", "non-zero weights", "Weights of prunable layers that are not exactly zero.",
        "nonzero_weights", "nonzero_weights", -1, _count, _short, "", lambda _run, m: m.nonzero_weights,
    ),
    Quantity(
        "parameters", "parameters", "All trainable parameters, biases and normalisation included.",
        "parameters", "parameters", -1, _count, _short, "", lambda _run, m: m.parameters,
    ),
    Quantity(
        "sparsity", "sparsity", "Share of prunable weights that are exactly zero.",
        "sparsity", "sparsity", 1, lambda v: formatting.percent(v, 1), _percent_tick, "%", lambda _run, m: m.sparsity,
    ),
    Quantity(
        "loss", "loss", "Mean cross-entropy on the held-out examples.",
        "loss", "loss", -1, formatting.significant, _tick, "", _loss,
    ),
    Quantity(
        "change", "change of accuracy", "Accuracy after minus before.",
        "change", "change", 1, formatting.points, _percent_tick, "pp", _change,
    ),
    Quantity(
        "duration", "duration", "From start to end of the run, pauses included.",
        "duration", "duration", -1, formatting.duration, formatting.duration, "", _duration,
    ),
)  # fmt: skip

BY_NAME = {quantity.name: quantity for quantity in QUANTITIES}
