"""What a report is made of: a title and plain blocks, from which HTML and PDF are written. No markup in any text."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Heading:
    """The beginning of a section; `level` 2 is a section, 3 a part of one."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Sentences. `muted` ones are remarks; `preformatted` ones keep their line breaks."""

    text: str
    muted: bool = False
    preformatted: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        head: the columns' titles; empty strings for a table of label and value.
        rows: as many cells as there are columns. A row of one cell is a heading across the table.
        right: the columns that are aligned to the right (numbers).
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A plot as stand-alone SVG text of `width` × `height` pixels."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Code:
    """Text in a typewriter face, such as a recipe's JSON."""

    text: str


Block: TypeAlias = Heading | Paragraph | Grid | Picture | Code


@dataclass(frozen=True)
class Report:
    """A whole report; `subtitle` says what it is about in one line."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
