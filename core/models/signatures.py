"""Writes down the tensors and layers of all known networks, for recognition without torch.

Run `python -m core.models.signatures` after the zoo or torchvision has changed.
"""

from pathlib import Path

from torch import nn

from core.models.layers import kind_of, prunable_modules, weight_attribute, weight_positions
from core.models.modules import (
    TORCHVISION_PREFIX,
    WITH_AUXILIARY_OUTPUTS,
    ZOO_PREFIX,
    architecture_of,
    build_module,
    torchvision_names,
)
from core.models.recognise import SIGNATURES, Signature, packed_signatures
from core.models.zoo import ZOO
from resources import RESOURCES

AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
OTHER_CLASSES = 7
OTHER_CHANNELS = 5


def signature_of(architecture: str) -> Signature:
    """The signature of one network, found by building it without allocating its weights."""
    known = architecture_of(architecture)
    module = build_module(architecture, initial_values=False)
    shapes = _shapes(module)
    more_classes = _shapes(build_module(architecture, OTHER_CLASSES, initial_values=False))
    more_channels = _shapes(build_module(architecture, in_channels=OTHER_CHANNELS, initial_values=False))
    class_axes = {name: axis for name, axis, _ in _changes(shapes, more_classes)}
    inputs = [
        name for name, axis, size in _changes(shapes, more_channels) if axis == 1 and size == OTHER_CHANNELS
    ]
    positions = weight_positions(module, known.input_shape)
    name = architecture.partition(":")[2]
    return Signature(
        architecture=architecture,
        title=known.title,
        input_shape=known.input_shape,
        num_classes=known.num_classes,
        tensors=shapes,
        layers=tuple(
            (path, kind_of(layer) or "", f"{path}.{weight_attribute(layer)}", positions.get(path))
            for path, layer in prunable_modules(module).items()
        ),
        class_axes=class_axes,
        input_tensor=inputs[0] if len(inputs) == 1 else None,
        auxiliary=AUXILIARY[name] if name in WITH_AUXILIARY_OUTPUTS else (),
    )


def known_architectures() -> tuple[str, ...]:
    """All networks that are written down: built-in ones first."""
    return (
        *(f"{ZOO_PREFIX}{name}" for name in ZOO),
        *(f"{TORCHVISION_PREFIX}{name}" for name in torchvision_names()),
    )


def write_signatures(path: Path) -> int:
    """Write the signatures' file and give its size in bytes."""
    packed = packed_signatures(signature_of(architecture) for architecture in known_architectures())
    path.write_bytes(packed)
    return len(packed)


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _changes(
    usual: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]]
) -> list[tuple[str, int, int]]:
    """Name, axis and new size of each tensor that differs along one axis."""
    found = []
    for name, shape in usual.items():
        axes = [axis for axis, (a, b) in enumerate(zip(shape, other[name])) if a != b]
        if len(axes) == 1:
            found.append((name, axes[0], other[name][axes[0]]))
    return found


def main() -> None:
    """Write `resources/architectures.json.gz` anew."""
    path = RESOURCES / SIGNATURES
    size = write_signatures(path)
    print(f"{path}: {len(known_architectures())} architectures, {size:,} bytes")


if __name__ == "__main__":
    main()
