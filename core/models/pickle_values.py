"""What a pickle is read from and what stands for the things that it mentions; nothing here imports or calls them."""

from collections.abc import Callable
from typing import Any, Protocol

Maker = Callable[..., Any]


class MalformedPickleError(Exception):
    """The bytes are no pickle, or not one that a sane program writes."""


class ForeignCodeError(Exception):
    """The pickle names a class or function that is not on the list of known, harmless data types."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"{module}.{name}")
        self.module = module
        self.name = name


class ByteStream(Protocol):
    """Where a pickle is read from."""

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes; raises `MalformedPickleError` if there are fewer."""

    def line(self, longest: int) -> bytes:
        """The bytes up to the next newline, without it; raises `MalformedPickleError` if there is none in `longest`."""


class Ignored:
    """Stands for an object that is of no interest, such as the settings of a training script."""


class Foreign(Ignored):
    """Stands for an object of a class that is not known, such as a network that was pickled as a whole."""


class Attributes(dict[str, Any]):
    """Stands for an object of which only the attributes matter, by name; `state` is one that is no dictionary."""


class Known:
    """A class, function or constant that a pickle may mention.

    Args:
        make: of ours, called with the arguments that the pickle gives; None for what is only mentioned.
        word: what it stands for, such as a tensor type's word.
    """

    def __init__(self, make: Maker | None = None, word: str = "") -> None:
        self.make = make
        self.word = word
