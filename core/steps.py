"""The settings of every step: one pydantic model each, from which forms, validation, JSON schema and docs come.

Each field carries a title, a help text, bounds and, in `json_schema_extra`, how a form shows it:
`unit` (text after the number), `percent` (a fraction shown as %), `advanced` (folded away at first), `layers`
(the value speaks of layer names), `when` (other fields and the values at which this one means anything; see
`StepSettings.matters`). Adding a method starts here: a settings class, then a line in `core.registry`. Steps that
say how others follow each other are in `core.steps_flow`.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator


def shown(**extra: Any) -> dict[str, Any]:
    """Hints for forms, kept in the JSON schema."""
    return dict(extra)


LayerPattern = Annotated[str, StringConstraints(min_length=1)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Loss = Literal["cross-entropy", "squared-error"]
LOSS_DESCRIPTION = (
    "Cross-entropy of the class scores, or the mean squared error between the outputs and +1 for the class and −1 for "
    "the others, as networks with tanh outputs were trained (LeCun et al. 1989)."
)


class StepSettings(BaseModel):
    """Base of all step settings: immutable, strict about unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    title: ClassVar[str]
    """What people call the step."""

    step: str

    def summary(self) -> str:
        """The step in a few words, for lists: `magnitude · 80 %`."""
        raise NotImplementedError

    @property
    def needs_data(self) -> bool:
        """Whether the step cannot run without a task."""
        return False

    def matters(self, field: str) -> bool:
        """Whether a field means anything beside the values that the others have (its `when` hint)."""
        extra = type(self).model_fields[field].json_schema_extra
        conditions = extra.get("when") if isinstance(extra, dict) else None
        if not isinstance(conditions, dict):
            return True
        return all(isinstance(v, list) and getattr(self, name) in v for name, v in conditions.items())


