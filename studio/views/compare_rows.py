"""What a comparison shows, as cells: pure functions, tested without a window."""

from collections.abc import Sequence
from dataclasses import dataclass

from core import formatting
from core.history.compare import ComparisonRow, ComparisonTable, LayerComparison
from core.history.records import RunRecord
from core.history.verdict import Verdict
from studio.jobs.curves import RunCurves
from studio.tables.grid import Cell, Head
from studio.views.run_summary import chance_of_latency

GROUPS = ("Measurements", "Settings", "Origin")


@dataclass(frozen=True)
class Comparison:
    """Everything that the comparison shows. All tuples have one entry for each run, the first selected first.

    `colors` are indices into the theme's series; a run keeps its own as long as it is compared. `curves` and `layers`
    are None until somebody looks at them.
    """

    table: ComparisonTable
    colors: tuple[int, ...]
    curves: tuple[RunCurves, ...] | None = None
    layers: tuple[LayerComparison, ...] | None = None
    verdict: Verdict | None = None
    changes_against: str = ""
    """The run whose model the layers were compared with; "" while they were not."""

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
