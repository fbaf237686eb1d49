"""The one style sheet: `resources/themes/studio.qss` filled in with the tokens of a scheme.

Widgets choose among a few roles by the dynamic property `role`:

- labels: "muted" (secondary), "small" (secondary and small), "title" (the large size), "heading" (a group's caption),
  "problem" (a failure's sentence), "good";
- buttons: "primary" (the one that goes on), "flat" (no frame until hovered), "link";
- frames: "card", "rule" (a line of one pixel).
"""

import re

from resources import RESOURCES
from studio.theme import FONT_LARGE, FONT_SMALL, Tokens

_CONTROLS = RESOURCES / "icons" / "controls"


def style_sheet(colors: Tokens) -> str:
    """The style sheet of a colour scheme.

    Raises:
        KeyError: if the sheet names something that is neither a token nor a drawing.
    """
    values = {
        "small": f"{FONT_SMALL}px",
        "large": f"{FONT_LARGE}px",
        "hover": _mix(colors.raised, colors.text, 0.06),
        "pressed": _mix(colors.raised, colors.text, 0.12),
        "accent_hover": _mix(colors.accent, colors.text, 0.12),
        "handle": _mix(colors.window, colors.text, 0.26),
        "handle_hover": _mix(colors.window, colors.text, 0.42),
        "faint": _mix(colors.panel, colors.text, 0.42),
    }

    def fill_in(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in values:
            return values[name]
        drawing = _CONTROLS / f"{name}-{colors.name}.svg"
        return f'url("{drawing.as_posix()}")' if drawing.exists() else str(vars(colors)[name])

    text = (RESOURCES / "themes" / "studio.qss").read_text(encoding="utf-8")
    return re.sub(r"@([a-z_-]+)@", fill_in, text)


def _mix(first: str, second: str, share: float) -> str:
    """`second` laid over `first` with that opacity."""
    pairs = ((int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
