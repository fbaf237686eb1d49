"""How figures are written for people, so that the window, the command line and reports never disagree.

Three significant digits, decimal units (kB = 1,000 bytes), thousands separators, a unit always.
"""

import math

NOT_MEASURED = "–"


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits in plain notation where that is readable, else scientific."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude >= 9:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - magnitude)
    text = f"{value:,.{decimals}f}"
    # Rounding may have carried into a new digit: 9.996 -> "10.00", which has one digit too many.
    if decimals and math.floor(math.log10(abs(float(text.replace(",", ""))))) > magnitude:
        text = f"{value:,.{decimals - 1}f}"
    return text


def scaled(value: float, units: tuple[str, ...]) -> str:
    """`value` divided by 1,000 until it is below 1,000, with the matching unit of `units`."""
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value /= 1000
        index += 1
    number = f"{value:,.0f}" if index == 0 else significant(value)
    return f"{number} {units[index]}".rstrip()


def count(value: int) -> str:
    """An exact number of things: 268,336."""
    return f"{value:,}"


def short_count(value: float) -> str:
    """A number of things at a glance: 272 k, 25.6 M."""
    return scaled(value, ("", "k", "M", "G", "T"))


def data_size(size: int | None) -> str:
    """Bytes at a glance: 1.09 MB (decimal)."""
    return NOT_MEASURED if size is None else scaled(size, ("B", "kB", "MB", "GB", "TB"))


def macs(value: int | None) -> str:
    """Multiply-accumulates at a glance: 41 MMACs."""
    return NOT_MEASURED if value is None else scaled(value, ("MACs", "kMACs", "MMACs", "GMACs", "TMACs"))


def percent(fraction: float | None, decimals: int = 2) -> str:
    """A fraction in [0, 1] as a percentage: 81.03 %."""
    return NOT_MEASURED if fraction is None else f"{100 * fraction:.{decimals}f} %"


def points(difference: float | None, decimals: int = 2) -> str:
    """A difference of two fractions in percentage points, signed and with an arrow: ▲ +0.31 pp."""
    if difference is None:
        return NOT_MEASURED
    shown = round(100 * difference, decimals)
    arrow = "▲ " if shown > 0 else "▼ " if shown < 0 else ""
    sign = "+" if shown > 0 else "−" if shown < 0 else "±"
    return f"{arrow}{sign}{abs(shown):.{decimals}f} pp"


def milliseconds(value: float | None) -> str:
    """Milliseconds with three significant digits: 1.15 ms."""
    return NOT_MEASURED if value is None else f"{significant(value)} ms"


def duration(seconds: float | None) -> str:
    """A length of time as people read clocks: 0:07, 1:12, 2:03:20."""
    if seconds is None or math.isnan(seconds) or math.isinf(seconds):
        return NOT_MEASURED
    whole = round(max(0.0, seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"
