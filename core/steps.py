"""The settings of every step: one pydantic model each, from which forms, validation, JSON schema and docs come.

Each field carries a title, a help text, bounds and, in `json_schema_extra`, how a form shows it:
`unit` (text after the number), `percent` (a fraction shown as %), `advanced` (folded away at first), `layers`
(the value speaks of layer names). Adding a method starts here: a settings class, then a line in `core.registry`.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


def shown(**extra: Any) -> dict[str, Any]:
    """Hints for forms, kept in the JSON schema."""
    return dict(extra)


LayerPattern = Annotated[str, StringConstraints(min_length=1)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]


class StepSettings(BaseModel):
    """Base of all step settings: immutable, strict about unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    title: ClassVar[str]
    """What people call the step."""

    step: str

    def summary(self) -> str:
        """The step in a few words, for lists: `magnitude · 80 %`."""
        raise NotImplementedError


class PruneSettings(StepSettings):
    """Set the least important weights to exactly zero and hold them there in the steps that follow."""

    title: ClassVar[str] = "Prune"

    step: Literal["prune"] = "prune"
    criterion: Literal["magnitude"] = Field(
        default="magnitude",
        title="Criterion",
        description="What makes a weight unimportant. Magnitude: the smallest absolute values go first "
        "(Han et al. 2015).",
    )
    sparsity: Sparsity = Field(
        default=0.8,
        title="Sparsity",
        description="The fraction of the prunable weights that become zero.",
        json_schema_extra=shown(percent=True),
    )
    scope: Literal["global", "layer"] = Field(
        default="global",
        title="Scope",
        description="Global: one threshold for all layers together, so that redundant layers lose more. "
        "Layer: every layer loses the same fraction.",
    )
    overrides: dict[LayerPattern, Sparsity] = Field(
        default_factory=dict,
        title="Own sparsity for",
        description="Layers with a sparsity of their own (name or pattern such as layer1.*); they do not take "
        "part in the global ranking.",
        json_schema_extra=shown(layers=True, percent=True),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that are not pruned (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True),
    )

    def summary(self) -> str:
        extra = (
            f" · {len(self.overrides) + len(self.exclude)} exceptions"
            if self.overrides or self.exclude
            else ""
        )
        return f"{self.criterion} · {100 * self.sparsity:.4g} % · {self.scope}{extra}"


class FineTuneSettings(StepSettings):
    """Train on; weights that were pruned stay exactly zero."""

    title: ClassVar[str] = "Fine-tune"

    step: Literal["fine-tune"] = "fine-tune"
    epochs: int = Field(
        default=3, ge=1, le=10_000, title="Epochs", description="Passes over the training split."
    )
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        le=10,
        title="Learning rate",
        description="Step size of the optimizer at the start.",
    )
    batch_size: int = Field(
        default=64,
        ge=1,
        le=65_536,
        title="Batch size",
        description="Examples in each update.",
        json_schema_extra=shown(unit="examples"),
    )
    optimizer: Literal["adam", "sgd"] = Field(
        default="adam",
        title="Optimizer",
        description="Adam (Kingma and Ba 2015), or stochastic gradient descent with momentum.",
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine",
        title="Schedule",
        description="Constant: the learning rate stays. Cosine: it falls to zero along half a cosine over the "
        "whole step (Loshchilov and Hutter 2017).",
    )
    augmentation: Literal["none", "shift", "shift-and-flip"] = Field(
        default="none",
        title="Augmentation",
        description="Random changes of training images: shifts by up to an eighth of the size (padding, then "
        "cropping), and mirroring for images where left and right do not matter.",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        title="Keep",
        description="Best: go back to the weights with the highest validation accuracy. Last: keep the final ones.",
    )
    momentum: float = Field(
        default=0.9,
        ge=0,
        lt=1,
        title="Momentum",
        description="Of stochastic gradient descent; Adam ignores it.",
        json_schema_extra=shown(advanced=True),
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        title="Weight decay",
        description="L2 penalty on the weights.",
        json_schema_extra=shown(advanced=True),
    )

    def summary(self) -> str:
        plural = "epoch" if self.epochs == 1 else "epochs"
        return f"{self.epochs} {plural} · {self.optimizer} {self.learning_rate:g}"
