"""What a run came to: gathered from its events, then told in a table, in JSON, or as files."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import formatting
from core.cli.monitor import layer_to_json
from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.events import (
    ArtifactWritten,
    Cancelled,
    EndEvent,
    Event,
    Failed,
    Finished,
    Interrupted,
    LayersMeasured,
    Measured,
    Notice,
    RunStarted,
)
from core.files import write_text, written_whole
from core.measurement.records import Accuracy, Latency, LayerStatistics, Measurement, measurement_to_json
from core.request import RunRequest

STATUS: dict[type[EndEvent], str] = {
    Finished: "finished",
    Failed: "failed",
    Cancelled: "cancelled",
    Interrupted: "interrupted",
}


class Outcome:
    """Takes every event of one run and remembers what counts at its end."""

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.number: int | None = None
        self.started: RunStarted | None = None
        self.end: EndEvent | None = None
        self.measurements: dict[str, Measurement] = {}
        self.layers: dict[str, tuple[LayerStatistics, ...]] = {}
        self.artifacts: list[ArtifactWritten] = []
        self.notices: list[str] = []

    def take(self, event: Event) -> None:
        """Remember what counts."""
        match event:
            case RunStarted():
                self.started = event
            case Measured():
                self.measurements[event.stage] = event.measurement
            case LayersMeasured():
                self.layers[event.stage] = event.layers
            case ArtifactWritten():
                self.artifacts.append(event)
            case Notice():
                self.notices.append(event.text)
            case Finished() | Failed() | Cancelled() | Interrupted():
                self.end = event

    @property
    def before(self) -> Measurement | None:
        """The model as it came."""
        return self.measurements.get("before")

    @property
    def after(self) -> Measurement | None:
        """The result."""
        return self.measurements.get("after")

    def to_json(self) -> dict[str, Any]:
        """Everything about the run, JSON-ready."""
        request = self.request
        return {
            "run_id": request.run_id,
            "number": self.number,
            "status": None if self.end is None else STATUS[type(self.end)],
            "stopped_early": isinstance(self.end, Finished) and self.end.stopped_early,
            "error": self.end.message if isinstance(self.end, Failed) else None,
            "model": request.source.to_text(),
            "source": request.source.to_json(),
            "source_sha256": None if self.started is None else self.started.source_sha256,
            "task": None if request.task is None else request.task.to_json(),
            "recipe": request.recipe.model_dump(mode="json"),
            "seed": request.seed,
            "environment": {} if self.started is None else dict(self.started.environment),
            "before": None if self.before is None else measurement_to_json(self.before),
            "after": None if self.after is None else measurement_to_json(self.after),
            "layers": {
                stage: [layer_to_json(layer) for layer in layers] for stage, layers in self.layers.items()
            },
            "artifacts": [
                {"kind": file.kind, "path": file.path, "size": file.size, "sha256": file.sha256}
                for file in self.artifacts
            ],
            "notices": self.notices,
        }


def copy_artifacts(outcome: Outcome, folder: Path) -> list[Path]:
    """Put the files of a finished run into `folder`: model.safetensors, recipe.json, measurements.json, exported
    files and, where there are zeros, model.packed.

    Raises:
        StudioError: if the folder cannot be written.
    """
    copies = []
    for artifact in outcome.artifacts:
        if artifact.kind not in ("model", "packed", "recipe", "onnx", "onnx-int8", "torch-export"):
            continue
        source = Path(artifact.path)
        target = (folder / source.name).absolute()
        with written_whole(target) as temporary:
            shutil.copyfile(source, temporary)
        copies.append(replace(artifact, path=str(target)))
    # From here on the outcome speaks of the copies: they are what the user asked for.
    outcome.artifacts = copies
    measurements = folder / "measurements.json"
    write_text(measurements, to_json(outcome.to_json()) + "\n")
    return [*(Path(copy.path) for copy in copies), measurements]


def check_output_folder(folder: Path) -> None:
    """Make the folder and see that it can be written, before hours are spent.

    Raises:
        StudioError: if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror
        raise StudioError(f"{folder} cannot be written to ({why}): give --out another folder.") from error


def measurement_table(before: Measurement | None, after: Measurement | None) -> str:
    """Before, after and the change of everything that was measured; one column where there is only one."""
    columns = [measurement for measurement in (before, after) if measurement is not None]
    rows = []
    for label, cells in _rows(columns):
        change = _change(label, columns) if len(columns) == 2 else ""
        rows.append((label, *cells, change))
    headers = ("", "before", "after", "change") if len(columns) == 2 else ("", "", "")
    return text_table(headers, rows, right=range(1, len(headers)))


