"""Runs as lines over parallel axes (Inselberg 1985): places on the axes, brushes, and a picture of very many lines."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from core.history.columns import TAG_SEPARATOR, RunColumns
from core.history.quantities import QUANTITIES
from core.history.query_fields import all_fields
from core.history.ranges import range_search

Figures = NDArray[np.float64]
Mask = NDArray[np.bool_]
Brush = tuple[float, float]
"""A span of places on an axis."""

MOST_VALUES = 24
"""Texts beyond the most frequent ones share one place."""
OTHERS = "others"
_MARGIN = 0.04
_LOG_FROM = 50.0
_PAIRS = 20_000
_CHUNK = 2_000
_QUANTITIES = {quantity.column: quantity for quantity in QUANTITIES}


@dataclass(frozen=True, eq=False)
class ParallelAxis:
    """One axis.

    Attributes:
        column: its column in `RunColumns`; `search` the field of the history's search, `title` for people.
        values: figures, or indices into `labels`; NaN where a run has none.
        places: of the values on the axis, 0 below and 1 above.
        labels: the texts of an axis of texts, from below; None for figures.
        low, high: the figures at the places 0 and 1 (on a logarithmic axis above zero).
        sense: 1 where more is better, -1 where less is, 0 for neither.
        step: the kind of step that a setting belongs to; "" for what is no setting.
    """

    column: str
    search: str
    title: str
    values: Figures
    places: Figures
    labels: tuple[str, ...] | None
    low: float
    high: float
    logarithmic: bool
    sense: int
    show: Callable[[float], str]
    step: str = ""

    @property
    def name(self) -> str:
        """The title, with its step where it is a setting."""
        return f"{self.step}: {self.title}" if self.step else self.title

    def value_at(self, place: float) -> float:
        """The figure at a place."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + place * (self.high - self.low)

    def ticks(self, room: int) -> tuple[tuple[float, str], ...]:
        """At most `room` places and what to write there."""
        if self.labels is not None:
            step = max(1, -(-len(self.labels) // max(1, room)))
            return tuple((self._label_place(n), self.labels[n]) for n in range(0, len(self.labels), step))
        if np.isnan(self.places).all():
            return ()
        if not self.low < self.high:
            return ((0.5, self.show(self.low)),)
        count = max(2, min(5, room))
        places = [_MARGIN + (1 - 2 * _MARGIN) * n / (count - 1) for n in range(count)]
        return tuple((place, self.show(self.value_at(place))) for place in places)

    def told(self, run: int) -> str:
        """A run's value in words."""
        value = float(self.values[run])
        if math.isnan(value):
            return "–"
        return self.show(value) if self.labels is None else self.labels[int(value)]

    def search_for(self, brush: Brush) -> str | None:
        """The search that finds what lies in a brush; None where it finds nothing, or texts without a name."""
        inside = within(self.places, brush)
        if not inside.any():
            return None
        if self.labels is None:
            chosen = self.values[inside]
            return range_search(self.search, self.values, float(chosen.min()), float(chosen.max()))
        names = [self.labels[n] for n in sorted({int(value) for value in self.values[inside]})]
        if OTHERS in names or any('"' in name for name in names):
            return None
        parts = [f'{self.search} = "{name}"' for name in names]
        return f"({' or '.join(parts)})" if len(parts) > 1 else parts[0]

    def _label_place(self, index: int) -> float:
        assert self.labels is not None
        return 0.5 if len(self.labels) == 1 else _spread(index / (len(self.labels) - 1))


def within(places: Figures, brush: Brush) -> Mask:
    """Which places lie in a brush; those of runs without a value never do."""
    return (places >= brush[0]) & (places <= brush[1])


def brushed(axes: Sequence[ParallelAxis], brushes: Mapping[int, Brush]) -> Mask:
    """Which runs lie in the brushes of all axes that have one (by the axis' index)."""
    mask = np.ones(len(axes[0].places) if axes else 0, dtype=np.bool_)
    for axis, brush in brushes.items():
        mask &= within(axes[axis].places, brush)
    return mask


def make_axis(columns: RunColumns, rows: NDArray[np.intp], column: str) -> ParallelAxis:
    """The axis of a column that is loaded, for the runs in `rows`."""
    quantity = _QUANTITIES.get(column)
    search, title, sense, step = column, column, 0, ""
    show: Callable[[float], str] = "{:.4g}".format
    if quantity is not None:
        search, title, sense, show = quantity.search, quantity.title, quantity.sense, quantity.show
    elif column in all_fields() and all_fields()[column].kind == "setting":
        step, _, title = column.partition(".")
        title = title.replace("_", " ")
    if column in columns.texts:
        return replace(_text_axis(columns, rows, column, search, title), step=step)
    values = columns.figure(column)[rows]
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[~np.isnan(values)]
    if not len(known):
        nothing = np.full(len(values), np.nan)
        return ParallelAxis(column, search, title, nothing, nothing, None, 0.0, 0.0, False, sense, show, step)
    low, high = float(known.min()), float(known.max())
    logarithmic = low > 0 and high / low >= _LOG_FROM
    if low == high:
        places = np.where(np.isnan(values), np.nan, 0.5)
        return ParallelAxis(column, search, title, values, places, None, low, high, False, sense, show, step)
    if logarithmic:
        places = np.log(values / low) / math.log(high / low)
        # The margins lie beyond the data, so that the extremes can be brushed.
        margin = (high / low) ** (_MARGIN / (1 - 2 * _MARGIN))
        ends = (low / margin, high * margin)
    else:
        places = (values - low) / (high - low)
        margin = (high - low) * _MARGIN / (1 - 2 * _MARGIN)
        ends = (low - margin, high + margin)
    return ParallelAxis(
        column, search, title, values, _spread(places), None, *ends, logarithmic, sense, show, step
    )


def _text_axis(
    columns: RunColumns, rows: NDArray[np.intp], column: str, search: str, title: str
) -> ParallelAxis:
    coded = columns.texts[column]
    codes = coded.codes[rows]
    counts = np.bincount(codes, minlength=len(coded.values))
    present = [n for n in np.flatnonzero(counts).tolist() if coded.values[n]]
    kept = sorted(present, key=lambda n: -int(counts[n]))[:MOST_VALUES]
    kept.sort(key=lambda n: _natural(coded.values[n]))
    labels = [coded.values[n].replace(TAG_SEPARATOR, ", ") for n in kept]
    place_of = np.full(len(coded.values), np.nan)
    place_of[kept] = np.arange(len(kept))
    if len(present) > len(kept):
        rest = list(set(present) - set(kept))
        place_of[rest] = len(kept)
        labels.append(OTHERS)
    values = place_of[codes] if len(coded.values) else np.full(len(rows), np.nan)
    spread = (
        _spread(values / (len(labels) - 1)) if len(labels) > 1 else np.where(np.isnan(values), np.nan, 0.5)
    )
    return ParallelAxis(
        column, search, title, values, spread, tuple(labels), 0.0, float(len(labels) - 1), False, 0, str
    )


def _natural(text: str) -> tuple[float, str]:
    """Numbers by their size before words by the alphabet."""
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text.casefold()


@overload
def _spread(share: float) -> float: ...
@overload
def _spread(share: Figures) -> Figures: ...
def _spread(share: float | Figures) -> float | Figures:
    """Shares of an axis moved off its ends, so that lines do not run along the border."""
    return _MARGIN + (1 - 2 * _MARGIN) * share


@dataclass(frozen=True, eq=False)
class LinePicture:
    """Lines counted into pixels, row 0 at the top.

    Attributes:
        counts: how many lines cross a pixel, float32 [height, width].
        shade: the mean of what lines are coloured by, in [0, 1], NaN where none has it; float32, same shape.
    """

    counts: NDArray[np.float32]
    shade: NDArray[np.float32]


def draw_lines(
    places: Sequence[Figures],
    positions: Sequence[int],
    height: int,
    color: Figures,
    check: Callable[[], None] | None = None,
) -> LinePicture:
    """Count the lines of very many runs into pixels.

    Args:
        places: of every run on each axis, in [0, 1]; a run without a value on an axis runs through its foot, a row
            below place 0.
        positions: the column of pixels of each axis, rising; the picture ends with the last one.
        height: rows of pixels, the last one for runs without a value.
        color: what lines are coloured by, in [0, 1]; NaN for none.
        check: called between parts of the work; may raise to give up.

    Between two axes with more than 20,000 different lines, places are rounded to 2 pixels, then to 4.
    """
    width = positions[-1] + 1
    counts = np.zeros((height, width), dtype=np.float64)
    shades = np.zeros((height, width), dtype=np.float64)
    shaded = np.zeros((height, width), dtype=np.float64)
    has_color = ~np.isnan(color)
    shade = np.where(has_color, color, 0.0)
    rows = [
        np.where(np.isnan(each), height - 1, np.rint((1 - np.nan_to_num(each)) * (height - 3))).astype(
            np.intp
        )
        for each in places
    ]
    for start, end, above, below in zip(positions[:-1], positions[1:], rows[:-1], rows[1:], strict=True):
        if check is not None:
            check()
        for step in (1, 2, 4):
            code = (above // step * step) * height + below // step * step
            number = np.bincount(code, minlength=height * height)
            pairs = np.flatnonzero(number)
            if len(pairs) <= _PAIRS:
                break
        heavy = number[pairs].astype(np.float64)
        with_color = np.bincount(code, weights=has_color, minlength=height * height)[pairs]
        tinted = np.bincount(code, weights=shade, minlength=height * height)[pairs]
        span = end - start + 1
        along = np.linspace(0, 1, span)
        across = np.arange(span)
        for at in range(0, len(pairs), _CHUNK):
            part = pairs[at : at + _CHUNK]
            first, last = part // height, part % height
            lines = np.rint(first[:, None] + (last - first)[:, None] * along).astype(np.intp)
            flat = (lines * span + across).ravel()
            for target, weights in ((counts, heavy), (shades, tinted), (shaded, with_color)):
                found = np.bincount(
                    flat, weights=np.repeat(weights[at : at + _CHUNK], span), minlength=height * span
                )
                # Where two parts meet at an axis each line would count twice.
                skip = 1 if start else 0
                target[:, start + skip : end + 1] += found.reshape(height, span)[:, skip:]
            if check is not None:
                check()
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(shaded > 0, shades / shaded, np.nan)
    return LinePicture(counts.astype(np.float32), mean.astype(np.float32))
