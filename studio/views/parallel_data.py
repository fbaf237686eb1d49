"""What a plot of parallel axes shows, and the request for a picture of very many lines. No widget."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.history.columns import RunColumns
from core.history.parallel import ParallelAxis, draw_lines, make_axis
from core.history.quantities import QUANTITIES
from studio.views.layer_figures import COLORS
from studio.views.pareto_points import RunLabels, RunNames

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint32]
FEW = 300
"""Up to so many lines are drawn one by one; more are counted into a picture."""


@dataclass(frozen=True, eq=False)
class ParallelData:
    """Runs on axes.

    Attributes:
        colors: indices into the theme's series for runs that are compared; None where lines are coloured by an axis.
    """

    axes: tuple[ParallelAxis, ...]
    run_ids: Sequence[str] = ()
    labels: Sequence[str] = ()
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    colors: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.run_ids)

    def find(self, run_id: str) -> int | None:
        """The line of a run, or None."""
        try:
            return self.run_ids.index(run_id)
        except ValueError:
            return None

    def told(self, run: int) -> str:
        """A run in a line: `#12 prune 80 %: accuracy 93.1 %, packed size 12.3 kB`."""
        return f"{self.labels[run]}: {', '.join(f'{axis.name} {axis.told(run)}' for axis in self.axes)}"


@dataclass(frozen=True, eq=False)
class PictureRequest:
    """Lines to count into a picture.

    Attributes:
        positions, height: pixels, as `core.history.parallel.draw_lines` takes them.
        color: the axis that lines are coloured by, or None.
        chosen: only these; None for all of them.
        muted: `#rrggbb` of lines without a colour.
    """

    data: ParallelData
    positions: tuple[int, ...]
    height: int
    color: int | None
    chosen: Mask | None
    muted: str


def draw(request: PictureRequest, check: Callable[[], None]) -> tuple[Pixels, Pixels]:
    """The picture as premultiplied 0xAARRGGBB pixels, and its greyed form; takes up to half a second."""
    places = [axis.places for axis in request.data.axes]
    color = np.full(len(request.data), np.nan) if request.color is None else places[request.color]
    if request.chosen is not None:
        places, color = [each[request.chosen] for each in places], color[request.chosen]
    picture = draw_lines(places, request.positions, request.height, color, check)
    top = math.log(max(2.0, float(picture.counts.max())))
    alpha = np.where(picture.counts > 0, 0.15 + 0.85 * np.log(np.maximum(picture.counts, 1)) / top, 0)
    muted = np.array([int(request.muted[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)
    grey = np.broadcast_to(muted, (*alpha.shape, 3))
    known = ~np.isnan(picture.shade)
    index = np.rint(np.where(known, picture.shade, 0) * (len(COLORS) - 1)).astype(np.intp)
    return _packed(alpha, np.where(known[..., None], COLORS[index], grey)), _packed(0.35 * alpha, grey)


def _packed(alpha: NDArray[np.float64], colors: NDArray[np.float64]) -> Pixels:
    parts = [np.rint(255 * alpha), *(np.rint(alpha * colors[..., n]) for n in range(3))]
    a, r, g, b = (part.astype(np.uint32) for part in parts)
    return np.ascontiguousarray((a << 24) | (r << 16) | (g << 8) | b)


def parallel_data(
    columns: RunColumns,
    rows: NDArray[np.intp],
    names: Sequence[str],
    colors: tuple[int, ...] | None = None,
) -> ParallelData:
    """The runs in `rows` (ascending) on axes of columns; columns that are not loaded are left out."""
    axes = tuple(make_axis(columns, rows, name) for name in names if columns.holds(name))
    return ParallelData(
        axes, RunNames(columns, rows), RunLabels(columns, rows), columns.numbers[rows], colors
    )


def measured_columns() -> list[tuple[str, str]]:
    """The quantities that can be axes: column and title."""
    return [(quantity.column, quantity.title) for quantity in QUANTITIES]


ORIGINS = (("model", "model"), ("task", "task"), ("method", "method"), ("seed", "seed"), ("status", "status"))
