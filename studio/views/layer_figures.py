"""Layers × runs: which figures there are, their texts and their colours. Pure functions, tested without a window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import formatting
from core.analysis.colormaps import CIVIDIS, color_table
from core.history.compare import LayerComparison
from core.measurement.records import LayerStatistics
from studio.tables.grid import Cell


@dataclass(frozen=True)
class LayerFigure:
    """One figure of a layer.

    Attributes:
        full: the value of a full colour; None where each layer's largest among the runs is, so that layers of very
            different size show what the runs made of them.
        scale: what the colours mean, in words.
        unit, factor, tick: of bars: values times `factor`, in this unit, their axis written so.
    """

    title: str
    pick: Callable[[LayerStatistics], float | None]
    show: Callable[[float], str]
    full: float | None
    scale: str
    unit: str = ""
    factor: float = 1.0
    tick: Callable[[float], str] = "{:.4g}".format

    @property
    def words(self) -> str:
        """The title inside a sentence."""
        return self.title if self.title[:2].isupper() else self.title[0].lower() + self.title[1:]


def _count(value: float) -> str:
    return formatting.count(round(value))


_RELATIVE = "share of the layer's largest"
LAYER_FIGURES: Mapping[str, LayerFigure] = {
    "sparsity": LayerFigure(
        "Sparsity",
        lambda layer: layer.sparsity,
        lambda value: formatting.percent(value, 1),
        1.0,
        "0 to 100 %",
        "%",
        100.0,
    ),
    "bits": LayerFigure(
        "Precision of weights",
        lambda layer: layer.weight_bits,
        lambda value: f"{value:.0f} bits",
        32.0,
        "0 to 32 bits",
        "bits",
    ),
    "activation_bits": LayerFigure(
        "Precision of inputs",
        lambda layer: layer.activation_bits,
        lambda value: f"{value:.0f} bits",
        32.0,
        "0 to 32 bits",
        "bits",
    ),
    "nonzero": LayerFigure(
        "Non-zero weights",
        lambda layer: layer.nonzero_weights,
        _count,
        None,
        _RELATIVE,
        tick=formatting.short_count,
    ),
    "weights": LayerFigure(
        "Parameters (weights)",
        lambda layer: layer.weights,
        _count,
        None,
        _RELATIVE,
        tick=formatting.short_count,
    ),
    "macs": LayerFigure(
        "MACs",
        lambda layer: layer.macs,
        lambda value: formatting.macs(round(value)),
        None,
        _RELATIVE,
        tick=formatting.short_count,
    ),
    "overlap": LayerFigure(
        "Mask overlap with baseline",
        lambda layer: getattr(layer, "overlap", None),
        lambda value: formatting.percent(value, 1),
        1.0,
        "0 to 100 %",
        "%",
        100.0,
    ),
    "moved": LayerFigure(
        "Change of weights",
        lambda layer: getattr(layer, "moved", None),
        lambda value: formatting.percent(value, 1),
        1.0,
        "0 to 100 % of the baseline's norm",
        "%",
        100.0,
    ),
}
FROM_MODELS = frozenset(("overlap", "moved"))
"""Figures for which the models of the runs are read: they compare with the baseline's."""

COLORS = color_table(CIVIDIS)
"""Red, green and blue of each of 256 shares."""


def layer_values(layers: Sequence[LayerComparison], figure: LayerFigure) -> NDArray[np.float64]:
    """The figure for every layer (row) and run (column); NaN where a run lacks the layer or the figure."""
    rows = [
        [np.nan if one is None or (value := figure.pick(one)) is None else value for one in layer.layers]
        for layer in layers
    ]
    runs = len(layers[0].layers) if layers else 0
    return np.array(rows, dtype=np.float64).reshape(len(rows), runs)


def layer_shares(values: NDArray[np.float64], figure: LayerFigure) -> NDArray[np.float64]:
    """How full each colour is, in [0, 1]; NaN where there is no value."""
    if figure.full is not None:
        return np.clip(values / figure.full, 0, 1)
    known = np.where(np.isnan(values), 0.0, values)
    most = known.max(axis=1, keepdims=True, initial=0.0)
    return np.where(np.isnan(values), np.nan, known / np.where(most > 0, most, 1.0))


def layer_rows(layers: Sequence[LayerComparison], name: str) -> list[tuple[Cell, ...]]:
    """Layers × runs as coloured cells; blank where a run lacks the layer."""
    figure = LAYER_FIGURES[name]
    values = layer_values(layers, figure)
    shares = layer_shares(values, figure)
    rows = []
    for layer, value_row, share_row in zip(layers, values.tolist(), shares.tolist(), strict=True):
        shape = " × ".join(str(size) for size in layer.shape)
        cells = [Cell(layer.name, f"{layer.name}: {layer.kind}, {shape}")]
        for one, value, share in zip(layer.layers, value_row, share_row, strict=True):
            if one is None:
                cells.append(Cell("", "This run's model has no such layer, or it was not measured."))
                continue
            zeros = formatting.percent(one.sparsity, 4)
            tip = f"{_chance(one)}{zeros} of {formatting.count(one.weights)} weights are zero"
            if value != value:
                cells.append(Cell("–", f"Not recorded; {tip}", tone="muted", right=True))
                continue
            background, ink = heat(share)
            cells.append(Cell(figure.show(value), tip, right=True, background=background, ink=ink))
        rows.append(tuple(cells))
    return rows


def _chance(layer: LayerStatistics) -> str:
    chance = getattr(layer, "chance", None)
    if chance is None:
        return ""
    return f"Masks chosen independently would overlap by {formatting.percent(chance, 1)}; "


def heat(fraction: float) -> tuple[str, str]:
    """The cividis colour of a fraction in [0, 1], and black or white for text on it."""
    parts = COLORS[max(0, min(len(COLORS) - 1, round(fraction * (len(COLORS) - 1))))].tolist()
    color = "#{:02x}{:02x}{:02x}".format(*parts)
    red, green, blue = (part / 255 for part in parts)
    bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return color, "#000000" if bright > 0.18 else "#ffffff"
