"""The known networks as they are offered for opening: read from the shipped signatures, without torch."""

import re
from dataclasses import dataclass
from math import prod

from core.formatting import short_count
from core.models.recognise import is_parameter, known_architectures, signature_of


@dataclass(frozen=True)
class NetworkChoice:
    """One network. `text` is the form that `core.models.source.parse_source` reads."""

    text: str
    name: str
    title: str
    parameters: str
    input_size: str


def network_choices(family: str) -> list[NetworkChoice]:
    """The networks of a family, "zoo" or "torchvision"; torchvision's in the order of their names and sizes."""
    found = [_choice(text) for text in known_architectures() if text.startswith(f"{family}:")]
    return found if family == "zoo" else sorted(found, key=lambda choice: _natural(choice.name))


def _choice(text: str) -> NetworkChoice:
    signature = signature_of(text)
    parameters = sum(prod(shape) for name, shape in signature.tensors.items() if is_parameter(name))
    shape = " × ".join(str(size) for size in signature.input_shape)
    return NetworkChoice(text, text.partition(":")[2], signature.title, short_count(parameters), shape)


def _natural(name: str) -> list[tuple[int, str]]:
    # Figures by their value: resnet18 stands before resnet101.
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
