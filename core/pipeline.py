"""Run a recipe: the one place where steps are put together, and the one that turns every outcome into an end event."""

import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from core.data.catalog import load_task
from core.data.split import Split
from core.data.task import ALL_PARTS, TEST, Task, check_fits
from core.device import choose_device, environment, use_threads
from core.errors import StudioError
from core.events import (
    ArtifactWritten,
    Cancelled,
    Failed,
    Finished,
    Interrupted,
    LayersMeasured,
    Measured,
    Notice,
    RunStarted,
    StepStarted,
)
from core.export.packed_file import save_packed
from core.export.safetensors_file import metadata_of, save_tensors
from core.files import sha256_of
from core.formatting import data_size, significant
from core.job import JobCancelled, JobContext, JobInterrupted
from core.measurement.keeping import keep_answers
from core.measurement.latency import measure_latency
from core.measurement.measure import measure_model
from core.measurement.predictions import FILE_NAME as PREDICTIONS
from core.measurement.predictions import KIND as PREDICTIONS_KIND
from core.measurement.predictions import Answers
from core.measurement.records import LayerStatistics, Measurement
from core.models.description import ModelDescription
from core.models.layers import weight_positions
from core.models.opening import LoadedModel, load_module
from core.quantization.record import METADATA, NOT_QUANTIZED
from core.quantization.stored import quantization_of, stored_tensors
from core.recipe import check_recipe, save_recipe
from core.registry import definition_of
from core.repetition import write_out
from core.request import RunRequest
from core.run_state import RunState
from core.steps import StepSettings
from core.steps_flow import RewindSettings
from core.training.checkpoint import FILE_NAME as CHECKPOINT
from core.training.checkpoint import load_checkpoint

RESULT = "model.safetensors"
PACKED = "model.packed"

LEAST_ZEROS = 1 / 32
"""From so many zeros on, marking where they are costs less than leaving them out of 32-bit weights saves."""


def run(request: RunRequest, context: JobContext) -> None:
    """Carry out a request. Everything that is to be known comes as events; the last is exactly one end event.

    A recipe without steps measures the source and changes nothing. Nothing is raised but KeyboardInterrupt.
    """
    try:
        stopped = _Run(request, context).carry_out()
    except JobCancelled:
        _discard(context.folder)
        context.emit(Cancelled(context.run_id, time.time()))
    except JobInterrupted:
        context.emit(Interrupted(context.run_id, time.time()))
    except StudioError as error:
        context.emit(Failed(context.run_id, time.time(), error.message, error.details, bug=False))
    except (MemoryError, torch.OutOfMemoryError) as error:
        message = (
            f"There was not enough memory on {request.device}: use a smaller batch size or another device."
        )
        context.emit(Failed(context.run_id, time.time(), message, str(error), bug=False))
    except Exception as error:
        message = (
            f"Something in the studio itself went wrong ({type(error).__name__}): please report the details."
        )
        context.emit(Failed(context.run_id, time.time(), message, traceback.format_exc(), bug=True))
    else:
        context.emit(Finished(context.run_id, time.time(), stopped))


