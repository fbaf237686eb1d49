"""Tensors of 8- and 16-bit elements, counted by bit pattern: one pass, and every figure follows exactly.

A bf16 or fp8 tensor is counted as it lies in the file, without making floats of its elements.
"""

import math
import sys
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis import acceleration
from core.analysis.chunks import Array, Check, Floats
from core.analysis.histogram import Histogram, bin_edges
from core.analysis.statistics import Statistics

Counts: TypeAlias = NDArray[np.int64]

WORTH_IT = 1 << 16
"""Elements from which 65,536 counters pay; eight bits always do."""

_PIECE = 1 << 18
_FLUSH = 1 << 31


def countable(dtype: np.dtype[np.generic], size: int) -> bool:
    """Whether `size` elements of a stored type are best counted by pattern."""
    return dtype.itemsize == 1 or (dtype.itemsize == 2 and size >= WORTH_IT)


class BitPatterns:
    """How often each bit pattern occurs.

    Args:
        dtype: of the stored elements; one or two bytes each.
        decode: makes numbers of stored elements; None where numpy reads them as they are.
    """

    def __init__(self, dtype: np.dtype[np.generic], decode: Callable[[Array], Array] | None = None) -> None:
        stored = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
        if dtype == np.bool_:
            # Any byte but 0 counts as true.
            self._decoded: Array = stored != 0
        else:
            self._decoded = (
                stored.view(dtype.newbyteorder("=")) if decode is None else decode(stored.view(dtype))
            )
        self._unsigned = stored.dtype
        # Among all patterns are NaN that processors complain about.
        with np.errstate(invalid="ignore"):
            self._values: Floats = self._decoded.astype(np.float64)
        self._counts = np.zeros(stored.size, np.int64)
        self._tables = np.zeros((4, stored.size), np.uint32)
        self._waiting = 0

    def add(self, piece: Array, check: Check | None = None) -> None:
        """Count the elements of a contiguous piece; `check` is called now and then and may raise to give up."""
        flat = piece.reshape(-1)
        if not flat.dtype.isnative:
            flat = flat.astype(flat.dtype.newbyteorder("="))
        unsigned = flat.view(self._unsigned)
        for start in range(0, unsigned.size, _PIECE):
            if check is not None:
                check()
            self._add(unsigned[start : start + _PIECE])

    def _add(self, piece: Array) -> None:
        compiled = acceleration.kernels()
        whole = 0
        if compiled is not None and piece.flags.aligned and piece.ctypes.data % 8 == 0:
            words = piece[: piece.nbytes // 8 * 8 // piece.itemsize].view(np.uint64)
            whole = words.nbytes // piece.itemsize
            self._waiting += whole
            (compiled.add_patterns_16 if piece.itemsize == 2 else compiled.add_patterns_8)(
                words, self._tables
            )
            if self._waiting > _FLUSH:
                self._flush()
        self._counts += np.bincount(piece[whole:], minlength=self._counts.size)

    def _flush(self) -> None:
        self._counts += self._tables.sum(axis=0, dtype=np.int64)
        self._tables[:] = 0
        self._waiting = 0

    def merge(self, other: "BitPatterns") -> None:
        """Add what another one of the same type counted."""
        self._counts += other.counts

    @property
    def counts(self) -> Counts:
        """int64 [2^bits]: by pattern."""
        if self._waiting:
            self._flush()
        return self._counts

    @property
    def values(self) -> Floats:
        """float64 [2^bits]: what each pattern means."""
        return self._values

    def statistics(self, near_zero: float) -> Statistics:
        """As `core.analysis.statistics.statistics` of all elements counted."""
        values, counts = self._values, self.counts
        finite = np.isfinite(values) & (counts > 0)
        v, c = values[finite], counts[finite]
        magnitudes = np.abs(v)
        zeros = int(c[v == 0].sum())
        nans = int(counts[np.isnan(values)].sum())
        positive, negative = int(counts[values == np.inf].sum()), int(counts[values == -np.inf].sum())
        near = int(c[magnitudes < near_zero].sum()) - zeros if near_zero > 0 else 0
        count = int(counts.sum())
        if not v.size:
            return Statistics(count, 0, 0, nans, positive, negative, near_zero, *(None,) * 7)
        total = int(c.sum())
        mean = float((c * v).sum()) / total
        deviation = v - mean
        m2 = float((c * deviation**2).sum()) / total
        m4 = float((c * deviation**4).sum()) / total
        spread = bool(v.min() < v.max())
        return Statistics(
            count,
            zeros,
            near,
            nans,
            positive,
            negative,
            near_zero,
            minimum=float(v.min()),
            maximum=float(v.max()),
            mean=mean,
            std=math.sqrt(m2) if spread else 0.0,
            l1=float((c * magnitudes).sum()),
            l2=math.sqrt(float((c * v**2).sum())),
            kurtosis=m4 / (m2 * m2) - 3 if spread and m2 * m2 > sys.float_info.min else None,
        )

    def histogram(self, bins: int, range: tuple[float, float] | None = None) -> Histogram:
        """As `core.analysis.histogram.histogram` of all elements counted.

        Raises:
            ValueError: for fewer than one bin or an impossible range.
        """
        values, counts = self._values, self.counts
        finite = np.isfinite(values) & (counts > 0)
        v, c = values[finite], counts[finite]
        low, high = range or ((float(v.min()), float(v.max())) if v.size else (0.0, 1.0))
        edges = bin_edges(low, high, bins, self._decoded.dtype, from_data=range is None)
        inside = (v >= edges[0]) & (v <= edges[-1])
        places = np.minimum(np.searchsorted(edges, v[inside], side="right") - 1, edges.size - 2)
        binned = np.zeros(edges.size - 1, np.int64)
        np.add.at(binned, places, c[inside])
        nans = int(counts[np.isnan(values)].sum())
        return Histogram(
            edges,
            binned,
            below=int(c[v < edges[0]].sum()),
            above=int(c[v > edges[-1]].sum()),
            zeros=int(c[v == 0].sum()),
            nans=nans,
            infinities=int(counts[np.isinf(values)].sum()),
        )
