"""What the one training loop minimises while it distils: labels, the teachers' outputs, layers in the middle."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from core.data.batches import IndexedBatch
from core.data.split import Split
from core.data.task import Task
from core.distillation.cache import CachedOutputs, cache_key, cached_outputs
from core.distillation.features import Comparison, LayerOutputs, LayerPair
from core.distillation.losses import logit_loss, soft_probabilities, soft_target_loss
from core.distillation.settings import SELF, DistillSettings
from core.distillation.teachers import Teacher
from core.run_state import RunState
from core.training.loop import Batch
from core.training.losses import mean_loss
from core.training.objective import Objective
from core.training.precision import computing_in


class Distillation(Objective):
    """hard · loss(labels) + (1 − hard) · loss(teachers' outputs) + weight · loss(layers).

    Teacher and student see the same batch, augmented or not: it goes through the teacher right before the student.

    Attributes:
        teacher_accuracy: on the validation split; drawn beside the student's.

    Args:
        teachers: in evaluation mode; several are averaged.
        pairs: for each teacher, the layers compared with its own; empty unless layers are compared.
        transfer: what is learned from in place of the training split; None: that without the classes left out.
    """

    def __init__(
        self,
        settings: DistillSettings,
        state: RunState,
        teachers: Sequence[Teacher],
        pairs: Sequence[Sequence[LayerPair]],
        transfer: Split | None,
    ) -> None:
        super().__init__(mean_loss(settings.loss))
        self.settings = settings
        self.teachers = tuple(teachers)
        self.teacher_accuracy = 0.0
        self.labelled = transfer is None
        self._device = state.device
        self._task = state.require_task()
        self._transfer = transfer
        generator = torch.Generator().manual_seed(state.step_seed() ^ 0x5EED)
        self.comparisons = [
            Comparison(settings.method, each, generator).to(state.device).train() for each in pairs
        ]
        self.parameters = [parameter for each in self.comparisons for parameter in each.parameters()]
        self._student = LayerOutputs(state.module, [pair.student for each in pairs for pair in each])
        self._watched = [
            LayerOutputs(teacher.module, [pair.teacher for pair in each])
            for teacher, each in zip(teachers, pairs)
        ]
        self._forwards = [
            teacher.network if teacher.quantization else computing_in(settings, teacher.network, state.device)
            for teacher in self.teachers
        ]
        self._cached: list[CachedOutputs] = []
        self._targets: Tensor | None = None
        self._logits: list[Tensor] = []
        self._layers: list[dict[str, Tensor]] = []

    @property
    def cost(self) -> float:
        """The teachers' forward passes, unless their outputs are read."""
        return 0.0 if self._cached else float(len(self.teachers))

    def examples(self, train: Split) -> Split:
        """The training split without the classes left out, or the transfer set."""
        return (
            self._transfer if self._transfer is not None else kept_classes(train, self.settings, self._task)
        )

    def points(self) -> Sequence[tuple[str, str, float]]:
        """The teacher's accuracy, drawn beside each point of the student's."""
        return (("teacher", "accuracy", self.teacher_accuracy),)

    @property
    def can_keep(self) -> bool:
        """Whether the teachers' outputs are the same each time that an example comes."""
        settings = self.settings
        return settings.cache and settings.augmentation == "none" and not settings.learns_features

    def keep_outputs(
        self, split: Split, folder: Path, on_batch: Callable[[int], None]
    ) -> list[CachedOutputs]:
        """Compute the teachers' outputs for all examples, or find them in the folder; empty without room on the disk.

        Raises:
            StudioError: if a file cannot be written.
        """
        selection = repr((self.settings.transfer, sorted(self.settings.leave_out)))
        for teacher in self.teachers:
            key = cache_key(teacher, self._task.spec, split, selection)
            kept = cached_outputs(teacher, split, key, folder, self._device, on_batch)
            if kept is None:
                self._cached = []
                break
            self._cached.append(kept)
        return self._cached

    def begin(self) -> None:
        """Look at the paired layers from now on."""
        for watched in (self._student, *self._watched):
            watched.begin()

    def end(self) -> None:
        """Look at them no longer."""
        for watched in (self._student, *self._watched):
            watched.end()

    def batches(self, batches: Iterator[IndexedBatch]) -> Iterator[Batch]:
        """Ask the teachers about each batch right before the student sees it."""
        for indices, inputs, labels in batches:
            if self._cached:
                # The files are mapped on the CPU.
                here = indices.cpu()
                logits = [kept.logits.index_select(0, here).to(self._device) for kept in self._cached]
            else:
                logits = [
                    teacher.logits(inputs, forward) for teacher, forward in zip(self.teachers, self._forwards)
                ]
                self._layers = [watched.take() for watched in self._watched]
            self._logits = logits
            if self.settings.learns_outputs and self.settings.method != "logits":
                self._targets = soft_probabilities(logits, self.settings.temperature)
            yield inputs, labels

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The weighted sum for the batch that was drawn last."""
        settings = self.settings
        parts: list[Tensor] = []
        if settings.hard_weight > 0:
            parts.append(settings.hard_weight * super().loss(outputs, labels))
        if settings.learns_outputs:
            parts.append((1 - settings.hard_weight) * self._output_loss(outputs))
        if self.comparisons:
            parts.append(settings.feature_weight * self._layer_loss())
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def tensors(self) -> dict[str, Tensor]:
        """The projections, and what else a resumed step cannot compute again."""
        found = {"teacher_accuracy": torch.tensor(self.teacher_accuracy, dtype=torch.float64)}
        for index, comparison in enumerate(self.comparisons):
            for name, tensor in comparison.state_dict().items():
                found[f"comparison.{index}.{name}"] = tensor
        for index, teacher in self._selves():
            for name, tensor in teacher.module.state_dict().items():
                found[f"self.{index}.{name}"] = tensor
        return found

    def take_up_teachers(self, tensors: dict[str, Tensor]) -> None:
        """Make the model itself as a teacher what it was when the step began."""
        with torch.no_grad():
            for index, teacher in self._selves():
                for name, tensor in teacher.module.state_dict().items():
                    tensor.copy_(tensors[f"self.{index}.{name}"])

    def _selves(self) -> list[tuple[int, Teacher]]:
        texts = self.settings.teachers
        return [(index, each) for index, each in enumerate(self.teachers) if texts[index] == SELF]

    def take_up(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        self.teacher_accuracy = float(tensors["teacher_accuracy"])
        with torch.no_grad():
            for index, comparison in enumerate(self.comparisons):
                for name, tensor in comparison.state_dict().items():
                    tensor.copy_(tensors[f"comparison.{index}.{name}"])

    def _output_loss(self, outputs: Tensor) -> Tensor:
        if self.settings.method == "logits":
            return logit_loss(outputs, self._logits)
        assert self._targets is not None
        return soft_target_loss(outputs, self._targets, self.settings.temperature)

    def _layer_loss(self) -> Tensor:
        ours = self._student.take()
        losses = [each.loss(ours, theirs) for each, theirs in zip(self.comparisons, self._layers)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def kept_classes(train: Split, settings: DistillSettings, task: Task) -> Split:
    """The training split without the examples of the classes that are left out."""
    if not settings.leave_out:
        return train
    gone = torch.tensor([task.class_names.index(name) for name in settings.leave_out])
    kept = torch.nonzero(~torch.isin(train.labels, gone)).squeeze(1)
    return Split(train.name, train.images[kept], train.labels[kept], train.mean, train.std)
