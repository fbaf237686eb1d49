"""The report of a comparison: runs side by side, what differs first, with their plots and protocols."""

from collections.abc import Sequence

from core.history.compare import ComparisonRow, compare_table
from core.history.flips import paired_differences
from core.history.verdict import verdict
from core.report.blocks import Block, Grid, Heading, Paragraph, Report
from core.report.gathering import GatheredRun
from core.report.plots import curve_pictures, layer_picture, trade_off_picture
from core.report.prediction_blocks import blocks_between
from core.report.run_report import facts, finding_blocks, protocol_paragraphs, subtitle_of


def comparison_report(runs: Sequence[GatheredRun], baseline: int = 0) -> Report:
    """Two or more runs side by side; differences count from `runs[baseline]`.

    Raises:
        IndexError: if `baseline` is not the index of a run.
    """
    records = [run.record for run in runs]
    table = compare_table(records, baseline)
    numbers = ", ".join(str(record.number) for record in records)
    files = {run.record.run_id: run.artifacts for run in runs}
    found = verdict(records, baseline, paired_differences(files.__getitem__))
    blocks: list[Block] = []
    if found is not None:
        blocks.append(Paragraph(found.text))
        if found.method:
            blocks.append(Paragraph(found.method, muted=True))
    blocks += [
        Grid(
            ("Run", "Name", "What"),
            tuple((str(record.number), record.name, subtitle_of(record)) for record in records),
            frozenset({0}),
        ),
        Heading("Measurements"),
        _rows([row for row in table.rows if row.group == "Measurements"], runs, baseline),
        Paragraph(f"Changes count from run {records[baseline].number}.", muted=True),
        *_notes(table.rows, runs),
        *protocol_paragraphs([one for record in records for one in (record.before, record.after) if one]),
    ]
    blocks += blocks_between(runs, baseline)
    pictures = [
        picture for picture in (trade_off_picture(records), layer_picture(runs)) if picture is not None
    ]
    blocks += pictures
    settings = [row for row in table.differing() if row.group != "Measurements"]
    blocks.append(Heading("What differs in origin and settings"))
    if settings:
        blocks.append(_rows(settings, runs, baseline))
    else:
        blocks.append(Paragraph("Nothing: the runs were asked the same."))
    curves = curve_pictures(runs)
    if curves:
        blocks += [Heading("Curves"), *curves]
    for run in runs:
        blocks += finding_blocks(run.findings, f"Run {run.record.number}: ")
    blocks += [Heading("What was asked, in full"), facts(*records)]
    return Report(f"Comparison of runs {numbers}", f"Baseline: run {records[baseline].number}", tuple(blocks))


def _rows(rows: Sequence[ComparisonRow], runs: Sequence[GatheredRun], baseline: int) -> Grid:
    head = (
        "",
        *(
            f"Run {run.record.number}" + (" (baseline)" if index == baseline else "")
            for index, run in enumerate(runs)
        ),
    )
    cells = tuple(
        (
            row.label,
            *(
                f"{text}  {difference}".rstrip()
                for text, difference in zip(row.texts, row.differences, strict=True)
            ),
        )
        for row in rows
    )
    return Grid(head, cells)


def _notes(rows: Sequence[ComparisonRow], runs: Sequence[GatheredRun]) -> list[Paragraph]:
    """Why some figures have no difference, or one that may be chance."""
    notes = []
    for row in rows:
        for run, note in zip(runs, row.notes, strict=True):
            if note:
                notes.append(f"{row.label}, run {run.record.number}: {note}")
    return [Paragraph(note, muted=True) for note in notes]