class _Run:
    def __init__(self, request: RunRequest, context: JobContext) -> None:
        self.request = request
        self.context = context

    def carry_out(self) -> bool:
        """The whole run; returns whether the user stopped it early."""
        request, context = self.request, self.context
        device = choose_device(request.device)
        threads = use_threads(request.threads)
        if device.type == "cuda":
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        loaded = load_module(request.source, seed=request.seed, check=context.checkpoint)
        checkpoint = load_checkpoint(context.folder) if context.resume else None
        context.emit(
            RunStarted(
                context.run_id,
                time.time(),
                environment(device, threads),
                loaded.description.sha256,
                resumed=checkpoint is not None,
            )
        )
        if request.recipe.steps:
            check_recipe(request.recipe, (layer.name for layer in loaded.description.layers))
        state = self._prepare(loaded, device)
        if checkpoint is not None:
            state.take_up(checkpoint)
            context.continue_clock(checkpoint.seconds)
        self._plan(state, 0.0 if checkpoint is None else checkpoint.work_done)
        if checkpoint is None:
            self._measure_before(state)
        if request.recipe.steps:
            self._steps(state)
            self._finish(state)
        elif (context.folder / PREDICTIONS).exists():
            self._artifact(PREDICTIONS_KIND, context.folder / PREDICTIONS)
        return context.stop_requested

    def _prepare(self, loaded: LoadedModel, device: torch.device) -> RunState:
        task: Task | None = None
        if self.request.task is not None:
            parts = ALL_PARTS if self.request.recipe.steps else frozenset({TEST})
            task = load_task(
                self.request.task, parts=parts, check=self.context.checkpoint, progress=self._loading
            )
            for note in task.notes:
                self.context.emit(Notice(self.context.run_id, note))
        description = loaded.description
        if task is not None:
            description = _fitted(loaded, task)
        state = RunState(self.request, loaded.module.to(device), description, task, device)
        state.quantization = quantization_of(loaded.description.source).to(device)
        return state

    def _loading(self, activity: str, fraction: float | None) -> None:
        shown = activity if fraction is None else f"{activity}: {100 * fraction:.0f} %"
        self.context.advance(0.0, shown)

    def _plan(self, state: RunState, done: float) -> None:
        steps = write_out(self.request.recipe.steps)
        judging = len(self._judged(state) or ())
        total = judging * (2 if steps else 1) + sum(_work(planned.settings, state) for planned in steps)
        self.context.plan_work(max(total, 1.0), done)

    def _steps(self, state: RunState) -> None:
        steps = write_out(self.request.recipe.steps)
        for index in range(state.step, len(steps)):
            settings = steps[index].settings
            state.step = index
            if self.context.stop_requested:
                self.context.skip(_work(settings, state))
                continue
            self.context.checkpoint()
            if state.half_done is None:
                state.save(self.context)
            self.context.emit(StepStarted(self.context.run_id, index, len(steps), steps[index].title))
            definition_of(settings).load()(settings, state, self.context)
            if isinstance(settings, RewindSettings):
                # Earlier weights lie on no grid.
                state.quantization = NOT_QUANTIZED

    def _finish(self, state: RunState) -> None:
        state.module.eval()
        measurement = self._measure_after(state)
        folder = self.context.folder
        save_recipe(self.request.recipe, folder / "recipe.json")
        self._artifact("recipe", folder / "recipe.json")
        tensors = stored_tensors(state.module.state_dict(), state.quantization)
        save_tensors(tensors, folder / RESULT, self._metadata(state))
        self._artifact("model", folder / RESULT)
        smaller = measurement.packed_bytes < measurement.dense_bytes
        if smaller and (measurement.sparsity >= LEAST_ZEROS or state.quantization):
            metadata = self._metadata(state)
            save_packed(tensors, folder / PACKED, metadata, self.context.checkpoint, state.quantization)
            self._artifact("packed", folder / PACKED)
        if (folder / PREDICTIONS).exists():
            self._artifact(PREDICTIONS_KIND, folder / PREDICTIONS)
        if smaller and measurement.sparsity >= LEAST_ZEROS:
            self.context.emit(Notice(self.context.run_id, _what_zeros_do(measurement, state)))
        with suppress(OSError):
            (folder / CHECKPOINT).unlink(missing_ok=True)

    # -- measuring

    def _judged(self, state: RunState) -> Split | None:
        return None if state.task is None else state.task.test

    def _measure_before(self, state: RunState) -> None:
        measurement, layers = self._measured(state, "before")
        shape = state.description.input_shape
        if not self.request.recipe.steps and self.request.measure_latency and shape is not None:
            latency = measure_latency([state.module], shape, state.device, self.context.checkpoint)
            measurement = replace(measurement, latency=latency[0])
        state.before = measurement
        self.context.emit(Measured(self.context.run_id, "before", measurement))
        self.context.emit(LayersMeasured(self.context.run_id, "before", layers))

    def _measure_after(self, state: RunState) -> Measurement:
        measurement, layers = self._measured(state, "after")
        shape = state.description.input_shape
        if self.request.measure_latency and shape is not None and state.before is not None:
            # The source is measured again, in turns with the result: only so are the two comparable.
            source = load_module(self.request.source, seed=self.request.seed, check=self.context.checkpoint)
            before, after = measure_latency(
                [source.module.to(state.device), state.module], shape, state.device, self.context.checkpoint
            )
            measurement = replace(measurement, latency=after)
            self.context.emit(Measured(self.context.run_id, "before", replace(state.before, latency=before)))
        self.context.emit(Measured(self.context.run_id, "after", measurement))
        self.context.emit(LayersMeasured(self.context.run_id, "after", layers))
        return measurement

    def _measured(self, state: RunState, stage: str) -> tuple[Measurement, tuple[LayerStatistics, ...]]:
        context = self.context

        def judged(examples: int) -> None:
            context.checkpoint()
            context.advance(
                examples, f"Measuring accuracy {stage}" if self.request.recipe.steps else "Measuring"
            )

        def answered(answers: Answers) -> None:
            split = self._judged(state)
            if state.task is not None and split is not None:
                keep_answers(context.folder, state.task, split, stage, answers, context.checkpoint)

        return measure_model(
            state.module,
            state.description,
            self._metadata(state),
            state.device,
            split=self._judged(state),
            task_title="" if state.task is None else state.task.title,
            on_batch=judged,
            check=context.checkpoint,
            quantization=state.quantization,
            on_answers=answered,
        )

    def _metadata(self, state: RunState) -> dict[str, str]:
        task = {} if self.request.task is None else {"task": self.request.task.to_text()}
        quantized = {METADATA: state.quantization.to_json()} if state.quantization else {}
        return metadata_of(state.description, **task, **quantized)

    def _artifact(self, kind: str, path: Path) -> None:
        self.context.emit(
            ArtifactWritten(self.context.run_id, kind, str(path), path.stat().st_size, sha256_of(path))
        )


