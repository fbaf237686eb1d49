"""What a comparison shows, as cells and points: pure functions, tested without a window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core import formatting
from core.analysis.colormaps import CIVIDIS
from core.history.compare import ComparisonRow, ComparisonTable, LayerComparison
from core.history.pareto import pareto
from core.history.records import RunRecord
from core.measurement.records import LayerStatistics, Measurement
from studio.jobs.curves import RunCurves
from studio.tables.grid import Cell, Head
from studio.tables.run_columns import result_of
from studio.views.run_summary import chance_of_latency

GROUPS = ("Measurements", "Settings", "Origin")


@dataclass(frozen=True)
class Comparison:
    """Everything that the comparison shows. All tuples have one entry for each run, the first selected first.

    `colors` are indices into the theme's series; a run keeps its own as long as it is compared.
    """

    table: ComparisonTable
    colors: tuple[int, ...]
    curves: tuple[RunCurves, ...] = ()
    layers: tuple[LayerComparison, ...] = ()

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs."""
        return self.table.records


def short_name(record: RunRecord) -> str:
    """How plots and heads call a run: `#12 prune 80 %`."""
    return f"#{record.number} {record.name}"


def table_heads(comparison: Comparison, colors: Sequence[str]) -> list[Head]:
    """The heads of the table; the baseline is marked."""
    base = comparison.records[comparison.table.baseline]
    heads = [Head(f"Against #{base.number}", f"Differences count from {short_name(base)}.")]
    for index, record in enumerate(comparison.records):
        baseline = index == comparison.table.baseline
        tip = f"{record.name} on {record.source_title}" + (
            ": differences count from this run" if baseline else ""
        )
        heads.append(
            Head(
                short_name(record),
                tip,
                color=colors[comparison.colors[index] % len(colors)],
            )
        )
    return heads


def table_rows(table: ComparisonTable, only_differences: bool) -> list[tuple[Cell, ...]]:
    """The rows under a heading for each group; groups without rows are left out."""
    rows: list[tuple[Cell, ...]] = []
    for group in GROUPS:
        found = [row for row in table.rows if row.group == group and (row.differs or not only_differences)]
        if not found:
            continue
        rows.append((Cell(group, tone="heading"), *(Cell() for _ in table.records)))
        for row in found:
            rows.append((Cell(row.label), *(_cell(table, row, index) for index in range(len(table.records)))))
            if row.label.startswith("Accuracy"):
                rows.append(_interval_row(table, row.label.rpartition(" ")[2]))
    return rows


def _cell(table: ComparisonTable, row: ComparisonRow, index: int) -> Cell:
    text, difference = row.texts[index], row.differences[index]
    note = row.notes[index] or (_latency_note(table, row, index) if difference else "")
    better = row.better[index]
    # What may be chance, or is not quite the same thing, is told but not coloured as a gain or a loss.
    tone = "" if note else "good" if better == 1 else "bad" if better == -1 else ""
    short = text.partition(" (")[0]
    if row.group == "Measurements":
        short = short.partition(" of ")[0]
    tip = "\n".join(part for part in (text, difference, note) if part)
    if not difference and not note:
        return Cell(short, tip, tone="muted" if row.values[index] is None else "")
    mark = " *" if note else ""
    return Cell(f"{short}   {difference}{mark}".rstrip(), tip, tone=tone)


def _latency_note(table: ComparisonTable, row: ComparisonRow, index: int) -> str:
    if row.label not in ("Latency before", "Latency after"):
        return ""
    stage = row.label.rpartition(" ")[2]
    measured = [getattr(table.records[at], stage) for at in (index, table.baseline)]
    return chance_of_latency(measured[0], measured[1])


def _interval_row(table: ComparisonTable, stage: str) -> tuple[Cell, ...]:
    cells = [Cell("    95 % interval", "Wilson score interval, and how many examples", tone="muted")]
    for record in table.records:
        measurement = record.before if stage == "before" else record.after
        accuracy = None if measurement is None else measurement.accuracy
        text = (
            ""
            if accuracy is None
            else f"{100 * accuracy.low:.1f}–{formatting.percent(accuracy.high, 1)}, n = {accuracy.count:,}"
        )
        cells.append(Cell(text, tone="muted"))
    return tuple(cells)


# -- accuracy against size -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SizeAxis:
    """One choice for the horizontal axis."""

    name: str
    title: str
    show: Callable[[float], str]
    pick: Callable[[Measurement], float | None]
    smaller_is_better: bool = True


