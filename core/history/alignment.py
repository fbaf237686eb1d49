"""Bringing runs side by side that are not built alike: steps, layers and curves. Pure functions, no database."""

import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from core.events import MetricPoint
from core.measurement.records import LayerStatistics

Name = TypeVar("Name", bound=Hashable)
Axis = Literal["iteration", "epoch", "time"]


def merged_steps(sequences: Sequence[Sequence[str]]) -> tuple[tuple[str, tuple[int | None, ...]], ...]:
    """Recipes' step kinds laid side by side in slots, so that equal steps meet though one recipe has more of them.

    Returns:
        One (kind, indices) for each slot; `indices[run]` is the step of that run which stands in the slot, or None.
        Every run's steps appear in their own order.
    """
    slots: list[tuple[str, dict[int, int]]] = []
    for run, kinds in enumerate(sequences):
        matcher = difflib.SequenceMatcher(None, [kind for kind, _ in slots], list(kinds), autojunk=False)
        merged: list[tuple[str, dict[int, int]]] = []
        for operation, i1, i2, j1, j2 in matcher.get_opcodes():
            if operation == "equal":
                merged += [(kind, {**indices, run: j1 + n}) for n, (kind, indices) in enumerate(slots[i1:i2])]
            else:
                merged += slots[i1:i2]
                merged += [(kinds[j], {run: j}) for j in range(j1, j2)]
        slots = merged
    return tuple((kind, tuple(indices.get(run) for run in range(len(sequences)))) for kind, indices in slots)


def merged_names(sequences: Iterable[Sequence[Name]]) -> tuple[Name, ...]:
    """The union of ordered names: each once, the first sequence's order kept, new ones after their predecessor."""
    union: list[Name] = []
    seen: set[Name] = set()
    for names in sequences:
        # The everyday case, many runs of one model, needs no search.
        if all(name in seen for name in names):
            continue
        at = 0
        for name in names:
            if name in seen:
                at = union.index(name) + 1
            else:
                union.insert(at, name)
                seen.add(name)
                at += 1
    return tuple(union)


@dataclass(frozen=True)
class LayerComparison:
    """One layer across runs; `layers[run]` is None where the run's model has no layer of that name.

    `shape` is the first run's that has the layer; `differs` says whether any two runs differ in shape, zeros or
    presence.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layers: tuple[LayerStatistics | None, ...]
    differs: bool

    @property
    def sparsities(self) -> tuple[float | None, ...]:
        """The fraction of zeros in each run's layer."""
        return tuple(None if layer is None else layer.sparsity for layer in self.layers)


def compare_layers(runs: Sequence[Sequence[LayerStatistics]]) -> tuple[LayerComparison, ...]:
    """The layers of several runs side by side, in the order of the first model that has them."""
    by_name = [{layer.name: layer for layer in layers} for layers in runs]
    rows = []
    for name in merged_names([list(layers) for layers in by_name]):
        entries = tuple(layers.get(name) for layers in by_name)
        first = next(entry for entry in entries if entry is not None)
        rows.append(
            LayerComparison(name, first.kind, first.shape, entries, any(entry != first for entry in entries))
        )
    return tuple(rows)


@dataclass(frozen=True)
class Curve:
    """One curve of one run. `x` never falls; `y` may hold NaN where a loss diverged."""

    run_id: str
    split: str
    metric: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def align_curves(points: Sequence[MetricPoint], axis: Axis) -> tuple[Curve, ...]:
    """All curves of any runs over one axis, in the order of their first points.

    Args:
        axis: "iteration" counts parameter updates over all steps, "epoch" passes over the data over all steps,
            "time" seconds of work without pauses.

    Epochs count from 0 in each step of a run; here a step goes on where the one before it ended.
    """
    curves: dict[tuple[str, str, str], list[MetricPoint]] = {}
    by_run: dict[str, list[MetricPoint]] = {}
    for point in points:
        curves.setdefault((point.run_id, point.split, point.metric), []).append(point)
        by_run.setdefault(point.run_id, []).append(point)
    before = {run_id: _epochs_before(run) for run_id, run in by_run.items()}
    aligned = []
    for (run_id, split, metric), line in curves.items():
        placed = sorted(
            ((_position(point, axis, before[run_id]), point.value) for point in line),
            key=lambda pair: pair[0],
        )
        xs, ys = zip(*placed, strict=True)
        aligned.append(Curve(run_id, split, metric, xs, ys))
    return tuple(aligned)


def _position(point: MetricPoint, axis: Axis, epochs_before: Mapping[int, float]) -> float:
    if axis == "iteration":
        return float(point.iteration)
    return point.epoch + epochs_before[point.step] if axis == "epoch" else point.seconds


def _epochs_before(points: Sequence[MetricPoint]) -> dict[int, float]:
    """How many epochs the steps before each step took, for the steps that have points."""
    lengths: dict[int, float] = {}
    for point in points:
        lengths[point.step] = max(lengths.get(point.step, 0.0), point.epoch)
    before: dict[int, float] = {}
    total = 0.0
    for step in sorted(lengths):
        before[step] = total
        total += lengths[step]
    return before
