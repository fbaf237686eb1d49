"""What teacher and student say of the same examples after distillation: by class, and where they disagree."""

from collections.abc import Sequence

import torch
from torch import Tensor

from core.distillation.teachers import Teacher, outputs_on
from core.events import Finding
from core.findings import Matrix, Table
from core.job import JobContext
from core.measurement.keeping import answers_from, keep_answers
from core.measurement.predictions import TEACHER
from core.run_state import RunState

FINDING_CLASSES = "distillation-classes"
FINDING_CONFUSION = "distillation-confusion"
FINDING_AGREEMENT = "distillation-agreement"
MOST_CLASSES = 200
"""Confusions of more classes can no longer be read."""


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How often each class (rows) was given each name (columns), int64 [classes, classes]."""
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)


def tell_agreement(state: RunState, context: JobContext, teachers: Sequence[Teacher]) -> None:
    """Emit findings about the test split, or the validation split of a task without one."""
    task = state.require_task()
    split = task.test if task.test is not None and len(task.test) else task.validation
    if split is None or len(split) == 0:
        return
    part = "test" if split is task.test else "validation"

    def told(_: int) -> None:
        context.checkpoint()

    labels = split.labels.cpu()
    answers = [
        torch.softmax(outputs_on(teacher.network, split, state.device, told), 1) for teacher in teachers
    ]
    ensemble = torch.stack(answers).mean(0)
    teacher = ensemble.argmax(1)
    if split is task.test:
        given = answers_from(teacher, ensemble.amax(1))
        keep_answers(context.folder, task, split, TEACHER, given, context.checkpoint)
    student = outputs_on(state.module, split, state.device, told).argmax(1)
    key, names = state.place, task.class_names
    note = f"On {len(split):,} examples of the {part} split of {task.title}."
    rights = [(answer == labels) for answer in (teacher, student)]
    both = int((rights[0] & rights[1]).sum())
    only = [int((rights[n] & ~rights[1 - n]).sum()) for n in (0, 1)]
    neither = ~rights[0] & ~rights[1]
    alike = int((neither & (teacher == student)).sum())
    rows = (
        ("both are right", both),
        ("only the teacher is right", only[0]),
        ("only the student is right", only[1]),
        ("both are wrong, with the same answer", alike),
        ("both are wrong, with different answers", int(neither.sum()) - alike),
    )
    agreement = Table((("Teacher and student", ""), ("Examples", "")), rows, note)
    context.emit(Finding(context.run_id, FINDING_AGREEMENT, key, "Teacher and student", agreement.to_data()))
    if len(names) > MOST_CLASSES:
        return
    tables = [confusion(answer, labels, len(names)) for answer in (teacher, student)]
    totals = tables[0].sum(1)
    by_class = tuple(
        (
            name,
            int(totals[n]),
            None if not totals[n] else 100 * int(tables[0][n, n]) / int(totals[n]),
            None if not totals[n] else 100 * int(tables[1][n, n]) / int(totals[n]),
        )
        for n, name in enumerate(names)
    )
    columns = (("Class", ""), ("Examples", ""), ("Teacher right", "%"), ("Student right", "%"))
    context.emit(
        Finding(
            context.run_id,
            FINDING_CLASSES,
            key,
            "Accuracy by class",
            Table(columns, by_class, note).to_data(),
        )
    )
    for who, table in zip(("teacher", "student"), tables, strict=True):
        wrong = table.clone().fill_diagonal_(0)
        form = Matrix(
            tuple(tuple(float(value) for value in row) for row in wrong.tolist()),
            tuple(names),
            tuple(names),
            "true class",
            f"class that the {who} gives",
            note=f"{note} Right answers are left out.",
        )
        context.emit(
            Finding(
                context.run_id, FINDING_CONFUSION, f"{key}, {who}", f"Confusions of the {who}", form.to_data()
            )
        )
