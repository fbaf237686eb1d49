"""The export step: write, open in the runtime, compare on held-out data, take times, and say what they mean."""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.split import Split
from core.errors import StudioError
from core.events import ArtifactWritten, Finding, Notice
from core.export.layer_times import LayerTime, layer_times
from core.export.runtime_file import (
    Runner,
    convert,
    integer_operators,
    open_onnx,
    open_program,
    require_libraries,
)
from core.export.settings import FILE_NAMES, ExportSettings
from core.files import sha256_of
from core.findings import Table
from core.formatting import count, data_size, percent, significant
from core.job import JobContext
from core.measurement.latency import times_in_turns
from core.models.layers import prunable_modules
from core.quantization.calibration import Calibration
from core.quantization.simulate import simulated
from core.run_state import RunState

CHECK = "export-check"
LATENCY = "export-latency"
LAYERS = "export-layers"
CHECK_BATCH = 128
CONVERSION_COST = 200.0
ALLOWED = 1e-3
"""So much of its largest output may a file in float32 differ from the model."""

RANDOM_EXAMPLES = 256


@dataclass(frozen=True)
class Agreement:
    """A file against the model on the same examples.

    Attributes:
        examples: how many; of the test split if `judged`, else random ones.
        correct, correct_file: right answers of either; 0 unless judged.
        same: equal answers.
        largest: difference between outputs.
        scale: the largest output of the model.
        sqnr: 10 · log10 of the outputs' power over that of the differences, in dB.
    """

    examples: int
    judged: bool
    correct: int
    correct_file: int
    same: int
    largest: float
    scale: float
    sqnr: float


def export_work(settings: ExportSettings, state: RunState) -> float:
    """Forward passes: calibration, two passes over the examples of the check, and the helper's work."""
    task = state.task
    split = None if task is None else task.test
    examples = min(settings.check_examples, len(split)) if split is not None else RANDOM_EXAMPLES
    return CONVERSION_COST + 2 * examples


def export(settings: ExportSettings, state: RunState, context: JobContext) -> None:
    """Write the model of `state` to the run's folder for another runtime; the model stays as it is.

    Raises:
        StudioError: where libraries, the input size or calibration examples are missing, the network cannot be
            exported, the disk is full, or a file in float32 does not answer as the model does.
    """
    require_libraries(settings.format)
    shape = state.description.input_shape
    if shape is None:
        raise StudioError(
            f"{state.description.source.title} cannot be exported, because its input size is not known."
        )
    out = context.folder / FILE_NAMES[settings.format]
    threads = torch.get_num_threads()
    module = state.module.eval()
    calibration = None
    if settings.format == "onnx-int8":
        examples = Calibration(settings.examples, state, context, settings.title)
        calibration = np.concatenate(
            [batch.cpu().numpy() for batch in examples.batches("reading examples", 0.0)]
        )

    def say(doing: str) -> None:
        context.advance(0.0, f"{settings.title}: {doing}")

    with tempfile.TemporaryDirectory(prefix="export-") as name:
        folder = Path(name)
        whole = folder / "float.onnx"
        convert(
            module,
            shape,
            settings.format,
            out,
            calibration=calibration,
            method=settings.calibration,
            threads=threads,
            keep_float=whole,
            check=context.checkpoint,
            say=say,
        )
        context.advance(CONVERSION_COST, f"{settings.title}: checking the file")
        optimised = folder / "optimised.onnx"
        try:
            run = (
                open_program(out) if settings.format == "torch-export" else open_onnx(out, threads, optimised)
            )
            found = compared(
                simulated(module, state.quantization), run, _examples(settings, state), state, context
            )
            _require_equal(settings, state, out, found)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        integers = integer_operators(optimised) if settings.format == "onnx-int8" else None
        _tell_check(settings, state, context, out, found, integers)
        _take_times(settings, state, context, run, whole, shape, threads)
        if settings.format != "torch-export":
            context.advance(0.0, f"{settings.title}: taking times of layers")
            files = [out, whole] if settings.format == "onnx-int8" else [out]
            _tell_layers(settings, state, context, files, shape, threads)
    context.emit(
        ArtifactWritten(context.run_id, settings.format, str(out), out.stat().st_size, sha256_of(out))
    )


