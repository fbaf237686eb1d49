"""What the title bar and the status bar say about the open model."""

from core.formatting import count, percent, short_count
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


def facts(model: OpenedModel | None, accuracy: object) -> tuple[str, str]:
    """Layers, parameters and accuracy for the status bar, and the same at length for its tooltip."""
    if model is None:
        return "No model open", "Open a model with Ctrl+O, or drop a file on the window."
    description = model.description
    text = f"{len(description.layers)} layers · {short_count(description.parameters)} parameters"
    more = (
        f"{count(description.parameters)} parameters, {count(description.weights)} of them prunable weights."
    )
    if isinstance(accuracy, Accuracy):
        text += f" · {percent(accuracy.value)} (n = {count(accuracy.count)})"
        more += (
            f" {accuracy.correct:,} of {count(accuracy.count)} {accuracy.split} examples right, 95 % interval "
            f"{percent(accuracy.low)} to {percent(accuracy.high)}."
        )
    elif description.recorded_accuracy is not None:
        text += f" · the file claims {percent(description.recorded_accuracy)}"
        more += " The accuracy is what the file itself claims; Measure (Ctrl+M) finds out."
    return text, more
