"""The settings of the step that studies deletions; apart from what carries it out, which needs torch."""

from typing import ClassVar, Literal

from pydantic import Field

from core.steps import LOSS_DESCRIPTION, Loss, Sparsity, StepSettings, shown


class StudyDeletionsSettings(StepSettings):
    """Find out what deleting weights would do to the loss, as the figures of Optimal Brain Damage; changes nothing."""

    title: ClassVar[str] = "Study deletions"

    step: Literal["study-deletions"] = "study-deletions"
    most: Sparsity = Field(
        default=0.9,
        title="Up to",
        description="The largest fraction of the weights that is deleted.",
        json_schema_extra=shown(percent=True),
    )
    points: int = Field(
        default=12,
        ge=2,
        le=200,
        title="Points",
        description="How many numbers of deletions are looked at, equally far apart.",
    )
    retrain: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        title="Retrain for",
        description="Updates after each deletion, with the deleted weights held at zero and saliencies computed anew "
        "before the next (LeCun et al. 1989); 0: no retraining.",
        json_schema_extra=shown(unit="updates"),
    )
    learning_rate: float = Field(
        default=5e-4,
        gt=0,
        le=10,
        title="Learning rate",
        description="Of Adam while retraining; it falls to zero along half a cosine.",
    )
    examples: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        title="Examples",
        description="How many training examples the saliencies and the loss are computed from; all if there are fewer.",
        json_schema_extra=shown(unit="examples"),
    )
    curvature: Literal["gauss-newton", "gauss-newton-sampled", "hessian"] = Field(
        default="gauss-newton",
        title="Curvature",
        description="As in the prune step: Gauss-Newton as the paper takes it, a sampled estimate of it, or exact "
        "second derivatives (networks of up to 20,000 weights).",
    )
    loss: Loss = Field(default="cross-entropy", title="Loss", description=LOSS_DESCRIPTION)

    @property
    def needs_data(self) -> bool:
        return True

    def summary(self) -> str:
        again = f" · retrain {self.retrain}" if self.retrain else ""
        return f"to {100 * self.most:.4g} % · {self.points} points{again}"
