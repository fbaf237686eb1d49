"""Which channels go: from scores and an amount to indices, without a network; see `core.pruning.channel_graph`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Indices = NDArray[np.int64]

_HALVINGS = 40


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only go together, because layers are added, concatenated or normalised channel by channel.

    Attributes:
        root: the layer that stands for the group.
        layers: all layers that lose outputs with it.
        scores: importance of each channel, [width].
        repeats: into how many equal stretches the channels fall that must stay equally long (groups of a convolution,
            attention heads).
        losses: for each layer that loses outputs or inputs, which channel of the group each lost one belongs to:
            (layer, "out" or "in", [channels lost if all go]).
    """

    root: str
    layers: tuple[str, ...]
    scores: Scores
    repeats: int
    losses: tuple[tuple[str, Literal["out", "in"], Indices], ...]

    @property
    def width(self) -> int:
        """The number of channels."""
        return int(self.scores.size)

    def ranking(self) -> Scores:
        """One score for each position within the stretches."""
        means: Scores = self.scores.reshape(self.repeats, -1).mean(axis=0)
        return means


def choose_channels(
    groups: Sequence[ChannelGroup], ratio: float, scope: Literal["uniform", "global"], round_to: int
) -> list[Indices]:
    """The channels that go from each group at a ratio in [0, 1]; at least one (or `round_to`) always stays.

    Equal scores are decided by position, so the same scores always give the same channels.
    """
    rankings = [group.ranking() for group in groups]
    if scope == "global":
        counts = _global_counts(rankings, [group.repeats for group in groups], ratio)
    else:
        counts = [ranking.size - int(ranking.size * (1 - ratio) + 1e-9) for ranking in rankings]
    chosen = []
    for group, ranking, count in zip(groups, rankings, counts):
        kept = _rounded(ranking.size - count, ranking.size, group.repeats, round_to)
        gone = np.sort(np.argsort(ranking, kind="stable")[: ranking.size - kept])
        chosen.append(
            np.concatenate([gone + i * ranking.size for i in range(group.repeats)]).astype(np.int64)
        )
    return chosen


def smallest_ratio(reached: Callable[[float], bool]) -> float | None:
    """The smallest ratio in [0, 1] at which `reached` is true (it stays true above); None if it never is."""
    if not reached(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _global_counts(rankings: Sequence[Scores], repeats: Sequence[int], ratio: float) -> list[int]:
    """How many positions of each group are among the lowest of all, each weighing as many channels as it stands for."""
    if not rankings:
        return []
    scores = np.concatenate(rankings)
    owners = np.repeat(np.arange(len(rankings)), [ranking.size for ranking in rankings])
    weights = np.repeat(np.array(repeats), [ranking.size for ranking in rankings])
    order = np.argsort(scores, kind="stable")
    through = np.cumsum(weights[order])
    gone = order[through <= ratio * weights.sum() + 1e-9]
    counts: NDArray[Any] = np.bincount(owners[gone], minlength=len(rankings))
    return [int(count) for count in counts]


def _rounded(kept: int, size: int, repeats: int, round_to: int) -> int:
    """How many of `size` positions stay: a number near `kept` that makes the width a multiple of `round_to`."""
    step = round_to // gcd(round_to, repeats)
    nearest = max(step, round(kept / step) * step)
    return min(size, max(1, nearest))
