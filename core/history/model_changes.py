"""Layer by layer: which weights the results of two runs have in common, and how far they moved from each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from core.errors import StudioError
from core.history.alignment import LayerComparison
from core.measurement.records import LayerStatistics
from core.models.opened import OpenedModel


@dataclass(frozen=True)
class LayerChange(LayerStatistics):
    """A layer of a run against the same layer of the baseline.

    Attributes:
        overlap: weights that are not zero in both, as a fraction of those not zero in either (Jaccard index).
        chance: what that would be if each kept as many, chosen independently.
        moved: Euclidean norm of the difference, as a fraction of the baseline's norm; None where that is zero.

    All are None where one of the two lacks the layer, has it in another shape, or wrote no model that is still there.
    """

    overlap: float | None = None
    chance: float | None = None
    moved: float | None = None


def with_changes(
    layers: Sequence[LayerComparison],
    models: Sequence[OpenedModel | None],
    baseline: int,
    check: Callable[[], None] = lambda: None,
) -> tuple[LayerComparison, ...]:
    """The layers of compared runs with what the models say.

    Args:
        models: for each run what it wrote, or None.
        check: called between layers; may raise to give up.
    """
    base = models[baseline]
    found = []
    for row in layers:
        changed: list[LayerStatistics | None] = []
        for one, model in zip(row.layers, models, strict=True):
            check()
            figures = {} if one is None else _compared(base, model, one.name)
            changed.append(None if one is None else LayerChange(**{**asdict(one), **figures}))
        found.append(replace(row, layers=tuple(changed)))
    return tuple(found)


def _compared(base: OpenedModel | None, other: OpenedModel | None, name: str) -> Mapping[str, float | None]:
    if base is None or other is None:
        return {}
    try:
        first, second = base.weight(name), other.weight(name)
    except (KeyError, StudioError):
        return {}
    if first.shape != second.shape or not first.size:
        return {}
    one, two = first != 0, second != 0
    living, kept = int(np.count_nonzero(one)), int(np.count_nonzero(two))
    both = int(np.count_nonzero(one & two))
    either = living + kept - both
    expected = living * kept / first.size
    wide = np.asarray(first, dtype=np.float64)
    norm = float(np.linalg.norm(wide))
    difference = float(np.linalg.norm(np.asarray(second, dtype=np.float64) - wide))
    return {
        "overlap": both / either if either else 1.0,
        "chance": expected / (living + kept - expected) if either else 1.0,
        "moved": difference / norm if norm else None,
    }
