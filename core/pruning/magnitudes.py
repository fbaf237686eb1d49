"""Which weights magnitude pruning takes: exact thresholds without sorting, shared by window and engine.

The k-th smallest magnitude is found by radix selection on the bits of the floats: without its sign, a float32
read as an integer orders like its magnitude. One pass counts the upper 16 bits of every weight; a second pass
counts the lower 16 bits inside the one bucket that holds rank k. Nothing is concatenated or sorted, and the
counts of the first pass are kept, so that another sparsity costs only the second pass.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.errors import StudioError
from core.recipe import matches
from core.steps import PruneSettings

Array: TypeAlias = NDArray[Any]
Bits: TypeAlias = NDArray[np.uint32]
Counts: TypeAlias = NDArray[np.int64]

CHUNK = 1 << 18
"""Weights looked at together: 1 MB, so that the intermediate results stay in the cache."""

_BUCKETS = 1 << 15
_INFINITY_BUCKET = 0x7F80
_MAGNITUDE = np.uint32(0x7FFF_FFFF)
_REMEMBERED_BYTES = 32 << 20


@dataclass(frozen=True)
class LayerBudget:
    """What a prune step wants of one layer, before any weight is looked at.

    Attributes:
        ranked: "scope": ranked together with the others; "alone": by itself; "excluded": left alone.
        sparsity: fraction of the layer's (or, in a global scope, of all ranked layers') weights that goes.
        remaining: the sparsity counts from the weights that are not zero yet.
    """

    name: str
    ranked: Literal["scope", "alone", "excluded"]
    sparsity: float
    remaining: bool = False


@dataclass(frozen=True)
class LayerPlan:
    """What goes of one layer.

    Attributes:
        weights: how many weights the layer has.
        removed: how many of them go; weights that are zero already are the first to go and are counted.
        threshold: smaller magnitudes go, larger ones stay; None where the layer is left alone.
        ties: of the weights whose magnitude equals `threshold`, the first `ties` in flat (C) order go.
    """

    name: str
    weights: int
    removed: int
    threshold: float | None
    ties: int

    @property
    def sparsity(self) -> float:
        """The fraction of the layer that goes."""
        return self.removed / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class MagnitudePlan:
    """What a prune step removes from a model, layer by layer in the order of the model."""

    layers: tuple[LayerPlan, ...]

    @property
    def weights(self) -> int:
        """Weights of all prunable layers, the excluded ones included."""
        return sum(layer.weights for layer in self.layers)

    @property
    def removed(self) -> int:
        """How many weights go in all."""
        return sum(layer.removed for layer in self.layers)

    @property
    def thresholds(self) -> dict[str, float]:
        """The magnitude threshold of every layer that loses weights."""
        return {
            layer.name: layer.threshold
            for layer in self.layers
            if layer.threshold is not None and layer.removed
        }

    @property
    def emptied(self) -> tuple[str, ...]:
        """Layers that would keep no weight."""
        return tuple(layer.name for layer in self.layers if layer.weights and layer.removed == layer.weights)

    def layer(self, name: str) -> LayerPlan:
        """The plan of one layer.

        Raises:
            KeyError: if there is no such layer.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def warning(self) -> str | None:
        """What makes the plan impossible to carry out, as one sentence; None where nothing does."""
        emptied = self.emptied
        if not emptied:
            return None
        first = f"Layer “{emptied[0]}”"
        who = first if len(emptied) == 1 else f"{first} (and {len(emptied) - 1} more)"
        return (
            f"{who} would lose all weights and pass nothing on: lower the sparsity, give the layer a sparsity of "
            "its own, or leave it alone."
        )

    def require_living_layers(self) -> None:
        """Refuse a plan that cuts the network in two.

        Raises:
            StudioError: naming the first layer that would keep no weight.
        """
        if (warning := self.warning) is not None:
            raise StudioError(warning)


