"""What flows through a network on real examples: how outputs are distributed, and which units are dead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.analysis.histogram import Histogram
from core.data.catalog import TRAIN, VALIDATION, check_fits, load_task
from core.data.spec import TaskSpec
from core.data.split import Split
from core.errors import StudioError
from core.models.layers import kind_of, prunable_modules
from core.models.opening import load_module
from core.models.source import ModelSource

BINS = 256
BATCH = 64
ACTIVATIONS = {
    "relu": "ReLU",
    "relu_": "ReLU",
    "relu6": "ReLU6",
    "hardtanh": "ReLU6",
    "hardtanh_": "ReLU6",
    "leaky_relu": "leaky ReLU",
    "leaky_relu_": "leaky ReLU",
    "prelu": "PReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
    "mish": "Mish",
}
"""Functions that are told apart as activations, and what people call them."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Activation:
    """The outputs of one layer, or of an activation function behind it, over all examples.

    Attributes:
        layer: the layer's name.
        function: "" for the layer's own output, else the activation function, such as "ReLU".
        shape: of the output of one example.
        units: channels of a convolution, features of a linear layer.
        values, zeros, not_finite: how many numbers were seen, are exactly zero, are NaN or infinite.
        minimum, maximum, mean, std: over the finite ones; None without any.
        always_zero: units whose output was zero for every example and at every place.
        never_positive: units whose output was never above zero: a ReLU behind them passes nothing on.
        histogram: of the finite values, with exact counts; edges are multiples of a power of two.
    """

    layer: str
    function: str
    shape: tuple[int, ...]
    units: int
    values: int
    zeros: int
    not_finite: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    always_zero: NDArray[np.intp]
    never_positive: NDArray[np.intp]
    histogram: Histogram

    @property
    def zero_fraction(self) -> float:
        """The fraction of values that are exactly zero (0 without values)."""
        return self.zeros / self.values if self.values else 0.0

    @property
    def title(self) -> str:
        """For people: `conv1`, `conv1 → ReLU`."""
        return f"{self.layer} → {self.function}" if self.function else self.layer


@dataclass(frozen=True, eq=False)
class ActivationReport:
    """What was seen, on how many examples of which split of which task."""

    rows: tuple[Activation, ...]
    examples: int
    part: str
    task: str


