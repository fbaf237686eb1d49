"""Runs the code of files that the user trusts, to get the networks in them; the only place that does."""

import inspect
import io
import sys
import traceback
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import StudioError
from core.models.checkpoint_names import WRAPPERS
from core.models.layers import describe_module
from core.models.opened import Array
from core.models.opening import LoadedModel
from core.models.source import ModelSource
from core.models.trust import PYTHON_PREFIX, TrustStore, is_python

# Functions (or a ready network) that a Python file may offer, in this order.
FACTORIES = ("build", "build_model", "model", "create_model", "make_model", "get_model", "net", "network")
SHAPE_NAMES = ("INPUT_SHAPE", "input_shape")
CLASSES_NAMES = ("NUM_CLASSES", "num_classes")
LARGEST_PROGRAM = 10_000_000


@dataclass(frozen=True)
class _Built:
    """A network, and what its file says about it."""

    module: nn.Module
    input_shape: tuple[int, ...] | None
    num_classes: int | None


def load_trusted(source: ModelSource, path: Path, sha256: str, seed: int = 0) -> LoadedModel:
    """The network that a trusted file builds or holds, on the CPU, in evaluation mode, in its own element types.

    Args:
        sha256: that the user trusts; the contents are compared with it once more before anything runs.
        seed: of the initial weights that a Python file gives its network.

    Raises:
        StudioError: if the file has changed, its code fails, or it gives no network.
    """
    built = _from_program(path, sha256, seed) if is_python(path) else _from_pickle(path, sha256)
    module = built.module.eval()
    title = f"{type(module).__name__} ({path.name})"
    notes = [f"{path.name} is trusted: its code was run to get the network."]
    if built.input_shape is None:
        notes.append(
            "It does not say for which input it is made, so multiply-accumulates are unknown"
            + (": give it INPUT_SHAPE = (channels, height, width)." if is_python(path) else ".")
        )
    with _told(path):
        description = describe_module(
            module,
            source,
            architecture=f"{PYTHON_PREFIX}{sha256}",
            architecture_title=title,
            input_shape=built.input_shape,
            num_classes=built.num_classes or _classes(module, built.input_shape),
            file_bytes=path.stat().st_size,
            sha256=sha256,
            notes=notes,
        )
    return LoadedModel(module, description)


def build_trusted(architecture: str, seed: int = 0) -> nn.Module:
    """The network of an architecture “python:SHA-256”, with initial values, from the file that was trusted then.

    Raises:
        StudioError: if no such file is trusted any more, or it has moved or changed.
    """
    sha256 = architecture.removeprefix(PYTHON_PREFIX)
    trusted = TrustStore().find(sha256)
    if trusted is None:
        raise StudioError(
            f"The network is built by a Python file that is not trusted here (SHA-256 {sha256[:12]}…): open that "
            "file and trust it first."
        )
    return load_trusted(ModelSource("file", trusted.path), Path(trusted.path), sha256, seed).module


def arrays_of(module: nn.Module) -> dict[str, Array]:
    """The state of a module as numpy arrays (element types that numpy lacks as float32); other tensors are left out."""
    arrays: dict[str, Array] = {}
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor) and _is_plain(tensor):
            plain = tensor.detach().cpu().resolve_conj().resolve_neg()
            if plain.is_floating_point() and plain.dtype not in (torch.float16, torch.float32, torch.float64):
                plain = plain.float()
            arrays[name] = np.asarray(plain.numpy())
    return arrays


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta


def _from_program(path: Path, sha256: str, seed: int) -> _Built:
    from core.models.modules import InitialValues

    text = _same_bytes(path, sha256)
    name = f"compression_studio_trusted_{sha256[:16]}"
    program = types.ModuleType(name)
    program.__file__ = str(path)
    # Data classes and pickles look their module up.
    sys.modules[name] = program
    with _told(path), InitialValues(torch.Generator().manual_seed(seed)):
        exec(compile(text, str(path), "exec", dont_inherit=True), program.__dict__)
        module = _network(path, program)
    if not isinstance(module, nn.Module):
        raise StudioError(
            f"{path.name} gave {type(module).__name__} instead of a network: let build() return a torch.nn.Module."
        )
    shapes = [getattr(program, each, None) for each in SHAPE_NAMES]
    counts = [getattr(program, each, None) for each in CLASSES_NAMES]
    return _Built(
        module.to("cpu"),
        _shape([*shapes, getattr(module, "input_shape", None)]),
        _whole([*counts, getattr(module, "num_classes", None)]),
    )


