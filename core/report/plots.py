"""The plots of reports: curves of runs, zeros by layer, accuracy against bytes."""

from collections.abc import Sequence

from core.export.vector_plot import lines_svg, matrix_svg
from core.findings import Line, Lines, Matrix
from core.history.alignment import align_curves, compare_layers
from core.history.records import RunRecord
from core.report.blocks import Picture
from core.report.gathering import GatheredRun

MOST_POINTS = 500
"""A curve is thinned to about so many points, which is more than the plot has pixels to tell apart."""

PERCENT_METRICS = ("accuracy", "sparsity")


def curve_pictures(runs: Sequence[GatheredRun]) -> list[Picture]:
    """One plot for each metric that any of the runs recorded, over parameter updates."""
    numbers = {run.record.run_id: run.record.number for run in runs}
    curves = align_curves([point for run in runs for point in run.points], "iteration")
    pictures = []
    for metric in dict.fromkeys(curve.metric for curve in curves):
        scale = 100 if metric in PERCENT_METRICS else 1
        lines = []
        for curve in curves:
            if curve.metric != metric or len(curve.x) < 2:
                continue
            step = max(1, len(curve.x) // MOST_POINTS)
            # The last point is what the run ended with: it stays.
            kept = sorted({*range(0, len(curve.x), step), len(curve.x) - 1})
            name = curve.split if len(runs) == 1 else f"run {numbers[curve.run_id]}, {curve.split}"
            lines.append(
                Line(
                    name,
                    tuple(curve.x[n] for n in kept),
                    tuple(curve.y[n] * scale for n in kept),
                    dashed=curve.split == "train",
                )
            )
        if lines:
            label = f"{metric} (%)" if scale == 100 else metric
            pictures.append(Picture(lines_svg(Lines(tuple(lines), "iterations", label), metric.capitalize())))
    return pictures


def layer_picture(runs: Sequence[GatheredRun]) -> Picture | None:
    """Zeros by layer as layers × runs (or before and after of a single run); None without pruned layers."""
    if len(runs) == 1:
        sides = [("before", runs[0].before), ("after", runs[0].after)]
    else:
        sides = [(f"run {run.record.number}", run.after or run.before) for run in runs]
    sides = [(name, layers) for name, layers in sides if layers]
    rows = compare_layers([layers for _, layers in sides])
    if not rows or not any(sparsity for row in rows for sparsity in row.sparsities):
        return None
    matrix = Matrix(
        tuple(tuple(None if s is None else 100 * s for s in row.sparsities) for row in rows),
        tuple(row.name for row in rows),
        tuple(name for name, _ in sides),
        "layer",
        "",
        "%",
        low=0,
        high=100,
    )
    return Picture(
        matrix_svg(matrix, "Zeros by layer", width=560), "Exact zeros in the weights of each layer."
    )


def trade_off_picture(records: Sequence[RunRecord]) -> Picture | None:
    """Accuracy over the packed file's bytes, one point for each run; None with fewer than two such runs."""
    lines = []
    for record in records:
        measured = record.after or record.before
        if measured is None or measured.accuracy is None:
            continue
        accuracy = measured.accuracy
        lines.append(
            Line(
                f"run {record.number}: {record.name}",
                (measured.packed_bytes / 1000,),
                (100 * accuracy.value,),
                (100 * accuracy.low,),
                (100 * accuracy.high,),
            )
        )
    if len(lines) < 2:
        return None
    plot = Lines(tuple(lines), "packed file (kB)", "accuracy (%)", log_x=True)
    return Picture(
        lines_svg(plot, "Accuracy against size"),
        "Bars are 95 % Wilson intervals. Up and left is better.",
    )
