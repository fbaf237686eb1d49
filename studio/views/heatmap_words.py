"""What the heatmap says in words: read-out, legend, colour scale. Pure functions over painted tiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.analysis.patterns import PatternCount
from core.analysis.pictures import cell_of
from core.analysis.positions import axis_names, columns_per_channel, position_text
from core.formatting import count, percent, significant
from core.models.description import Layer
from studio.views.heatmap_request import Look, PaintedTile

Scale = tuple[
    str, NDArray[np.uint8], tuple[tuple[float, str], ...], tuple[tuple[tuple[int, int, int], str], ...]
]

_MEANS = {
    "magnitude": "mean |w|",
    "signed": "mean w",
    "sparsity": "fraction of zeros",
    "mask": "fraction of zeros",
    "difference": "mean change",
    "rounding": "mean error",
    "square": "mean w²",
    "saliency": "mean saliency",
}
_CELLS = {
    "kernel": "kernel",
    "input": "input channel",
    "output": "output channel",
    "block": "block",
}


def number(value: Any, digits: int) -> str:
    """A weight with so many significant digits and a real minus sign."""
    if isinstance(value, complex):
        return f"{value:.{digits}g}"
    return significant(float(value), digits).replace("-", "−")


def value_text(shown: PaintedTile, row: int, column: int) -> str:
    """What stands in a pixel when zoomed in: the weight, or the figure of the kernel or block at that place."""
    pixel = shown.tile.pixel_at(row, column)
    if pixel is None:
        return ""
    if shown.look.grouping == "pattern":
        value = shown.matrix[row, column].item()
        return "0" if value == 0 else number(value, 2)
    if shown.single and shown.look.mode in ("magnitude", "signed", "sparsity", "mask"):
        value = shown.matrix[row, column].item()
        return "0" if value == 0 else number(value, 2)
    if shown.look.mode in ("sparsity", "mask"):
        return percent(float(shown.tile.zeros[pixel]), 0)
    value = float(shown.tile.values[pixel])
    return "0" if value == 0 else number(value, 2)


def read_out(layer: Layer, shown: PaintedTile, row: int, column: int) -> str:
    """Where a weight is in the tensor, its value, and what its pixel shows if it is not alone there."""
    where = position_text(layer.kind, layer.shape, row, column)
    weight = shown.matrix[row, column].item()
    text = f"{where}: w = {number(weight, 4)}"
    if shown.look.compares and shown.other is not None:
        before = shown.other[row, column].item()
        if shown.look.rounds:
            text += f", in {shown.look.bits} bits {number(before, 4)}, error {number(weight - before, 3)}"
        else:
            text += f", in the other model {number(before, 4)}, change {number(weight - before, 4)}"
    if shown.look.salient and shown.other is not None:
        text += f", saliency {number(shown.other[row, column].item(), 3)}"
    if shown.look.mode == "square" and shown.look.grouping != "pattern":
        text += f", w² = {number(abs(weight) ** 2, 4)}"
    pixel = shown.tile.pixel_at(row, column)
    if pixel is None or not shown.tile.exact:
        return text
    (top, bottom), (left, right) = shown.tile.weights_of(pixel)
    if shown.look.grouping == "pattern":
        return f"{text} · {_group_text(shown, pixel)}"
    if shown.single:
        return text
    what = f"{cells_text(layer, shown)} ({_range_text(layer, (top, bottom), (left, right))})"
    means = _MEANS[shown.look.mode]
    figure = (
        "" if shown.look.mode in ("sparsity", "mask") else f"{means} {number(shown.tile.values[pixel], 3)}, "
    )
    same = "exact" if shown.look.rounds else "unchanged" if shown.look.compares else "zeros"
    return f"{text} · {what}: {figure}{percent(float(shown.tile.zeros[pixel]), 1)} {same}"


def _group_text(shown: PaintedTile, pixel: tuple[int, int]) -> str:
    share, pattern = float(shown.tile.values[pixel]), shown.look.pattern.text
    if shown.single:
        return f"its group breaks {pattern}" if share else f"its group keeps {pattern}"
    (top, bottom), (left, right) = shown.tile.weights_of(pixel)
    weights = (bottom - top) * (right - left)
    return f"pixel of {count(weights)} weights: {percent(share, 1)} in groups that break {pattern}"


def cells_text(layer: Layer, shown: PaintedTile) -> str:
    """What one whole pixel stands for: `12 × 4 weights`, `1 kernel`, `3 input channels`, `1 block of 8 × 8`."""
    rows, columns = shown.tile.block
    grouping, block = shown.look.grouping, shown.look.block
    if grouping in ("element", "pattern"):
        return f"{rows:,} × {columns:,} weights"
    cell = cell_of(grouping, layer.kind, layer.shape, block)
    number_of = max(1, rows // cell[0]) * max(1, columns // cell[1])
    text = _plural(_CELLS[grouping], number_of)
    return f"{text} of {block} × {block}" if grouping == "block" else text


def _range_text(layer: Layer, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    names, unit = axis_names(layer.kind, len(layer.shape)), columns_per_channel(layer.shape)
    if len(names) < 2:
        return f"index {_span(columns)}"
    across = f"columns {_span(columns)}"
    if columns[0] % unit == columns[1] % unit == 0:
        across = f"{names[1]} {_span((columns[0] // unit, columns[1] // unit))}"
    return f"{names[0]} {_span(rows)}, {across}"


def _span(span: tuple[int, int]) -> str:
    first, last = span[0], span[1] - 1
    return f"{first:,}" if last <= first else f"{first:,} to {last:,}"


def _plural(word: str, number_of: int) -> str:
    return f"{count(number_of)} {word}{'' if number_of == 1 else 's'}"


def _are(number_of: int) -> str:
    return "is" if number_of == 1 else "are"


def legend_text(layer: Layer, shown: PaintedTile, patterns: PatternCount | None = None) -> str:
    """One sentence that says what a pixel is, and one about holes."""
    look = shown.look
    if look.grouping == "pattern":
        return _pattern_text(look, patterns)
    hole = "holes are unchanged weights" if look.compares else "holes are pruned weights (exactly zero)"
    if look.rounds:
        hole = "holes are weights that lie on the grid already"
    if look.salient:
        hole = "holes are weights without effect: pruned, or of units that pass nothing on"
    if shown.single:
        return f"1 pixel = 1 weight; {hole}."
    what, cells = _MEANS[look.mode], cells_text(layer, shown)
    if not shown.tile.exact:
        return f"Preview: 1 pixel = the first weight of {cells}; the {what} follows."
    every = "exact" if look.rounds else "unchanged" if look.compares else "zero"
    if look.grouping in _CELLS and cells.startswith("1 "):
        whole = int(np.count_nonzero(shown.tile.zeros >= 1))
        of = _plural(_CELLS[look.grouping], shown.tile.zeros.size)
        return (
            f"1 pixel = {what} of {cells}; {count(whole)} of {of} on show {_are(whole)} all {every} (a hole)."
        )
    return f"1 pixel = {what} of {cells}; a hole = all {every}."


def _pattern_text(look: Look, patterns: PatternCount | None) -> str:
    pattern = look.pattern
    if patterns is None:
        return f"Counting which groups of {pattern.group} input channels break {pattern.text} …"
    rule = (
        f"{pattern.text} = at most {pattern.kept} of {pattern.group} weights along the input other than zero"
    )
    if not patterns.broken:
        return f"All {count(patterns.groups)} groups keep {pattern.text}. {rule}."
    return (
        f"{count(patterns.broken)} of {count(patterns.groups)} groups break {pattern.text} "
        f"({percent(patterns.share, 1)}). {rule}."
    )


def profile_title(look: Look) -> str:
    """What the margins show."""
    if look.grouping == "pattern":
        return "breaks"
    return "equal" if look.compares else "zeros"


def scale_of(shown: PaintedTile) -> Scale:
    """Title, colours, labels and swatches of the colour bar."""
    tile, limit, colors, look = shown.tile, shown.limit, shown.colors, shown.look
    end, half = significant(limit, 2), significant(limit / 2, 2)
    mean = "mean " if tile.weights_per_pixel > 1 else ""
    per_cent = ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))
    hole = "exact" if look.rounds else "unchanged" if look.compares else "0" if look.salient else "pruned (0)"
    swatches = [(colors.hole, hole)]
    if look.grouping == "pattern":
        title, labels = f"breaks {look.pattern.text}", per_cent
        swatches = []
    elif look.mode == "mask":
        title, labels = "pruned", per_cent
        red, green, blue = (int(channel) for channel in colors.mask[0])
        swatches = [((red, green, blue), "kept"), (colors.hole, "pruned (0)")]
    elif look.mode == "sparsity":
        title, labels = "zero fraction", per_cent
    elif look.mode in ("magnitude", "square", "saliency"):
        title = mean + {"magnitude": "|w|", "square": "w²", "saliency": "saliency"}[look.mode]
        labels = ((0.0, "0"), (0.5, half), (1.0, f"≥ {end}"))
    else:
        title = f"{mean}{'error' if look.rounds else 'change'}" if look.compares else f"{mean}w"
        labels = ((0.0, f"≤ −{end}"), (0.5, "0"), (1.0, f"≥ {end}"))
    if tile.going is not None:
        swatches.append((colors.going, "would go"))
    if tile.invalid is not None:
        swatches.append((colors.invalid, "NaN or Inf"))
    return title, colors.table(shown.table), labels, tuple(swatches)
