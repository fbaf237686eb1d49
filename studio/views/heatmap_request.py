"""What the heatmap asks for and what it gets: frozen values that travel between the window and the workers."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.analysis.colormaps import HeatmapColors
from core.analysis.patterns import Pattern
from core.analysis.pictures import Granularity
from core.analysis.sparsity import HeatmapTile

Mode = Literal["sparsity", "magnitude", "signed", "mask", "difference", "square", "saliency", "rounding"]
Grouping = Granularity | Literal["pattern"]


@dataclass(frozen=True)
class Look:
    """How weights are shown.

    Attributes:
        mode: what the colours mean.
        grouping: which weights belong together; "pattern" shows broken N:M groups, whatever the mode.
        block: side of the squares of the grouping "block".
        pattern: of the grouping "pattern".
        colors: the sequential colour map, one of `core.analysis.colormaps.SEQUENTIAL`.
        bits, by_channel: of the mode "rounding": the grid that weights are rounded to, with a scale for each output
            channel or one for all.
    """

    mode: Mode = "magnitude"
    grouping: Grouping = "element"
    block: int = 8
    pattern: Pattern = field(default_factory=Pattern)
    colors: str = "cividis"
    bits: int = 4
    by_channel: bool = True

    @property
    def compares(self) -> bool:
        """Whether the weights are shown against other values: those of a second model, or of a grid."""
        return self.mode in ("difference", "rounding") and self.grouping != "pattern"

    @property
    def rounds(self) -> bool:
        """Whether these values are the weights' own, rounded to a grid."""
        return self.mode == "rounding" and self.grouping != "pattern"

    @property
    def salient(self) -> bool:
        """Whether saliencies are needed, which are computed from data."""
        return self.mode == "saliency" and self.grouping != "pattern"


@dataclass(frozen=True)
class TileRequest:
    """What the heatmap would like to show."""

    layer: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    height: int
    width: int
    look: Look


@dataclass(frozen=True, eq=False)
class PaintedTile:
    """A tile ready for the screen, with the whole matrix for the cursor's read-out (not copied).

    Attributes:
        table: the colours in use, as `HeatmapColors.table` names them.
        limit: the value at the end of the colour scale.
        other: what stands beside the weights: those of the other model, for a difference; those
            rounded to a grid; their saliencies.
        by_row, by_column: fractions for the margins, one per pixel.
    """

    layer: str
    look: Look
    tile: HeatmapTile
    pixels: NDArray[np.uint32]
    table: str
    limit: float
    colors: HeatmapColors
    matrix: NDArray[Any]
    other: NDArray[Any] | None
    by_row: NDArray[np.float32]
    by_column: NDArray[np.float32]

    @property
    def single(self) -> bool:
        """Whether each pixel is one weight."""
        return self.tile.block == (1, 1)
