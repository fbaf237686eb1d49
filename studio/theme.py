"""Colour and spacing in one place: tokens for light and dark, from which palette, sheet and plots are made.

Contrast of text on its background is at least 4.5:1 (a test computes it). No colour is named anywhere else.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

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


Mode = Literal["system", "light", "dark"]
MODES: tuple[Mode, ...] = get_args(Mode)


class _ThemeEvents(QObject):
    changed = Signal(object)  # Tokens

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "system"

    def follow_system(self, _scheme: object) -> None:
        """The desktop changed between light and dark."""
        app = QApplication.instance()
        if self.mode == "system" and isinstance(app, QApplication):
            _put_in_force(app, _system_scheme(app))


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


def apply(app: QApplication, mode: Mode) -> None:
    """Dress the application: Fusion with our palette, font and style sheet, in the mode's scheme.

    "system" follows the desktop, also when it changes later.
    """
    hints = app.styleHints()
    if app.property("dressed") is None:
        app.setProperty("dressed", True)
        app.setStyle("Fusion")
        app.setFont(base_font(app.font()))
        hints.colorSchemeChanged.connect(events.follow_system)
    events.mode = mode
    wanted = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    # So that window frames drawn by the desktop go along; platforms that cannot ignore it.
    hints.setColorScheme(wanted.get(mode, Qt.ColorScheme.Unknown))
    schemes = {"light": LIGHT, "dark": DARK}
    _put_in_force(app, schemes.get(mode) or _system_scheme(app))


def base_font(system: QFont) -> QFont:
    """The system's font at our base size, with figures that all have the same width."""
    font = QFont(system)
    font.setPixelSize(FONT_BASE)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette_of(scheme: Tokens) -> QPalette:
    """The Qt palette of a scheme, every role set, so that nothing of the desktop's shines through."""
    palette = QPalette()
    roles = QPalette.ColorRole
    colors = {
        roles.Window: scheme.window,
        roles.WindowText: scheme.text,
        roles.Base: scheme.panel,
        roles.AlternateBase: scheme.raised,
        roles.Text: scheme.text,
        roles.PlaceholderText: scheme.text_muted,
        roles.Button: scheme.raised,
        roles.ButtonText: scheme.text,
        roles.BrightText: scheme.bad,
        roles.ToolTipBase: scheme.raised,
        roles.ToolTipText: scheme.text,
        roles.Highlight: scheme.selection,
        roles.HighlightedText: scheme.text,
        roles.Accent: scheme.accent,
        roles.Link: scheme.accent,
        roles.LinkVisited: scheme.accent,
        roles.Light: scheme.raised,
        roles.Midlight: scheme.raised,
        roles.Mid: scheme.line,
        roles.Dark: scheme.line,
        roles.Shadow: scheme.line,
    }
    for role, color in colors.items():
        palette.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText, roles.HighlightedText):
        faded = QColor(scheme.text_muted)
        faded.setAlphaF(0.65)
        palette.setColor(QPalette.ColorGroup.Disabled, role, faded)
    return palette


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours by WCAG 2.1 (1 to 21)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    channels = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _system_scheme(app: QApplication) -> Tokens:
    return DARK if app.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT


def _put_in_force(app: QApplication, scheme: Tokens) -> None:
    # Imported here because the sheet is made from the tokens above.
    from studio.style_sheet import style_sheet

    app.setPalette(palette_of(scheme))
    app.setStyleSheet(style_sheet(scheme))
    use(scheme)
