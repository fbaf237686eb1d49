"""The distillation step: checks who learns what from whom, then has the one training loop do it."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from core.data.split import Split
from core.distillation.agreement import tell_agreement
from core.distillation.bias_correction import corrected_biases
from core.distillation.cache import CachedOutputs, forget_outputs
from core.distillation.features import LayerPair, pair_layers
from core.distillation.objective import Distillation
from core.distillation.settings import DistillSettings
from core.distillation.teachers import Teacher, load_teachers, outputs_on
from core.distillation.transfer import image_files, read_transfer
from core.errors import StudioError
from core.events import Notice
from core.formatting import count, data_size, duration, percent
from core.job import JobContext
from core.measurement.accuracy import evaluate
from core.run_state import RunState
from core.training.step import fine_tune, fine_tune_work


def distill_work(settings: DistillSettings, state: RunState) -> float:
    """Training, the teachers' looks at each batch (once for all epochs where outputs are kept), and their accuracy."""
    task = state.require_task()
    train, validation = len(task.train or ()), len(task.validation or ())
    batches = max(1, math.ceil(train / settings.batch_size))
    updates = settings.iterations or settings.epochs * batches
    asked = updates * (train / batches)
    if settings.cache and settings.augmentation == "none" and not settings.learns_features:
        asked = min(asked, train)
    teachers = len(settings.teachers)
    return fine_tune_work(settings, state) + teachers * (asked + validation) + validation


def distill(settings: DistillSettings, state: RunState, context: JobContext) -> None:
    """Train the model of `state` to answer as the teachers do; removed weights stay zero, grids are kept.

    Raises:
        StudioError: before anything is trained if teachers, layers, classes or transfer images do not fit; and as
            `fine_tune` does.
    """
    task = state.require_task()
    _require_classes(settings, state)
    teachers = load_teachers(settings, state, context.checkpoint)
    pairs = _pairs(settings, state, teachers)
    transfer = _transfer(settings, state, context)
    objective = Distillation(settings, state, teachers, pairs, transfer)
    resumed = state.half_done is not None and bool(state.half_done.objective)
    if not resumed:
        _look_at_teachers(settings, state, context, objective)
        for line in _adaptations(settings, pairs):
            context.emit(Notice(context.run_id, f"{state.place}: {line}."))
    elif state.half_done is not None:
        # The model itself as a teacher is the one that there was at the beginning of the step.
        objective.take_up_teachers(state.half_done.objective)
    train = task.train
    if objective.can_keep and train is not None:
        kept = objective.keep_outputs(objective.examples(train), context.folder, _teller(settings, context))
        if not resumed:
            _tell_saving(settings, state, context, kept, objective.examples(train))
    fine_tune(settings, state, context, objective)
    if settings.correct_biases:
        _correct_biases(settings, state, context)
    tell_agreement(state, context, teachers)
    forget_outputs(context.folder)


def _teller(settings: DistillSettings, context: JobContext) -> Callable[[int], None]:
    def told(examples: int) -> None:
        context.checkpoint()
        context.advance(examples, f"{settings.title}: asking the teacher")

    return told


def _require_classes(settings: DistillSettings, state: RunState) -> None:
    names = state.require_task().class_names
    for name in settings.leave_out:
        if name not in names:
            raise StudioError(
                f"{state.place}, field “leave_out”: {state.require_task().title} has no class “{name}”: choose from "
                f"{', '.join(names[:12])}{' …' if len(names) > 12 else ''}."
            )
    if len(set(settings.leave_out)) >= len(names) - 1:
        raise StudioError(f"{state.place}, field “leave_out”: at least two classes must be left to learn.")
    if settings.correct_biases and not settings.leave_out:
        raise StudioError(
            f"{state.place}, field “correct_biases”: no classes are left out, so there is nothing to correct."
        )


def _pairs(
    settings: DistillSettings, state: RunState, teachers: Sequence[Teacher]
) -> list[tuple[LayerPair, ...]]:
    if not settings.learns_features:
        return []
    shape = state.require_task().input_shape
    return [
        pair_layers(
            settings.method,
            settings.pairs,
            state.module,
            teacher.module,
            shape,
            state.device,
            state.place,
            teacher.name,
        )
        for teacher in teachers
    ]


