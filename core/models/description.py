"""What a model consists of, as frozen values that need no torch: its tensors, its layers, its totals."""

from dataclasses import dataclass
from math import prod

from core.models.source import ModelSource


@dataclass(frozen=True)
class TensorInfo:
    """One named tensor of a checkpoint. `dtype` is safetensors' word for it: F32, F16, BF16, I64, U8, BOOL …; `kind` is
    that of the layer whose weight it is ("conv2d"), where the file itself tells."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    kind: str | None = None

    @property
    def elements(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One module with a weight tensor that can be pruned or quantized.

    Attributes:
        name: the module's path, such as `layer1.0.conv1`.
        kind: "conv1d", "conv2d", "conv3d", "conv_transpose1d" to "conv_transpose3d", "linear", "embedding" or
            "attention" (the joined query, key and value projection); with a trailing "?" where it is only guessed
            from the shape, then also "tensor?".
        weight_name: the tensor's name in the (cleaned) state dict, such as `layer1.0.conv1.weight`.
        shape: of the weight, output channels first.
        bias_count: elements of the layer's bias (0 without one).
        positions: how often each weight is used for one input example (output height × width for a convolution, 1
            for a linear layer on vectors); None where unknown. MACs = weights × positions.
        dtype: of the weight, as in `TensorInfo`.
    """

    name: str
    kind: str
    weight_name: str
    shape: tuple[int, ...]
    bias_count: int
    positions: int | None
    dtype: str = "F32"

    @property
    def weights(self) -> int:
        """The number of weights (the bias is not counted)."""
        return prod(self.shape)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates for one input example."""
        return None if self.positions is None else self.weights * self.positions


@dataclass(frozen=True)
class ModelDescription:
    """A model as far as names, shapes and an architecture's name tell.

    Attributes:
        source: where it comes from.
        architecture: "zoo:resnet20", "torchvision:resnet18", or None where it was not recognised.
        architecture_title: for people: "CIFAR ResNet-20"; "" where not recognised.
        layers: the prunable layers in the order of the model.
        parameters: all parameters, biases and normalisation included (buffers such as running means are not).
        input_shape: (C, H, W) that the architecture expects, or None.
        num_classes: length of the output vector, or None.
        file_bytes: size of the file, or None where there is none.
        sha256: of the file, or None where there is none or it is not yet computed.
        notes: sentences that the user should know, such as what was cleaned up while reading.
        recorded_accuracy: an accuracy that the file itself claims (a `best_prec1`), as a fraction; shown as a claim.
        channels_removed: whether layers are narrower than the architecture has them (structured pruning).
    """

    source: ModelSource
    architecture: str | None
    architecture_title: str
    layers: tuple[Layer, ...]
    parameters: int
    input_shape: tuple[int, ...] | None = None
    num_classes: int | None = None
    file_bytes: int | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()
    recorded_accuracy: float | None = None
    channels_removed: bool = False

    @property
    def weights(self) -> int:
        """Weights of all prunable layers."""
        return sum(layer.weights for layer in self.layers)

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises:
            KeyError: if there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)
