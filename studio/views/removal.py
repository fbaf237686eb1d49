"""What a plan takes of one layer, as the views of the inspector are told it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerRemoval:
    """What goes of one layer.

    Attributes:
        threshold: smaller magnitudes go, larger ones stay; of those that equal it, some may stay.
        removed: how many weights go, those included that are zero already.
        zeros: how many weights of the layer are zero already, whether they count as removed or not.
    """

    threshold: float
    removed: int
    zeros: int

    @property
    def already_zero(self) -> int:
        """How many of the weights that go are zero already: they have the smallest magnitude, so they go first."""
        return min(self.removed, self.zeros)
