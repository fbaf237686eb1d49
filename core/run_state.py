"""What the steps of one run hand on to each other: the model, its masks, the data, the random numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from core.data.task import Task
from core.errors import StudioError
from core.job import JobContext
from core.measurement.records import Measurement
from core.models.description import ModelDescription
from core.models.resizing import cut_tensor, describe_smaller, has_other_shapes, resize_module
from core.pruning.masks import Masks
from core.quantization.record import NOT_QUANTIZED, Quantization, quantization_from_json
from core.recipe import recipe_from_json
from core.repetition import PlannedStep, write_out
from core.request import RunRequest
from core.steps_flow import RewindSettings
from core.training.checkpoint import RunCheckpoint, TrainingProgress, save_checkpoint


@dataclass
class RunState:
    """The run's own snapshot of the model and everything that goes with it; steps change it in place.

    Attributes:
        module: on `device`, float32.
        masks: which weights live; steps that train hold the others at exactly zero.
        step: index of the step under way, once repetitions are written out.
        iteration: parameter updates so far, over all steps.
        before: the measurement of the source.
        half_done: where an interrupted training step stood, only while a resumed run has not yet taken it up.
        initial: the weights with which the run began; empty unless a step of the recipe goes back to them.
        early: weights after as many updates as some step of the recipe goes back to, by that number.
        masks_before_shuffle: what a later step may restore.
        student: the architecture of the network that has taken the source's place; empty where none has.
        quantization: the grids on which the weights lie and the ranges of activations; empty: float32. Steps that train
            keep them (`core.quantization`).
    """

    request: RunRequest
    module: nn.Module
    description: ModelDescription
    task: Task | None
    device: torch.device
    masks: Masks = field(default_factory=Masks)
    step: int = 0
    iteration: int = 0
    half_done: TrainingProgress | None = None
    before: Measurement | None = None
    initial: dict[str, Tensor] = field(default_factory=dict)
    early: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    masks_before_shuffle: Masks | None = None
    quantization: Quantization = NOT_QUANTIZED
    student: str = ""

    def __post_init__(self) -> None:
        rewinds = [step for step in self.request.recipe.steps if isinstance(step, RewindSettings)]
        self._early_wanted = {step.iteration for step in rewinds if step.to == "iteration"}
        if any(step.to == "initial" for step in rewinds):
            self.initial = copied_tensors(self.module)
        self.keep_early()

    @property
    def place(self) -> str:
        """Where the run is in its recipe, in words: `Step 2 (round 3)`."""
        steps: tuple[PlannedStep, ...] = write_out(self.request.recipe.steps)
        return steps[self.step].place if self.step < len(steps) else f"Step {self.step + 1}"

    def keep_early(self) -> None:
        """Remember the present weights if a later step goes back to this very iteration; call it after each update."""
        if self.iteration in self._early_wanted and self.iteration not in self.early:
            self.early[self.iteration] = copied_tensors(self.module)

    def require_task(self) -> Task:
        """The task.

        Raises:
            StudioError: if the run has none.
        """
        if self.task is None:
            raise StudioError(
                f"{self.place} of the recipe needs data: choose a task, such as “digits” or an image folder."
            )
        return self.task

    def step_seed(self) -> int:
        """A seed of its own for each step, so that changing one step does not change the others' random numbers."""
        return (self.request.seed * 1_000_003 + self.step * 7919 + 17) % (1 << 63)

    def save(self, context: JobContext, progress: TrainingProgress | None = None) -> None:
        """Write a checkpoint from which the run resumes at this very point.

        Raises:
            StudioError: if it cannot be written.
        """
        context.settle()
        save_checkpoint(
            RunCheckpoint(
                step=self.step,
                iteration=self.iteration,
                seconds=context.active_seconds,
                work_done=context.work_done,
                tensors=self.module.state_dict(),
                masks=self.masks.tensors(),
                progress=progress,
                recipe=self.request.recipe.to_json(),
                source_sha256=self.description.sha256,
                before=self.before,
                # Without removed channels they are those of the source.
                initial=self.initial if self.description.channels_removed or self.student else {},
                early=self.early,
                masks_before_shuffle=None
                if self.masks_before_shuffle is None
                else self.masks_before_shuffle.tensors(),
                quantization=self.quantization.to_json() if self.quantization else "",
                student=self.student,
            ),
            context.folder,
        )

    def take_smaller(
        self, module: nn.Module, kept: Mapping[str, Tensor], description: ModelDescription
    ) -> None:
        """Go on with a network that consists of what stays of the present one.

        Args:
            kept: for each tensor, the flat indices of the elements that stay; masks and remembered weights too.
            description: of the smaller network.

        Raises:
            StudioError: if the present one is quantized: its grids are for the channels that it has.
        """
        if self.quantization:
            raise StudioError(
                f"{self.place} removes channels of a model that is quantized already: put it before the quantization."
            )
        self.module = module
        self.description = description
        self.masks = _cut_masks(self.masks, kept)
        if self.masks_before_shuffle is not None:
            self.masks_before_shuffle = _cut_masks(self.masks_before_shuffle, kept)
        self.initial = _cut(self.initial, kept)
        self.early = {iteration: _cut(tensors, kept) for iteration, tensors in self.early.items()}

    def take_student(self, module: nn.Module, description: ModelDescription) -> None:
        """Go on with another network; what was remembered of the present one is forgotten.

        Args:
            description: of the network, which is of another architecture or has fewer channels.
        """
        self.module = module.to(self.device)
        self.student = description.architecture or ""
        self.description = description
        self.masks = Masks()
        self.masks_before_shuffle = None
        self.quantization = NOT_QUANTIZED
        self.early = {}
        if self.initial:
            self.initial = copied_tensors(self.module)

    def take_up(self, checkpoint: RunCheckpoint) -> None:
        """Go on where a checkpoint stands.

        Raises:
            StudioError: if it belongs to another recipe or to a source that has changed since.
        """
        # Compared as recipes: an older version may have written fewer fields of the same meaning.
        if recipe_from_json(checkpoint.recipe, "The checkpoint") != self.request.recipe:
            raise StudioError(
                "The run cannot be resumed: its checkpoint belongs to another recipe. Start it anew."
            )
        if checkpoint.source_sha256 != self.description.sha256:
            raise StudioError(
                f"The run cannot be resumed: {self.description.source.title} has changed since it began. Start it anew."
            )
        if checkpoint.student and checkpoint.student != self.description.architecture:
            # Imported here, because most runs have no student.
            from core.distillation.student import student_network

            module, self.description = student_network(self, checkpoint.student, seed=0)
            self.module = module.to(self.device)
        self.student = checkpoint.student
        if checkpoint.student:
            self.initial = {name: tensor.to(self.device) for name, tensor in checkpoint.initial.items()}
        if has_other_shapes(self.module, checkpoint.tensors):
            # Channels were removed before the run was interrupted.
            shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}
            resize_module(self.module, shapes, "The checkpoint")
            self.description = describe_smaller(self.description, self.module)
            self.initial = {name: tensor.to(self.device) for name, tensor in checkpoint.initial.items()}
        # In place: load_state_dict would want the metadata that some networks (MNASNet) attach to their state dict.
        with torch.no_grad():
            for name, tensor in self.module.state_dict().items():
                tensor.copy_(checkpoint.tensors[name])
        self.masks = self._masks(checkpoint.masks)
        self.step = checkpoint.step
        self.iteration = checkpoint.iteration
        self.half_done = checkpoint.progress
        self.before = checkpoint.before
        self.early = {
            iteration: {name: tensor.to(self.device) for name, tensor in tensors.items()}
            for iteration, tensors in checkpoint.early.items()
        }
        aside = checkpoint.masks_before_shuffle
        self.masks_before_shuffle = None if aside is None else self._masks(aside)
        if checkpoint.quantization:
            found = quantization_from_json(checkpoint.quantization, "The checkpoint")
            self.quantization = found.to(self.device)

    def _masks(self, tensors: dict[str, Tensor]) -> Masks:
        return Masks({name: mask.to(self.device) for name, mask in tensors.items()})


def _cut(tensors: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: cut_tensor(tensor, kept.get(name)) for name, tensor in tensors.items()}


def _cut_masks(masks: Masks, kept: Mapping[str, Tensor]) -> Masks:
    return Masks(_cut(masks.tensors(), kept))


def copied_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and buffers by name, as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
