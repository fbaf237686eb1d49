"""Colour and spacing in one place: tokens for light and dark, from which palette, style sheet and plots are made.

Contrast of text on its background is at least 4.5:1 (a test computes it). No colour is named anywhere else.
"""

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

SPACE = 8
"""The grid in pixels: margins and gaps are multiples (or halves) of it."""

FONT_BASE = 13
FONT_SMALL = 11
FONT_LARGE = 17
"""The three type sizes, in pixels."""

# Okabe and Ito (2008): told apart with every common colour vision.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442")


@dataclass(frozen=True)
class Tokens:
    """One colour scheme. All values are `#rrggbb`."""

    name: str
    window: str  # behind panels
    panel: str  # panels, plots
    raised: str  # headers, buttons, tool bars
    line: str  # borders and grid lines
    text: str
    text_muted: str  # secondary text, still 4.5:1
    accent: str  # the one accent: primary buttons, focus, selection mark
    accent_text: str  # text on the accent
    selection: str  # background of selected rows
    good: str  # with ▲ or a sign, never alone
    bad: str
    warning: str
    hole: str  # a pruned weight in a heatmap
    series: tuple[str, ...]  # of plots, in order

    def series_color(self, index: int) -> str:
        """The colour of the series number `index`, repeating after the last."""
        return self.series[index % len(self.series)]


LIGHT = Tokens(
    name="light",
    window="#eef0f2",
    panel="#ffffff",
    raised="#f6f7f8",
    line="#d3d8dd",
    text="#1b1f24",
    text_muted="#57606a",
    accent="#0a64ad",
    accent_text="#ffffff",
    selection="#d6e8f8",
    good="#00694d",
    bad="#a63d00",
    warning="#7a5200",
    hole="#ffffff",
    series=("#0072B2", "#C27D00", "#009E73", "#D55E00", "#3D97CE", "#B0588C", "#8A7F00"),
)

DARK = Tokens(
    name="dark",
    window="#15181c",
    panel="#1c2026",
    raised="#252a31",
    line="#3a414a",
    text="#e6e9ed",
    text_muted="#a3acb6",
    accent="#5cb0f0",
    accent_text="#0b1620",
    selection="#1f3f5c",
    good="#4fc79b",
    bad="#ff9b66",
    warning="#f0c060",
    hole="#1c2026",
    series=("#56B4E9", "#E69F00", "#2FBF94", "#FF7A33", "#7FA8FF", "#E095BF", "#F0E442"),
)


class _ThemeEvents(QObject):
    changed = Signal(object)  # Tokens


events = _ThemeEvents()
"""Emits `changed` after another scheme took effect; plots and painted widgets restyle themselves on it."""

_current = LIGHT


def tokens() -> Tokens:
    """The scheme in force."""
    return _current


def use(scheme: Tokens) -> None:
    """Put another scheme in force and tell everybody."""
    global _current
    if scheme != _current:
        _current = scheme
        events.changed.emit(scheme)
