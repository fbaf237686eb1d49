"""Tensors of packed files that are stored as integers with scales: their grid, and their values again, without torch.

A stored byte is the integer minus its zero point, modulo 256: exactly zero weights are zero bytes, whatever the zero
point. Scales (float32) and, unless symmetric, zero points (int32) of all groups follow as streams of byte planes.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.models.byte_coding import Bytes, CodingError, Stream, code, decode


@dataclass(frozen=True)
class GridLayout:
    """How the groups of a grid lie in a tensor; see `core.quantization.record.QuantizedWeight`."""

    symmetric: bool
    axis: int | None
    group_size: int

    @property
    def streams(self) -> int:
        """Streams that hold its scales and zero points."""
        return 1 if self.symmetric else 2

    def groups(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows, and groups in each.

        Raises:
            CodingError: if the tensor has no such dimension.
        """
        if self.axis is not None and not 0 <= self.axis < len(shape):
            raise CodingError("its grid is for another shape")
        rows = 1 if self.axis is None else shape[self.axis]
        columns = prod(shape) // max(1, rows)
        width = self.group_size or max(1, columns)
        return rows, -(-columns // width)


@dataclass(frozen=True, eq=False)
class Grid(GridLayout):
    """A grid with its scales (float32) and zero points (int32), [rows, groups] each."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]

    def to_data(self) -> dict[str, Any]:
        """What the directory says of it."""
        return {"symmetric": self.symmetric, "axis": self.axis, "group_size": self.group_size}


def grid_layout(data: Any) -> GridLayout | None:
    """The inverse of `Grid.to_data`; None for anything else."""
    if not isinstance(data, dict):
        return None
    symmetric, axis, group_size = data.get("symmetric"), data.get("axis"), data.get("group_size")
    if type(symmetric) is not bool or type(group_size) is not int or group_size < 0:
        return None
    if axis is not None and (type(axis) is not int or axis < 0):
        return None
    return GridLayout(symmetric, axis, group_size)


def grid_streams(grid: Grid) -> tuple[Stream, ...]:
    """The streams that hold scales and zero points."""
    parts: list[NDArray[Any]] = [grid.scale] if grid.symmetric else [grid.scale, grid.zero_point]
    return tuple(code(_planes(part)) for part in parts)


def read_grid(layout: GridLayout, streams: list[Stream], shape: tuple[int, ...]) -> Grid:
    """The inverse of `grid_streams`.

    Raises:
        CodingError: if the streams do not hold as many scales as the tensor has groups.
    """
    rows, groups = layout.groups(shape)
    scale = _unplaned(streams[0], rows * groups).view("<f4").astype(np.float32).reshape(rows, groups)
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise CodingError("its scales make no sense")
    zero_point = np.zeros((rows, groups), np.int32)
    if not layout.symmetric:
        zero_point = _unplaned(streams[1], rows * groups).view("<i4").astype(np.int32).reshape(rows, groups)
        if np.any((zero_point < 0) | (zero_point > 255)):
            raise CodingError("its zero points make no sense")
    return Grid(layout.symmetric, layout.axis, layout.group_size, scale, zero_point)


def values_of(codes: NDArray[Any], grid: Grid, shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """The bits of the float32 values that stored bytes stand for, flat in memory order.

    Args:
        codes: flat, in memory order.
    """
    rows, groups = grid.groups(shape)
    moved = codes.reshape(shape)
    if grid.axis is not None:
        moved = np.moveaxis(moved, grid.axis, 0)
    lined = moved.reshape(rows, -1)
    width = grid.group_size or max(1, lined.shape[1])
    padded = np.zeros((rows, groups * width), np.uint8)
    padded[:, : lined.shape[1]] = lined
    steps = padded.reshape(rows, groups, width)
    if grid.symmetric:
        signed = steps.view(np.int8).astype(np.int32)
    else:
        zero = grid.zero_point[..., None]
        signed = ((steps.astype(np.int32) + zero) & 0xFF) - zero
    values = (signed.astype(np.float32) * grid.scale[..., None]).reshape(rows, -1)[:, : lined.shape[1]]
    values = values.reshape(moved.shape)
    if grid.axis is not None:
        values = np.moveaxis(values, 0, grid.axis)
    return np.ascontiguousarray(values).reshape(-1).view(np.uint32)


def _planes(array: NDArray[Any]) -> Bytes:
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(raw.T).reshape(-1)


def _unplaned(stream: Stream, count: int) -> Bytes:
    if stream.plain != 4 * count:
        raise CodingError("its grid has the wrong length")
    return np.ascontiguousarray(decode(stream).reshape(4, count).T).reshape(-1)
