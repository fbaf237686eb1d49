"""What a histogram says: the read-out under the cursor and the table that can be saved."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.distributions import LayerDistribution
from core.formatting import count, percent, significant
from studio.views.references import Reference

_NAMED = 3
"""Layers whose counts the read-out names."""


@dataclass(frozen=True)
class Drawn:
    """What is drawn.

    Attributes:
        own_axes: only layers of one name share edges; otherwise all do.
        counts: of a distribution, as it is drawn: with or without exact zeros.
    """

    layers: tuple[LayerDistribution, ...]
    references: tuple[Reference, ...]
    own_axes: bool
    counts: Callable[[LayerDistribution], NDArray[np.int64]]

    def of_references(self) -> list[tuple[str, LayerDistribution]]:
        """The layers of the other models, with names that tell them from the open model's."""
        return [
            (f"{one.name} in {reference.title}", one)
            for reference in self.references
            for one in reference.layers
        ]


def read_out(drawn: Drawn, place: int) -> str:
    """The range of a bin and how many weights of each layer are in it."""
    told = []
    several = len(drawn.layers) > 1
    for one in drawn.layers[:_NAMED]:
        if place >= one.histogram.bins:
            continue
        number = int(drawn.counts(one)[place])
        text = f"{count(number)} {'weight' if number == 1 else 'weights'}"
        if one.statistics.count:
            text += f" ({percent(number / one.statistics.count, 2)})"
        if drawn.own_axes:
            text = f"{_ends(one, place)}: {text}"
        told.append(f"{one.name} {text}" if several else text)
    if (more := len(drawn.layers) - _NAMED) > 0:
        told.append(f"{more} more")
    if not several:
        told += [
            f"{reference.title} {count(int(drawn.counts(one)[place]))}"
            for reference in drawn.references
            for one in reference.layers
        ]
    text = " · ".join(told)
    return text if drawn.own_axes else f"{_ends(drawn.layers[0], place)}: {text}"


def as_csv(drawn: Drawn) -> str:
    """One row for each bin; on axes of their own, for each bin of each layer, because they share none."""
    if not drawn.layers:
        return ""
    columns = [*((one.name, one) for one in drawn.layers), *drawn.of_references()]
    if drawn.own_axes:
        lines = ["layer,bin start,bin end,weights"]
        for name, one in columns:
            edges = one.histogram.edges.tolist()
            for place, number in enumerate(drawn.counts(one).tolist()):
                lines.append(f"{_quoted(name)},{edges[place]!r},{edges[place + 1]!r},{number}")
        return "\n".join(lines) + "\n"
    lines = [f"bin start,bin end,{','.join(_quoted(name) for name, _ in columns)}"]
    edges = drawn.layers[0].histogram.edges.tolist()
    counts = (drawn.counts(one).tolist() for _, one in columns)
    for place, row in enumerate(zip(*counts, strict=True)):
        lines.append(f"{edges[place]!r},{edges[place + 1]!r},{','.join(map(str, row))}")
    return "\n".join(lines) + "\n"


def _ends(one: LayerDistribution, place: int) -> str:
    edges = one.histogram.edges
    return f"{_minus(significant(edges[place], 4))} to {_minus(significant(edges[place + 1], 4))}"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
