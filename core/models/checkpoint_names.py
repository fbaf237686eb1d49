"""Finds the weights inside whatever a training script saved around them, and gives them their plain names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.models.pickle_values import Foreign
from core.models.tensor_file import StoredTensor
from core.models.torch_pickle import UnreadTensor

# Entries that hold the weights, the most telling first.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "state",
    "student",
)
# Averaged copies of the weights: used where there is nothing else.
AVERAGED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "model_ema_state_dict",
    "averaged_model",
    "swa_state_dict",
    "params_ema",
)
NO_WEIGHTS = re.compile(
    r"optim|sched|scaler|amp$|rng|random_state|^args$|config|hparams|hyper_?param|callbacks|loops"
)
# Components that wrappers of modules put in front of (or between) the names.
LEADING = ("module", "model", "net", "network", "_orig_mod", "state_dict")
ANYWHERE = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# Old torchvision DenseNets: `denselayer1.norm.1.weight` is today's `denselayer1.norm1.weight`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
ACCURACY_NAMES = ("best_prec1", "best_acc1", "best_acc", "best_accuracy", "best_top1", "best_val_acc",
                  "test_acc", "test_accuracy", "val_acc", "val_accuracy", "prec1", "acc1", "top1", "acc",
                  "accuracy")  # fmt: skip
DEEPEST = 8
MOST_NAMED = 4


@dataclass(frozen=True)
class FoundTensors:
    """The weights of a file under their plain names, and what was done to get them."""

    tensors: Mapping[str, StoredTensor]
    notes: tuple[str, ...]


def find_tensors(root: Any, *, table: bool = False) -> FoundTensors:
    """The weights inside a saved object; empty if there are none.

    Args:
        root: nested dicts and lists as a format's reader gives them.
        table: `root` is a plain table of tensors, of which none belongs to a training script's own state.
    """
    notes: list[str] = []
    chosen, path = (root, ()) if table else _unwrapped(root)
    if path:
        notes.append(f"The weights were taken from the entry “{'.'.join(path)}”.")
    tensors: dict[str, StoredTensor] = {}
    ignored: list[str] = []
    unread: dict[str, list[str]] = {}
    for name, value in chosen.items() if table else _leaves(chosen):
        if isinstance(value, StoredTensor):
            tensors[name] = value
        elif isinstance(value, UnreadTensor):
            unread.setdefault(value.why, []).append(name)
        elif value is not None and not path:
            ignored.append(name.split(".")[0])
    if path and isinstance(root, Mapping):
        ignored.extend(str(name) for name in root if name != path[0])
    ignored = [name for name in dict.fromkeys(ignored) if name.lower() not in ACCURACY_NAMES]
    if ignored:
        notes.append(f"Not read, because they are no weights: {_some(ignored)}.")
    for why, names in unread.items():
        notes.append(f"Tensors that are {why} were left out: {_some(names)}.")
    renamed, name_notes = _plain_names(tensors)
    return FoundTensors(renamed, tuple(notes + name_notes))


def hides_network(root: Any, found: FoundTensors) -> bool:
    """Whether the network itself is an object that was not read: what was found besides are no weights."""
    if isinstance(root, Foreign) or not found.tensors:
        return True
    if not isinstance(root, Mapping) or any(len(tensor.shape) > 1 for tensor in found.tensors.values()):
        return False
    return any(isinstance(root.get(name), Foreign) for name in (*WRAPPERS, *AVERAGED))


def recorded_accuracy(entries: Mapping[str, Any]) -> float | None:
    """The accuracy that the file claims, as a fraction, from entries whose values are plain numbers or texts.

    Values above 1 are taken for percentages.
    """
    lowered = {str(name).lower(): value for name, value in entries.items()}
    for name in ACCURACY_NAMES:
        value = lowered.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        try:
            number = float(value)
        except (ValueError, OverflowError):
            continue
        fraction = number / 100 if number > 1 else number
        if 0 < fraction <= 1:
            return fraction
    return None


def _unwrapped(root: Any) -> tuple[Any, tuple[str, ...]]:
    """The innermost object that holds the weights, and the names of the entries that lead to it."""
    path: list[str] = []
    while isinstance(root, Mapping) and len(path) < DEEPEST:
        by_lower_name = {str(key).lower(): key for key in root if isinstance(key, str)}
        for wrapper in (*WRAPPERS, *AVERAGED):
            key = by_lower_name.get(wrapper)
            if key is not None and isinstance(root[key], Mapping | list) and _has_tensors(root[key]):
                path.append(str(key))
                root = root[key]
                break
        else:
            break
    return root, tuple(path)


def _has_tensors(value: Any) -> bool:
    return any(isinstance(leaf, StoredTensor) for _, leaf in _leaves(value))


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
    """All values below `root` with their path as a name; lists of plain numbers count as one value."""
    if isinstance(root, StoredTensor):
        yield "tensor", root
        return
    seen: set[int] = set()

    def below(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping | list | tuple):
            if id(value) in seen or depth > DEEPEST:
                return
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            nested = [(str(key), item) for key, item in items if not (depth == 0 and _no_weights(key))]
            if isinstance(value, Mapping) or any(_may_hold_tensors(item) for _, item in nested):
                for key, item in nested:
                    yield from below(item, f"{name}.{key}" if name else key, depth + 1)
                return
            yield name, ()
        else:
            yield name, value

    yield from below(root, "", 0)


def _no_weights(key: Any) -> bool:
    return isinstance(key, str) and NO_WEIGHTS.search(key.lower()) is not None and "." not in key


def _may_hold_tensors(value: Any) -> bool:
    return isinstance(value, StoredTensor | UnreadTensor | Mapping | list | tuple)


def _plain_names(tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, StoredTensor], list[str]]:
    notes: list[str] = []
    names = {name: name for name in tensors}
    compiled = {old: ANYWHERE.sub("", new) for old, new in names.items()}
    if compiled != names and len(set(compiled.values())) == len(names):
        notes.append("Names of wrappers such as “_orig_mod.” were removed.")
        names = compiled
    removed = ""
    while names:
        first = {new.partition(".")[0] for new in names.values()}
        leading = next(iter(first))
        inside = all("." in new for new in names.values())
        if len(first) != 1 or leading not in LEADING or not inside:
            break
        names = {old: new.partition(".")[2] for old, new in names.items()}
        removed += f"{leading}."
    if removed:
        notes.append(f"The prefix “{removed}” was removed from all names.")
    modern = {old: OLD_DENSENET.sub(r"\1\2", new) for old, new in names.items()}
    if modern != names and len(set(modern.values())) == len(names):
        notes.append("Names of an old torchvision DenseNet were brought up to date.")
        names = modern
    return {new: tensors[old] for old, new in names.items()}, notes


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:MOST_NAMED])
    rest = len(names) - MOST_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown
