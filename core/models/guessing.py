"""The layers of a file whose network is not known: which tensors are weights, judged by their names and shapes."""

from collections.abc import Mapping

from core.models.description import Layer, TensorInfo

WEIGHT_NAMES = ("weight", "kernel", "w", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
KINDS_BY_RANK = {2: "linear?", 3: "conv1d?", 4: "conv2d?", 5: "conv3d?"}
OTHER_KIND = "tensor?"


def guessed_layers(tensors: Mapping[str, TensorInfo]) -> tuple[Layer, ...]:
    """Weights with two axes or more, in the order of the file; vectors (biases, normalisation) are no layers.

    Where no tensor is called a weight, all tensors with two axes or more are listed.
    """
    matrices = {name: info for name, info in tensors.items() if len(info.shape) >= 2 and info.elements}
    weights = {name: info for name, info in matrices.items() if info.kind or _is_called_weight(name)}
    return tuple(_layer(info, tensors) for info in (weights or matrices).values())


def _is_called_weight(name: str) -> bool:
    own_name = name.rpartition(".")[2].lower()
    return own_name in WEIGHT_NAMES or own_name.startswith("weight_")


def _layer(info: TensorInfo, tensors: Mapping[str, TensorInfo]) -> Layer:
    parent, _, own_name = info.name.rpartition(".")
    bias_name = own_name.replace("weight", "bias") if "weight" in own_name else "bias"
    bias = tensors.get(f"{parent}.{bias_name}" if parent else bias_name)
    return Layer(
        name=parent
        if parent and own_name.lower() in ("weight", "kernel", "w", "in_proj_weight")
        else info.name,
        kind=_kind(info, own_name),
        weight_name=info.name,
        shape=info.shape,
        bias_count=0 if bias is None or bias is info else bias.elements,
        positions=None,
        dtype=info.dtype,
    )


def _kind(info: TensorInfo, own_name: str) -> str:
    if info.kind is not None:
        return info.kind
    if own_name == "in_proj_weight":
        return "attention?"
    if "embed" in info.name.lower() and len(info.shape) == 2:
        return "embedding?"
    return KINDS_BY_RANK.get(len(info.shape), OTHER_KIND)
