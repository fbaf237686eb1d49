"""Plots as stand-alone SVG text, for reports and the README: no window, no fonts of their own, no scripts.

Text takes the colour of the page around it where the picture is part of one (`currentColor`); the series are
told apart by colour (Okabe and Ito 2008), by dashes and by a name at the side.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from core.analysis.colormaps import DIVERGING_LIGHT_MIDDLE, VIRIDIS
from core.findings import Line, Lines, Matrix, Number
from core.formatting import significant

SERIES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8a7f00")
FONT = "font-family='system-ui, sans-serif' font-size='12'"
HOLE = "#dddddd"
MOST_LABELS = 24


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        low, high, at = (_log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)


def lines_svg(plot: Lines, title: str = "", width: int = 720, height: int = 420) -> str:
    """Curves with axes, bands and a legend below, as SVG text of `width` × `height` pixels."""
    named = [(line, SERIES[index % len(SERIES)]) for index, line in enumerate(plot.lines)]
    legend_rows = math.ceil(len(named) / _legend_columns(named, width))
    left, right = 72, width - 16
    top, bottom = (36 if title else 14), height - 52 - 18 * legend_rows
    xs = [float(x) for line in plot.lines for x in line.x if _drawable(x, plot.log_x)]
    ys = [
        float(y)
        for line in plot.lines
        for values in (line.y, line.low or (), line.high or ())
        for y in values
        if y is not None and _drawable(y, plot.log_y)
    ]
    out = [_head(width, height, title)]
    if not xs or not ys:
        out.append(_text(width / 2, height / 2, "Nothing to draw.", "middle"))
        return _joined(out)
    ends = (right, left) if plot.reverse_x else (left, right)
    # Curves begin at the axis; single points (runs, quoted figures) keep away from it.
    alone = any(len(line.x) == 1 for line in plot.lines)
    across = _scale(xs, ends[0], ends[1], plot.log_x, margin=0.06 if alone else 0.0)
    up = _scale(ys, bottom, top, plot.log_y, margin=0.04)
    out += _axes(across, up, (left, right, top, bottom), plot.x_label, plot.y_label)
    for line, color in named:
        out += _band(line, color, across, up, plot)
    for line, color in named:
        out += _curve(line, color, across, up, plot)
    out += _legend(named, width, bottom + 48)
    return _joined(out)


def matrix_svg(matrix: Matrix, title: str = "", width: int = 720, height: int | None = None) -> str:
    """A heatmap with the names of its rows and columns and a colour bar, as SVG text.

    `height` None takes what squares need. Values stand in their cells where there is room.
    """
    left = 16 + min(180.0, 7.0 * max((len(name) for name in matrix.rows), default=1)) + 18
    right, top = width - 90, (40 if title else 18)
    side = (right - left) / max(1, len(matrix.columns))
    below = 30 + min(120.0, 7.0 * max((len(name) for name in matrix.columns), default=1))
    if height is None:
        height = round(top + min(side, 48) * len(matrix.rows) + below + 12)
    bottom = height - below
    out = [_head(width, height, title)]
    values = [float(v) for row in matrix.values for v in row if v is not None and math.isfinite(v)]
    if not values:
        out.append(_text(width / 2, height / 2, "Nothing to draw.", "middle"))
        return _joined(out)
    low, high, color = _colors(matrix, values)
    wide, tall = side, (bottom - top) / max(1, len(matrix.rows))
    for r, row in enumerate(matrix.values):
        for c, value in enumerate(row):
            x, y = left + c * wide, top + r * tall
            name = f"{matrix.rows[r]}, {matrix.columns[c]}: {_value(value, matrix.unit)}"
            fill = HOLE if value is None or not math.isfinite(value) else color(float(value))
            out.append(
                f"<rect x='{x:.2f}' y='{y:.2f}' width='{wide + 0.3:.2f}' height='{tall + 0.3:.2f}' fill='{fill}'>"
                f"<title>{escape(name)}</title></rect>"
            )
            if value is not None and wide >= 34 and tall >= 15:
                ink = "#000000" if _brightness(fill) > 0.45 else "#ffffff"
                out.append(_text(x + wide / 2, y + tall / 2 + 4, significant(float(value)), "middle", ink))
    out += _names(matrix, left, top, bottom, wide, tall)
    out += _color_bar(low, high, color, matrix.unit, right + 18, top, bottom)
    out.append(_text((left + right) / 2, height - 6, matrix.column_label, "middle"))
    out.append(_upright(12, (top + bottom) / 2, matrix.row_label))
    return _joined(out)


# -- lines -----------------------------------------------------------------------------------------------------


def _axes(
    across: _Scale, up: _Scale, frame: tuple[float, float, float, float], x_label: str, y_label: str
) -> list[str]:
    left, right, top, bottom = frame
    out = []
    for tick in across.ticks:
        x = across(tick)
        out.append(_rule(x, top, x, bottom, faint=True))
        out.append(_text(x, bottom + 16, _tick(tick), "middle"))
    for tick in up.ticks:
        y = up(tick)
        out.append(_rule(left, y, right, y, faint=True))
        out.append(_text(left - 6, y + 4, _tick(tick), "end"))
    out.append(_rule(left, bottom, right, bottom))
    out.append(_rule(left, top, left, bottom))
    out.append(_text((left + right) / 2, bottom + 34, x_label, "middle"))
    out.append(_upright(14, (top + bottom) / 2, y_label))
    return out


def _band(line: Line, color: str, across: _Scale, up: _Scale, plot: Lines) -> list[str]:
    if line.low is None or line.high is None:
        return []
    edges = [
        (across(float(x)), up(float(low)), up(float(high)))
        for x, low, high in zip(line.x, line.low, line.high, strict=True)
        if low is not None
        and high is not None
        and _drawable(x, plot.log_x)
        and _drawable(low, plot.log_y)
        and _drawable(high, plot.log_y)
    ]
    if len(edges) < 2:
        return [_rule(x, low, x, high, color) for x, low, high in edges]
    there = " ".join(f"{x:.2f},{high:.2f}" for x, _, high in edges)
    back = " ".join(f"{x:.2f},{low:.2f}" for x, low, _ in reversed(edges))
    return [f"<polygon points='{there} {back}' fill='{color}' fill-opacity='0.18' stroke='none'/>"]


def _curve(line: Line, color: str, across: _Scale, up: _Scale, plot: Lines) -> list[str]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if y is None or not _drawable(x, plot.log_x) or not _drawable(y, plot.log_y):
            pieces.append([])
        else:
            pieces[-1].append((across(float(x)), up(float(y))))
    dashes = " stroke-dasharray='6 4'" if line.dashed else ""
    out = []
    few = sum(len(piece) for piece in pieces) <= 40
    for piece in pieces:
        if len(piece) > 1:
            points = " ".join(f"{x:.2f},{y:.2f}" for x, y in piece)
            out.append(f"<polyline points='{points}' fill='none' stroke='{color}' stroke-width='2'{dashes}/>")
        if few or len(piece) == 1:
            out += [f"<circle cx='{x:.2f}' cy='{y:.2f}' r='3' fill='{color}'/>" for x, y in piece]
    return out


def _legend_columns(named: Sequence[tuple[Line, str]], width: int) -> int:
    longest = max((len(line.name) for line, _ in named), default=1)
    return max(1, int((width - 32) // (44 + 6.6 * longest)))


def _legend(named: Sequence[tuple[Line, str]], width: int, top: float) -> list[str]:
    columns = _legend_columns(named, width)
    step = (width - 32) / columns
    out = []
    for index, (line, color) in enumerate(named):
        x, y = 24 + step * (index % columns), top + 18 * (index // columns)
        dashes = " stroke-dasharray='6 4'" if line.dashed else ""
        out.append(
            f"<line x1='{x}' y1='{y}' x2='{x + 24}' y2='{y}' stroke='{color}' stroke-width='2'{dashes}/>"
        )
        out.append(_text(x + 30, y + 4, line.name, "start"))
    return out


def _scale(values: Sequence[float], start: float, end: float, log: bool, margin: float) -> _Scale:
    low, high = min(values), max(values)
    if log:
        if low == high:
            low, high = low / 2, high * 2
        room = margin * (_log(high) - _log(low))
        return _Scale(10 ** (_log(low) - room), 10 ** (_log(high) + room), start, end, True)
    if low == high:
        low, high = low - max(0.5, abs(low) / 2), high + max(0.5, abs(high) / 2)
    room = margin * (high - low)
    # A plot of what cannot be negative starts at zero where it nearly does.
    floor = 0.0 if 0 <= low <= room else low - room
    return _Scale(floor, high + room, start, end, False)


def _linear_ticks(low: float, high: float, about: int = 6) -> list[float]:
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(_log(low)), math.ceil(_log(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        ticks = [f * 10.0**d for d in decades for f in factors if low * 0.999 <= f * 10.0**d <= high * 1.001]
        if len(ticks) >= 3:
            return ticks
    return _linear_ticks(low, high)


def _drawable(value: Number, log: bool) -> bool:
    return math.isfinite(value) and (not log or value > 0)


def _log(value: float) -> float:
    return math.log10(value)


# -- matrices --------------------------------------------------------------------------------------------------


def _colors(matrix: Matrix, values: Sequence[float]) -> tuple[float, float, Callable[[float], str]]:
    low = min(values) if matrix.low is None else float(matrix.low)
    high = max(values) if matrix.high is None else float(matrix.high)
    stops: tuple[str, ...] = VIRIDIS
    if matrix.diverging:
        reach = max(abs(low), abs(high)) or 1.0
        low, high, stops = -reach, reach, DIVERGING_LIGHT_MIDDLE
    if low == high:
        high = low + 1

    def color(value: float) -> str:
        at = min(1.0, max(0.0, (value - low) / (high - low))) * (len(stops) - 1)
        index = min(int(at), len(stops) - 2)
        part = at - index
        mixed = (
            round(a + part * (b - a)) for a, b in zip(_rgb(stops[index]), _rgb(stops[index + 1]), strict=True)
        )
        return "#" + "".join(f"{channel:02x}" for channel in mixed)

    return low, high, color


def _names(matrix: Matrix, left: float, top: float, bottom: float, wide: float, tall: float) -> list[str]:
    out = []
    every = math.ceil(len(matrix.rows) / max(1, min(MOST_LABELS, int((bottom - top) // 14))))
    for r in range(0, len(matrix.rows), every):
        out.append(_text(left - 6, top + (r + 0.5) * tall + 4, matrix.rows[r], "end"))
    every = math.ceil(len(matrix.columns) / MOST_LABELS)
    slanted = max((len(name) for name in matrix.columns), default=0) * 7 > wide * every
    for c in range(0, len(matrix.columns), every):
        x = left + (c + 0.5) * wide
        if slanted:
            out.append(
                f"<text x='{x + 4:.2f}' y='{bottom + 10:.2f}' text-anchor='end' fill='currentColor' "
                f"transform='rotate(-60 {x + 4:.2f} {bottom + 10:.2f})'>{escape(matrix.columns[c])}</text>"
            )
        else:
            out.append(_text(x, bottom + 16, matrix.columns[c], "middle"))
    return out


def _color_bar(
    low: float, high: float, color: Callable[[float], str], unit: str, x: float, top: float, bottom: float
) -> list[str]:
    pieces = 64
    tall = (bottom - top) / pieces
    out = [
        f"<rect x='{x}' y='{top + n * tall:.2f}' width='12' height='{tall + 0.5:.2f}' "
        f"fill='{color(high - (n + 0.5) / pieces * (high - low))}'/>"
        for n in range(pieces)
    ]
    out.append(_text(x + 16, top + 10, _value(high, unit), "start"))
    out.append(_text(x + 16, bottom, _value(low, unit), "start"))
    return out


def _value(value: Number | None, unit: str) -> str:
    return "not measured" if value is None else f"{significant(float(value))} {unit}".rstrip()


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _brightness(color: str) -> float:
    red, green, blue = _rgb(color)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


# -- SVG -------------------------------------------------------------------------------------------------------


def _head(width: int, height: int, title: str) -> str:
    named = f"<title>{escape(title)}</title>" if title else ""
    shown = f"<text x='16' y='20' font-size='14' font-weight='600' fill='currentColor'>{escape(title)}</text>"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"role='img' {FONT} color='#57606a'>{named}{shown if title else ''}"
    )


def _joined(parts: Sequence[str]) -> str:
    return "\n".join((*parts, "</svg>")) + "\n"


def _text(x: float, y: float, text: str, anchor: str, color: str = "currentColor") -> str:
    return f"<text x='{x:.2f}' y='{y:.2f}' text-anchor='{anchor}' fill='{color}'>{escape(text)}</text>"


def _upright(x: float, y: float, text: str) -> str:
    turned = f"transform='rotate(-90 {x:.2f} {y:.2f})'"
    return f"<text x='{x:.2f}' y='{y:.2f}' text-anchor='middle' fill='currentColor' {turned}>{escape(text)}</text>"


def _rule(
    x1: float, y1: float, x2: float, y2: float, color: str = "currentColor", faint: bool = False
) -> str:
    thin = " stroke-opacity='0.2'" if faint else ""
    return f"<line x1='{x1:.2f}' y1='{y1:.2f}' x2='{x2:.2f}' y2='{y2:.2f}' stroke='{color}'{thin}/>"


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return significant(value)
    return f"{value:,.6f}".rstrip("0").rstrip(".")