def activations_of(
    source: ModelSource,
    task: TaskSpec,
    part: str,
    examples: int = 256,
    *,
    check: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> ActivationReport:
    """Load a network of its own and examples of a task, and look at what flows through it.

    Args:
        part: "train" or "validation"; the test split is for the final accuracy alone.

    Raises:
        StudioError: if the network is not known, the data are missing, or the two do not fit.
        ValueError: for another part.
    """
    if part not in (TRAIN, VALIDATION):
        raise ValueError(f"activations are not measured on {part!r}")
    loaded = load_module(source, check=check)
    data = load_task(task, check or _never, parts=frozenset({part}))
    split = data.train if part == TRAIN else data.validation
    if split is None:
        other = "training" if part == VALIDATION else "validation"
        raise StudioError(f"{data.title} has no {part} split: choose the {other} split.")
    description = loaded.description
    check_fits(
        data,
        description.input_shape,
        description.num_classes,
        model=source.title,
        any_size=accepts(loaded.module, split.input_shape),
    )
    rows = measure_activations(loaded.module, split, examples, check=check, progress=progress)
    return ActivationReport(rows, min(examples, len(split)), part, data.title)


def measure_activations(
    module: nn.Module,
    split: Split,
    examples: int = 256,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = BATCH,
    check: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> tuple[Activation, ...]:
    """Run the first `examples` of a split through a network and look at every layer's output.

    The module is put into evaluation mode; nothing of it changes. Activation functions are told to belong to
    the layer that ran last before them, also where normalisation or an addition lies between.

    Args:
        split: training or validation examples (the test split is for the final accuracy alone).
        check: called before each batch; may raise to give up.
        progress: called with the examples done and their total.

    Returns:
        In the order in which outputs come.

    Raises:
        StudioError: if the split has no examples.
    """
    total = min(examples, len(split))
    if total < 1:
        raise StudioError(f"The {split.name} split has no examples to look at: choose another split.")
    module = module.to(device).eval()
    recorder = _Recorder(module)
    with torch.no_grad(), recorder:
        for start in range(0, total, batch_size):
            if check is not None:
                check()
            chosen = torch.arange(start, min(total, start + batch_size))
            recorder.begin()
            module(split.batch(chosen, device)[0])
            if progress is not None:
                progress(min(total, start + batch_size), total)
    return recorder.found()


def _never() -> None:
    """Nobody cancels."""


def accepts(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a forward pass of one image of that shape works."""
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, *shape))
    except RuntimeError:
        return False
    return True


class _Recorder(TorchFunctionMode):
    """Listens to layers by hooks and to activation functions as they are called, on this thread only."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._layers = prunable_modules(module)
        self._handles: list[Any] = []
        self._current: tuple[str, int] | None = None
        self._behind = 0
        self._seen: dict[tuple[str, int], _Tally] = {}

    def __enter__(self) -> "_Recorder":
        for name, layer in self._layers.items():
            # Units lie along the second axis of convolutions and the last of all others.
            axis = 1 if (kind_of(layer) or "").startswith("conv") else -1
            self._handles.append(layer.register_forward_hook(self._hook(name, axis)))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def begin(self) -> None:
        """A new batch begins."""
        self._current, self._behind = None, 0

    def found(self) -> tuple[Activation, ...]:
        """What was seen."""
        return tuple(tally.result() for tally in self._seen.values())

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        word = ACTIVATIONS.get(getattr(function, "__name__", ""))
        if word is not None and self._current is not None and isinstance(result, Tensor):
            self._behind += 1
            name, axis = self._current
            self._add((name, self._behind), word, axis, result)
        return result

    def _hook(self, name: str, axis: int) -> Any:
        def hook(_module: nn.Module, _args: Any, result: Any) -> None:
            output = result[0] if isinstance(result, tuple) else result
            if isinstance(output, Tensor):
                self._current, self._behind = (name, axis), 0
                self._add((name, 0), "", axis, output)

        return hook

    def _add(self, key: tuple[str, int], word: str, axis: int, output: Tensor) -> None:
        if not output.is_floating_point() or output.ndim < 2:
            return
        tally = self._seen.get(key)
        if tally is None:
            tally = self._seen[key] = _Tally(key[0], word, tuple(output.shape[1:]), output.shape[axis])
        if output.shape[axis] == tally.units:
            # The mode would listen to the counting as well.
            with torch._C.DisableTorchFunction():
                tally.add(output, axis)


class _Tally:
    """Counts of one place of the network, added up batch by batch."""

    def __init__(self, layer: str, function: str, shape: tuple[int, ...], units: int) -> None:
        self.layer, self.function, self.shape, self.units = layer, function, shape, units
        self.values = self.zeros = self.not_finite = 0
        self.total = self.squares = 0.0
        self.low, self.high = float("inf"), float("-inf")
        self.unit_high = torch.full((units,), -torch.inf)
        self.unit_size = torch.zeros(units)
        self.bins = _Bins()

    def add(self, output: Tensor, axis: int) -> None:
        """Count one batch."""
        by_unit = output.detach().float().movedim(axis, 0).reshape(self.units, -1).cpu()
        self.values += by_unit.numel()
        self.zeros += int((by_unit == 0).sum())
        if not by_unit.numel():
            return
        self.unit_high = torch.maximum(self.unit_high, by_unit.amax(1))
        self.unit_size = torch.maximum(self.unit_size, by_unit.abs().amax(1))
        flat = by_unit.reshape(-1)
        finite = torch.isfinite(flat)
        if not bool(finite.all()):
            flat = flat[finite]
            self.not_finite += by_unit.numel() - flat.numel()
        if not flat.numel():
            return
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        wide = flat.double()
        self.total += float(wide.sum())
        self.squares += float(wide.square().sum())
        self.bins.add(flat.numpy())

    def result(self) -> Activation:
        """What was counted."""
        finite = self.values - self.not_finite
        mean = self.total / finite if finite else None
        std = None if mean is None else max(0.0, self.squares / finite - mean * mean) ** 0.5
        return Activation(
            self.layer,
            self.function,
            self.shape,
            self.units,
            self.values,
            self.zeros,
            self.not_finite,
            self.low if finite else None,
            self.high if finite else None,
            mean,
            std,
            np.flatnonzero((self.unit_size == 0).numpy()),
            np.flatnonzero((self.unit_high <= 0).numpy()),
            self.bins.histogram(self.zeros, self.not_finite),
        )


class _Bins:
    """A histogram whose range grows with what comes: doubling it joins two bins into one, so that counts stay exact.

    The edges are multiples of a power of two, which floating-point numbers are divided by without rounding.
    """

    def __init__(self) -> None:
        self.exponent: int | None = None
        self.counts = np.zeros(2 * BINS, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count finite values."""
        size = float(np.abs(values).max())
        wanted = max(-100, int(np.frexp(size)[1])) if size > 0 else -100
        if self.exponent is None:
            self.exponent = wanted
        while self.exponent < wanted:
            self._double()
        places = np.floor(np.ldexp(values.astype(np.float64), -self.exponent) * BINS).astype(np.int64) + BINS
        np.clip(places, 0, 2 * BINS - 1, out=places)
        self.counts += np.bincount(places, minlength=2 * BINS)

    def _double(self) -> None:
        assert self.exponent is not None
        joined = self.counts.reshape(-1, 2).sum(1)
        self.counts = np.zeros(2 * BINS, np.int64)
        self.counts[BINS // 2 : BINS // 2 + BINS] = joined
        self.exponent += 1

    def histogram(self, zeros: int, not_finite: int) -> Histogram:
        """What was counted, without the empty bins at both ends."""
        edges = np.ldexp(np.arange(-BINS, BINS + 1) / BINS, self.exponent or 0)
        used = np.flatnonzero(self.counts)
        first, last = (int(used[0]), int(used[-1])) if used.size else (BINS, BINS)
        return Histogram(
            edges[first : last + 2], self.counts[first : last + 1].copy(), 0, 0, zeros, not_finite, 0
        )
