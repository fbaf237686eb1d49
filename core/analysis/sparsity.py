"""A weight tensor as a matrix, and pictures of any part of it at any level of detail."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration
from core.analysis.chunks import Array, Check

HeatmapMode: TypeAlias = Literal["sparsity", "magnitude", "signed"]
Pixels32: TypeAlias = NDArray[np.float32]

_BAND = 1 << 18
_LONG_BAND = 1 << 22
_INFINITY = 0x7F80_0000


@dataclass(frozen=True, eq=False)
class HeatmapTile:
    """A picture of some rows and columns of a weight matrix, before it is coloured.

    Attributes:
        mode: "sparsity" (fraction of zeros), "magnitude" (mean |w|) or "signed" (mean w).
        rows, columns: the part of the matrix that is shown, as (start, stop).
        block: height and width in weights of what one pixel stands for; pixels at the lower and right end of
            the matrix may stand for less.
        exact: False for a preview, in which each pixel shows one weight of its block.
        values: float32 [height, width]; means are over the finite weights of a pixel, NaN where it has none.
        zeros: float32 [height, width], the fraction of a pixel's weights that are exactly zero.
        going: float32 [height, width], the fraction of a pixel's weights that are not zero and would go at
            the threshold asked for; None without a threshold.
        invalid: bool [height, width], pixels with at least one weight that is NaN or infinite; None if there
            is none.
    """

    mode: HeatmapMode
    rows: tuple[int, int]
    columns: tuple[int, int]
    block: tuple[int, int]
    exact: bool
    values: Pixels32
    zeros: Pixels32
    going: Pixels32 | None
    invalid: NDArray[np.bool_] | None

    @property
    def weights_per_pixel(self) -> int:
        """How many weights a whole pixel stands for."""
        return self.block[0] * self.block[1]

    def pixel_at(self, row: int, column: int) -> tuple[int, int] | None:
        """The pixel that shows the weight at (row, column) of the matrix, or None if it lies outside."""
        inside = self.rows[0] <= row < self.rows[1] and self.columns[0] <= column < self.columns[1]
        if not inside:
            return None
        return (row - self.rows[0]) // self.block[0], (column - self.columns[0]) // self.block[1]

    def weights_of(self, pixel: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the matrix, as (start, stop), that a pixel stands for."""
        top = self.rows[0] + pixel[0] * self.block[0]
        left = self.columns[0] + pixel[1] * self.block[1]
        return (
            (top, min(top + self.block[0], self.rows[1])),
            (left, min(left + self.block[1], self.columns[1])),
        )


def as_matrix(weight: Array) -> Array:
    """The weight as a 2-D view, [out, in · kh · kw] for a convolution; a vector becomes one row."""
    if weight.ndim < 2:
        return weight.reshape(1, -1)
    columns = int(np.prod(weight.shape[1:], dtype=np.int64))
    return weight.reshape(weight.shape[0], columns)


