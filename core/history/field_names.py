"""The names of what runs were set to and measured at, as searches and columns call them; knows no database."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from core.measurement.records import Accuracy, Latency, Measurement
from core.registry import STEP_KINDS

BEFORE = "before."
_PARTS: Mapping[str, type[Any]] = {"accuracy": Accuracy, "latency": Latency}


def measurement_names() -> dict[str, tuple[str, bool]]:
    """Figures of a measurement by the names that users write: the column (or key of `extra`), and whether it is text.

    `loss` is the accuracy's loss; figures of the latency begin with `latency_`, those of the accuracy with `accuracy_`.
    """
    found: dict[str, tuple[str, bool]] = {"loss": ("accuracy_loss", False)}
    for entry in fields(Measurement):
        if entry.name in _PARTS:
            for part in fields(_PARTS[entry.name]):
                name = f"{entry.name}_{part.name}"
                found[name] = (name, _is_text(part.type))
        elif entry.name != "input_shape":
            found[entry.name] = (entry.name, _is_text(entry.type))
    return found


def setting_names() -> list[str]:
    """All settings of all steps: "prune.sparsity"."""
    return [
        f"{kind}.{name}"
        for kind, step in STEP_KINDS.items()
        for name in step.settings.model_fields
        if name != "step"
    ]


def _is_text(annotation: Any) -> bool:
    return annotation is str or annotation == "str" or "str" in str(annotation).split(" | ")
