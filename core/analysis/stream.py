"""Statistics and histograms of tensors of any size, read piece by piece: memory stays flat, any piece may be the last.

What is small is read once and kept for both passes; what is larger is read twice, which costs less than keeping it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from core.analysis.bit_patterns import BitPatterns, countable
from core.analysis.chunks import Array, Check
from core.analysis.histogram import Histogram, HistogramCounter, automatic_bins, bin_edges
from core.analysis.statistics import LARGE, NEAR_ZERO, Statistics, StatisticsCounter
from core.models.elements import Elements
from core.models.opened import OpenedModel

PIECE_BYTES = 4 << 20
"""What is read at a time: long enough for the disk, short enough to stay in the processor's outer cache."""

KEPT_BYTES = 16 << 20
"""Tensors up to this size are read once; the buffer is used again for the next one."""

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Analysis:
    """Statistics and histogram of one tensor."""

    statistics: Statistics
    histogram: Histogram


def analyse_tensor(
    model: OpenedModel,
    name: str,
    bins: int | None = None,
    check: Check | None = None,
    *,
    near_zero: float = NEAR_ZERO,
    threads: int = 1,
) -> Analysis:
    """Statistics and exact histogram of a tensor of an open model; see `analyse`.

    Raises:
        StudioError: if the file can no longer be read.
    """
    with model.elements(name) as elements:
        return analyse(elements, bins, check, near_zero=near_zero, threads=threads)


def analyse(
    elements: Elements,
    bins: int | None = None,
    check: Check | None = None,
    *,
    edges: Callable[[Statistics], tuple[float, float]] | None = None,
    near_zero: float = NEAR_ZERO,
    threads: int = 1,
) -> Analysis:
    """Statistics and exact histogram of all elements, complex ones by magnitude.

    Args:
        bins: how many; None chooses by the number of finite elements.
        check: called before every piece, from any of the threads; may raise to give up.
        edges: the histogram's range once the statistics are known; None: from the smallest to the largest.
        threads: how many share the work.

    Raises:
        StudioError: if the file can no longer be read.
    """
    source = _Source(elements)
    figures, patterns = _statistics(source, near_zero, check, threads)
    window = edges(figures) if edges is not None else None
    number = bins or automatic_bins(figures.finite)
    return Analysis(figures, _histogram(source, figures, patterns, number, window, check, threads))


def statistics_of(
    elements: Elements, near_zero: float = NEAR_ZERO, check: Check | None = None, threads: int = 1
) -> Statistics:
    """The statistics of all elements alone; see `analyse`.

    Raises:
        StudioError: if the file can no longer be read.
    """
    return _statistics(_Source(elements), near_zero, check, threads)[0]


def histogram_of(
    elements: Elements,
    figures: Statistics,
    bins: int,
    window: tuple[float, float] | None = None,
    check: Check | None = None,
    threads: int = 1,
) -> Histogram:
    """The exact histogram of elements whose statistics are known, from `window[0]` to `window[1]`; see `analyse`.

    Raises:
        StudioError: if the file can no longer be read.
    """
    return _histogram(_Source(elements), figures, None, bins, window, check, threads)


def _histogram(
    source: "_Source",
    figures: Statistics,
    patterns: BitPatterns | None,
    bins: int,
    window: tuple[float, float] | None,
    check: Check | None,
    threads: int,
) -> Histogram:
    elements = source.elements
    if countable(elements.dtype, elements.size):
        patterns = patterns or _patterns(source, check, threads)
        return patterns.histogram(bins, window)
    low, high = window or (0.0, 1.0)
    if window is None and figures.minimum is not None and figures.maximum is not None:
        low, high = figures.minimum, figures.maximum
    dtype = np.dtype(np.float32) if elements.decode is not None else elements.dtype
    bounds = bin_edges(low, high, bins, dtype, from_data=window is None)
    counters = _Pieces(source, lambda: HistogramCounter(bounds, figures.zeros), check).each(threads)
    for other in counters[1:]:
        counters[0].merge(other)
    return counters[0].histogram()