def heatmap(
    matrix: Array,
    rows: tuple[int, int],
    columns: tuple[int, int],
    max_height: int,
    max_width: int,
    mode: HeatmapMode = "sparsity",
    *,
    cell: tuple[int, int] = (1, 1),
    threshold: float | None = None,
    preview: bool = False,
    check: Check | None = None,
) -> HeatmapTile:
    """The weights matrix[rows, columns] as a picture of at most about `max_height` × `max_width` pixels.

    All pixels stand for equally many weights, the fewest that make the picture small enough, and their grid
    starts at the matrix's corner, so that a picture does not flicker while it is moved; the part shown grows
    to whole pixels.

    Args:
        matrix: [m, n], any real dtype; complex ones are shown by magnitude.
        rows, columns: (start, stop), cut to the matrix.
        cell: height and width of what is never divided, such as a kernel: a pixel stands for whole cells.
        threshold: also tell where 0 < |w| <= threshold, which magnitude pruning would take.
        preview: look at one weight of every pixel only, which is fast at any size.
        check: called between bands of rows; may raise to give up.
    """
    block_rows, (top, bottom) = blocks(rows, matrix.shape[0], max_height, cell[0])
    block_columns, (left, right) = blocks(columns, matrix.shape[1], max_width, cell[1])
    part = matrix[top:bottom, left:right]
    if part.dtype.kind == "c":
        part = np.abs(part)
    block = (1, 1) if preview else (block_rows, block_columns)
    if preview:
        part = part[::block_rows, ::block_columns]
    height, width = -(-part.shape[0] // block[0]), -(-part.shape[1] // block[1])
    picture = _Picture(height, width, mode, threshold)
    compiled = None if preview else acceleration.kernels()
    fast = compiled is not None and block != (1, 1) and matrix.dtype == np.float32 and matrix.dtype.isnative
    fast &= matrix.flags.c_contiguous and matrix.flags.aligned
    band = _LONG_BAND if fast else _BAND
    band_blocks = max(1, band // max(1, block[0] * part.shape[1]))
    for first in range(0, height, band_blocks):
        if check is not None:
            check()
        last = min(height, first + band_blocks)
        corner = (top + first * block[0], left, right)
        if fast and picture.fill_compiled(compiled, slice(first, last), matrix, corner, block):
            continue
        picture.fill(slice(first, last), part[first * block[0] : last * block[0]], block)
    return HeatmapTile(
        mode,
        (top, bottom),
        (left, right),
        (block_rows, block_columns),
        not preview or (block_rows, block_columns) == (1, 1),
        picture.values,
        picture.zeros,
        picture.going,
        picture.invalid if picture.any_invalid else None,
    )


class _Picture:
    """The arrays of a tile while it is filled band by band."""

    def __init__(self, height: int, width: int, mode: HeatmapMode, threshold: float | None) -> None:
        self.mode = mode
        # Judged as float32, the precision in which the engine compares magnitudes.
        self.threshold = None if threshold is None else np.float32(threshold)
        self.values = np.zeros((height, width), np.float32)
        self.zeros = np.zeros((height, width), np.float32)
        self.going = None if threshold is None else np.zeros((height, width), np.float32)
        self.invalid = np.zeros((height, width), np.bool_)
        self.any_invalid = False

    def fill_compiled(
        self,
        compiled: Any,
        place: slice,
        matrix: Array,
        corner: tuple[int, int, int],
        block: tuple[int, int],
    ) -> bool:
        """As `fill`, in one pass over the weights; False where some are not finite and nothing was filled.

        `corner` is the first row, the first column and the end of the columns.
        """
        top, left, right = corner
        shape = (place.stop - place.start, self.values.shape[1])
        sums, zeros, going = np.empty(shape), np.empty(shape), np.empty(shape)
        threshold = np.uint32(0)
        if self.threshold is not None and self.threshold > 0:
            # Infinity is no magnitude that could go, whatever the threshold.
            threshold = np.minimum(self.threshold, np.finfo(np.float32).max).view(np.uint32)
        largest = compiled.add_pixels(
            matrix,
            matrix.view(np.uint32),
            top,
            left,
            right,
            *block,
            self.mode == "signed",
            threshold,
            sums,
            zeros,
            going,
        )
        if largest >= _INFINITY:
            return False
        rows = min(matrix.shape[0] - top, shape[0] * block[0])
        weights = _sizes(rows, block[0])[:, None] * _sizes(right - left, block[1])[None, :]
        self.zeros[place] = zeros / weights
        if self.going is not None:
            self.going[place] = going / weights
        self.values[place] = self.zeros[place] if self.mode == "sparsity" else sums / weights
        return True

    def fill(self, place: slice, band: Array, block: tuple[int, int]) -> None:
        weights = _sizes(band.shape[0], block[0])[:, None] * _sizes(band.shape[1], block[1])[None, :]
        zero = band == 0
        zeros = _block_sums(zero.astype(np.float32), block)
        self.zeros[place] = zeros / weights
        finite, finite_weights = self._finite(place, band, block, weights)
        if self.going is not None and self.threshold is not None:
            taken = (np.abs(finite.astype(np.float32)) <= self.threshold) & ~zero
            if finite is not band:
                taken &= np.isfinite(band)
            self.going[place] = _block_sums(taken.astype(np.float32), block) / weights
        if self.mode == "sparsity":
            self.values[place] = self.zeros[place]
            return
        shown = finite.astype(np.float64)
        if self.mode == "magnitude":
            np.abs(shown, out=shown)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            self.values[place] = _block_sums(shown, block) / finite_weights

    def _finite(
        self, place: slice, band: Array, block: tuple[int, int], weights: NDArray[Any]
    ) -> tuple[Array, NDArray[Any]]:
        """The band with 0 in the place of what is not finite, and how many finite weights each pixel has."""
        if band.dtype.kind != "f":
            return band, weights
        finite = np.isfinite(band)
        if finite.all():
            return band, weights
        finite_weights = _block_sums(finite.astype(np.float32), block)
        self.invalid[place] = finite_weights < weights
        self.any_invalid = True
        return np.where(finite, band, band.dtype.type(0)), finite_weights


def blocks(wanted: tuple[int, int], size: int, pixels: int, cell: int = 1) -> tuple[int, tuple[int, int]]:
    """How many weights one pixel spans along an axis (whole cells), and what the picture covers: whole pixels."""
    start = min(max(0, wanted[0]), max(0, size - 1))
    stop = max(start + min(1, size), min(size, wanted[1]))
    block = max(1, -(-(stop - start) // max(1, pixels)))
    block = -(-block // cell) * cell
    return block, (start // block * block, min(size, -(-stop // block) * block))


def _sizes(length: int, block: int) -> NDArray[np.float64]:
    """How many weights each pixel along an axis spans; the last one may be short."""
    starts = np.arange(0, length, block)
    return np.diff(starts, append=length).astype(np.float64)


def _block_sums(values: NDArray[Any], block: tuple[int, int]) -> NDArray[Any]:
    # Rows first: adding whole rows is vectorised, and leaves little for the slower sums along a row.
    if block[0] > 1:
        values = np.add.reduceat(values, np.arange(0, values.shape[0], block[0]), axis=0)
    if block[1] > 1:
        values = np.add.reduceat(values, np.arange(0, values.shape[1], block[1]), axis=1, dtype=np.float64)
    return values
