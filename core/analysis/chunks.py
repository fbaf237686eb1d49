"""Walking through a large array in pieces that fit the processor's cache, and giving up between them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Check: TypeAlias = Callable[[], None]

CHUNK = 1 << 14
"""Elements looked at together: so few that intermediate results stay in the cache and, above all, below the
size from which the C library gets fresh pages for every array (twice this size costs three times the
time)."""

STEP = 1 << 18
"""Elements between two looks at whether to give up, where the work on each is a compiled loop."""


def steps(flat: Array, check: Check | None = None) -> Iterator[Array]:
    """A flat array as views of at most `STEP` elements. `check` is called before each and may raise to give up."""
    for start in range(0, flat.size, STEP):
        if check is not None:
            check()
        yield flat[start : start + STEP]


def float_chunks(
    values: Array, check: Check | None = None, *, keep_float32: bool = False
) -> Iterator[Floats]:
    """All elements of `values` (any shape, any order) as flat float64 pieces of at most `CHUNK` elements.

    With `keep_float32`, float32 comes as it is, without a copy.

    Complex elements come as their magnitude. `check` is called before each piece and may raise to give up.
    The pieces may be views of one reused buffer or of `values`: use each before asking for the next, and do
    not write.
    """
    flat = np.ravel(values, order="K")
    if flat.dtype.kind == "c":
        flat = np.abs(flat)
    buffer = np.empty(min(CHUNK, flat.size), np.float64)
    for start in range(0, flat.size, CHUNK):
        if check is not None:
            check()
        piece = flat[start : start + CHUNK]
        if piece.dtype == np.float64 or (keep_float32 and piece.dtype == np.float32):
            yield piece
        else:
            target = buffer[: piece.size]
            np.copyto(target, piece, casting="unsafe")
            yield target


def only_finite(piece: Floats) -> Floats:
    """The finite elements of a piece, without a copy where all are."""
    # One sum tells in most cases; only a sum that is not finite needs the closer look.
    with np.errstate(over="ignore", invalid="ignore"):
        total = piece.sum()
    if np.isfinite(total):
        return piece
    finite = np.isfinite(piece)
    return piece if finite.all() else piece[finite]
