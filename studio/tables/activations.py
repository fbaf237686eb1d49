"""The table of activations: one row for each layer's output and for each activation function behind it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.formatting import count, percent
from studio.tables.figures import Column, figure, whole

if TYPE_CHECKING:
    from core.measurement.activations import Activation


@dataclass(frozen=True, eq=False)
class ActivationRow:
    """An output, the index of its layer in the open model, and its place in the order of running."""

    seen: "Activation"
    layer: int
    place: int

    @property
    def title(self) -> str:
        """For people: `conv1 → ReLU`."""
        return self.seen.title


def _units_text(row: ActivationRow, dead: int) -> str:
    return f"{count(dead)} of {count(row.seen.units)}"


ACTIVATION_COLUMNS: tuple[Column[ActivationRow], ...] = (
    Column(
        "Zeros",
        "Share of the outputs that are exactly zero",
        lambda row: row.seen.zero_fraction,
        lambda row: percent(row.seen.zero_fraction, 1),
    ),
    Column(
        "Dead units",
        "Channels or features that were zero for every example and at every place",
        lambda row: len(row.seen.always_zero),
        lambda row: _units_text(row, len(row.seen.always_zero)),
    ),
    Column(
        "Never > 0",
        "Channels or features that were never above zero: a ReLU behind them passes nothing on",
        lambda row: len(row.seen.never_positive),
        lambda row: _units_text(row, len(row.seen.never_positive)),
    ),
    figure("Mean", "The mean of the outputs", lambda row: row.seen.mean),
    figure("Std", "The standard deviation of the outputs", lambda row: row.seen.std),
    figure("Min", "The smallest output", lambda row: row.seen.minimum),
    figure("Max", "The largest output", lambda row: row.seen.maximum),
    whole("Values", "How many numbers were looked at", lambda row: row.seen.values),
    whole(
        "NaN, Inf",
        "Outputs that are not finite; they are in no other figure",
        lambda row: row.seen.not_finite,
    ),
)
