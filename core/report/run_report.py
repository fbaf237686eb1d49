"""The report of one run: what it was asked, how it was measured, what came out, with everything to repeat it."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from core import formatting
from core.events import Finding
from core.export.vector_plot import lines_svg, matrix_svg
from core.findings import Cell, Lines, Matrix, Table, read_finding
from core.formatting import NOT_MEASURED
from core.history.compare import compare_table
from core.history.figures import FIGURES, Figure, protocol
from core.history.records import Artifact, RunRecord
from core.measurement.records import LayerStatistics, Measurement
from core.report.blocks import Block, Code, Grid, Heading, Paragraph, Picture, Report
from core.report.gathering import GatheredRun
from core.report.plots import curve_pictures, layer_picture
from core.report.prediction_blocks import blocks_within


def run_report(run: GatheredRun) -> Report:
    """Everything known of a run."""
    record = run.record
    blocks: list[Block] = []
    if record.error:
        blocks.append(Paragraph(f"The run failed: {record.error}"))
    if record.note:
        blocks += [Heading("Note"), Paragraph(record.note, preformatted=True)]
    blocks += _measured(record)
    if record.notices:
        blocks.append(Heading("What the run said"))
        blocks += [Paragraph(notice) for notice in record.notices]
    curves = curve_pictures([run])
    if curves:
        blocks += [Heading("Curves"), *curves]
    blocks += blocks_within(run)
    blocks += _layers(run)
    blocks += finding_blocks(run.findings)
    blocks += [Heading("What was asked"), facts(record)]
    blocks += _files(run.artifacts)
    blocks += [
        Heading("Recipe"),
        Paragraph(
            "Save this as recipe.json to run it again, in the window or on the command line.", muted=True
        ),
        Code(json.dumps(record.recipe, indent=2, ensure_ascii=False)),
    ]
    return Report(f"Run {record.number}: {record.name}", subtitle_of(record), tuple(blocks))


def subtitle_of(record: RunRecord) -> str:
    """What a run was, in one line."""
    moment = datetime.fromtimestamp(record.started or record.created).astimezone()
    parts = [record.source_title, record.task_title, record.method, record.status]
    if record.stopped_early:
        parts.append("stopped early")
    return " · ".join([*(part for part in parts if part), moment.strftime("%Y-%m-%d %H:%M %Z").strip()])


def facts(*records: RunRecord) -> Grid:
    """Where runs started from, and every setting of their recipes."""
    table = compare_table(records)
    rows: list[tuple[str, ...]] = []
    for group in ("Origin", "Settings"):
        rows.append((group,))
        rows += [(row.label, *row.texts) for row in table.rows if row.group == group]
    head = ("", *(f"Run {record.number}" for record in records)) if len(records) > 1 else ("", "")
    return Grid(head, tuple(rows))


def finding_blocks(findings: Iterable[Finding], prefix: str = "") -> list[Block]:
    """Findings in their forms; those of unknown forms are named and left out."""
    blocks: list[Block] = []
    for finding in findings:
        blocks.append(Heading(f"{prefix}{finding.title}"))
        form = read_finding(finding.data)
        match form:
            case Lines():
                blocks.append(Picture(lines_svg(form), form.note))
            case Matrix():
                blocks.append(Picture(matrix_svg(form), form.note))
            case Table():
                blocks.append(_table(form))
                if form.note:
                    blocks.append(Paragraph(form.note, muted=True))
            case None:
                blocks.append(Paragraph("This version does not know how to show this finding.", muted=True))
    return blocks


def protocol_paragraphs(measurements: Sequence[Measurement]) -> list[Paragraph]:
    """How the figures of these measurements were obtained, each sentence once."""
    sentences = []
    for one in measurements:
        if one.accuracy is not None:
            accuracy = one.accuracy
            sentences.append(
                f"Accuracy: top-1 on the {accuracy.split} split of {accuracy.task}, "
                f"{formatting.count(accuracy.count)} examples, with the 95 % Wilson interval."
            )
        sentences.append(f"Packed size: {one.packing}.")
        if one.macs is not None and one.input_shape is not None:
            shape = " × ".join(str(size) for size in one.input_shape)
            sentences.append(f"MACs: multiply-accumulates of one forward pass of one example of {shape}.")
        if one.latency is not None:
            sentences.append(f"Latency: median wall time of one forward pass; {protocol(one.latency)}.")
    sentences.append(
        "Sparsity: exact zeros among the weights of prunable layers, biases and normalisation apart."
    )
    return [Paragraph(sentence, muted=True) for sentence in dict.fromkeys(sentences)]


def _measured(record: RunRecord) -> list[Block]:
    before, after = record.before, record.after
    measured = [one for one in (before, after) if one is not None]
    if not measured:
        return [Paragraph("Nothing was measured.")]
    blocks: list[Block] = [Heading("Measurements")]
    if before is not None and after is not None:
        rows = [
            (figure.label, _shown(figure, before), _shown(figure, after), _change(figure, before, after))
            for figure in FIGURES
            if figure.pick(before) is not None or figure.pick(after) is not None
        ]
        blocks.append(Grid(("", "Before", "After", "Change"), tuple(rows), frozenset({1, 2, 3})))
        blocks += _remarks(before, after)
    else:
        (only,) = measured
        rows_of_one = [
            (figure.label, _shown(figure, only)) for figure in FIGURES if figure.pick(only) is not None
        ]
        blocks.append(Grid(("", ""), tuple(rows_of_one), frozenset({1})))
    return [*blocks, *protocol_paragraphs(measured)]


def _shown(figure: Figure, measurement: Measurement) -> str:
    return NOT_MEASURED if figure.pick(measurement) is None else figure.show(measurement)


def _change(figure: Figure, before: Measurement, after: Measurement) -> str:
    old, new = figure.pick(before), figure.pick(after)
    if old is None or new is None or figure.incomparable(after, before):
        return ""
    return figure.difference(new, old)


def _remarks(before: Measurement, after: Measurement) -> list[Paragraph]:
    """Why some figures have no change, or one that may be chance."""
    remarks = []
    for figure in FIGURES:
        if figure.pick(before) is not None and figure.pick(after) is not None:
            remark = figure.incomparable(after, before) or figure.remark(after, before)
            if remark:
                remarks.append(Paragraph(f"{figure.label}: {remark}"))
    return remarks


def _layers(run: GatheredRun) -> list[Block]:
    layers = run.after or run.before
    if not layers:
        return []
    old = {layer.name: layer for layer in run.before}
    rows = [_layer_row(layer, old.get(layer.name) if run.after else None) for layer in layers]
    head = ("Layer", "Kind", "Shape", "Weights", "Not zero", "Zeros before", "Zeros")
    picture = layer_picture([run])
    pictures = [picture] if picture is not None else []
    return [Heading("Layers"), *pictures, Grid(head, tuple(rows), frozenset({3, 4, 5, 6}))]


def _layer_row(layer: LayerStatistics, old: LayerStatistics | None) -> tuple[str, ...]:
    return (
        layer.name,
        layer.kind,
        " × ".join(str(size) for size in layer.shape),
        formatting.count(layer.weights),
        formatting.count(layer.nonzero_weights),
        NOT_MEASURED if old is None else formatting.percent(old.sparsity),
        formatting.percent(layer.sparsity),
    )


def _files(artifacts: Sequence[Artifact]) -> list[Block]:
    if not artifacts:
        return []
    rows = tuple((file.kind, f"{formatting.count(file.size)} bytes", file.sha256) for file in artifacts)
    return [Heading("Files"), Grid(("File", "Size", "SHA-256"), rows, frozenset({1}))]


def _table(table: Table) -> Grid:
    head = tuple(f"{title} ({unit})" if unit else title for title, unit in table.columns)
    numeric = frozenset(
        index
        for index in range(len(table.columns))
        if any(isinstance(row[index], int | float) for row in table.rows)
    )
    return Grid(head, tuple(tuple(_cell(cell) for cell in row) for row in table.rows), numeric)


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return NOT_MEASURED
        case bool():
            return "yes" if cell else "no"
        case int():
            return formatting.count(cell)
        case float():
            return formatting.significant(cell, 4)
        case _:
            return cell
