"""The steps that say how others follow each other: pruning during training, rewinding, repeating."""

from typing import ClassVar, Literal

from pydantic import Field

from core.steps import LayerPattern, PruneSettings, Sparsity, StepSettings, TrainingSettings, shown

MOST_STEPS = 10_000
"""So many steps may a recipe have once its repetitions are written out."""


class GradualSettings(TrainingSettings):
    """Prune by magnitude while training, in many small cuts whose size falls (Zhu and Gupta 2018)."""

    title: ClassVar[str] = "Prune gradually"

    step: Literal["gradual"] = "gradual"
    sparsity: Sparsity = Field(
        default=0.9,
        title="Final sparsity",
        description="The fraction of the prunable weights that are zero at the end.",
        json_schema_extra=shown(percent=True),
    )
    scope: Literal["global", "layer", "erk"] = Field(
        default="layer",
        title="Scope",
        description="Global: one threshold for all layers together. Layer: every layer loses the same fraction. "
        "Erk: Erdős–Rényi-kernel budgets, small layers stay denser (Evci et al. 2020).",
    )
    prune_every: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        title="Prune every",
        description="Iterations between two cuts.",
        json_schema_extra=shown(unit="iterations"),
    )
    prune_until: float = Field(
        default=0.75,
        gt=0,
        le=1,
        title="Prune until",
        description="The part of the training after which the final sparsity is reached; the rest trains what is left.",
        json_schema_extra=shown(percent=True),
    )
    overrides: dict[LayerPattern, Sparsity] = Field(
        default_factory=dict,
        title="Own sparsity for",
        description="Layers with a final sparsity of their own (name or pattern such as layer1.*).",
        json_schema_extra=shown(layers=True, percent=True),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that are not pruned (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True),
    )

    def summary(self) -> str:
        return f"to {100 * self.sparsity:.4g} % · {self.length} · {self.optimizer} {self.learning_rate:g}"

    def cut(self, done: float) -> PruneSettings:
        """What goes when `done` (0 to 1) of the pruning time is over.

        Zhu and Gupta 2018, equation 1, from a sparsity of zero: s · (1 − (1 − done)³).
        """
        share = 1 - (1 - min(max(done, 0.0), 1.0)) ** 3
        return PruneSettings(
            sparsity=share * self.sparsity,
            scope=self.scope,
            overrides={name: share * sparsity for name, sparsity in self.overrides.items()},
            exclude=self.exclude,
        )


class RewindSettings(StepSettings):
    """Put the weights that are left back to earlier values; what was removed stays zero."""

    title: ClassVar[str] = "Rewind"

    step: Literal["rewind"] = "rewind"
    to: Literal["initial", "iteration", "random"] = Field(
        default="initial",
        title="Back to",
        description="Initial: the weights with which the run began (the Lottery Ticket, Frankle and Carbin 2019). "
        "Iteration: those after so many updates (Frankle et al. 2020). Random: freshly drawn initial weights, the "
        "control that shows whether the old ones mattered. To rewind only the learning rate (Renda et al. 2020), leave "
        "this step out: every training step begins its schedule anew.",
    )
    iteration: int = Field(
        default=500,
        ge=0,
        le=100_000_000,
        title="Iteration",
        description="Updates since the run began. Give the training that follows the same start.",
        json_schema_extra=shown(when={"to": ["iteration"]}),
    )
    masks: Literal["keep", "shuffle", "restore"] = Field(
        default="keep",
        title="Masks",
        description="Keep: the same weights stay. Shuffle: each layer keeps as many weights, but randomly chosen ones, "
        "the control that shows whether the structure mattered. Restore: those from before the last shuffling.",
    )

    def summary(self) -> str:
        where = {
            "initial": "initial weights",
            "iteration": f"weights of iteration {self.iteration}",
            "random": "new random weights",
        }[self.to]
        masks = {"keep": "", "shuffle": " · masks shuffled", "restore": " · masks restored"}[self.masks]
        return where + masks


class RepeatSettings(StepSettings):
    """Carry out the steps before this one again and again."""

    title: ClassVar[str] = "Repeat"

    step: Literal["repeat"] = "repeat"
    steps: int = Field(
        default=2,
        ge=1,
        le=100,
        title="Last steps",
        description="How many of the steps right before this one are repeated, in their order.",
        json_schema_extra=shown(unit="steps"),
    )
    times: int = Field(
        default=5,
        ge=2,
        le=1_000,
        title="Times in all",
        description="How often they are carried out, the first time included.",
        json_schema_extra=shown(unit="times"),
    )

    def summary(self) -> str:
        return f"last {'step' if self.steps == 1 else f'{self.steps} steps'} · {self.times} times in all"