def protocol_lines(measurement: Measurement) -> list[str]:
    """How the figures were obtained, in sentences."""
    packing = measurement.packing.removeprefix("packed file: ")
    lines = [f"Packed: {packing}. Zeros do not shrink the dense file."]
    if measurement.accuracy is not None:
        accuracy = measurement.accuracy
        lines.append(
            f"Accuracy: top 1 on {accuracy.count:,} examples ({_split_words(accuracy)} of {accuracy.task}), with the "
            "95 % Wilson interval."
        )
    if measurement.latency is not None:
        latency = measurement.latency
        busy = " The machine was busy: the figure is uncertain." if latency.machine_busy else ""
        lines.append(
            f"Latency: batch {latency.batch_size}, {latency.threads} threads, {latency.runtime} on {latency.device}, "
            f"{latency.warmup} warm-ups, median and quartiles of {latency.repetitions}.{busy}"
        )
    return lines


def _split_words(accuracy: Accuracy) -> str:
    return "all images" if accuracy.split == "all" else f"{accuracy.split} split"


def _rows(columns: list[Measurement]) -> list[tuple[str, list[str]]]:
    rows: list[tuple[str, list[str]]] = []

    def add(label: str, cells: list[str]) -> None:
        if any(cell != formatting.NOT_MEASURED for cell in cells):
            rows.append((label, cells))

    none = formatting.NOT_MEASURED
    accuracies = [column.accuracy for column in columns]
    add("Accuracy", [none if a is None else formatting.percent(a.value) for a in accuracies])
    add(
        "  95 % interval",
        [none if a is None else f"{100 * a.low:.2f} – {formatting.percent(a.high)}" for a in accuracies],
    )
    add("  correct", [none if a is None else f"{a.correct:,} of {a.count:,}" for a in accuracies])
    add("  loss", [none if a is None else formatting.significant(a.loss) for a in accuracies])
    add("Parameters", [formatting.count(column.parameters) for column in columns])
    add("Prunable weights", [formatting.count(column.weights) for column in columns])
    add("  not zero", [formatting.count(column.nonzero_weights) for column in columns])
    add("  sparsity", [formatting.percent(column.sparsity) for column in columns])
    add("MACs", [formatting.macs(column.macs) for column in columns])
    add("Dense file", [formatting.data_size(column.dense_bytes) for column in columns])
    add("Packed", [formatting.data_size(column.packed_bytes) for column in columns])
    latencies = [column.latency for column in columns]
    add("Latency", [none if b is None else formatting.milliseconds(b.median_ms) for b in latencies])
    add(
        "  quartiles",
        [
            none
            if b is None
            else f"{formatting.significant(b.lower_quartile_ms)} – {formatting.milliseconds(b.upper_quartile_ms)}"
            for b in latencies
        ],
    )
    return rows


def _change(label: str, columns: list[Measurement]) -> str:
    before, after = columns
    if label == "Accuracy" and before.accuracy is not None and after.accuracy is not None:
        return formatting.points(after.accuracy.value - before.accuracy.value)
    if label == "Packed":
        return _times(before.packed_bytes, after.packed_bytes, "smaller")
    if label == "Dense file":
        return _times(before.dense_bytes, after.dense_bytes, "smaller")
    if label == "Latency" and before.latency is not None and after.latency is not None:
        return _latency_change(before.latency, after.latency)
    return ""


def _latency_change(before: Latency, after: Latency) -> str:
    apart = (
        before.upper_quartile_ms < after.lower_quartile_ms
        or after.upper_quartile_ms < before.lower_quartile_ms
    )
    # Medians whose quartiles overlap differ by chance as likely as not.
    return _times(before.median_ms, after.median_ms, "faster") if apart else "within the spread"


def _times(before: float, after: float, better: str) -> str:
    """How many times `better` the second is, or `worse` where it is not; "" where they are about the same."""
    worse = {"smaller": "larger", "faster": "slower"}[better]
    if min(before, after) <= 0 or abs(before / after - 1) < 0.005:
        return ""
    ratio = max(before, after) / min(before, after)
    return f"{formatting.significant(ratio)}× {better if before > after else worse}"
