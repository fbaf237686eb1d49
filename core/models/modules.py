"""Builds networks as torch modules: built-in ones, torchvision's, and those whose weights a file holds."""

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from http.client import HTTPException
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.errors import StudioError
from core.files import sha256_of_all
from core.models.checkpoint import Checkpoint, open_checkpoint
from core.models.description import ModelDescription
from core.models.layers import describe_module
from core.models.opening import LoadedModel, describe_checkpoint, path_of, trusted_sha256
from core.models.resizing import require_it_runs, resize_module
from core.models.source import ModelSource
from core.models.trust import PYTHON_PREFIX, NeedsTrustError
from core.models.zoo import ZOO, initialise

# Named by recognition and by the user; the part before the colon says whose network it is.
ZOO_PREFIX = "zoo:"
TORCHVISION_PREFIX = "torchvision:"
IMAGENET_CLASSES = 1000
# Networks with additional outputs for training only; they are built without those.
WITH_AUXILIARY_OUTPUTS = ("googlenet", "inception_v3")
RANDOM = frozenset(
    (
        "uniform_",
        "normal_",
        "bernoulli_",
        "exponential_",
        "random_",
        "rand",
        "randn",
        "randint",
        "randperm",
        "normal",
    )
)


class InitialValues(TorchFunctionMode):
    """While active in a thread, random initial values come from one generator.

    torch's global generator stays untouched, so that a network can be opened while a job trains with it.

    Args:
        generator: where random values come from; None allocates no weights at all (they are on the meta device), for
            weights that are about to be put in their place.
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if self._generator is None:
            if name == "empty":
                kwargs["device"] = "meta"
        elif (name in RANDOM or name.startswith(("kaiming_", "xavier_"))) and kwargs.get("generator") is None:
            kwargs["generator"] = self._generator
        return function(*args, **kwargs)


@dataclass(frozen=True)
class Architecture:
    """How to build one network.

    Attributes:
        name: "zoo:resnet20", "torchvision:resnet18".
        title: for people.
        input_shape: (C, H, W) of one example.
        num_classes: what it usually tells apart.
    """

    name: str
    title: str
    input_shape: tuple[int, int, int]
    num_classes: int


def build_module(
    architecture: str,
    num_classes: int | None = None,
    weights: str | None = None,
    *,
    seed: int = 0,
    in_channels: int | None = None,
    initial_values: bool = True,
) -> nn.Module:
    """A network in evaluation mode on the CPU, in float32.

    Args:
        architecture: "zoo:NAME" or "torchvision:NAME".
        num_classes: length of the output; None means the network's usual one.
        weights: for torchvision, the name of published weights such as "DEFAULT", which may be downloaded.
        seed: fixes the initial values of a network without published weights.
        in_channels: channels of the input, where not the usual ones.
        initial_values: False leaves the weights on the meta device, for a state dict to be assigned.

    Raises:
        StudioError: for an unknown name, and for published weights that do not exist or cannot be fetched.
    """
    generator = torch.Generator().manual_seed(seed) if initial_values else None
    if architecture.startswith(ZOO_PREFIX):
        module = _build_zoo(
            architecture.removeprefix(ZOO_PREFIX), num_classes, weights, generator, in_channels
        )
    elif architecture.startswith(TORCHVISION_PREFIX):
        name = architecture.removeprefix(TORCHVISION_PREFIX)
        module = _build_torchvision(name, num_classes, weights, generator, in_channels)
    elif architecture.startswith(PYTHON_PREFIX):
        from core.models.trusted_code import build_trusted

        module = build_trusted(architecture, seed)
    else:
        raise StudioError(
            f"“{architecture}” names no architecture: use “zoo:NAME” or “torchvision:NAME”, such as zoo:resnet20."
        )
    return module.eval()


def architecture_of(architecture: str) -> Architecture:
    """Title, input shape and usual number of classes of a network.

    Raises:
        StudioError: for an unknown name.
    """
    if architecture.startswith(ZOO_PREFIX):
        name = architecture.removeprefix(ZOO_PREFIX)
        check_name("built-in network", name, tuple(ZOO))
        entry = ZOO[name]
        return Architecture(architecture, entry.title, entry.input_shape, entry.num_classes)
    name = architecture.removeprefix(TORCHVISION_PREFIX)
    check_name("torchvision classification model", name, torchvision_names())
    size = _usual_size(name)
    return Architecture(architecture, f"{name} (torchvision)", (3, size, size), IMAGENET_CLASSES)


@cache
def torchvision_names() -> tuple[str, ...]:
    """All classification networks of the installed torchvision."""
    from torchvision import models

    return tuple(models.list_models(module=models))


def check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    """Nothing if the name is known.

    Raises:
        StudioError: otherwise, with the names that come nearest.
    """
    if name in known:
        return
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of {', '.join(known[:8])} …"
    raise StudioError(f"There is no {what} “{name}”: {hint}")


def _build_zoo(
    name: str,
    num_classes: int | None,
    weights: str | None,
    generator: torch.Generator | None,
    in_channels: int | None,
) -> nn.Module:
    check_name("built-in network", name, tuple(ZOO))
    if weights is not None:
        raise StudioError(f"The built-in network {name} has no published weights: leave “@{weights}” out.")
    entry = ZOO[name]
    # The constructors' own random values are replaced at once; they must not move torch's global generator.
    with InitialValues(None if generator is None else torch.Generator()):
        module = entry.build(num_classes or entry.num_classes, in_channels or entry.input_shape[0])
    if generator is not None:
        initialise(module, entry.fill, generator)
    return module


def _build_torchvision(
    name: str,
    num_classes: int | None,
    weights: str | None,
    generator: torch.Generator | None,
    in_channels: int | None,
) -> nn.Module:
    check_name("torchvision classification model", name, torchvision_names())
    from torchvision import models

    options: dict[str, Any] = {}
    if name in WITH_AUXILIARY_OUTPUTS:
        options = {"aux_logits": False}
        if weights is None:
            options["init_weights"] = generator is not None
    if weights is not None:
        return _with_published_weights(name, weights, num_classes, options)
    if num_classes is not None:
        options["num_classes"] = num_classes
    with InitialValues(generator), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        module: nn.Module = models.get_model(name, weights=None, **options)
        if in_channels not in (None, 3):
            _replace_first_convolution(module, in_channels or 3)
    return module


def _with_published_weights(
    name: str, weights: str, num_classes: int | None, options: dict[str, Any]
) -> nn.Module:
    from torchvision import models

    published = models.get_model_weights(name)
    try:
        chosen = published[weights]
    except KeyError:
        known = ", ".join(published.__members__)
        raise StudioError(f"torchvision has no weights “{weights}” for {name}: use {known}.") from None
    classes = len(chosen.meta["categories"])
    if num_classes not in (None, classes):
        raise StudioError(
            f"The published weights of {name} tell {classes} classes apart, not {num_classes}: leave the number of "
            "classes out, or the weights."
        )
    try:
        with InitialValues(torch.Generator()):
            module: nn.Module = models.get_model(name, weights=chosen, progress=False, **options)
    except (OSError, HTTPException, RuntimeError) as error:
        raise StudioError(
            f"The published weights of {name} could not be downloaded: check the network connection, or open "
            f"torchvision:{name} without weights.",
            details=f"{chosen.url}: {error}",
        ) from error
    return module


def _replace_first_convolution(module: nn.Module, in_channels: int) -> None:
    """Let a network take images of other channels than three."""
    for path, child in module.named_modules():
        if isinstance(child, nn.Conv2d):
            fresh = nn.Conv2d(
                in_channels,
                child.out_channels,
                child.kernel_size,  # type: ignore[arg-type]
                stride=child.stride,  # type: ignore[arg-type]
                padding=child.padding,  # type: ignore[arg-type]
                bias=child.bias is not None,
            )
            parent, _, own_name = path.rpartition(".")
            setattr(module.get_submodule(parent), own_name, fresh)
            return


def _usual_size(name: str) -> int:
    """Height and width that a torchvision network is evaluated at."""
    from torchvision import models

    if name.startswith("vit_"):
        # Their published weights may be for larger images than what the network is built for.
        return 224
    try:
        chosen = models.get_model_weights(name)["DEFAULT"]
        return int(chosen.transforms().crop_size[0])
    except (KeyError, ValueError, AttributeError):
        return 224


def load_module(source: ModelSource, seed: int = 0, check: Callable[[], None] | None = None) -> LoadedModel:
    """The network of a source with its weights.

    Args:
        seed: fixes the initial values of a network by name without published weights.
        check: called between tensors; raises to give up.

    Raises:
        StudioError: if a file cannot be read or its architecture is not known, and as `build_module` does.
    """
    if source.kind in ("file", "sample"):
        try:
            return _load_file(source, check)
        except NeedsTrustError as needed:
            return _load_trusted(source, needed, seed, check)
    architecture = f"{source.kind}:{source.name}"
    known = architecture_of(architecture)
    module = build_module(architecture, source.num_classes, source.weights, seed=seed)
    size = getattr(module, "image_size", None)
    input_shape = (3, size, size) if isinstance(size, int) else known.input_shape
    description = describe_module(
        module,
        source,
        architecture=architecture,
        architecture_title=known.title,
        input_shape=input_shape,
        num_classes=source.num_classes or known.num_classes,
    )
    return LoadedModel(module, description)


def _load_trusted(
    source: ModelSource, needed: NeedsTrustError, seed: int, check: Callable[[], None] | None
) -> LoadedModel:
    from core.models.trusted_code import load_trusted

    loaded = load_trusted(source, needed.path, trusted_sha256(needed, check), seed)
    module = loaded.module.to(device="cpu", dtype=torch.float32)
    layers = tuple(replace(layer, dtype="F32") for layer in loaded.description.layers)
    return LoadedModel(module.requires_grad_(True), replace(loaded.description, layers=layers))


def _load_file(source: ModelSource, check: Callable[[], None] | None) -> LoadedModel:
    with open_checkpoint(path_of(source)) as checkpoint:
        described = describe_checkpoint(checkpoint, source)
        if described.architecture is None:
            reason = described.notes[-1] if described.notes else ""
            raise StudioError(
                f"{checkpoint.path.name} can be inspected but not run, because its architecture is not known: open a "
                "Python file whose build() returns the network with these weights.",
                details=reason,
            )
        module = build_module(
            described.architecture,
            described.num_classes,
            in_channels=described.input_shape[0] if described.input_shape else None,
            initial_values=False,
        )
        if described.channels_removed:
            shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
            resize_module(module, shapes, checkpoint.path.name)
        if described.architecture.startswith(PYTHON_PREFIX):
            described = _of_program(module, described, checkpoint)
        state, not_finite = _read_state(checkpoint, module, check)
        module.load_state_dict(state, strict=True, assign=True)
        if described.channels_removed and described.input_shape is not None:
            require_it_runs(module, described.input_shape, described.num_classes, checkpoint.path.name)
        digest = sha256_of_all(checkpoint.files, check)
    module.requires_grad_(True)
    notes = described.notes
    if not_finite:
        shown = ", ".join(not_finite[:3]) + (" …" if len(not_finite) > 3 else "")
        count = "1 tensor holds" if len(not_finite) == 1 else f"{len(not_finite)} tensors hold"
        notes = (*notes, f"{count} values that are not finite (NaN or infinity): {shown}.")
    described = replace(described, sha256=digest, notes=notes)
    # The same layers as the module's own, but with the dtypes of the file turned into what now is in memory.
    layers = tuple(replace(layer, dtype="F32") for layer in described.layers)
    return LoadedModel(module.eval(), replace(described, layers=layers))


def _of_program(module: nn.Module, described: ModelDescription, checkpoint: Checkpoint) -> ModelDescription:
    """The description with the layers of a network that a Python file has built.

    Raises:
        StudioError: if the file's tensors are not this network's.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: info.shape for name, info in checkpoint.tensors.items()}
    if expected != found:
        differing = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        raise StudioError(
            f"{checkpoint.path.name} does not fit the {described.architecture_title}: {len(differing)} tensors differ, "
            f"such as {differing[0]}. Open it with the program that it was saved from."
        )
    own = describe_module(
        module,
        described.source,
        architecture=described.architecture,
        architecture_title=described.architecture_title,
        input_shape=described.input_shape,
    )
    return replace(described, layers=own.layers, parameters=own.parameters)


def _read_state(
    checkpoint: Checkpoint, module: nn.Module, check: Callable[[], None] | None
) -> tuple[dict[str, Tensor], list[str]]:
    """The module's state from a file whose names and shapes are known to fit, and the tensors that are not finite."""
    state = module.state_dict()
    not_finite = []
    # The values are replaced in place, because the dictionary carries versions that some networks (MNASNet) ask for.
    for name, expected in tuple(state.items()):
        if check is not None:
            check()
        if name not in checkpoint.tensors:
            # Only counters of batches may be missing.
            state[name] = torch.zeros(expected.shape, dtype=expected.dtype)
            continue
        # Copied into memory of torch's own alignment: with numpy's, sums are ordered otherwise from run to run, and the
        # same seed would not give the same bits.
        values = torch.empty(expected.shape, dtype=expected.dtype)
        values.copy_(torch.from_numpy(checkpoint.read(name)))
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            not_finite.append(name)
        state[name] = values
    return state, not_finite
