"""The order in which people count: layer2 before layer10."""

import re

_DIGITS = re.compile(r"\d+")


def natural_key(text: str) -> str:
    """A key under which layer2 comes before layer10."""
    return _DIGITS.sub(_padded, text.lower())


def _padded(match: "re.Match[str]") -> str:
    return match.group().zfill(9)