def _patterns(source: "_Source", check: Check | None, threads: int) -> BitPatterns:
    elements = source.elements
    pieces = _Pieces(source, lambda: BitPatterns(elements.dtype, elements.decode), check, decoded=False)
    counters = pieces.each(threads)
    for other in counters[1:]:
        counters[0].merge(other)
    return counters[0]


def _statistics(
    source: "_Source", near_zero: float, check: Check | None, threads: int
) -> tuple[Statistics, BitPatterns | None]:
    elements = source.elements
    if countable(elements.dtype, elements.size):
        patterns = _patterns(source, check, threads)
        return patterns.statistics(near_zero), patterns
    large = elements.size >= LARGE
    pieces = _Pieces(
        source, lambda: StatisticsCounter(near_zero, large=large), check, one_for_each_piece=True
    )
    total = StatisticsCounter(near_zero)
    # In the order of the tensor, so that the sums do not depend on which thread was faster.
    for counter in pieces.each(threads):
        total.merge(counter)
    return total.statistics(), None


class _Source:
    """The elements, kept after the first reading if they are few."""

    def __init__(self, elements: Elements) -> None:
        self.elements = elements
        self.piece = max(1, PIECE_BYTES // elements.dtype.itemsize)
        self.count = -(-elements.size // self.piece)
        small = not elements.in_memory and elements.size * elements.dtype.itemsize <= KEPT_BYTES
        self._kept = _buffer(elements.size, elements.dtype) if small else None
        self._read = [False] * self.count

    def read(self, place: int) -> Array:
        """The piece at `place`; valid until this thread reads the next one."""
        start = place * self.piece
        if self._kept is not None:
            part = self._kept[start : start + self.piece]
            if not self._read[place]:
                self.elements.read(start, part.size, part)
                self._read[place] = True
            return part
        size = min(self.piece, self.elements.size - start)
        buffer = None if self.elements.in_memory else _buffer(size, self.elements.dtype)
        return self.elements.read(start, size, buffer)


class _Adding(Protocol):
    def add(self, piece: Array, check: Check | None = None) -> None: ...


Counter = TypeVar("Counter", bound=_Adding)


class _Pieces(Generic[Counter]):
    """Threads that take pieces from one list until it is empty or one of them gives up."""

    def __init__(
        self,
        source: _Source,
        make: Callable[[], Counter],
        check: Check | None,
        *,
        decoded: bool = True,
        one_for_each_piece: bool = False,
    ) -> None:
        self._source = source
        self._make = make
        self._check = check
        self._decode = source.elements.decode if decoded else None
        self._single = one_for_each_piece
        self._places = iter(range(source.count))
        self._lock = threading.Lock()
        self._found: dict[int, Counter] = {}
        self._problem: BaseException | None = None

    def each(self, threads: int) -> list[Counter]:
        """Add every piece to a counter; at least one counter comes back.

        Raises:
            BaseException: what reading, counting or `check` raised.
        """
        others = [
            threading.Thread(target=self._work, name=f"analysis-{n}")
            for n in range(1, min(threads, self._source.count))
        ]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            thread.join()
        if self._problem is not None:
            raise self._problem
        return [self._found[place] for place in sorted(self._found)] or [self._make()]

    def _work(self) -> None:
        counter: Counter | None = None
        try:
            while (place := self._next()) is not None:
                if self._check is not None:
                    self._check()
                piece = self._source.read(place)
                if self._decode is not None:
                    piece = self._decode(piece)
                if counter is None or self._single:
                    counter = self._make()
                    with self._lock:
                        self._found[place] = counter
                counter.add(piece)
        # Whatever it is, the thread that asked is to see it, and the others are to stop.
        except BaseException as problem:
            with self._lock:
                self._problem = self._problem or problem

    def _next(self) -> int | None:
        with self._lock:
            return None if self._problem is not None else next(self._places, None)


_buffers = threading.local()


def _buffer(size: int, dtype: "np.dtype[Any]") -> Array:
    """An uninitialised array that this thread uses again: fresh memory costs more than what is done with it."""
    wanted = size * dtype.itemsize
    raw = getattr(_buffers, "raw", None)
    if raw is None or raw.nbytes < wanted:
        raw = _buffers.raw = np.empty(max(wanted, PIECE_BYTES), np.uint8)
    found: Array = raw[:wanted].view(dtype)
    return found
