"""Biases for classes that were never trained on (Hinton, Vinyals, Dean 2015, section 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor


def corrected_biases(outputs: Tensor, labels: Tensor, classes: Sequence[int]) -> tuple[float, float, float]:
    """What is best added to the outputs of some classes, all by the same, so that most examples are right.

    Exact: the accuracy only changes where an example's best of these classes overtakes its best other one.

    Args:
        outputs: [N, C]. labels: int64 [N].

    Returns:
        The shift (0 where none is better, else the smallest in magnitude of the middles of the best stretches), the
        accuracy without and with it.
    """
    chosen = torch.zeros(outputs.shape[1], dtype=torch.bool)
    chosen[list(classes)] = True
    outputs = outputs.double()
    inside, best_inside = outputs.masked_fill(~chosen, -torch.inf).max(1)
    outside, best_outside = outputs.masked_fill(chosen, -torch.inf).max(1)
    # Above its own limit an example is given one of the chosen classes.
    limits, order = (outside - inside).sort()
    gain = (best_inside == labels).long() - (best_outside == labels).long()
    right = (best_outside == labels).sum() + torch.cat(
        [torch.zeros(1, dtype=torch.int64), gain[order].cumsum(0)]
    )
    # Between two equal limits lies no shift.
    ends = torch.cat([limits[:1] - 1, limits, limits[-1:] + 1])
    possible = ends[1:] > ends[:-1]
    most = int(right[possible].max())
    best = possible & (right == most)
    before = int((outputs.argmax(1) == labels).sum())
    if before == most:
        return 0.0, before / len(labels), before / len(labels)
    middles = ((ends[1:] + ends[:-1]) / 2)[best]
    return float(middles[middles.abs().argmin()]), before / len(labels), most / len(labels)