def compared(model: nn.Module, run: Runner, split: Split, state: RunState, context: JobContext) -> Agreement:
    """Run model and file on the same examples."""
    model.eval()
    correct = correct_file = same = 0
    largest = scale = signal = noise = 0.0
    labelled = split.name != "random"
    for start in range(0, len(split), CHECK_BATCH):
        context.checkpoint()
        indices = torch.arange(start, min(start + CHECK_BATCH, len(split)))
        inputs, labels = split.batch(indices, state.device)
        with torch.inference_mode():
            ours = model(inputs).float().cpu().numpy().astype(np.float64)
        theirs = run(np.ascontiguousarray(inputs.cpu().numpy())).astype(np.float64)
        answers, answers_file = ours.argmax(1), theirs.argmax(1)
        if labelled:
            correct += int((answers == labels.cpu().numpy()).sum())
            correct_file += int((answers_file == labels.cpu().numpy()).sum())
        same += int((answers == answers_file).sum())
        difference = np.abs(ours - theirs)
        largest = max(largest, float(difference.max()))
        scale = max(scale, float(np.abs(ours).max()))
        signal += float((ours**2).sum())
        noise += float((difference**2).sum())
        context.advance(2.0 * len(indices), "Export: checking the file")
    sqnr = math.inf if noise == 0 else 10 * math.log10(max(signal, 1e-300) / noise)
    return Agreement(len(split), labelled, correct, correct_file, same, largest, scale, sqnr)


def _examples(settings: ExportSettings, state: RunState) -> Split:
    """The first examples of the test split in an order of their own; random inputs without a task."""
    test = None if state.task is None else state.task.test
    generator = torch.Generator().manual_seed(0)
    if test is not None and len(test):
        chosen = torch.randperm(len(test), generator=generator)[: settings.check_examples]
        return Split(test.name, test.images[chosen], test.labels[chosen], test.mean, test.std)
    shape = state.description.input_shape
    assert shape is not None
    images = torch.randint(0, 256, (RANDOM_EXAMPLES, *shape), generator=generator, dtype=torch.uint8)
    zeros = torch.zeros(RANDOM_EXAMPLES, dtype=torch.int64)
    return Split("random", images, zeros, (0.5,) * shape[0], (0.25,) * shape[0])


def _require_equal(settings: ExportSettings, state: RunState, out: Path, found: Agreement) -> None:
    # Quantized activations are not in a float file; only their weights are.
    if settings.format == "onnx-int8" or state.quantization:
        return
    if not found.largest <= ALLOWED * max(found.scale, 1.0):
        raise StudioError(
            f"{out.name} was removed again: its outputs differ from the model's by up to {significant(found.largest)} "
            f"(largest output {significant(found.scale)}), although both compute in float32."
        )


def _tell_check(
    settings: ExportSettings,
    state: RunState,
    context: JobContext,
    out: Path,
    found: Agreement,
    integers: tuple[int, int] | None,
) -> None:
    runtime = "torch" if settings.format == "torch-export" else "onnxruntime"
    whole = sum(tensor.numel() * tensor.element_size() for tensor in state.module.state_dict().values())
    size = out.stat().st_size
    rows: list[tuple[str, str | None, str | None]] = [
        ("File", None, out.name),
        ("Bytes", count(whole), f"{count(size)} ({significant(whole / size)}× smaller)"),
    ]
    if found.judged:
        rows.append(
            (
                "Accuracy",
                f"{percent(found.correct / found.examples)} ({count(found.correct)})",
                f"{percent(found.correct_file / found.examples)} ({count(found.correct_file)})",
            )
        )
    rows += [
        ("Same answer", None, f"{percent(found.same / found.examples)} of {count(found.examples)}"),
        (
            "Largest difference of outputs",
            None,
            f"{significant(found.largest)} of {significant(found.scale)}",
        ),
        ("SQNR", None, "no difference" if math.isinf(found.sqnr) else f"{found.sqnr:.1f} dB"),
    ]
    if integers is not None:
        rows.append(("Computed with integers", None, f"{integers[0]} of {integers[1]} operators"))
    what = "examples of the test split" if found.judged else "random inputs (no task was chosen)"
    note = f"Opened again in {runtime} and run on {count(found.examples)} {what}."
    table = Table((("Checked", ""), ("Model", ""), ("File", "")), tuple(rows), note)
    key = f"{state.place}, {out.name}"
    context.emit(Finding(context.run_id, CHECK, key, "Check of the exported file", table.to_data()))
    accuracy = (
        f"{percent(found.correct_file / found.examples)} right where the model has "
        f"{percent(found.correct / found.examples)}, "
        if found.judged
        else ""
    )
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} wrote {out.name} ({data_size(size)}) and ran it in {runtime} on {count(found.examples)} "
            f"{what}: {accuracy}{percent(found.same / found.examples)} the same answers.",
        )
    )