SIZE_AXES: tuple[SizeAxis, ...] = (
    SizeAxis("packed", "packed size", lambda v: formatting.data_size(round(v)), lambda m: m.packed_bytes),
    SizeAxis("dense", "dense size", lambda v: formatting.data_size(round(v)), lambda m: m.dense_bytes),
    SizeAxis("macs", "multiply-accumulates", lambda v: formatting.macs(round(v)), lambda m: m.macs),
    SizeAxis(
        "latency",
        "latency",
        formatting.milliseconds,
        lambda m: None if m.latency is None else m.latency.median_ms,
    ),
    SizeAxis(
        "sparsity",
        "sparsity",
        lambda v: formatting.percent(v, 1),
        lambda m: m.sparsity,
        smaller_is_better=False,
    ),
)


@dataclass(frozen=True)
class ScatterPoint:
    """One model in the scatter. `color` is None for the model before a run; `mark` stands beside the point."""

    run_id: str
    label: str
    mark: str
    x: float
    accuracy: float
    low: float
    high: float
    color: int | None
    on_front: bool


def scatter_points(comparison: Comparison, axis: SizeAxis) -> tuple[ScatterPoint, ...]:
    """Each run's result, and each distinct model that runs started from; runs without both figures are left out."""
    candidates: list[tuple[str, str, str, Measurement, int | None]] = []
    started_from: set[tuple[str, float, float]] = set()
    for record, color in zip(comparison.records, comparison.colors, strict=True):
        before = record.before
        if before is not None and before is not result_of(record) and before.accuracy is not None:
            key = (record.source_title, before.accuracy.value, before.dense_bytes)
            if key not in started_from:
                started_from.add(key)
                candidates.append((record.run_id, f"before: {record.source_title}", "before", before, None))
        after = result_of(record)
        if after is not None:
            candidates.append((record.run_id, short_name(record), f"#{record.number}", after, color))
    known = [
        (run_id, label, mark, float(x), measurement.accuracy, color)
        for run_id, label, mark, measurement, color in candidates
        if (x := axis.pick(measurement)) is not None and measurement.accuracy is not None
    ]
    front = pareto(
        [(x, accuracy.value) for _, _, _, x, accuracy, _ in known],
        smaller_is_better=(axis.smaller_is_better, False),
    )
    return tuple(
        ScatterPoint(run_id, label, mark, x, accuracy.value, accuracy.low, accuracy.high, color, on_front)
        for (run_id, label, mark, x, accuracy, color), on_front in zip(known, front, strict=True)
    )


# -- layers ----------------------------------------------------------------------------------------------------

LAYER_FIGURES: Mapping[str, tuple[str, Callable[[LayerStatistics], float], Callable[[float], str]]] = {
    "sparsity": ("Sparsity", lambda layer: layer.sparsity, lambda v: formatting.percent(v, 1)),
    "nonzero": (
        "Non-zero weights",
        lambda layer: layer.nonzero_weights,
        lambda v: formatting.count(round(v)),
    ),
}


def layer_rows(layers: Sequence[LayerComparison], figure: str) -> list[tuple[Cell, ...]]:
    """Layers × runs: the cell's colour is the sparsity, its text the chosen figure; blank where a run lacks it."""
    _title, pick, show = LAYER_FIGURES[figure]
    rows = []
    for layer in layers:
        shape = " × ".join(str(size) for size in layer.shape)
        cells = [Cell(layer.name, f"{layer.name}: {layer.kind}, {shape}")]
        for one in layer.layers:
            if one is None:
                cells.append(Cell("", "This run's model has no such layer, or it was not measured."))
                continue
            background, ink = heat(one.sparsity)
            tip = f"{formatting.percent(one.sparsity, 4)} of {formatting.count(one.weights)} weights are zero"
            cells.append(Cell(show(pick(one)), tip, right=True, background=background, ink=ink))
        rows.append(tuple(cells))
    return rows


def heat(fraction: float) -> tuple[str, str]:
    """The cividis colour of a fraction in [0, 1], and black or white for text on it."""
    index = max(0, min(len(CIVIDIS) - 1, round(fraction * (len(CIVIDIS) - 1))))
    color = CIVIDIS[index]
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return color, "#000000" if bright > 0.18 else "#ffffff"