def layer_budgets(settings: PruneSettings, names: Iterable[str]) -> tuple[LayerBudget, ...]:
    """Sort layers into ranked together, alone and excluded.

    An exclusion beats everything. Of the own sparsities, an exact name beats a pattern and a later entry
    beats an earlier one; both beat the sparsity of the output layer, which is the last of `names`.
    Erdős–Rényi-kernel budgets begin as those of a global scope and are shared out when the shapes are known.
    """
    remaining = settings.of == "remaining"
    names = list(names)
    budgets = []
    for name in names:
        if any(matches(name, pattern) for pattern in settings.exclude):
            budgets.append(LayerBudget(name, "excluded", 0.0))
        elif (own := _own_sparsity(name, settings.overrides)) is not None:
            budgets.append(LayerBudget(name, "alone", own, remaining))
        elif settings.output_sparsity is not None and name == names[-1]:
            budgets.append(LayerBudget(name, "alone", settings.output_sparsity, remaining))
        else:
            ranked: Literal["scope", "alone"] = "scope" if settings.scope in ("global", "erk") else "alone"
            budgets.append(LayerBudget(name, ranked, settings.sparsity, remaining))
    return tuple(budgets)


def erk_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The fraction of each layer's weights that stays by the Erdős–Rényi-kernel rule (Evci et al. 2020, section 3).

    A layer's density is proportional to the sum of its shape over the product of its shape (n_in + n_out + width +
    height over their product); layers that would come above 1 stay dense and the others share what is left, so that
    `density` holds over all layers together.
    """
    raw = {name: sum(shape) / max(1, prod(shape)) for name, shape in shapes.items()}
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    wanted = density * sum(sizes.values())
    dense: set[str] = set()
    while len(dense) < len(shapes):
        sparse = [name for name in shapes if name not in dense]
        left = wanted - sum(sizes[name] for name in dense)
        factor = max(0.0, left) / sum(raw[name] * sizes[name] for name in sparse)
        if all(factor * raw[name] <= 1 for name in sparse):
            return {name: 1.0 if name in dense else factor * raw[name] for name in shapes}
        densest = max(raw[name] for name in sparse)
        dense |= {name for name in sparse if raw[name] == densest}
    return dict.fromkeys(shapes, 1.0)


def removal_count(sparsity: float, weights: int) -> int:
    """How many of `weights` weights go at a sparsity in [0, 1): the nearest whole number, halves to even."""
    return round(sparsity * weights)


def plan_magnitude(
    settings: PruneSettings,
    layers: Sequence[tuple[str, Array]],
    check: Callable[[], None] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> MagnitudePlan:
    """What `settings` removes from `layers` (name and weights of any shape, in the order of the model).

    Weights that are not float32 are judged as float32, the precision in which the engine works. `check` is
    called now and then and may raise to give up. `shapes` are those by which budgets are shared out, where they are
    not the arrays' own.

    Raises:
        StudioError: naming the first layer to be ranked whose weights hold NaN.
    """
    weights = dict(layers)
    return MagnitudeIndex([name for name, _ in layers], weights.__getitem__, shapes).plan(settings, check)


def mask_of(weights: Array, plan: MagnitudePlan, name: str) -> NDArray[np.bool_]:
    """The mask of one layer, in the shape of `weights`: True where a weight lives.

    Raises:
        KeyError: if the plan has no such layer.
    """
    layer = plan.layer(name)
    lives = np.ones(weights.size, dtype=np.bool_)
    if layer.threshold is None or not layer.removed:
        return lives.reshape(weights.shape)
    bits = _bits(weights)
    threshold = np.float32(layer.threshold).view(np.uint32)
    buffer = np.empty(CHUNK, np.uint32)
    ties = layer.ties
    for start in range(0, bits.size, CHUNK):
        magnitudes = _magnitudes(bits[start : start + CHUNK], buffer)
        part = lives[start : start + magnitudes.size]
        np.greater_equal(magnitudes, threshold, out=part)
        if ties:
            at_threshold = np.flatnonzero(magnitudes == threshold)[:ties]
            part[at_threshold] = False
            ties -= at_threshold.size
    return lives.reshape(weights.shape)


class MagnitudeIndex:
    """The magnitudes of a model's weights, counted once, so that plans for many sparsities cost little.

    Args:
        names: of the prunable layers in the order of the model.
        read: gives a layer's weights; called again for every new bucket, one layer in memory at a time.
        shapes: by which Erdős–Rényi-kernel budgets are shared out; those of the weights where not given.

    Safe to call from several threads; one plans at a time.
    """

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[str], Array],
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self._names = tuple(names)
        self._read = read
        self._shapes: dict[str, tuple[int, ...]] = dict(shapes or {})
        self._upper: dict[str, _SparseCounts] = {}
        self._with_nan: set[str] = set()
        self._lower: OrderedDict[tuple[str, int], _SparseCounts] = OrderedDict()
        self._lower_bytes = 0
        self._lock = threading.Lock()

    def plan(self, settings: PruneSettings, check: Callable[[], None] | None = None) -> MagnitudePlan:
        """As `plan_magnitude`, for the layers of this index.

        Raises:
            StudioError: naming the first layer whose weights hold NaN.
        """
        with self._lock:
            look = check or _go_on
            budgets = layer_budgets(settings, self._names)
            for name in self._names:
                if name not in self._upper:
                    self._count(name, look)
            for budget in budgets:
                if budget.ranked != "excluded" and budget.name in self._with_nan:
                    raise StudioError(
                        f"Layer “{budget.name}” holds weights that are not a number (NaN), which have no "
                        "magnitude: open a model without NaN, or leave this layer alone."
                    )
            if settings.scope == "erk":
                budgets = self._shared_out(budgets, look)
            together = [budget for budget in budgets if budget.ranked == "scope"]
            found = self._select(together, look)
            for budget in budgets:
                if budget.ranked == "alone":
                    found |= self._select([budget], look)
            return MagnitudePlan(
                tuple(
                    found.get(name) or LayerPlan(name, self._upper[name].total, 0, None, 0)
                    for name in self._names
                )
            )

    def zeros(self, check: Callable[[], None] | None = None) -> dict[str, int]:
        """How many weights of each layer are exactly zero now."""
        with self._lock:
            look = check or _go_on
            for name in self._names:
                if name not in self._upper:
                    self._count(name, look)
            return {name: self._lower_counts(name, 0, look).at(0) for name in self._names}

    def _count(self, name: str, check: Callable[[], None]) -> None:
        weights = self._read(name)
        self._shapes.setdefault(name, weights.shape)
        bits = _bits(weights)
        counts = _count_upper(bits, check)
        if counts.at_or_above(_INFINITY_BUCKET) and bool(np.isnan(bits.view(np.float32)).any()):
            self._with_nan.add(name)
        self._upper[name] = counts

    def _shared_out(
        self, budgets: tuple[LayerBudget, ...], check: Callable[[], None]
    ) -> tuple[LayerBudget, ...]:
        """The budgets with those of a common scope shared out by the Erdős–Rényi-kernel rule."""
        together = [budget for budget in budgets if budget.ranked == "scope"]
        total = sum(self._upper[budget.name].total for budget in together)
        if not total:
            return budgets
        density = 1 - self._removal(together, check) / total
        densities = erk_densities({budget.name: self._shapes[budget.name] for budget in together}, density)
        return tuple(
            LayerBudget(budget.name, "alone", 1 - densities[budget.name])
            if budget.ranked == "scope"
            else budget
            for budget in budgets
        )

    def _removal(self, budgets: Sequence[LayerBudget], check: Callable[[], None]) -> int:
        """How many weights go of layers that are ranked together, those included that are zero already."""
        if not budgets:
            return 0
        total = sum(self._upper[budget.name].total for budget in budgets)
        gone = 0
        if budgets[0].remaining:
            gone = sum(self._lower_counts(budget.name, 0, check).at(0) for budget in budgets)
        return gone + removal_count(budgets[0].sparsity, total - gone)

    def _select(self, budgets: Sequence[LayerBudget], check: Callable[[], None]) -> dict[str, LayerPlan]:
        """The plans of layers that are ranked together."""
        names = [budget.name for budget in budgets]
        remove = self._removal(budgets, check)
        if not remove:
            return {name: LayerPlan(name, self._upper[name].total, 0, 0.0, 0) for name in names}
        bucket, below_bucket = _rank([self._upper[name] for name in names], _BUCKETS, remove)
        lower = [self._lower_counts(name, bucket, check) for name in names]
        digit, below_digit = _rank(lower, 1 << 16, remove - below_bucket)
        threshold = float(np.uint32(bucket << 16 | digit).view(np.float32))
        ties_left = remove - below_bucket - below_digit
        plans = {}
        for name, inside in zip(names, lower, strict=True):
            upper = self._upper[name]
            ties = min(ties_left, inside.at(digit))
            ties_left -= ties
            removed = upper.below(bucket) + inside.below(digit) + ties
            plans[name] = LayerPlan(name, upper.total, removed, threshold, ties)
        return plans

    def _lower_counts(self, name: str, bucket: int, check: Callable[[], None]) -> "_SparseCounts":
        key = (name, bucket)
        if (known := self._lower.get(key)) is not None:
            self._lower.move_to_end(key)
            return known
        if not self._upper[name].at(bucket):
            return _NOTHING
        counts = _count_lower(_bits(self._read(name)), bucket, check)
        self._lower[key] = counts
        self._lower_bytes += counts.nbytes
        while self._lower_bytes > _REMEMBERED_BYTES and len(self._lower) > 1:
            _, forgotten = self._lower.popitem(last=False)
            self._lower_bytes -= forgotten.nbytes
        return counts


class _SparseCounts:
    """How often each digit occurs, without the digits that do not occur."""

    def __init__(self, dense: Counts) -> None:
        occurring = np.flatnonzero(dense)
        self.digits = occurring.astype(np.uint16)
        self.counts = dense[occurring]
        self._through = np.cumsum(self.counts)
        self.total = int(self._through[-1]) if occurring.size else 0

    @property
    def nbytes(self) -> int:
        return self.digits.nbytes + self.counts.nbytes + self._through.nbytes

    def below(self, digit: int) -> int:
        """How many are smaller than `digit`."""
        place = int(np.searchsorted(self.digits, digit))
        return int(self._through[place - 1]) if place else 0

    def at_or_above(self, digit: int) -> int:
        """How many are `digit` or larger."""
        return self.total - self.below(digit)

    def at(self, digit: int) -> int:
        """How many equal `digit`."""
        place = int(np.searchsorted(self.digits, digit))
        found = place < self.digits.size and int(self.digits[place]) == digit
        return int(self.counts[place]) if found else 0


_NOTHING = _SparseCounts(np.zeros(0, np.int64))


def _own_sparsity(name: str, overrides: Mapping[str, float]) -> float | None:
    if name in overrides:
        return overrides[name]
    own = None
    for pattern, sparsity in overrides.items():
        if matches(name, pattern):
            own = sparsity
    return own


def _bits(weights: Array) -> Bits:
    flat: Bits = np.ascontiguousarray(weights, dtype=np.float32).reshape(-1).view(np.uint32)
    return flat


def _magnitudes(bits: Bits, buffer: Bits) -> Bits:
    magnitudes: Bits = np.bitwise_and(bits, _MAGNITUDE, out=buffer[: bits.size])
    return magnitudes


def _count_upper(bits: Bits, check: Callable[[], None]) -> _SparseCounts:
    counts = np.zeros(_BUCKETS, np.int64)
    buffer = np.empty(min(CHUNK, bits.size), np.uint32)
    # bincount wants intp and would convert by itself, but into a new array each time.
    digits = np.empty(min(CHUNK, bits.size), np.intp)
    for start in range(0, bits.size, CHUNK):
        check()
        magnitudes = _magnitudes(bits[start : start + CHUNK], buffer)
        upper = digits[: magnitudes.size]
        np.right_shift(magnitudes, 16, out=upper, casting="unsafe")
        counts += np.bincount(upper, minlength=_BUCKETS)
    return _SparseCounts(counts)


def _count_lower(bits: Bits, bucket: int, check: Callable[[], None]) -> _SparseCounts:
    counts = np.zeros(1 << 16, np.int64)
    buffer = np.empty(min(CHUNK, bits.size), np.uint32)
    first = np.uint32(bucket << 16)
    for start in range(0, bits.size, CHUNK):
        check()
        offsets = _magnitudes(bits[start : start + CHUNK], buffer)
        # Unsigned: whatever lies below the bucket wraps around to a large number.
        np.subtract(offsets, first, out=offsets)
        inside = offsets[offsets < 1 << 16]
        if inside.size:
            counts += np.bincount(inside, minlength=1 << 16)
    return _SparseCounts(counts)


def _rank(tables: Sequence[_SparseCounts], digits: int, rank: int) -> tuple[int, int]:
    """The digit of the `rank`-th smallest (from 1) of all tables, and how many have a smaller digit."""
    counts = np.zeros(digits, np.int64)
    for table in tables:
        counts[table.digits] += table.counts
    through = np.cumsum(counts)
    digit = int(np.searchsorted(through, rank))
    return digit, int(through[digit - 1]) if digit else 0


def _go_on() -> None:
    """Never give up."""