def _network(path: Path, program: types.ModuleType) -> Any:
    """What the file offers: the first factory, a ready network, or the one class that needs no arguments."""
    for name in FACTORIES:
        offered = getattr(program, name, None)
        if isinstance(offered, nn.Module):
            return offered
        if callable(offered) and not inspect.isclass(offered) and _own(offered, program):
            return offered()
    classes = [
        value
        for value in vars(program).values()
        if inspect.isclass(value) and issubclass(value, nn.Module) and _own(value, program)
    ]
    ready = [kind for kind in classes if _needs_nothing(kind)]
    if len(ready) != 1:
        named = ", ".join(kind.__name__ for kind in ready[:4])
        why = (
            f"has several networks ({named})"
            if ready
            else "has no network that can be built without arguments"
        )
        raise StudioError(f"{path.name} {why}: add a function build() that returns the one to open.")
    return ready[0]()


def _own(value: Any, program: types.ModuleType) -> bool:
    return getattr(value, "__module__", None) == program.__name__


def _needs_nothing(kind: type[nn.Module]) -> bool:
    """Whether a class can be called without arguments."""
    try:
        inspect.signature(kind).bind()
    except (TypeError, ValueError):
        return False
    return True


def _from_pickle(path: Path, sha256: str) -> _Built:
    with _told(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved = torch.load(io.BytesIO(_same_bytes(path, sha256)), map_location="cpu", weights_only=False)
    module = _module_in(saved)
    if module is None:
        raise StudioError(
            f"{path.name} holds {type(saved).__name__}, not a whole network: save its weights with "
            "torch.save(model.state_dict(), …) and open that file."
        )
    return _Built(module, _shape([getattr(module, "input_shape", None)]), None)


def _module_in(saved: Any) -> nn.Module | None:
    if isinstance(saved, nn.Module):
        return saved
    if isinstance(saved, Mapping):
        for name in (*WRAPPERS, "ema"):
            if isinstance(saved.get(name), nn.Module):
                found: nn.Module = saved[name]
                return found
    return None


def _same_bytes(path: Path, sha256: str) -> bytes:
    """The contents of a file, which must be the ones that were trusted."""
    try:
        size = path.stat().st_size
        if is_python(path) and size > LARGEST_PROGRAM:
            raise StudioError(f"{path.name} is too large for a Python program: choose another file.")
        data = path.read_bytes()
    except OSError as error:
        raise StudioError(f"{path} cannot be read ({error.strerror}): choose another file.") from error
    if new_sha256(data).hexdigest() != sha256:
        _changed(path)
    return data


def _changed(path: Path) -> None:
    raise StudioError(f"{path.name} has changed since it was trusted: open it again.")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever the code of a file raises becomes one sentence, with the traceback as details."""
    try:
        yield
    except StudioError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
        raise StudioError(
            f"{path.name} is trusted, but its code failed ({reason}): correct it and open it again.",
            details=traceback.format_exc(),
        ) from error


def _classes(module: nn.Module, input_shape: tuple[int, ...] | None) -> int | None:
    """The length of the output vector for one example of zeros, if that is what the network gives."""
    if input_shape is None:
        return None
    first = next(module.parameters(), None)
    dtype = first.dtype if first is not None and first.is_floating_point() else torch.float32
    try:
        with torch.no_grad():
            output = module(torch.zeros(1, *input_shape, dtype=dtype))
    except Exception:
        # Whatever a network of unknown make raises, its number of classes is simply not known.
        return None
    return int(output.shape[1]) if isinstance(output, Tensor) and output.dim() == 2 else None


def _shape(candidates: list[Any]) -> tuple[int, ...] | None:
    for value in candidates:
        if (
            isinstance(value, list | tuple)
            and value
            and all(type(size) is int and size > 0 for size in value)
        ):
            return tuple(value)
    return None


def _whole(candidates: list[Any]) -> int | None:
    return next((value for value in candidates if type(value) is int and value > 0), None)
