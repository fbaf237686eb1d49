"""Colours of heatmaps: tables safe for colour-blind eyes, and the painting of a tile into ready pixels.

Painting happens here, in the worker, so that the window's thread only copies pixels to the screen.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.analysis.sparsity import HeatmapTile

Table: TypeAlias = NDArray[np.uint8]
Pixels: TypeAlias = NDArray[np.uint32]

LEVELS = 256

# Cividis (Nuñez, Anderton, Renslow 2018) at 17 equal steps; between them colours are interpolated.
# fmt: off
CIVIDIS = (
    "#00204d", "#002b68", "#05366e", "#2c416c", "#404d6b", "#51586c", "#60646f", "#6e6f73", "#7c7b78",
    "#8b8779", "#9b9477", "#aca174", "#bcaf6f", "#cebc67", "#e0cb5d", "#f2da4f", "#ffea46",
)
# Viridis (van der Walt and Smith 2015), likewise.
VIRIDIS = (
    "#440154", "#481769", "#472c7a", "#423f85", "#3b518b", "#33628d", "#2c718e", "#26818e", "#21908c",
    "#1f9f88", "#27ad80", "#3dbc73", "#5cc862", "#81d34c", "#aadc31", "#d5e219", "#fde725",
)
# fmt: on
SEQUENTIAL = {"cividis": CIVIDIS, "viridis": VIRIDIS}

# Diverging from blue (negative) to orange (positive), with the two ends equally bright. The middle is the
# opposite # of the background, because a weight of zero is a hole and must not look like a small weight.
DIVERGING_DARK_MIDDLE = ("#7cc8f5", "#2f83bd", "#14405f", "#15181c", "#5f3a0c", "#b9741a", "#f5b75c")
DIVERGING_LIGHT_MIDDLE = ("#0b4f86", "#3c86bd", "#9cc4e0", "#f7f7f5", "#ecbf8c", "#cf7b2c", "#8f4300")

GOING_STRENGTH = 0.85
"""How much of a pixel's colour gives way where all of its weights would go."""


@dataclass(frozen=True, eq=False)
class HeatmapColors:
    """The colours of one look of the window.

    Attributes:
        zero_fraction, magnitude, signed: uint8 [256, 3], from the lowest to the highest value of each mode.
        mask: likewise, from kept (one colour) to pruned (the background).
        breaks: likewise, from groups that keep a pattern (the background, nearly) to groups that break it.
        hole: where all weights of a pixel are exactly zero: the background.
        going: where weights would go.
        invalid: where there is a weight that is NaN or infinite.
    """

    zero_fraction: Table
    magnitude: Table
    signed: Table
    mask: Table
    breaks: Table
    hole: tuple[int, int, int]
    going: tuple[int, int, int]
    invalid: tuple[int, int, int]

    def table(self, mode: str) -> Table:
        """The table of a mode of heatmap."""
        return {
            "sparsity": self.zero_fraction,
            "magnitude": self.magnitude,
            "signed": self.signed,
            "mask": self.mask,
            "breaks": self.breaks,
        }[mode]


def heatmap_colors(
    *,
    dark: bool,
    hole: str,
    going: str,
    invalid: str,
    live: str = "#3d97ce",
    breaks: str = "#d55e00",
    sequential: str = "cividis",
) -> HeatmapColors:
    """Colours for a dark or a light window, as `#rrggbb`; `sequential` is one of `SEQUENTIAL`.

    The more zeros, the closer to the background. On a dark background the darkest fifth of the map is left
    out, so that a small weight is no hole.
    """
    ramp = color_table(SEQUENTIAL[sequential], 0.22 if dark else 0.0, 1.0)
    return HeatmapColors(
        zero_fraction=np.ascontiguousarray(ramp[::-1]) if dark else ramp,
        magnitude=ramp,
        signed=color_table(DIVERGING_LIGHT_MIDDLE if dark else DIVERGING_DARK_MIDDLE),
        mask=color_table((live, hole)),
        breaks=color_table((hole, breaks)),
        hole=_rgb(hole),
        going=_rgb(going),
        invalid=_rgb(invalid),
    )


def color_table(anchors: tuple[str, ...], start: float = 0.0, stop: float = 1.0) -> Table:
    """uint8 [256, 3]: equally spaced `#rrggbb` anchors, interpolated, between two places in [0, 1]."""
    points = np.array([_rgb(anchor) for anchor in anchors], np.float64)
    places = np.linspace(start, stop, LEVELS) * (len(points) - 1)
    channels = [np.interp(places, np.arange(len(points)), points[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def color_limit(tile: HeatmapTile) -> float:
    """The value at the end of the colour scale that suits a tile.

    1 for fractions; else the 99.5th percentile of |value| over pixels that are no holes, rounded up to two
    significant digits, so that one outlier does not darken all the rest.
    """
    if tile.mode == "sparsity":
        return 1.0
    shown = np.abs(tile.values[np.isfinite(tile.values) & (tile.zeros < 1)])
    if not shown.size:
        return 1.0
    limit = float(np.quantile(shown, 0.995, method="higher"))
    if limit <= 0 or not math.isfinite(limit):
        return 1.0
    step = 10.0 ** (math.floor(math.log10(limit)) - 1)
    return math.ceil(limit / step * (1 - 1e-9)) * step


def paint(tile: HeatmapTile, limit: float, colors: HeatmapColors, table: str | None = None) -> Pixels:
    """uint32 [height, width] of 0xffRRGGBB: the tile with values from 0 (signed: −limit) to `limit`.

    `table` names the colours if not those of the tile's own mode; "breaks" has no holes.
    """
    low = -limit if tile.mode == "signed" else 0.0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        level = (tile.values - low) * ((LEVELS - 1) / (limit - low))
    np.nan_to_num(level, copy=False, nan=0.0, posinf=LEVELS - 1, neginf=0.0)
    np.clip(np.rint(level), 0, LEVELS - 1, out=level)
    name = table or tile.mode
    channels = colors.table(name).astype(np.uint32)
    packed = _packed(channels[:, 0], channels[:, 1], channels[:, 2])
    pixels = packed[level.astype(np.intp)]
    if name != "breaks":
        pixels[tile.zeros >= 1] = _packed_color(colors.hole)
    if tile.going is not None:
        pixels = _blend(pixels, colors.going, tile.going * GOING_STRENGTH)
    if tile.invalid is not None:
        pixels[tile.invalid] = _packed_color(colors.invalid)
    return pixels


def _blend(pixels: Pixels, color: tuple[int, int, int], share: NDArray[np.float32]) -> Pixels:
    channels = []
    for shift, target in zip((16, 8, 0), color, strict=True):
        present = ((pixels >> np.uint32(shift)) & np.uint32(0xFF)).astype(np.float32)
        channels.append(np.rint(present + (target - present) * share).astype(np.uint32))
    return _packed(*channels)


def _packed(red: Pixels, green: Pixels, blue: Pixels) -> Pixels:
    return np.uint32(0xFF000000) | red << np.uint32(16) | green << np.uint32(8) | blue


def _packed_color(color: tuple[int, int, int]) -> np.uint32:
    red, green, blue = color
    return np.uint32(0xFF000000 | red << 16 | green << 8 | blue)


def _rgb(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