def _adaptations(settings: DistillSettings, pairs: Sequence[Sequence[LayerPair]]) -> list[str]:
    """Which layers are compared, and what stands between them, in words."""
    lines = []
    for each in pairs:
        for pair in each:
            between = pair.adaptation(settings.method)
            lines.append(
                f"“{pair.student}” learns from the teacher’s “{pair.teacher}”"
                + (f"; {between}" if between else "")
            )
    return list(dict.fromkeys(lines))


def _transfer(settings: DistillSettings, state: RunState, context: JobContext) -> Split | None:
    if settings.transfer is None:
        return None
    total = len(image_files(settings.transfer, state.place))

    def progress(done: int) -> None:
        context.advance(0.0, f"{settings.title}: reading {count(done)} of {count(total)} transfer images")

    return read_transfer(settings.transfer, state.require_task(), state.place, context.checkpoint, progress)


def _look_at_teachers(
    settings: DistillSettings, state: RunState, context: JobContext, objective: Distillation
) -> None:
    """Measure what the teachers know on the validation split, and warn of those that know less than the student."""
    validation = state.require_task().validation
    if validation is None or len(validation) == 0:
        return
    told = _teller(settings, context)
    ensemble = torch.stack(
        [
            torch.softmax(outputs_on(teacher.network, validation, state.device, told), 1)
            for teacher in objective.teachers
        ]
    ).mean(0)
    objective.teacher_accuracy = float((ensemble.argmax(1) == validation.labels.cpu()).float().mean())
    student = evaluate(state.module, validation, state.device, told)
    accuracy = student.correct / student.count
    names = " and ".join(teacher.name for teacher in objective.teachers)
    context.emit(
        Notice(
            context.run_id,
            f"{state.place}: the teacher ({names}) is right on {percent(objective.teacher_accuracy, 2)} of "
            f"{count(len(validation))} validation examples, the student on {percent(accuracy, 2)} before it learns.",
        )
    )
    if objective.teacher_accuracy < accuracy:
        context.emit(
            Notice(
                context.run_id,
                f"{state.place}: the teacher is worse than the student, which may unlearn by it: choose a better "
                "teacher, or raise the weight of labels.",
            )
        )


def _tell_saving(
    settings: DistillSettings,
    state: RunState,
    context: JobContext,
    kept: Sequence[CachedOutputs],
    split: Split,
) -> None:
    if not kept:
        context.emit(
            Notice(
                context.run_id,
                f"{state.place}: the disk has no room for the teacher’s outputs, so they are computed for every batch.",
            )
        )
        return
    size = sum(each.bytes for each in kept)
    batches = math.ceil(len(split) / settings.batch_size)
    rounds = (settings.iterations or settings.epochs * batches) / batches
    seconds = sum(each.seconds or 0.0 for each in kept)
    again = duration(seconds * (rounds - 1))
    saved = (
        f", computed in {duration(seconds)}: over {rounds:.4g} epochs that saves about {again}"
        if seconds and rounds > 1
        else ""
    )
    context.emit(
        Notice(
            context.run_id,
            f"{state.place} keeps the teacher’s outputs for {count(len(split))} examples ({data_size(size)}{saved}).",
        )
    )


def _correct_biases(settings: DistillSettings, state: RunState, context: JobContext) -> None:
    task = state.require_task()
    validation = task.validation
    assert validation is not None, "training needs a validation split"
    layer = state.description.layers[-1].name
    bias = getattr(state.module.get_submodule(layer), "bias", None)
    if not isinstance(bias, Tensor) or bias.shape != (task.num_classes,):
        raise StudioError(
            f"{state.place}, field “correct_biases”: the last layer “{layer}” has no bias for each class."
        )
    outputs = outputs_on(state.module, validation, state.device, _teller(settings, context))
    left_out = [task.class_names.index(name) for name in settings.leave_out]
    shift, before, after = corrected_biases(outputs, validation.labels.cpu(), left_out)
    with torch.no_grad():
        bias[left_out] += shift
    context.emit(
        Notice(
            context.run_id,
            f"{state.place}: raising the biases of the classes left out by {shift:.3g} takes the validation accuracy "
            f"from {percent(before, 2)} to {percent(after, 2)}.",
        )
    )
