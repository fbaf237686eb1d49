"""Which steps there are, and which function carries each one out.

Functions are named by import path and loaded on first use, so that recipes can be read, edited and checked before
torch is imported. Adding a method is one line in `STEPS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.distillation.settings import DistillSettings, StudentSettings
from core.export.settings import ExportSettings
from core.pruning.structured_settings import PruneChannelsSettings
from core.pruning.study_settings import StudyDeletionsSettings
from core.quantization.settings import (
    CodebookSettings,
    QuantizeAwareSettings,
    QuantizeSettings,
    SensitivitySettings,
)
from core.steps import FineTuneSettings, PruneSettings, StepSettings
from core.steps_flow import GradualSettings, RepeatSettings, RewindSettings

if TYPE_CHECKING:
    from core.job import JobContext
    from core.run_state import RunState

    StepFunction = Callable[[Any, RunState, JobContext], None]
    WorkFunction = Callable[[Any, RunState], float]


@dataclass(frozen=True)
class StepDefinition:
    """One kind of step.

    Attributes:
        settings: the settings class; its `step` literal names the kind in recipes.
        function: "module:name" of `(settings, state, context) -> None`, which changes `state` in place; None for what
            is written out as other steps before a recipe runs (`core.repetition`).
        work: "module:name" of `(settings, state) -> float`, the step's cost in forward passes of one example.
    """

    settings: type[StepSettings]
    function: str | None
    work: str | None

    @property
    def kind(self) -> str:
        """The name of the step in recipes."""
        return str(self.settings.model_fields["step"].default)

    def load(self) -> "StepFunction":
        """The function that carries the step out (imports torch)."""
        assert self.function is not None, "repetitions are written out, not carried out"
        function: StepFunction = _load(self.function)
        return function

    def load_work(self) -> "WorkFunction":
        """The function that estimates the step's work (imports torch)."""
        assert self.work is not None, "repetitions are written out, not carried out"
        function: WorkFunction = _load(self.work)
        return function


STEPS: tuple[StepDefinition, ...] = (
    StepDefinition(PruneSettings, "core.pruning.step:prune", "core.pruning.step:prune_work"),
    StepDefinition(FineTuneSettings, "core.training.step:fine_tune", "core.training.step:fine_tune_work"),
    StepDefinition(GradualSettings, "core.training.step:fine_tune", "core.training.step:fine_tune_work"),
    StepDefinition(RewindSettings, "core.pruning.rewind:rewind", "core.pruning.rewind:rewind_work"),
    StepDefinition(RepeatSettings, None, None),
    StepDefinition(
        PruneChannelsSettings,
        "core.pruning.structured:prune_channels",
        "core.pruning.structured:prune_channels_work",
    ),
    StepDefinition(
        QuantizeSettings, "core.quantization.step:quantize_model", "core.quantization.step:quantize_work"
    ),
    StepDefinition(
        QuantizeAwareSettings,
        "core.quantization.step:quantize_and_train",
        "core.quantization.step:quantize_and_train_work",
    ),
    StepDefinition(
        SensitivitySettings,
        "core.quantization.sensitivity:find_sensitivity",
        "core.quantization.sensitivity:sensitivity_work",
    ),
    StepDefinition(
        CodebookSettings,
        "core.quantization.codebook:share_weights",
        "core.quantization.codebook:share_weights_work",
    ),
    StepDefinition(DistillSettings, "core.distillation.step:distill", "core.distillation.step:distill_work"),
    StepDefinition(
        StudentSettings,
        "core.distillation.student:take_student",
        "core.distillation.student:take_student_work",
    ),
    StepDefinition(ExportSettings, "core.export.step:export", "core.export.step:export_work"),
    StepDefinition(
        StudyDeletionsSettings,
        "core.pruning.deletion_study:study_deletions",
        "core.pruning.deletion_study:study_deletions_work",
    ),
)

STEP_KINDS: dict[str, StepDefinition] = {definition.kind: definition for definition in STEPS}


def definition_of(settings: StepSettings) -> StepDefinition:
    """The definition that belongs to a step's settings."""
    return STEP_KINDS[settings.step]


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(import_module(module), name)