class PruneSettings(StepSettings):
    """Set the least important weights to exactly zero and hold them there in the steps that follow."""

    title: ClassVar[str] = "Prune"

    step: Literal["prune"] = "prune"
    criterion: Literal["magnitude", "random", "gradient", "obd", "wanda", "movement"] = Field(
        default="magnitude",
        title="Criterion",
        description="What makes a weight unimportant. Magnitude: the smallest absolute values go first "
        "(Han et al. 2015). Random: a control that any criterion must beat. Gradient: |weight × gradient|, the loss "
        "change to first order (Molchanov et al. 2017). OBD: ½ · curvature · weight² (Optimal Brain Damage, LeCun et "
        "al. 1989). Wanda: |weight| × norm of its inputs (Sun et al. 2024). Movement: weights that a short "
        "training moves towards zero (Sanh et al. 2020). All but the first two need data.",
    )
    sparsity: Sparsity = Field(
        default=0.8,
        title="Sparsity",
        description="The fraction of the prunable weights that become zero.",
        json_schema_extra=shown(percent=True, when={"granularity": ["weights", "blocks", "kernels"]}),
    )
    of: Literal["all", "remaining"] = Field(
        default="all",
        title="Counted from",
        description="All: the sparsity is what the layers have afterwards. Remaining: that fraction of the weights "
        "that are not zero yet goes, so that repeating the step prunes geometrically.",
        json_schema_extra=shown(when={"granularity": ["weights", "blocks", "kernels"]}),
    )
    scope: Literal["global", "layer", "erk", "output"] = Field(
        default="global",
        title="Scope",
        description="Global: one threshold for all layers together, so that redundant layers lose more. "
        "Layer: every layer loses the same fraction. Erk: Erdős–Rényi-kernel budgets, small layers stay denser "
        "(Evci et al. 2020). Output: every neuron or output channel loses the same fraction (single weights only).",
        json_schema_extra=shown(when={"granularity": ["weights", "blocks", "kernels"]}),
    )
    granularity: Literal["weights", "n-of-m", "blocks", "kernels"] = Field(
        default="weights",
        title="Granularity",
        description="What goes as a whole. Weights: each on its own. N of m: of every m weights along the inputs, n "
        "stay (2 of 4 is what NVIDIA's sparse cores take). Blocks: squares of outputs × inputs. Kernels: all "
        "positions that connect one input channel with one output channel.",
    )
    keep_n: int = Field(
        default=2,
        ge=1,
        le=64,
        title="Keep n",
        description="How many weights of every group stay.",
        json_schema_extra=shown(when={"granularity": ["n-of-m"]}),
    )
    group_m: int = Field(
        default=4,
        ge=2,
        le=64,
        title="Of every m",
        description="How many neighbouring inputs form a group; must be above n.",
        json_schema_extra=shown(when={"granularity": ["n-of-m"]}),
    )
    block: int = Field(
        default=4,
        ge=2,
        le=256,
        title="Block side",
        description="Rows and columns of a block of the weight matrix (outputs × inputs).",
        json_schema_extra=shown(when={"granularity": ["blocks"]}),
    )
    curvature: Literal["gauss-newton", "gauss-newton-sampled", "hessian"] = Field(
        default="gauss-newton",
        title="Curvature",
        description="Gauss-Newton: exact diagonal, as the paper takes it; costs one backward pass per class (about a "
        "second for 10,000 digits on LeNet-300-100). Sampled: a Monte-Carlo estimate of the same from one random label "
        "per example; costs one backward pass and is noisy. Hessian: exact second derivatives, negative ones count as "
        "zero; costs a pass over the examples for every weight, so only for networks of up to 20,000 weights.",
        json_schema_extra=shown(when={"criterion": ["obd"]}),
    )
    loss: Loss = Field(
        default="cross-entropy",
        title="Loss",
        description=LOSS_DESCRIPTION,
        json_schema_extra=shown(advanced=True, when={"criterion": ["gradient", "obd", "movement"]}),
    )
    examples: int = Field(
        default=1024,
        ge=1,
        le=10_000_000,
        title="Examples",
        description="How many examples the criterion sees, drawn from the training split; all if it has fewer.",
        json_schema_extra=shown(
            unit="examples", when={"criterion": ["gradient", "obd", "wanda", "movement"]}
        ),
    )
    learning_rate: float = Field(
        default=0.01,
        gt=0,
        le=10,
        title="Learning rate",
        description="Step size of the short training whose movements count. It runs on a copy: the weights that "
        "stay are not changed.",
        json_schema_extra=shown(when={"criterion": ["movement"]}),
    )
    overrides: dict[LayerPattern, Sparsity] = Field(
        default_factory=dict,
        title="Own sparsity for",
        description="Layers with a sparsity of their own (name or pattern such as layer1.*); they do not take "
        "part in the global ranking.",
        json_schema_extra=shown(
            layers=True, percent=True, when={"granularity": ["weights", "blocks", "kernels"]}
        ),
    )
    output_sparsity: Sparsity | None = Field(
        default=None,
        title="Output layer",
        description="A sparsity of its own for the last layer, in which few weights decide between the classes (the "
        "Lottery Ticket removes half as much of it); empty: treated as the others.",
        json_schema_extra=shown(
            percent=True, advanced=True, when={"granularity": ["weights", "blocks", "kernels"]}
        ),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that are not pruned (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True),
    )

    @field_validator("group_m")
    @classmethod
    def _above_n(cls, group_m: int, info: ValidationInfo) -> int:
        keep_n = info.data.get("keep_n")
        if info.data.get("granularity") == "n-of-m" and keep_n is not None and group_m <= keep_n:
            raise ValueError(f"must be above the {keep_n} that stay")
        return group_m

    @property
    def needs_data(self) -> bool:
        return self.criterion not in ("magnitude", "random")

    @property
    def known_beforehand(self) -> bool:
        """Whether what goes follows from the weights alone, one threshold for each layer."""
        return (
            self.criterion == "magnitude"
            and self.granularity == "weights"
            and self.scope in ("global", "layer", "erk")
        )

    def summary(self) -> str:
        exceptions = len(self.overrides) + len(self.exclude) + (self.output_sparsity is not None)
        if self.granularity == "n-of-m":
            parts = [self.criterion, f"{self.keep_n} of {self.group_m}"]
        else:
            remaining = " of the rest" if self.of == "remaining" else ""
            parts = [self.criterion, f"{100 * self.sparsity:.4g} %{remaining}", self.scope]
            if self.granularity != "weights":
                parts.append(self.granularity)
        if exceptions:
            parts.append(f"{exceptions} {'exception' if exceptions == 1 else 'exceptions'}")
        return " · ".join(parts)


