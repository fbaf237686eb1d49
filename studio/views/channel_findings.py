"""What the Channels tab shows, as frozen values, and how it says them in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.channels import LARGEST_SIDE, ChannelNorms, Similarity, Spectrum
from core.formatting import count, percent, significant

_NAMED = 12
"""Dead channels that are listed by number at most."""


@dataclass(frozen=True, eq=False)
class ChannelFindings:
    """Norms and similarities of one layer's channels.

    Attributes:
        outputs, inputs: along the output and the input channels.
        output_axis: the axis of the weight along which output channels lie (1 for transposed convolutions).
        pixels: the cosines, painted.
        table: their colours, uint8 [256, 3].
        hole: the colour of what has no direction.
        sides: of the matrix of output channels × input · kernel.
    """

    layer: str
    outputs: ChannelNorms
    inputs: ChannelNorms
    output_axis: int
    similarity: Similarity
    pixels: NDArray[np.uint32]
    table: NDArray[np.uint8]
    hole: tuple[int, int, int]
    sides: tuple[int, int]

    def norms(self, side: str) -> ChannelNorms:
        """Of the "output" or the "input" channels."""
        return self.outputs if side == "output" else self.inputs

    def axis(self, side: str) -> int:
        """The axis of the weight along which the "output" or the "input" channels lie."""
        return self.output_axis if side == "output" else 1 - self.output_axis


def dead_text(norms: ChannelNorms, side: str) -> str:
    """How many channels are dead, and which."""
    channels, dead = len(norms.l2), norms.dead
    total = f"{count(channels)} {side} channel{'' if channels == 1 else 's'}"
    if not len(dead):
        return f"{total}, none of them dead (all zero)."
    share = percent(len(dead) / channels, 1)
    named = ", ".join(str(channel) for channel in dead[:_NAMED]) + (" …" if len(dead) > _NAMED else "")
    return f"{total}, {count(len(dead))} dead (all zero, {share}): {named}" + (
        "" if named.endswith("…") else "."
    )


def similarity_text(found: Similarity) -> str:
    """Which channels were compared, and which two are most alike."""
    sampled = ""
    if found.sampled:
        sampled = f"{count(len(found.channels))} of {count(found.of)} output channels, evenly sampled. "
    best = found.most_alike
    if best is None:
        return f"{sampled}There are no two output channels to compare."
    cosine = significant(best[2], 3).replace("-", "−")
    return f"{sampled}Most alike: channels {best[0]} and {best[1]}, cosine {cosine}."


def spectrum_text(found: Spectrum) -> str:
    """Effective rank, and how many singular values carry most of the energy."""
    short = min(found.shape)
    return (
        f"Effective rank {significant(found.effective_rank)} of {count(short)}; 90 % of the energy in "
        f"{count(found.rank_for(0.9))}, 99 % in {count(found.rank_for(0.99))} singular values."
    )


def too_large_text(sides: tuple[int, int]) -> str:
    """Why there are no singular values."""
    return (
        f"A matrix of {sides[0]:,} × {sides[1]:,} is too large for singular values: they are computed up to a "
        f"shorter side of {LARGEST_SIDE:,}."
    )
