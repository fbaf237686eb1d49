"""Tooltips of the layer table: what a cell means, with every digit."""

from core.analysis.summary import LayerSummary
from core.formatting import count, percent
from core.models.description import Layer
from studio.problem import Problem
from studio.tables.layer_columns import COLUMNS, DISTRIBUTION, NAME, WEIGHTS, ZEROS
from studio.tables.layer_figures import LayerFigures
from studio.tables.layer_tree import LayerGroup


def layer_tip(
    layer: Layer,
    summary: LayerSummary | Problem | None,
    figures: LayerFigures | None,
    section: int,
    total: int,
) -> str:
    """The tooltip of a layer's cell; `total` is the number of weights of the whole model."""
    column = COLUMNS[section]
    if section == NAME:
        bias = f", and {count(layer.bias_count)} biases" if layer.bias_count else ""
        return f"{layer.name}\n{layer.kind}, {count(layer.weights)} weights{bias}"
    if section == WEIGHTS:
        return _weights(layer.weights, total)
    if not column.from_statistics:
        exact = column.exact(layer, None, total)
        return f"{column.explanation}: {exact}" if exact else column.explanation
    if isinstance(summary, Problem):
        return summary.message
    if summary is None or figures is None:
        return "The weights are still being counted."
    if section == ZEROS:
        return _zeros(figures)
    if section == DISTRIBUTION:
        return _distribution(figures)
    return f"{column.explanation}: {column.exact(layer, figures, total) or 'not defined here'}"


def branch_tip(group: LayerGroup, figures: LayerFigures | None, section: int, total: int) -> str:
    """The tooltip of a branch's cell: the same over all its layers."""
    column = COLUMNS[section]
    if section == NAME:
        return f"{group.name}\n{group.kind}, {count(group.weights)} weights"
    if section == WEIGHTS:
        return _weights(group.weights, total)
    if section == DISTRIBUTION:
        return f"{group.kind} of {group.name}"
    if column.from_statistics and figures is None:
        return "The weights are still being counted, or could not all be read."
    if section == ZEROS and figures is not None:
        return _zeros(figures)
    exact = column.exact(group, figures, total)
    return (
        f"{column.explanation}; over {group.kind}: {exact}"
        if exact
        else f"{column.explanation}: not defined here"
    )


def _weights(weights: int, total: int) -> str:
    return f"{count(weights)} weights, {percent(weights / max(1, total))} of all prunable weights"


def _zeros(figures: LayerFigures) -> str:
    zeros = f"{count(int(figures.zeros))} of {count(int(figures.count))} weights are exactly zero"
    return f"{zeros} ({percent(figures.sparsity, 4)})"


def _distribution(figures: LayerFigures) -> str:
    if figures.minimum is None or figures.maximum is None:
        return "No weight is a finite number."
    rest = f"\n{count(int(figures.not_finite))} are NaN or infinite" if figures.not_finite else ""
    zeros = f"\n{count(int(figures.zeros))} exact zeros are not drawn" if figures.zeros else ""
    return (
        f"from {figures.minimum:.6g} to {figures.maximum:.6g}\nmean {figures.mean or 0:.6g}, "
        f"standard deviation {figures.std or 0:.6g}{zeros}{rest}"
    )
