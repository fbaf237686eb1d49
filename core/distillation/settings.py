"""The settings of distillation; apart from the code that carries it out, so that recipes are read without torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from core.steps import LayerPattern, StepSettings, TrainingSettings, shown

SOURCE = "source"
SELF = "self"

Scale = Annotated[float, Field(gt=0.0, le=1.0)]
_OUTPUTS = ["soft-targets", "logits"]
_FEATURES = ["hints", "attention", "relational"]
_PAIRED = ["hints", "attention", "relational"]


class DistillSettings(TrainingSettings):
    """Train the model (the student) to answer as another one does (the teacher); weights that were pruned stay zero."""

    title: ClassVar[str] = "Distil"

    step: Literal["distill"] = "distill"
    teachers: tuple[LayerPattern, ...] = Field(
        default=(SOURCE,),
        min_length=1,
        max_length=16,
        title="Teachers",
        description="Who is learned from: “source” is the model with which the run began, before it was compressed; "
        "“self” is the model as it stands when this step begins (born-again networks, Furlanello et al. 2018); or any "
        "model as it is opened: a file, zoo:NAME, torchvision:NAME@DEFAULT. Several are averaged.",
    )
    method: Literal["soft-targets", "logits", "hints", "attention", "relational"] = Field(
        default="soft-targets",
        title="Method",
        description="Soft targets: the teacher's probabilities at a temperature (Hinton et al. 2015). Logits: its "
        "outputs before the softmax, by squared error (Ba and Caruana 2014). Hints: what its layers compute, through a "
        "learned projection where channels differ (FitNets, Romero et al. 2015). Attention: where in the picture its "
        "layers are active (Zagoruyko and Komodakis 2017). Relational: distances and angles between the examples of a "
        "batch (Park et al. 2019).",
    )
    temperature: float = Field(
        default=4.0,
        gt=0,
        le=1000,
        title="Temperature",
        description="Outputs are divided by it before the softmax: the higher, the more the teacher's probabilities "
        "say about the classes that it holds for wrong.",
        json_schema_extra=shown(when={"method": ["soft-targets", *_FEATURES]}),
    )
    hard_weight: float = Field(
        default=0.1,
        ge=0,
        le=1,
        title="Weight of labels",
        description="The share of the loss on the true labels; the rest is that on the teacher's outputs. 0: labels "
        "are not looked at.",
        json_schema_extra=shown(percent=True),
    )
    soft_targets: bool = Field(
        default=True,
        title="Also soft targets",
        description="Learn the teacher's probabilities as well as what its layers compute.",
        json_schema_extra=shown(when={"method": _FEATURES}),
    )
    feature_weight: float = Field(
        default=1.0,
        gt=0,
        le=1_000_000,
        title="Weight of layers",
        description="What the loss between the layers is multiplied by before it is added.",
        json_schema_extra=shown(when={"method": _FEATURES}),
    )
    pairs: dict[LayerPattern, LayerPattern] = Field(
        default_factory=dict,
        title="Layer pairs",
        description="Which layer of the student learns from which layer of the teacher, by their names; a block such "
        "as layer2 counts as a layer. Empty: layers in the middle for hints, the last maps for attention, what goes "
        "into the output layer for relations.",
        json_schema_extra=shown(layers=True, when={"method": _PAIRED}),
    )
    transfer: str | None = Field(
        default=None,
        title="Transfer images",
        description="A folder of images without labels (sub-folders included) to learn from in place of the training "
        "split; the weight of labels must be 0. Empty: the training split.",
        json_schema_extra=shown(advanced=True),
    )
    leave_out: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave out classes",
        description="Classes whose examples the student never sees while it is trained, by name.",
        json_schema_extra=shown(advanced=True),
    )
    correct_biases: bool = Field(
        default=False,
        title="Correct biases",
        description="Afterwards raise the output biases of the classes left out until the most validation examples are "
        "classified rightly (Hinton et al. 2015, section 3, where the test split was used).",
        json_schema_extra=shown(advanced=True),
    )
    cache: bool = Field(
        default=True,
        title="Keep outputs",
        description="Without augmentation compute the teacher's outputs once, keep them in the run's folder and read "
        "them from there.",
        json_schema_extra=shown(advanced=True, when={"method": _OUTPUTS}),
    )

    @field_validator("hard_weight")
    @classmethod
    def _leaves_room(cls, hard_weight: float, info: ValidationInfo) -> float:
        if hard_weight == 1 and info.data.get("method") in _OUTPUTS:
            raise ValueError("must be below 1, or nothing is learned from the teacher")
        return hard_weight

    @field_validator("transfer")
    @classmethod
    def _unlabelled(cls, transfer: str | None, info: ValidationInfo) -> str | None:
        if transfer is not None and not transfer.strip():
            return None
        if transfer is not None and info.data.get("hard_weight") not in (0, None):
            raise ValueError("holds no labels: set the weight of labels (hard_weight) to 0")
        return transfer

    @property
    def learns_features(self) -> bool:
        """Whether layers in the middle are compared."""
        return self.method in _FEATURES

    @property
    def learns_outputs(self) -> bool:
        """Whether the teacher's outputs are learned."""
        return not self.learns_features or (self.soft_targets and self.hard_weight < 1)

    def summary(self) -> str:
        method = self.method.replace("-", " ")
        temperature = f" T {self.temperature:g}" if self.method != "logits" and self.learns_outputs else ""
        teachers = self.teachers[0] if len(self.teachers) == 1 else f"{len(self.teachers)} teachers"
        return f"{method}{temperature} · from {_last_part(teachers)} · {self.length}"


class StudentSettings(StepSettings):
    """Go on with another network, to be trained by a distillation that follows."""

    title: ClassVar[str] = "Student"

    step: Literal["student"] = "student"
    architecture: str = Field(
        default="",
        title="Architecture",
        description="zoo:NAME or torchvision:NAME, freshly initialised for the classes of the present model; empty: a "
        "copy of the present model, scaled as below.",
    )
    width: Scale = Field(
        default=0.5,
        title="Width",
        description="The part of its channels that every layer of the copy has.",
        json_schema_extra=shown(percent=True, when={"architecture": [""]}),
    )
    depth: Scale = Field(
        default=1.0,
        title="Depth",
        description="The part of its layers that the copy has, as nearly as its family allows: ResNets (20 to 110, 18 "
        "to 152), VGG and DenseNet. Below 100 % the width applies to the shallower network.",
        json_schema_extra=shown(percent=True, when={"architecture": [""]}),
    )
    weights: Literal["fresh", "inherited"] = Field(
        default="fresh",
        title="Weights",
        description="Fresh: newly drawn. Inherited: those of the present model that are left, of the channels with the "
        "largest norms and of the blocks of the same names.",
        json_schema_extra=shown(when={"architecture": [""]}),
    )

    @property
    def scaled(self) -> bool:
        """Whether it is a copy of the present model rather than a network by name."""
        return not self.architecture

    def summary(self) -> str:
        if not self.scaled:
            return self.architecture
        depth = f"{100 * self.depth:.4g} % depth · " if self.depth < 1 else ""
        return f"{depth}{100 * self.width:.4g} % width · {self.weights} weights"


def _last_part(teacher: str) -> str:
    return teacher.replace("\\", "/").rpartition("/")[2] or teacher
