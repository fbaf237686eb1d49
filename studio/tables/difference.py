"""The table of two models side by side: one row for each layer that both have."""

from dataclasses import dataclass

from core.analysis.difference import LayerDifference
from core.formatting import percent
from studio.tables.figures import Column, figure, whole


@dataclass(frozen=True, eq=False)
class DifferenceRow:
    """A layer, its index in the open model, and what changed in it."""

    name: str
    layer: int
    difference: LayerDifference

    @property
    def title(self) -> str:
        """For people."""
        return self.name

    @property
    def place(self) -> int:
        """In the order of the open model."""
        return self.layer


def _share(row: DifferenceRow) -> float:
    return row.difference.share


DIFFERENCE_COLUMNS: tuple[Column[DifferenceRow], ...] = (
    whole("Weights", "Weights of the layer", lambda row: row.difference.weights),
    whole("Changed", "Weights that are not the same in both models", lambda row: row.difference.changed),
    Column("Changed %", "Share of the weights that changed", _share, lambda row: percent(_share(row), 1)),
    figure("max |Δ|", "The largest change of a weight", lambda row: row.difference.largest),
    figure(
        "mean |Δ|",
        "The mean size of the change, over all weights of the layer",
        lambda row: row.difference.mean,
    ),
    figure(
        "rel. L2",
        "Length of the change as a vector, relative to the other model's weights: ‖Δ‖ / ‖before‖",
        lambda row: row.difference.relative,
    ),
    figure(
        "Cosine",
        "Cosine of the angle between the two as vectors; 1 means the same direction",
        lambda row: row.difference.cosine,
    ),
    whole(
        "Zeros before",
        "Weights that are exactly zero in the other model",
        lambda row: row.difference.zeros_before,
    ),
    whole(
        "Zeros now", "Weights that are exactly zero in the open model", lambda row: row.difference.zeros_after
    ),
)
