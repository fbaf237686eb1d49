"""What the title bar and the status bar say about the open model."""

from core.formatting import percent, short_count
from core.measurement.records import Accuracy
from core.models.opened import OpenedModel

NAME = "Compression Studio"


def window_title(model: OpenedModel | None, accuracy: object) -> str:
    """`Compression Studio — resnet20.th · CIFAR ResNet-20 · 272 k parameters · 81.03 %`."""
    if model is None:
        return NAME
    description = model.description
    parts = [
        description.source.title,
        description.architecture_title or "not recognised",
        f"{short_count(description.parameters)} parameters",
    ]
    if isinstance(accuracy, Accuracy):
        parts.append(percent(accuracy.value))
    return f"{NAME} — {' · '.join(parts)}"


def facts(model: OpenedModel | None, accuracy: object) -> str:
    """Layers, parameters and accuracy, with its sample count and its interval."""
    if model is None:
        return "No model open"
    description = model.description
    text = f"{len(description.layers)} layers · {short_count(description.parameters)} parameters"
    if isinstance(accuracy, Accuracy):
        text += (
            f" · {percent(accuracy.value)} on {accuracy.count:,} {accuracy.split} examples "
            f"(95 %: {percent(accuracy.low, 1)} to {percent(accuracy.high, 1)})"
        )
    elif description.recorded_accuracy is not None:
        text += f" · the file claims {percent(description.recorded_accuracy)}"
    return text
