"""Where a model comes from, as a small value that can be stored, shown and typed on a command line."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import StudioError

SAMPLE_NAME = "sample"


@dataclass(frozen=True)
class ModelSource:
    """A built-in network, a torchvision name, or a file.

    Attributes:
        kind: "sample" (the shipped digits model), "zoo" (built-in network, freshly initialised), "torchvision"
            or "file".
        name: the architecture's name for zoo and torchvision, the absolute path for a file, "sample" for the sample.
        weights: for torchvision, the name of the published weights ("DEFAULT") or None for fresh ones.
        architecture: for a file, the architecture to put the tensors into ("zoo:resnet20",
            "torchvision:resnet18") if the user chose one; None means: recognise it.
        num_classes: for zoo and torchvision, the number of classes if not the architecture's usual one.
    """

    kind: Literal["sample", "zoo", "torchvision", "file"]
    name: str
    weights: str | None = None
    architecture: str | None = None
    num_classes: int | None = None

    @property
    def title(self) -> str:
        """What people call it: the file's name, `torchvision resnet18`."""
        if self.kind == "file":
            return Path(self.name).name
        if self.kind == "sample":
            return "Digits sample"
        return f"{self.name} ({'built-in' if self.kind == 'zoo' else 'torchvision'})"

    def to_text(self) -> str:
        """The form that `parse_source` reads back."""
        if self.kind == "file":
            return self.name
        if self.kind == "sample":
            return SAMPLE_NAME
        return f"{self.kind}:{self.name}" + (f"@{self.weights}" if self.weights else "")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of all fields."""
        return asdict(self)


SAMPLE = ModelSource("sample", SAMPLE_NAME)


def source_from_json(data: dict[str, Any]) -> ModelSource:
    """The inverse of `ModelSource.to_json`."""
    return ModelSource(**data)


def parse_source(text: str) -> ModelSource:
    """A source from what a user types: `sample`, `zoo:resnet20`, `torchvision:resnet18`,
    `torchvision:resnet18@DEFAULT`, or a path.

    Raises:
        StudioError: if it is a path that does not exist and no known form either.
    """
    kind, colon, rest = text.partition(":")
    if text == SAMPLE_NAME and not Path(text).exists():
        return SAMPLE
    if colon and kind == "zoo":
        return ModelSource("zoo", rest)
    if colon and kind == "torchvision":
        name, at, weights = rest.partition("@")
        return ModelSource("torchvision", name, weights=weights if at else None)
    path = Path(text).expanduser()
    if not path.exists():
        raise StudioError(
            f"{text} does not exist: give a model file, “sample”, “zoo:NAME” or “torchvision:NAME”."
        )
    return ModelSource("file", str(path.absolute()))
