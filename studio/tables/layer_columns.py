"""The columns of the layer table: title, explanation, text, full precision and sort order of each."""

from collections.abc import Callable
from dataclasses import dataclass

from core.formatting import NOT_MEASURED, count, macs, percent, short_count, significant
from core.models.description import Layer
from studio.tables.layer_figures import LayerFigures
from studio.tables.layer_tree import LayerGroup

Row = Layer | LayerGroup
"""What a row stands for: a layer, or a branch of the tree."""

NAME, DISTRIBUTION, WEIGHTS, ZEROS = range(4)
"""The first columns, which fit a narrow panel; two of them are drawn rather than written."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        text: what the cell says, from the layer or branch, its figures (None until they are counted) and the
            weights of the whole model.
        exact: the same with full precision, for tooltips, copies and CSV files.
        number: what the column is sorted by; None for text, and for figures not known yet.
        shown: whether it is shown at first.
        from_statistics: whether it needs the weights to be read.
    """

    key: str
    title: str
    explanation: str
    width: int
    text: Callable[[Row, LayerFigures | None, int], str]
    exact: Callable[[Row, LayerFigures | None, int], str]
    number: Callable[[Row, LayerFigures | None, int], float | None] | None
    shown: bool = True
    from_statistics: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it holds figures, which stand on the right."""
        return self.number is not None


def shape_text(shape: tuple[int, ...]) -> str:
    """16 × 3 × 3 × 3; “scalar” without a dimension."""
    return " × ".join(str(side) for side in shape) or "scalar"


def _shape(row: Row) -> str:
    return shape_text(row.shape) if isinstance(row, Layer) else ""


def _figure(
    key: str, title: str, explanation: str, attribute: str, width: int = 72, *, whole: bool = False
) -> Column:
    """A column of one figure of the statistics, hidden at first."""

    def value(_row: Row, figures: LayerFigures | None, _total: int) -> float | None:
        return None if figures is None else getattr(figures, attribute)

    def text(layer: Row, figures: LayerFigures | None, total: int) -> str:
        number = value(layer, figures, total)
        if number is None:
            return NOT_MEASURED
        return count(int(number)) if whole else significant(number)

    def exact(layer: Row, figures: LayerFigures | None, total: int) -> str:
        number = value(layer, figures, total)
        if number is None:
            return ""
        return str(int(number)) if whole else repr(float(number))

    return Column(key, title, explanation, width, text, exact, value, shown=False, from_statistics=True)


def _parameters(row: Row, _figures: LayerFigures | None, _total: int) -> int:
    return row.weights + row.bias_count


def _short(number: int) -> str:
    return count(number) if number < 100_000 else short_count(number)


def _weights_text(layer: Row, _figures: LayerFigures | None, _total: int) -> str:
    return _short(layer.weights)


def _zeros_text(_row: Row, figures: LayerFigures | None, _total: int) -> str:
    if figures is None:
        return NOT_MEASURED
    # A layer without a single weight left is worth telling from one that has some.
    return "100 %" if figures.count and figures.zeros == figures.count else _below_all(figures.sparsity)


def _below_all(sparsity: float) -> str:
    text = percent(sparsity, 1)
    return ">99.9 %" if text == "100.0 %" else text


def _zeros_exact(_row: Row, figures: LayerFigures | None, _total: int) -> str:
    return "" if figures is None else repr(figures.sparsity)


def _zeros_number(_row: Row, figures: LayerFigures | None, _total: int) -> float | None:
    return None if figures is None else figures.sparsity


def _share(layer: Row, _figures: LayerFigures | None, total: int) -> float:
    return layer.weights / total if total else 0.0


COLUMNS: tuple[Column, ...] = (
    Column(
        "name",
        "Layer",
        "The layer's path in the model",
        96,
        lambda layer, _f, _t: layer.name,
        lambda layer, _f, _t: layer.name,
        None,
    ),
    Column(
        "distribution",
        "Values",
        "How the layer's weights are distributed, from smallest to largest; exact zeros are left out",
        54,
        lambda _l, _f, _t: "",
        lambda _l, _f, _t: "",
        # Sorted by spread, the one figure that a small histogram cannot show.
        lambda _l, figures, _t: None if figures is None else figures.std,
        from_statistics=True,
    ),
    Column(
        "weights",
        "Weights",
        "Weights of the layer; its bias is not counted",
        62,
        _weights_text,
        lambda layer, _f, _t: str(layer.weights),
        lambda layer, _f, _t: layer.weights,
    ),
    Column(
        "zeros",
        "Zeros",
        "Sparsity: the fraction of the weights that are exactly zero",
        58,
        _zeros_text,
        _zeros_exact,
        _zeros_number,
        from_statistics=True,
    ),
    Column(
        "kind",
        "Kind",
        "What the layer computes",
        70,
        lambda layer, _f, _t: layer.kind,
        lambda layer, _f, _t: layer.kind,
        None,
    ),
    Column(
        "shape",
        "Shape",
        "Output channels × input channels × kernel height × kernel width (× = by)",
        132,
        lambda layer, _f, _t: _shape(layer),
        lambda layer, _f, _t: _shape(layer),
        None,
    ),
    Column(
        "macs",
        "MACs",
        "Multiply-accumulates for one input example; blank where the input size is not known",
        104,
        lambda layer, _f, _t: macs(layer.macs),
        lambda layer, _f, _t: "" if layer.macs is None else str(layer.macs),
        lambda layer, _f, _t: layer.macs,
    ),
    Column(
        "share",
        "Share",
        "The layer's part of all prunable weights of the model",
        66,
        lambda layer, figures, total: percent(_share(layer, figures, total), 1),
        lambda layer, figures, total: repr(_share(layer, figures, total)),
        _share,
    ),
    Column(
        "parameters",
        "Parameters",
        "Weights and biases of the layer",
        84,
        lambda layer, _f, _t: _short(_parameters(layer, None, 0)),
        lambda layer, _f, _t: str(_parameters(layer, None, 0)),
        _parameters,
        shown=False,
    ),
    Column(
        "dtype",
        "Type",
        "Number format of the weights in the file",
        52,
        lambda layer, _f, _t: layer.dtype,
        lambda layer, _f, _t: layer.dtype,
        None,
    ),
    _figure("minimum", "Min", "The smallest weight", "minimum"),
    _figure("maximum", "Max", "The largest weight", "maximum"),
    _figure("mean", "Mean", "The mean of the weights", "mean"),
    _figure("std", "Std", "The standard deviation of the weights", "std"),
    _figure(
        "near_zeros",
        "Near zero",
        "Weights that are not zero but smaller in magnitude than a limit (right-click here to change it)",
        "near_zeros",
        whole=True,
    ),
    _figure(
        "kurtosis",
        "Kurtosis",
        "Excess kurtosis: 0 for a normal distribution, larger with heavier tails",
        "kurtosis",
    ),
    _figure(
        "dead_channels",
        "Dead channels",
        "Output channels of which every weight is exactly zero: they could be removed",
        "dead_channels",
        98,
        whole=True,
    ),
    _figure(
        "not_finite",
        "NaN, Inf",
        "Weights that are not a number or infinite; they are in no other figure",
        "not_finite",
        whole=True,
    ),
    Column(
        "plan",
        "Plan",
        "What the selected step of the recipe would do to the layer",
        76,
        lambda _l, _f, _t: "",
        lambda _l, _f, _t: "",
        # Filled by the table itself, from the plan that it is given.
        lambda _l, _f, _t: None,
        shown=False,
    ),
)

PLAN = len(COLUMNS) - 1
"""The column that is shown while a step of the recipe has a plan for each layer."""


def short_shape(layer: Layer) -> str:
    """For a heading: `conv2d 16 × 3 × 3 × 3 · 432 weights`."""
    return f"{layer.kind} {shape_text(layer.shape)} · {count(layer.weights)} weights"
