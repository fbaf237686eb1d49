"""What the histogram draws of another model: its layers of the same names, as outlines over the bars."""

from dataclasses import dataclass

from core.analysis.distributions import LayerDistribution

MOST_REFERENCES = 3
"""Other models drawn at once: more outlines could not be told apart."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Another model's layers, in the order of the layers that they are compared with; missing ones are left out."""

    title: str
    layers: tuple[LayerDistribution, ...]
    missing: tuple[str, ...] = ()
