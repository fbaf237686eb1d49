"""The settings of quantization; apart from the code that carries it out, so that recipes are read without torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.steps import LayerPattern, StepSettings, TrainingSettings, shown

LayerBits = Annotated[int, Field(ge=2, le=32)]
BookBits = Annotated[int, Field(ge=1, le=8)]
_ACTIVATIONS = ["weights-and-activations"]
_INTEGERS = ["weights-and-activations", "weights"]


class GridSettings(StepSettings):
    """What quantization after training and during training let the user choose alike."""

    what: Literal["weights-and-activations", "weights", "float16", "bfloat16"] = Field(
        default="weights-and-activations",
        title="What",
        description="Weights and activations: integers, smaller and in most runtimes faster. Weights: they alone "
        "become "
        "integers, smaller but computed in float32. Float16, bfloat16: half the size, almost without loss.",
    )
    bits: int = Field(
        default=8,
        ge=2,
        le=8,
        title="Weight bits",
        description="Of each weight; below 8, runtimes rarely gain speed, but files become smaller.",
        json_schema_extra=shown(unit="bits", when={"what": _INTEGERS}),
    )
    activation_bits: int = Field(
        default=8,
        ge=2,
        le=8,
        title="Activation bits",
        description="Of each input of a layer.",
        json_schema_extra=shown(unit="bits", advanced=True, when={"what": _ACTIVATIONS}),
    )
    granularity: Literal["channel", "tensor", "group"] = Field(
        default="channel",
        title="Scales",
        description="Channel: each output channel of a layer has a scale of its own. Tensor: one scale for a "
        "whole layer. "
        "Group: so many neighbouring weights of a channel share one, which is for few bits.",
        json_schema_extra=shown(when={"what": _INTEGERS}),
    )
    group_size: int = Field(
        default=64,
        ge=2,
        le=65_536,
        title="Group size",
        description="Neighbouring weights of a channel that share a scale.",
        json_schema_extra=shown(unit="weights", when={"granularity": ["group"], "what": _INTEGERS}),
    )
    symmetric_weights: bool = Field(
        default=True,
        title="Symmetric weights",
        description="The weights' range is as wide below zero as above it; runtimes expect that. Otherwise it "
        "has an end "
        "of its own on each side, and zero lies on an integer in between.",
        json_schema_extra=shown(advanced=True, when={"what": _INTEGERS}),
    )
    symmetric_activations: bool = Field(
        default=False,
        title="Symmetric activations",
        description="The same for activations; after a ReLU it wastes half of the integers.",
        json_schema_extra=shown(advanced=True, when={"what": _ACTIVATIONS}),
    )
    weight_ranges: Literal["min-max", "percentile", "mse"] = Field(
        default="min-max",
        title="Weight ranges",
        description="Min-max: nothing is clipped. Percentile: the largest magnitudes are. MSE: the range with "
        "the least "
        "squared rounding error.",
        json_schema_extra=shown(when={"what": _INTEGERS}),
    )
    activation_ranges: Literal["min-max", "percentile", "entropy", "mse"] = Field(
        default="min-max",
        title="Activation ranges",
        description="From the calibration examples. Min-max: nothing is clipped. Percentile: the most extreme values "
        "are. Entropy: the range that changes the distribution least (Kullback-Leibler). MSE: the one with the least "
        "squared rounding error.",
        json_schema_extra=shown(when={"what": _ACTIVATIONS}),
    )
    percentile: float = Field(
        default=99.99,
        gt=50,
        le=100,
        title="Percentile",
        description="So many per cent of the values stay unclipped where ranges go by percentile.",
        json_schema_extra=shown(unit="%", advanced=True, when={"what": _INTEGERS}),
    )
    examples: int = Field(
        default=512,
        ge=1,
        le=1_000_000,
        title="Calibration examples",
        description="From the training split (or from validation where there is none), never from the test split.",
        json_schema_extra=shown(unit="examples", when={"what": _INTEGERS}),
    )
    overrides: dict[LayerPattern, LayerBits] = Field(
        default_factory=dict,
        title="Own bits for",
        description="Layers with a precision of their own (name or pattern such as fc*): 2 to 8 bits, 16 for "
        "float16, "
        "32 to leave them as they are.",
        json_schema_extra=shown(layers=True, unit="bits"),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that stay float32 (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True),
    )

    @property
    def quantizes_activations(self) -> bool:
        """Whether ranges of activations are needed."""
        return self.what == "weights-and-activations"

    @property
    def integers(self) -> bool:
        """Whether weights become integers."""
        return self.what in ("weights-and-activations", "weights")

    def words(self) -> str:
        """What becomes of the model in a few words."""
        if not self.integers:
            return self.what
        scales = f"groups of {self.group_size}" if self.granularity == "group" else f"per {self.granularity}"
        activations = f" · activations {self.activation_bits} bits" if self.quantizes_activations else ""
        exceptions = len(self.overrides) + len(self.exclude)
        extra = f" · {exceptions} {'exception' if exceptions == 1 else 'exceptions'}" if exceptions else ""
        return f"weights {self.bits} bits {scales}{activations}{extra}"


class QuantizeSettings(GridSettings):
    """Store weights in few bits after training, and compute with integers if activations are quantized too."""

    title: ClassVar[str] = "Quantize"

    step: Literal["quantize"] = "quantize"
    fold_batch_norm: bool = Field(
        default=True,
        title="Fold batch norms",
        description="Multiply batch normalisation into the convolution before it, as runtimes do, before ranges "
        "are found.",
        json_schema_extra=shown(advanced=True, when={"what": _INTEGERS}),
    )
    equalise: bool = Field(
        default=False,
        title="Equalise layers",
        description="Scale neighbouring layers against each other so that all channels have like ranges, before "
        "ranges "
        "are found (Nagel et al. 2019). Helps with one scale per layer and few bits.",
        json_schema_extra=shown(advanced=True, when={"what": _INTEGERS}),
    )
    bias_correction: bool = Field(
        default=False,
        title="Correct biases",
        description="Shift biases so that each channel keeps its mean output on the calibration examples "
        "(Nagel et al. 2019).",
        json_schema_extra=shown(advanced=True, when={"what": _INTEGERS}),
    )
    rounding: Literal["nearest", "learned"] = Field(
        default="nearest",
        title="Rounding",
        description="Nearest: each weight to its nearest integer. Learned: up or down, whichever keeps the "
        "layer's outputs "
        "(AdaRound, Nagel et al. 2020); takes some seconds for each layer and helps at 4 bits and below.",
        json_schema_extra=shown(when={"what": _INTEGERS}),
    )
    rounding_iterations: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        title="Rounding iterations",
        description="Updates for each layer.",
        json_schema_extra=shown(unit="iterations", advanced=True, when={"rounding": ["learned"]}),
    )
    keep_worst: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Keep the worst",
        description="So many layers stay in float16: those without whose quantization the most validation "
        "examples are "
        "classified rightly, measured layer by layer.",
        json_schema_extra=shown(unit="layers", when={"what": _INTEGERS}),
    )

    @property
    def needs_data(self) -> bool:
        return self.integers and (
            self.quantizes_activations
            or self.bias_correction
            or self.rounding == "learned"
            or self.keep_worst > 0
        )

    def summary(self) -> str:
        return self.words()


class QuantizeAwareSettings(GridSettings, TrainingSettings):
    """Train on with rounded weights and activations, so that the model learns to live with them (QAT)."""

    title: ClassVar[str] = "Quantize and train"

    step: Literal["quantize-aware"] = "quantize-aware"

    @property
    def needs_data(self) -> bool:
        return True

    def summary(self) -> str:
        return f"{self.words()} · {self.length}"


class SensitivitySettings(StepSettings):
    """Find out which layers suffer most from few bits; the model is not changed."""

    title: ClassVar[str] = "Measure sensitivity"

    step: Literal["sensitivity"] = "sensitivity"
    mode: Literal["measured", "fast-proxy"] = Field(
        default="measured",
        title="Mode",
        description="Measured: accuracy on all validation examples, once for each layer and number of bits with "
        "only it "
        "quantized and once with all others. Fast proxy: only how much the outputs change on a few examples (SQNR).",
    )
    bits: tuple[LayerBits, ...] = Field(
        default=(8, 4, 2),
        min_length=1,
        title="Bits",
        description="Numbers of bits to try; above 8 means float16.",
        json_schema_extra=shown(unit="bits"),
    )
    granularity: Literal["channel", "tensor", "group"] = Field(
        default="channel",
        title="Scales",
        description="Channel: each output channel has a scale of its own. Tensor: one for a whole layer. Group: 64 "
        "neighbouring weights share one.",
    )
    examples: int = Field(
        default=256,
        ge=1,
        le=100_000,
        title="Examples",
        description="From the training split, for the signal-to-noise ratio of the outputs.",
        json_schema_extra=shown(unit="examples"),
    )

    @property
    def needs_data(self) -> bool:
        return True

    def summary(self) -> str:
        return f"{self.mode} · {', '.join(str(bits) for bits in self.bits)} bits"


class CodebookSettings(TrainingSettings):
    """Let the weights of a layer share few values, found by k-means, and train these (Han et al. 2016)."""

    title: ClassVar[str] = "Share weights"

    step: Literal["codebook"] = "codebook"
    epochs: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Epochs",
        description="Passes over the training split in which the shared values are trained, each by the sum of its "
        "weights' gradients; which weight shares which value stays. 0: none.",
        json_schema_extra=shown(when={"iterations": [None]}),
    )
    bits: BookBits = Field(
        default=5,
        title="Bits",
        description="A layer gets 2^bits − 1 shared values beside zero. Weights that are zero stay zero.",
        json_schema_extra=shown(unit="bits"),
    )
    convolution_bits: BookBits | None = Field(
        default=None,
        title="Bits of convolutions",
        description="Of convolutions, which have few weights and need more (the paper takes 8); empty: as the "
        "others.",
        json_schema_extra=shown(unit="bits"),
    )
    start_values: Literal["linear", "density", "random"] = Field(
        default="linear",
        title="Start values",
        description="From where k-means begins. Linear: evenly between the smallest and the largest weight, "
        "which keeps "
        "large weights apart (best in the paper). Density: as many weights to each. Random: weights drawn at random.",
    )
    overrides: dict[LayerPattern, BookBits] = Field(
        default_factory=dict,
        title="Own bits for",
        description="Layers with bits of their own (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True, unit="bits"),
    )
    exclude: tuple[LayerPattern, ...] = Field(
        default=(),
        title="Leave alone",
        description="Layers that keep their values (name or pattern such as fc*).",
        json_schema_extra=shown(layers=True),
    )

    @property
    def trains(self) -> bool:
        """Whether the shared values are trained."""
        return self.epochs > 0 or self.iterations is not None

    @property
    def needs_data(self) -> bool:
        return self.trains

    def summary(self) -> str:
        convolutions = "" if self.convolution_bits is None else f" · convolutions {self.convolution_bits}"
        training = f" · {self.length}" if self.trains else ""
        return f"{self.bits} bits{convolutions}{training}"
