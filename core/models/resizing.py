"""Gives a network of known architecture the widths that a set of shapes has, as after channels were removed.

Nothing is learned from a file but sizes: the architecture is built as usual, then every layer is made as narrow as its
tensors say, and whatever does not fit together is refused.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from core.errors import StudioError
from core.models.description import ModelDescription
from core.models.layers import describe_module

Shape = tuple[int, ...]


def resize_module(module: nn.Module, shapes: Mapping[str, Shape], name: str) -> None:
    """Give every parameter and buffer the shape that `shapes` has under its name, in place; values are lost.

    Channels can only become fewer; the number of axes and the size of kernels stay. Groups follow: a depthwise
    convolution stays depthwise, any other keeps its number of groups. Tensors that are missing from `shapes` (counters
    of batches) stay as they are.

    Args:
        name: of the file or model, for messages.

    Raises:
        StudioError: naming the first tensor or layer that cannot have its shape.
    """
    for path, child in list(module.named_modules()):
        own = [*child.named_parameters(recurse=False), *child.named_buffers(recurse=False)]
        changed = False
        for attribute, tensor in own:
            full_name = f"{path}.{attribute}" if path else attribute
            wanted = shapes.get(full_name)
            if wanted is None or tuple(wanted) == tuple(tensor.shape):
                continue
            _require_narrower(full_name, tuple(tensor.shape), tuple(wanted), name)
            smaller = torch.empty(wanted, dtype=tensor.dtype, device=tensor.device)
            if isinstance(tensor, nn.Parameter):
                setattr(child, attribute, nn.Parameter(smaller, requires_grad=tensor.requires_grad))
            else:
                setattr(child, attribute, smaller)
            changed = True
        if changed:
            _follow(child, path, name)
    for child in module.modules():
        _follow_parts(child)


def has_other_shapes(module: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Whether any of the module's tensors is there in another shape."""
    return any(
        name in tensors and tensors[name].shape != own.shape for name, own in module.state_dict().items()
    )


def cut_tensor(tensor: Tensor, kept: Tensor | None) -> Tensor:
    """What stays of a tensor, a copy: `kept` has the flat index of each element; all of it without `kept`."""
    if kept is None:
        return tensor.clone()
    return tensor.reshape(-1)[kept.to(tensor.device).reshape(-1)].reshape(kept.shape)


def describe_smaller(description: ModelDescription, module: nn.Module) -> ModelDescription:
    """The description of a network after channels were removed from it."""
    described = describe_module(
        module,
        description.source,
        architecture=description.architecture,
        architecture_title=description.architecture_title,
        input_shape=description.input_shape,
        num_classes=description.num_classes,
    )
    return replace(
        description, layers=described.layers, parameters=described.parameters, channels_removed=True
    )


def require_it_runs(
    module: nn.Module, input_shape: tuple[int, ...], num_classes: int | None, name: str
) -> None:
    """Run one example of zeros: layers that do not fit each other only show then.

    Raises:
        StudioError: if it cannot run or gives another number of outputs.
    """
    parameter = next(module.parameters())
    was_training = module.training
    try:
        with torch.inference_mode():
            output = module.eval()(torch.zeros((1, *input_shape), device=parameter.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise StudioError(
            f"{name} has layers whose channels do not fit each other, so it cannot run: use the file as it was saved.",
            details=str(error),
        ) from error
    finally:
        module.train(was_training)
    if num_classes is not None and tuple(output.shape) != (1, num_classes):
        raise StudioError(f"{name} gives {output.shape[-1]} outputs instead of {num_classes}: it is damaged.")


def _require_narrower(tensor_name: str, usual: Shape, wanted: Shape, name: str) -> None:
    fits = len(usual) == len(wanted) and all(0 < size <= most for size, most in zip(wanted, usual))
    # Embeddings of positions have a first axis of 1 and their channels last; kernels have channels first.
    embeds = len(usual) == 3 and usual[0] == 1
    if not fits or (wanted[2:] != usual[2:] and not embeds):
        shown = "×".join(map(str, wanted)) or "a single number"
        raise StudioError(
            f"{name} does not fit its architecture: {tensor_name} is {shown}, which removing channels from "
            f"{'×'.join(map(str, usual))} cannot give. Use the file as it was saved."
        )


def _follow(child: nn.Module, path: str, name: str) -> None:
    """Let a layer's own words about its size say what its tensors now are."""
    if isinstance(child, _ConvNd):
        _follow_convolution(child, path, name)
    elif isinstance(child, nn.Linear):
        child.out_features, child.in_features = child.weight.shape
        _require_length(child.bias, child.out_features, path, name)
    elif isinstance(child, _BatchNorm | _InstanceNorm):
        sizes = [
            t for t in (child.weight, child.bias, child.running_mean, child.running_var) if t is not None
        ]
        child.num_features = sizes[0].shape[0]
        for tensor in sizes:
            _require_length(tensor, child.num_features, path, name)
    elif isinstance(child, nn.LayerNorm):
        child.normalized_shape = tuple(child.weight.shape)
        if child.bias is not None and child.bias.shape != child.weight.shape:
            _refuse(path, name)
    elif isinstance(child, nn.GroupNorm):
        child.num_channels = child.weight.shape[0]
        _require_length(child.bias, child.num_channels, path, name)
        if child.num_channels % child.num_groups:
            _refuse(path, name)
    elif isinstance(child, nn.MultiheadAttention):
        _follow_attention(child, path, name)
    elif isinstance(child, nn.Embedding):
        child.num_embeddings, child.embedding_dim = child.weight.shape
    elif isinstance(child, nn.PReLU):
        child.num_parameters = child.weight.shape[0]


def _follow_convolution(child: _ConvNd, path: str, name: str) -> None:
    depthwise = child.groups == child.in_channels == child.out_channels and child.groups > 1
    first, second = child.weight.shape[:2]
    if depthwise:
        child.groups = child.in_channels = child.out_channels = first
        if second != 1:
            _refuse(path, name)
    elif child.transposed:
        child.in_channels, child.out_channels = first, second * child.groups
    else:
        child.out_channels, child.in_channels = first, second * child.groups
    if child.in_channels % child.groups or child.out_channels % child.groups:
        _refuse(path, name)
    _require_length(child.bias, child.out_channels, path, name)


def _follow_attention(child: nn.MultiheadAttention, path: str, name: str) -> None:
    weight = child.in_proj_weight
    width = child.out_proj.weight.shape[1] if weight is None else weight.shape[1]
    if width % child.num_heads or (weight is not None and weight.shape[0] != 3 * width):
        _refuse(path, name)
    _require_length(child.in_proj_bias, 3 * width, path, name)
    child.embed_dim = child.kdim = child.vdim = width
    child.head_dim = width // child.num_heads


def _follow_parts(child: nn.Module) -> None:
    """Widths that a module keeps a note of although the tensors are its parts'."""
    if type(child).__name__ == "VisionTransformer":
        child.hidden_dim = child.conv_proj.out_channels  # type: ignore[union-attr]


def _require_length(tensor: Tensor | None, length: int, path: str, name: str) -> None:
    if tensor is not None and tensor.shape[0] != length:
        _refuse(path, name)


def _refuse(path: str, name: str) -> None:
    raise StudioError(
        f"{name} does not fit its architecture: the tensors of the layer {path} have sizes that contradict each other. "
        "Use the file as it was saved."
    )