def _what_zeros_do(measurement: Measurement, state: RunState) -> str:
    """Why a model with zeros is neither smaller nor faster by itself, and what is."""
    packed, dense = measurement.packed_bytes, measurement.dense_bytes
    faster = (
        "" if state.description.channels_removed else ", and removing whole channels makes it faster as well"
    )
    return (
        f"Zeros by themselves make neither {RESULT} ({data_size(dense)}) smaller nor the model faster: {PACKED} "
        f"({data_size(packed)}) leaves them out and is {significant(dense / packed)}× smaller{faster}."
    )


def _work(settings: StepSettings, state: RunState) -> float:
    return definition_of(settings).load_work()(settings, state)


def _fitted(loaded: LoadedModel, task: Task) -> ModelDescription:
    """The model's description for images of the task's size.

    Raises:
        StudioError: if the task's channels, image size or classes do not fit the model.
    """
    description = loaded.description
    other_size = description.input_shape is not None and description.input_shape != task.input_shape
    takes_it = other_size and _accepts(loaded.module, task.input_shape)
    check_fits(
        task,
        description.input_shape,
        description.num_classes,
        model=description.source.title,
        any_size=takes_it,
    )
    if not other_size:
        return description
    positions = weight_positions(loaded.module, task.input_shape)
    layers = tuple(replace(layer, positions=positions.get(layer.name)) for layer in description.layers)
    return replace(description, layers=layers, input_shape=task.input_shape)


def _accepts(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the model computes on images of this shape: many networks end in adaptive pooling."""
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros((1, *shape)))
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


def _discard(folder: Path) -> None:
    """Remove what a cancelled run has written."""
    for name in (CHECKPOINT, RESULT, PACKED, PREDICTIONS, "recipe.json"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
