"""Heatmaps of what is computed from weights: differences, saliency, broken patterns; by element or by structure.

`core.analysis.sparsity` paints weights as they are; here stands what lies between: which weights belong
together (kernels, channels, blocks), and what is shown of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import Array, Check
from core.analysis.patterns import Pattern, broken_weights
from core.analysis.positions import axis_names
from core.analysis.sparsity import HeatmapMode, HeatmapTile, blocks, heatmap

Granularity: TypeAlias = Literal["element", "kernel", "input", "output", "block"]
Span: TypeAlias = tuple[int, int]

_PART = 1 << 20
"""Weights that are computed with at once."""


class Subject(Protocol):
    """A matrix of which parts are made on demand."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def part(self, rows: slice, columns: slice) -> Array:
        """The values of some rows and columns; slices may have steps if `strided`."""
        ...

    @property
    def strided(self) -> bool:
        """Whether single columns can be had without their neighbours."""
        ...


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights themselves, [m, n]."""

    matrix: Array

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def strided(self) -> bool:
        return True

    def part(self, rows: slice, columns: slice) -> Array:
        return self.matrix[rows, columns]


@dataclass(frozen=True, eq=False)
class Squares:
    """The squared weights: the saliency of a weight where the loss is equally curved in all directions.

    That is Optimal Brain Damage (LeCun, Denker, Solla 1990) with a constant diagonal Hessian.
    """

    matrix: Array

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def strided(self) -> bool:
        return True

    def part(self, rows: slice, columns: slice) -> Array:
        found = self.matrix[rows, columns]
        if found.dtype.kind == "c":
            found = np.abs(found)
        # float64, because squares of small float32 weights would become zero.
        return np.square(found.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Saliency:
    """What the loss is said to rise by without each weight, [m, n]: computed elsewhere, from data."""

    matrix: Array

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def strided(self) -> bool:
        return True

    def part(self, rows: slice, columns: slice) -> Array:
        return self.matrix[rows, columns]


@dataclass(frozen=True, eq=False)
class Difference:
    """`matrix` minus `other`, both [m, n]; exactly zero where nothing changed."""

    matrix: Array
    other: Array

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def strided(self) -> bool:
        return True

    def part(self, rows: slice, columns: slice) -> Array:
        return changes(self.matrix[rows, columns], self.other[rows, columns])


@dataclass(frozen=True, eq=False)
class Broken:
    """1 where the weight's group breaks an N:M pattern, else 0."""

    matrix: Array
    pattern: Pattern
    unit: int
    axis: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return rows, columns

    @property
    def strided(self) -> bool:
        return False

    def part(self, rows: slice, columns: slice) -> Array:
        span = self.pattern.group * self.unit
        along = rows if self.axis == 0 else columns
        start = along.start // span * span
        stop = min(self.shape[self.axis], -(-along.stop // span) * span)
        inside = slice(along.start - start, along.stop - start, along.step)
        if self.axis == 0:
            whole = broken_weights(self.matrix[start:stop, columns], self.pattern, self.unit, 0)[inside]
        else:
            whole = broken_weights(self.matrix[rows, start:stop], self.pattern, self.unit, 1)[:, inside]
        return whole.astype(np.float32)


def changes(after: Array, before: Array) -> Array:
    """`after` − `before`: in float64 for float64 and integers, else in float32; complex stays complex."""
    if after.dtype.kind == "c" or before.dtype.kind == "c":
        found: Array = after - before
        return found
    wide = any(a.dtype == np.float64 or a.dtype.kind in "iu" for a in (after, before))
    kind = np.float64 if wide else np.float32
    with np.errstate(invalid="ignore", over="ignore"):
        difference: Array = np.subtract(after.astype(kind), before.astype(kind))
    return difference


def cell_of(granularity: Granularity, kind: str, shape: tuple[int, ...], block: int = 8) -> tuple[int, int]:
    """Height and width in the weight matrix of what belongs together.

    Args:
        kind, shape: of the layer (transposed convolutions have their input channels first).
        block: side of the squares of "block".
    """
    rows = shape[0] if len(shape) > 1 else 1
    columns = prod(shape[1:]) if len(shape) > 1 else prod(shape)
    unit = prod(shape[2:])
    match granularity:
        case "element":
            return 1, 1
        case "kernel":
            return 1, max(1, unit)
        case "block":
            return block, block
    first = axis_names(kind, len(shape))[:1] == ("in",) if len(shape) > 1 else False
    by_row = first == (granularity == "input")
    return (1, max(1, columns)) if by_row else (max(1, rows), max(1, unit))


def input_axis(kind: str, shape: tuple[int, ...]) -> int:
    """The axis of the weight matrix along which input channels lie."""
    return 0 if axis_names(kind, len(shape))[:1] == ("in",) else 1


def picture(
    subject: Subject,
    rows: Span,
    columns: Span,
    max_height: int,
    max_width: int,
    mode: HeatmapMode,
    *,
    cell: tuple[int, int] = (1, 1),
    threshold: float | None = None,
    preview: bool = False,
    check: Check | None = None,
) -> HeatmapTile:
    """A tile as `core.analysis.sparsity.heatmap` makes it, of any subject and of cells of any size."""
    down, (top, bottom) = blocks(rows, subject.shape[0], max_height, cell[0])
    across, (left, right) = blocks(columns, subject.shape[1], max_width, cell[1])
    width = right - left
    tall = min(down, bottom - top) * width > 4 * _PART and not preview
    if isinstance(subject, Weights) and not tall:
        return heatmap(
            subject.matrix, rows, columns, max_height, max_width, mode, cell=cell, threshold=threshold,
            preview=preview, check=check,
        )  # fmt: skip
    if tall:
        return _added_up(subject, (top, bottom), (left, right), (down, across), mode, threshold, check)
    steps = (down if preview else 1, across if preview and subject.strided else 1)
    inner = (-(-down // steps[0]), -(-across // steps[1]))
    bands = []
    height = -(-(bottom - top) // down)
    at_once = max(1, _PART // max(1, inner[0] * width))
    for first in range(0, max(1, height), at_once):
        if check is not None:
            check()
        start, stop = top + first * down, min(bottom, top + (first + at_once) * down)
        part = subject.part(slice(start, stop, steps[0]), slice(left, right, steps[1]))
        whole = ((0, part.shape[0]), (0, part.shape[1]))
        bands.append(
            heatmap(
                part, *whole, part.shape[0] or 1, part.shape[1] or 1, mode, cell=inner, threshold=threshold
            )
        )
    return _joined(bands, (top, bottom), (left, right), (down, across), mode, exact=not preview)


def profiles(tile: HeatmapTile) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The zero fraction of every row and of every column of pixels of a tile, float32 [height] and [width]."""
    heights = _sizes(tile.rows, tile.block[0])
    widths = _sizes(tile.columns, tile.block[1])
    zeros = tile.zeros.astype(np.float64)
    by_row = zeros @ widths / max(1.0, float(widths.sum()))
    by_column = heights @ zeros / max(1.0, float(heights.sum()))
    return by_row.astype(np.float32), by_column.astype(np.float32)


def _sizes(span: Span, block: int) -> NDArray[np.float64]:
    starts = np.arange(span[0], span[1], block)
    return np.diff(starts, append=span[1]).astype(np.float64)


def _joined(
    bands: list[HeatmapTile],
    rows: Span,
    columns: Span,
    block: tuple[int, int],
    mode: HeatmapMode,
    *,
    exact: bool,
) -> HeatmapTile:
    def joined(of: Callable[[HeatmapTile], NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
        found = [value for band in bands if (value := of(band)) is not None]
        return np.concatenate(found) if found else None

    invalid = [
        np.zeros(band.values.shape, np.bool_) if band.invalid is None else band.invalid for band in bands
    ]
    return HeatmapTile(
        mode,
        rows,
        columns,
        block,
        exact or block == (1, 1),
        np.concatenate([band.values for band in bands]),
        np.concatenate([band.zeros for band in bands]),
        joined(lambda band: band.going),
        np.concatenate(invalid) if any(band.invalid is not None for band in bands) else None,
    )


def _added_up(
    subject: Subject,
    rows: Span,
    columns: Span,
    block: tuple[int, int],
    mode: HeatmapMode,
    threshold: float | None,
    check: Check | None,
) -> HeatmapTile:
    """A tile of pixels so high that even one row of them is too much at once: added up strip by strip."""
    starts = np.arange(0, columns[1] - columns[0], block[1])
    widths = _sizes(columns, block[1])
    strip = max(1, _PART // max(1, columns[1] - columns[0]))
    bands = []
    for top in range(rows[0], rows[1], block[0]):
        bottom = min(rows[1], top + block[0])
        zeros, finite, total, gone = np.zeros((4, len(starts)))
        for start in range(top, bottom, strip):
            if check is not None:
                check()
            part = subject.part(slice(start, min(bottom, start + strip)), slice(*columns))
            values = (np.abs(part) if part.dtype.kind == "c" else part).astype(np.float64)
            good = np.isfinite(values)
            values[~good] = 0
            sizes = np.abs(values)
            zeros += np.add.reduceat(np.count_nonzero(part == 0, axis=0), starts)
            finite += np.add.reduceat(np.count_nonzero(good, axis=0), starts)
            total += np.add.reduceat((values if mode == "signed" else sizes).sum(axis=0), starts)
            if threshold is not None:
                taken = (sizes.astype(np.float32) <= np.float32(threshold)) & good & (part != 0)
                gone += np.add.reduceat(np.count_nonzero(taken, axis=0), starts)
        weights = (bottom - top) * widths
        share = (zeros / weights).astype(np.float32)[None]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (total / finite).astype(np.float32)[None]
        bands.append(
            HeatmapTile(
                mode, (top, bottom), columns, block, True,
                share if mode == "sparsity" else mean,
                share,
                None if threshold is None else (gone / weights).astype(np.float32)[None],
                (finite < weights)[None] if (finite < weights).any() else None,
            )
        )  # fmt: skip
    return _joined(bands, rows, columns, block, mode, exact=True)
