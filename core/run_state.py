"""What the steps of one run hand on to each other: the model, its masks, the data, the random numbers."""

from dataclasses import dataclass, field

import torch
from torch import nn

from core.data.task import Task
from core.errors import StudioError
from core.job import JobContext
from core.measurement.records import Measurement
from core.models.description import ModelDescription
from core.pruning.masks import Masks
from core.request import RunRequest
from core.training.checkpoint import RunCheckpoint, TrainingProgress, save_checkpoint


@dataclass
class RunState:
    """The run's own snapshot of the model and everything that goes with it; steps change it in place.

    Attributes:
        module: on `device`, float32.
        masks: which weights live; steps that train hold the others at exactly zero.
        step: index of the step under way.
        iteration: parameter updates so far, over all steps.
        before: the measurement of the source.
        half_done: where an interrupted training step stood, only while a resumed run has not yet taken it up.
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

    def require_task(self) -> Task:
        """The task.

        Raises:
            StudioError: if the run has none.
        """
        if self.task is None:
            raise StudioError(
                f"Step {self.step + 1} of the recipe needs data: choose a task, such as “digits” or an image folder."
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
            ),
            context.folder,
        )

    def take_up(self, checkpoint: RunCheckpoint) -> None:
        """Go on where a checkpoint stands.

        Raises:
            StudioError: if it belongs to another recipe or to a source that has changed since.
        """
        if checkpoint.recipe != self.request.recipe.to_json():
            raise StudioError(
                "The run cannot be resumed: its checkpoint belongs to another recipe. Start it anew."
            )
        if checkpoint.source_sha256 != self.description.sha256:
            raise StudioError(
                f"The run cannot be resumed: {self.description.source.title} has changed since it began. Start it anew."
            )
        # In place: load_state_dict would want the metadata that some networks (MNASNet) attach to their state dict.
        with torch.no_grad():
            for name, tensor in self.module.state_dict().items():
                tensor.copy_(checkpoint.tensors[name])
        self.masks = Masks({name: mask.to(self.device) for name, mask in checkpoint.masks.items()})
        self.step = checkpoint.step
        self.iteration = checkpoint.iteration
        self.half_done = checkpoint.progress
        self.before = checkpoint.before