def _take_times(
    settings: ExportSettings,
    state: RunState,
    context: JobContext,
    run: Runner,
    whole: Path,
    shape: tuple[int, ...],
    threads: int,
) -> None:
    """Times in one runtime side by side, with eager torch beside them; in words where int8 does not pay."""
    eager = f"torch {torch.__version__} eager, float32"
    names = [eager]
    if settings.format == "torch-export":
        names.append("torch.export, float32")
    else:
        names.append("onnxruntime, float32")
        if settings.format == "onnx-int8":
            names.append("onnxruntime, int8")
    float_run = run if settings.format != "onnx-int8" else open_onnx(whole, threads)
    rows = []
    medians: dict[int, list[float]] = {}
    for batch in (1, settings.batch):
        context.advance(0.0, f"{settings.title}: taking times, batch {batch}")
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn((batch, *shape), generator=generator)
        here, array = inputs.to(state.device), inputs.numpy()
        passes: list[Callable[[], object]] = [_eager(state.module, here), _passed(float_run, array)]
        if settings.format == "onnx-int8":
            passes.append(_passed(run, array))
        taken = times_in_turns(passes, context.checkpoint)
        medians[batch] = [statistics.median(times) for times in taken]
        for name, times in zip(names, taken, strict=True):
            lower, median, upper = statistics.quantiles(times, n=4, method="inclusive")
            rows.append((name, batch, median, lower, upper, min(times), medians[batch][0] / median))
    columns = (
        ("Runtime", ""),
        ("Batch", "examples"),
        ("Median", "ms"),
        ("Lower quartile", "ms"),
        ("Upper quartile", "ms"),
        ("Minimum", "ms"),
        ("Against eager", "×"),
    )
    note = (
        f"{threads} {'thread' if threads == 1 else 'threads'}, CPU; the runtimes took turns on the same random input. "
        "Compare int8 with float32 in the same runtime: the rest is the runtime's."
    )
    table = Table(columns, tuple(rows), note)
    key = f"{state.place}, {FILE_NAMES[settings.format]}"
    context.emit(Finding(context.run_id, LATENCY, key, "Time of a forward pass", table.to_data()))
    if settings.format == "onnx-int8":
        context.emit(Notice(context.run_id, f"{state.place}: {_verdict(state.module, medians)}"))


def _tell_layers(
    settings: ExportSettings,
    state: RunState,
    context: JobContext,
    files: Sequence[Path],
    shape: tuple[int, ...],
    threads: int,
) -> None:
    """Where the time goes: the exported file layer by layer, and the float32 file beside an int8 one."""
    inputs = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0)).numpy()
    names = [layer.name for layer in state.description.layers]
    found = []
    for path in files:
        context.checkpoint()
        found.append(layer_times(path, threads, inputs, names))
    table = layer_table(*found)
    precision = "int8" if settings.format == "onnx-int8" else "float32"
    key = f"{state.place}, {FILE_NAMES[settings.format]}"
    title = f"Time of each layer in onnxruntime, {precision}"
    context.emit(Finding(context.run_id, LAYERS, key, title, table.to_data()))


def layer_table(times: Sequence[LayerTime], beside: Sequence[LayerTime] = ()) -> Table:
    """The layers and other operators of a file; with those of its float32 version, how much faster each became."""
    whole = sum(row.milliseconds for row in times)
    floats = {row.layer: row.milliseconds for row in beside if row.layer}
    columns = [("Layer", ""), ("Operator", ""), ("Time", "ms"), ("Share", "%")]
    columns += [("float32", "ms"), ("float32 / int8", "×")] if beside else []

    def cells(name: str, operator: str, time: float, other: float | None) -> tuple[str | float | None, ...]:
        ratio = other / time if other is not None and time > 0 else None
        row = (name, operator, time, 100 * time / whole if whole > 0 else None)
        return (*row, other, ratio) if beside else row

    rows = [
        cells(
            row.layer or "other operators",
            row.operator if row.calls == 1 else f"{row.calls} × {row.operator}",
            row.milliseconds,
            floats.get(row.layer) if row.layer else None,
        )
        for row in times
    ]
    rows.append(cells("all", "", whole, sum(row.milliseconds for row in beside) if beside else None))
    note = (
        "onnxruntime's own profile of single examples, means of the middle half of 30 passes. It fuses operators, so "
        "that a layer may hold the activation and the normalisation after it; profiling itself takes time: compare "
        "layers with each other rather than their sum with the time of a forward pass."
    )
    return Table(tuple(columns), tuple(rows), note)


def _verdict(module: nn.Module, medians: Mapping[int, Sequence[float]]) -> str:
    single = next(iter(medians))
    times = {batch: found[1] / found[2] for batch, found in medians.items()}
    gains = ", ".join(f"{significant(gain)}× at batch {batch}" for batch, gain in times.items())
    if times[single] >= 1.05:
        return f"in onnxruntime int8 is faster than float32 here ({gains})."
    depthwise = any(getattr(layer, "groups", 1) > 1 for layer in prunable_modules(module).values())
    why = (
        "depthwise convolutions and the conversions between them gain nothing from integers"
        if depthwise
        else "a network this small spends its time on conversions and calls, not on arithmetic"
    )
    return (
        f"in onnxruntime int8 is no faster than float32 here ({gains}): {why}. For speed take the float32 file (export "
        "“onnx”), or remove channels; for size this file is right."
    )


def _eager(module: nn.Module, inputs: torch.Tensor) -> Callable[[], object]:
    def once() -> object:
        with torch.inference_mode():
            return module(inputs)

    return once


def _passed(run: Runner, inputs: NDArray[np.float32]) -> Callable[[], object]:
    return lambda: run(inputs)