class TrainingSettings(StepSettings):
    """What every step that trains lets the user choose; weights that were pruned stay exactly zero."""

    epochs: int = Field(
        default=3,
        ge=1,
        le=10_000,
        title="Epochs",
        description="Passes over the training split; ignored where iterations are given.",
        json_schema_extra=shown(when={"iterations": [None]}),
    )
    iterations: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        title="Iterations",
        description="Parameter updates instead of epochs; empty: as many as the epochs need.",
        json_schema_extra=shown(advanced=True),
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
    shift_pixels: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        title="Shift by up to",
        description="The farthest that images are shifted; empty: an eighth of their size.",
        json_schema_extra=shown(
            unit="pixels", advanced=True, when={"augmentation": ["shift", "shift-and-flip"]}
        ),
    )
    keep: Literal["best", "lowest-loss", "last"] = Field(
        default="best",
        title="Keep",
        description="Best: go back to the weights with the highest validation accuracy. Lowest loss: to those with the "
        "lowest validation loss (early stopping). Last: keep the final ones.",
    )
    loss: Loss = Field(
        default="cross-entropy",
        title="Loss",
        description=LOSS_DESCRIPTION,
        json_schema_extra=shown(advanced=True),
    )
    evaluate_every: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        title="Evaluate every",
        description="Iterations between two looks at the validation split; empty: once per epoch.",
        json_schema_extra=shown(advanced=True, unit="iterations"),
    )
    evaluate_test: bool = Field(
        default=False,
        title="Also on test",
        description="Record loss and accuracy on the test split at each of these looks. Nothing is decided by them.",
        json_schema_extra=shown(advanced=True),
    )
    start: int = Field(
        default=0,
        ge=0,
        le=100_000_000,
        title="Start at iteration",
        description="Go on as if so many iterations were done: the learning rate stands where it would stand then, "
        "and only the rest is trained. Belongs to rewinding to an early iteration.",
        json_schema_extra=shown(advanced=True),
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
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        title="Dropout",
        description="The share of the inputs of linear layers that each update leaves out at random (Srivastava et al. "
        "2014), besides dropout that the network has itself.",
        json_schema_extra=shown(percent=True, advanced=True),
    )
    input_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        title="Input dropout",
        description="The same for what goes into the network.",
        json_schema_extra=shown(percent=True, advanced=True),
    )
    max_norm: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        title="Largest norm",
        description="The weights that go into a neuron or output channel are scaled down to this Euclidean norm after "
        "every update that makes them longer (Srivastava et al. 2014); empty: no limit.",
        json_schema_extra=shown(advanced=True),
    )

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        title="Computes in",
        description="bfloat16: products and convolutions with eight bits of mantissa, weights and updates in float32 "
        "(mixed precision, Micikevicius et al. 2018); about twice as fast for convolutions on CPUs with AVX512-BF16 or "
        "AMX and on recent GPUs, slower elsewhere. Accuracy is always measured in float32.",
        json_schema_extra=shown(advanced=True),
    )

    @property
    def needs_data(self) -> bool:
        return True

    @property
    def length(self) -> str:
        """How long the step trains, in words."""
        if self.iterations is not None:
            return f"{self.iterations} {'iteration' if self.iterations == 1 else 'iterations'}"
        return f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'}"


class FineTuneSettings(TrainingSettings):
    """Train on; weights that were pruned stay exactly zero."""

    title: ClassVar[str] = "Fine-tune"

    step: Literal["fine-tune"] = "fine-tune"

    def summary(self) -> str:
        return f"{self.length} · {self.optimizer} {self.learning_rate:g}"
