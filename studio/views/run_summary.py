"""What the details of a run say, as cells: pure functions from records to rows, tested without a window."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core import formatting
from core.events import Finding
from core.formatting import NOT_MEASURED
from core.history.figures import FIGURES, Figure, protocol
from core.history.records import Artifact, RunRecord
from core.measurement.records import LayerStatistics, Measurement
from core.registry import STEP_KINDS
from studio.jobs.curves import RunCurves
from studio.tables.grid import Cell, Head
from studio.tables.run_columns import local_time, wall_seconds

DENSE_TIP = "An ordinary file stores zeros like any other weight: zeros do not shrink it."
SPARSITY_TIP = "Zeros among the weights of prunable layers; biases and normalisation are not counted."


@dataclass(frozen=True)
class RunDetail:
    """What is fetched for the selected run beyond its record."""

    record: RunRecord
    curves: RunCurves
    layers_before: tuple[LayerStatistics, ...] = ()
    layers_after: tuple[LayerStatistics, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    findings: tuple[Finding, ...] = ()


SUMMARY_HEADS = (
    Head("Measured", "What was measured"),
    Head("Before", "The model that the run started from", right=True),
    Head("After", "The result of the run", right=True),
    Head("Change", "After against before", right=True),
)


def summary_rows(before: Measurement | None, after: Measurement | None) -> list[tuple[Cell, ...]]:
    """One row for each figure that was measured at all, with intervals and counts below the accuracy."""
    rows: list[tuple[Cell, ...]] = []
    for figure in FIGURES:
        values = [None if one is None else figure.pick(one) for one in (before, after)]
        if all(value is None for value in values):
            continue
        tips = [_full_tip(figure, one) for one in (before, after)]
        rows.append(
            (
                Cell(figure.label, _label_tip(figure.label)),
                Cell(_value(figure, before), tips[0], right=True),
                Cell(_value(figure, after), tips[1], right=True),
                _change(figure, before, after),
            )
        )
        if figure.label == "Accuracy":
            rows.append(_pair("95 % interval", _interval, before, after, "Wilson score interval."))
            rows.append(
                _pair("examples", _examples, before, after, "How many held-out examples it was judged on.")
            )
        if figure.label == "Latency":
            rows.append(_pair("quartiles", _quartiles, before, after, "Half of the repetitions lie between."))
    return rows


def protocol_text(before: Measurement | None, after: Measurement | None) -> str:
    """How the figures were obtained, in words."""
    sentences = []
    one = after or before
    if one is None:
        return "Nothing was measured."
    if one.accuracy is not None:
        sentences.append(
            f"Accuracy: top-1 on the {one.accuracy.split} split, {formatting.count(one.accuracy.count)} examples."
        )
    sentences.append(f"Packed size: {one.packing}.")
    if one.nonzero_weights < one.weights:
        sentences.append("Zeros do not shrink the dense file; the packed encoding leaves them out.")
    if one.macs is not None and one.input_shape is not None:
        shape = " × ".join(str(size) for size in one.input_shape)
        sentences.append(f"MACs: one example of {shape}.")
    if one.latency is not None:
        busy = " The machine was busy meanwhile." if one.latency.machine_busy else ""
        sentences.append(f"Latency: median, {protocol(one.latency)}.{busy}")
    return " ".join(sentences)


LAYER_HEADS = (
    Head("Layer"),
    Head("Weights", "Without bias", right=True),
    Head("Non-zero", "After the run", right=True),
    Head("Before", "Sparsity before the run", right=True),
    Head("After", "Sparsity after the run", right=True),
)


def layer_rows(before: Sequence[LayerStatistics], after: Sequence[LayerStatistics]) -> list[tuple[Cell, ...]]:
    """One row for each layer, and their sum."""
    earlier = {layer.name: layer for layer in before}
    now = after or before
    rows = []
    for layer in now:
        old = earlier.get(layer.name)
        shape = " × ".join(str(size) for size in layer.shape)
        rows.append(
            (
                Cell(layer.name, f"{layer.name}: {layer.kind}, {shape}"),
                Cell(formatting.count(layer.weights), right=True),
                Cell(formatting.count(layer.nonzero_weights), right=True),
                Cell(
                    "" if old is None else formatting.percent(old.sparsity, 1),
                    "" if old is None else formatting.percent(old.sparsity, 6),
                    tone="muted",
                    right=True,
                ),
                _after_cell(layer) if after else Cell(),
            )
        )
    if len(now) > 1:
        weights, alive = sum(layer.weights for layer in now), sum(layer.nonzero_weights for layer in now)
        was = sum(layer.nonzero_weights for layer in before)
        total = sum(layer.weights for layer in before)
        rows.append(
            (
                Cell("All layers", tone="heading"),
                Cell(formatting.count(weights), tone="heading", right=True),
                Cell(formatting.count(alive), tone="heading", right=True),
                Cell(
                    formatting.percent(1 - was / total, 1) if total else "",
                    tone="heading",
                    right=True,
                ),
                Cell(
                    formatting.percent(1 - alive / weights, 1) if after and weights else "",
                    tone="heading",
                    right=True,
                ),
            )
        )
    return rows


def setting_rows(record: RunRecord) -> list[tuple[Cell, ...]]:
    """Where the run started from, and every setting of its recipe."""
    rows = [
        _fact("Model", record.source_title, str(record.source.get("name", ""))),
        _fact("File SHA-256", record.source_sha256 or ""),
        _fact("Task", record.task_title),
        _fact("Seed", str(record.seed)),
        _fact("Device asked for", record.device),
        _fact("Recipe", str(record.recipe.get("name", ""))),
    ]
    steps = [step for step in record.recipe.get("steps", []) if isinstance(step, dict)]
    for number, step in enumerate(steps, start=1):
        kind = str(step.get("step"))
        definition = STEP_KINDS.get(kind)
        title = definition.settings.title if definition is not None else kind
        rows.append((Cell(f"{number} {title}", tone="heading"), Cell()))
        for name, value in step.items():
            if name == "step":
                continue
            info = definition.settings.model_fields.get(name) if definition is not None else None
            label = (info.title or name) if info is not None else name
            hints = info.json_schema_extra if info is not None else None
            percent = isinstance(hints, dict) and bool(hints.get("percent"))
            tip = (info.description or "") if info is not None else ""
            rows.append((Cell(label, tip), Cell(_setting(value, percent))))
    return [row for row in rows if row[1].text or row[0].tone]


def environment_rows(record: RunRecord) -> list[tuple[Cell, ...]]:
    """What the run ran on, and when."""
    rows = [_fact(key, value) for key, value in record.environment.items()]
    rows += [
        _fact("submitted", local_time(record.created)),
        _fact("started", local_time(record.started)),
        _fact("ended", local_time(record.ended)),
        _fact("duration", "" if (took := wall_seconds(record)) is None else formatting.duration(took)),
        _fact("run id", record.run_id),
    ]
    return [(Cell("Environment", tone="heading"), Cell()), *(row for row in rows if row[1].text)]


ARTIFACT_HEADS = (Head("File"), Head("Size", right=True), Head("SHA-256"))


def artifact_rows(artifacts: Iterable[Artifact]) -> list[tuple[Cell, ...]]:
    """The files that the run wrote."""
    return [
        (
            Cell(artifact.kind, artifact.path),
            Cell(formatting.data_size(artifact.size), f"{artifact.size:,} bytes", right=True),
            Cell(artifact.sha256, artifact.sha256, tone="muted"),
        )
        for artifact in artifacts
    ]


def model_artifact(artifacts: Iterable[Artifact]) -> Artifact | None:
    """The saved result, if the run wrote one."""
    return next((artifact for artifact in artifacts if artifact.kind == "model"), None)


def _fact(label: str, value: str, tip: str = "") -> tuple[Cell, ...]:
    return Cell(label, tone="muted"), Cell(value, tip or value)


def _setting(value: object, percent: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_setting(one, percent)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_setting(one, percent) for one in value) or "none"
    if percent and isinstance(value, int | float):
        return f"{100 * value:.6g} %"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _after_cell(layer: LayerStatistics) -> Cell:
    return Cell(formatting.percent(layer.sparsity, 1), formatting.percent(layer.sparsity, 6), right=True)


def _value(figure: Figure, measurement: Measurement | None) -> str:
    if measurement is None or figure.pick(measurement) is None:
        return NOT_MEASURED
    # What stands in brackets (interval, packing, quartiles) has rows or a tooltip of its own here.
    text = figure.show(measurement).partition(" (")[0]
    return text.partition(" of ")[0]


def _full_tip(figure: Figure, measurement: Measurement | None) -> str:
    if measurement is None:
        return "Not measured."
    value = figure.pick(measurement)
    if value is None:
        return "Not measured."
    exact = f"{value:,}" if isinstance(value, int) else f"{value:.10g}"
    return f"{figure.show(measurement)}\nexactly {exact}"


def _label_tip(label: str) -> str:
    return {
        "Sparsity": SPARSITY_TIP,
        "Dense file": DENSE_TIP,
        "Packed size": "The same tensors in a sparse encoding, named below.",
        "Latency": "Median time of one forward pass; how it was measured stands below.",
        "Loss": "Mean cross-entropy on the same examples.",
    }.get(label, label)


def _change(figure: Figure, before: Measurement | None, after: Measurement | None) -> Cell:
    if before is None or after is None:
        return Cell()
    old, new = figure.pick(before), figure.pick(after)
    if old is None or new is None:
        return Cell()
    if reason := figure.incomparable(after, before):
        return Cell(NOT_MEASURED, reason, tone="muted", right=True)
    better = figure.sense * ((new > old) - (new < old))
    chance = chance_of_latency(after, before) if figure.label == "Latency" else ""
    if chance:
        return Cell("within the spread", chance, tone="muted", right=True)
    tip = figure.remark(after, before)
    # What may be chance is told, but not coloured as a gain or a loss.
    tone = "" if tip or not better else "good" if better > 0 else "bad"
    text = figure.difference(new, old)
    if figure.label == "Dense file" and new == old:
        tip = DENSE_TIP
    return Cell(text, tip or text, tone=tone, right=True)


def chance_of_latency(one: Measurement, other: Measurement) -> str:
    """Why a difference of latencies proves nothing; "" where the quartiles lie apart."""
    if one.latency is None or other.latency is None:
        return ""
    apart = (
        one.latency.lower_quartile_ms > other.latency.upper_quartile_ms
        or other.latency.lower_quartile_ms > one.latency.upper_quartile_ms
    )
    return "" if apart else "The quartiles overlap: this may be chance."


def _pair(
    label: str, show: object, before: Measurement | None, after: Measurement | None, tip: str
) -> tuple[Cell, ...]:
    assert callable(show)
    return (
        Cell(f"    {label}", tip, tone="muted"),
        Cell(show(before), tone="muted", right=True),
        Cell(show(after), tone="muted", right=True),
        Cell(),
    )


def _interval(measurement: Measurement | None) -> str:
    if measurement is None or measurement.accuracy is None:
        return ""
    return f"{100 * measurement.accuracy.low:.1f}–{formatting.percent(measurement.accuracy.high, 1)}"


def _examples(measurement: Measurement | None) -> str:
    if measurement is None or measurement.accuracy is None:
        return ""
    return f"{formatting.count(measurement.accuracy.count)} {measurement.accuracy.split}"


def _quartiles(measurement: Measurement | None) -> str:
    if measurement is None or measurement.latency is None:
        return ""
    low = formatting.significant(measurement.latency.lower_quartile_ms)
    return f"{low}–{formatting.milliseconds(measurement.latency.upper_quartile_ms)}"
