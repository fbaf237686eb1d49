"""What a measured sensitivity says about a precision map: read from the finding of a run; knows no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.findings import Table

KIND = "quantization-sensitivity"
"""The kind of the finding whose table `rankings` reads."""

_LAYER, _BITS, _ACCURACY = 0, 1, 2


@dataclass(frozen=True)
class Ranking:
    """The layers of a model at one number of bits, those that suffer most first.

    Attributes:
        measured: ranked by accuracy on validation examples; otherwise by the fast proxy (SQNR of the outputs).
    """

    bits: int
    layers: tuple[str, ...]
    measured: bool


def rankings(table: Table) -> tuple[Ranking, ...]:
    """The rankings in a table of sensitivities, by rising bits; rows that are no such thing are left out."""
    found: dict[int, list[str]] = {}
    measured = False
    for row in table.rows:
        if len(row) <= _ACCURACY:
            continue
        layer, bits = row[_LAYER], row[_BITS]
        if isinstance(layer, str) and isinstance(bits, int):
            # The table is ranked already; a layer's accuracy stands in it only where it was measured.
            found.setdefault(bits, []).append(layer)
            measured = measured or row[_ACCURACY] is not None
    return tuple(Ranking(bits, tuple(found[bits]), measured) for bits in sorted(found))


def ranking_for(known: Sequence[Ranking], bits: int) -> Ranking | None:
    """The ranking at so many bits, or at the number of bits nearest to it, the smaller of two; None without any."""
    return min(known, key=lambda each: (abs(each.bits - bits), each.bits), default=None)


def worst_kept(ranking: Ranking, keep: int, bits: int) -> dict[str, int | None]:
    """Bits of their own for the `keep` worst layers; all others have none (None) and follow the step."""
    return {name: bits if place < keep else None for place, name in enumerate(ranking.layers)}
