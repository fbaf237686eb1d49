"""Choosing which examples are held out: stratified, and fixed by a seed alone."""

import torch
from torch import Tensor


def partition(labels: Tensor, sizes: tuple[int, ...], seed: int) -> tuple[Tensor, ...]:
    """Disjoint stratified groups of the given sizes and, last, everything that is left.

    The k-th example (in an order drawn from `seed`) of a class of n stands at (k + ½) / n; reading all
    examples in the order of that number meets every class evenly, so any stretch of it is a stratified
    sample.

    Args:
        labels: int64 [N].
        sizes: of the groups that are taken out; their sum must not exceed N.

    Returns:
        Ascending indices, int64, one tensor for each size and one for the rest.

    Raises:
        ValueError: if there are fewer examples than asked for.
    """
    if sum(sizes) > len(labels):
        raise ValueError(f"{sum(sizes)} examples asked for, {len(labels)} there")
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    counts = torch.bincount(labels)
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[by_class]]
    place = torch.empty(len(labels), dtype=torch.float64)
    place[by_class] = (rank.double() + 0.5) / counts[labels[by_class]]
    # Equal places (classes of the same size) keep the shuffled order, not that of the classes.
    order = shuffled[torch.argsort(place[shuffled], stable=True)]
    groups = torch.split(order, [*sizes, len(labels) - sum(sizes)])
    return tuple(group.sort().values for group in groups)
