"""N:M sparsity: which groups of M weights along the input keep at most N, and which break the pattern.

Groups run along the input channels, at one output channel and one place of the kernel, because that is the
direction in which sparse tensor cores read (Mishra et al. 2021, arXiv:2104.08378).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.chunks import Array, Check

_BAND = 1 << 20


@dataclass(frozen=True)
class Pattern:
    """At most `kept` of each `group` weights may be other than zero: 2 of 4 by default.

    Raises:
        ValueError: unless 0 < kept <= group.
    """

    kept: int = 2
    group: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.kept <= self.group:
            raise ValueError(f"{self.kept}:{self.group} is no pattern")

    @property
    def text(self) -> str:
        """As the field writes it: 2:4."""
        return f"{self.kept}:{self.group}"


@dataclass(frozen=True)
class PatternCount:
    """How many groups a layer has, and how many of them break the pattern."""

    groups: int
    broken: int

    @property
    def share(self) -> float:
        """The fraction of groups that break the pattern (0 without groups)."""
        return self.broken / self.groups if self.groups else 0.0


def broken_groups(part: Array, pattern: Pattern, unit: int, axis: int = 1) -> NDArray[np.bool_]:
    """Which groups of a part of a weight matrix break the pattern.

    Args:
        part: [m, n], beginning at the start of a group.
        unit: neighbours along the axis that belong to one input channel (kh · kw), which the group skips.
        axis: along which the input channels lie: 1 for all but transposed convolutions.

    Returns:
        bool [m, groups, unit] for axis 1, [groups, unit, n] for axis 0. A last group with fewer than M weights
        is judged as if zeros followed.
    """
    length = part.shape[axis]
    span = unit * pattern.group
    groups = -(-length // span)
    kept = part != 0
    if groups * span != length:
        padding = [(0, 0), (0, 0)]
        padding[axis] = (0, groups * span - length)
        kept = np.pad(kept, padding)
    if axis == 1:
        cells = kept.reshape(part.shape[0], groups, pattern.group, unit)
        return _added(cells, 2, pattern.group) > pattern.kept
    cells = kept.reshape(groups, pattern.group, unit, part.shape[1])
    return _added(cells, 1, pattern.group) > pattern.kept


def broken_weights(part: Array, pattern: Pattern, unit: int, axis: int = 1) -> NDArray[np.bool_]:
    """bool of the shape of `part`: the weights whose group breaks the pattern; arguments as of `broken_groups`."""
    broken = broken_groups(part, pattern, unit, axis)
    if axis == 1:
        spread = np.broadcast_to(broken[:, :, None, :], (*broken.shape[:2], pattern.group, unit))
        return spread.reshape(part.shape[0], -1)[:, : part.shape[1]]
    spread = np.broadcast_to(broken[:, None, :, :], (broken.shape[0], pattern.group, unit, part.shape[1]))
    return spread.reshape(-1, part.shape[1])[: part.shape[0]]


def count_broken(
    matrix: Array, pattern: Pattern, unit: int, axis: int = 1, check: Check | None = None
) -> PatternCount:
    """Count the groups of a whole weight matrix that break the pattern.

    Groups of nothing but padding are not counted. `check` may raise to give up.
    """
    length, across = matrix.shape[axis], matrix.shape[1 - axis]
    channels = length // unit
    groups = -(-channels // pattern.group) * unit * across
    broken = 0
    if axis == 1:
        step = max(1, _BAND // max(1, length))
    else:
        step = max(1, _BAND // max(1, across * unit * pattern.group)) * unit * pattern.group
    for start in range(0, matrix.shape[0], step):
        if check is not None:
            check()
        broken += int(np.count_nonzero(broken_groups(matrix[start : start + step], pattern, unit, axis)))
    return PatternCount(groups, broken)


def _added(cells: NDArray[np.bool_], axis: int, group: int) -> NDArray[np.uint16]:
    # One addition of whole planes for each member: sums along so short an axis are ten times slower.
    total = np.zeros(cells.shape[:axis] + cells.shape[axis + 1 :], np.uint16)
    for member in range(group):
        total += cells.take(member, axis) if axis == 1 else cells[:, :, member]
    return total
