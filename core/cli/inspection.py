"""The command `inspect`: the layers of a model, counted from its own bytes."""

import argparse
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core import formatting
from core.cli.tables import text_table, to_json
from core.errors import StudioError
from core.models.description import Layer, ModelDescription
from core.models.opened import OpenedModel
from core.models.source import parse_source


@dataclass(frozen=True)
class _Counted:
    """A layer with what its weights really are."""

    layer: Layer
    zeros: int
    not_finite: int

    @property
    def sparsity(self) -> float:
        return self.zeros / self.layer.weights if self.layer.weights else 0.0


def inspect_model(options: argparse.Namespace) -> int:
    """The command `inspect`. Weights that are not numbers are shown first and then told as an error."""
    from core.models.opening import open_model

    opened = open_model(parse_source(options.model))
    description = opened.description
    counted = [_count(opened, layer) for layer in description.layers]
    if options.json:
        print(to_json(_as_json(description, counted)))
    else:
        print(_as_text(description, counted))
    for entry in counted:
        if entry.not_finite:
            raise StudioError(
                f"{description.source.title}: layer {entry.layer.name} has {_weights(entry.not_finite)} NaN or "
                "infinite, so the model cannot compute anything; use an earlier checkpoint."
            )
    return 0


def _weights(number: int) -> str:
    return "1 weight that is" if number == 1 else f"{number:,} weights that are"


def _count(opened: OpenedModel, layer: Layer) -> _Counted:
    weight = opened.weight(layer.name)
    finite = weight.size if weight.dtype.kind in "iub" else int(np.count_nonzero(np.isfinite(weight)))
    return _Counted(layer, weight.size - int(np.count_nonzero(weight)), weight.size - finite)


def _as_json(description: ModelDescription, counted: list[_Counted]) -> dict[str, Any]:
    return {
        "model": description.source.to_text(),
        "architecture": description.architecture,
        "architecture_title": description.architecture_title,
        "input_shape": description.input_shape,
        "num_classes": description.num_classes,
        "parameters": description.parameters,
        "weights": description.weights,
        "zeros": sum(entry.zeros for entry in counted),
        "sparsity": _sparsity(counted),
        "macs": _macs(counted),
        "file_bytes": description.file_bytes,
        "sha256": description.sha256,
        "recorded_accuracy": description.recorded_accuracy,
        "notes": description.notes,
        "layers": [
            {
                **asdict(entry.layer),
                "weights": entry.layer.weights,
                "zeros": entry.zeros,
                "not_finite": entry.not_finite,
                "sparsity": entry.sparsity,
                "macs": entry.layer.macs,
            }
            for entry in counted
        ],
    }


def _as_text(description: ModelDescription, counted: list[_Counted]) -> str:
    title = description.architecture_title or "architecture not recognised"
    lines = [f"{description.source.title} · {title}", ""]
    rows = [
        (
            entry.layer.name,
            entry.layer.kind,
            "×".join(str(size) for size in entry.layer.shape),
            formatting.count(entry.layer.weights),
            formatting.count(entry.zeros),
            formatting.percent(entry.sparsity),
            formatting.macs(entry.layer.macs),
        )
        for entry in counted
    ]
    rows.append(
        (
            f"{len(counted)} layers",
            "",
            "",
            formatting.count(description.weights),
            formatting.count(sum(entry.zeros for entry in counted)),
            formatting.percent(_sparsity(counted)),
            formatting.macs(_macs(counted)),
        )
    )
    headers = ("Layer", "Kind", "Shape", "Weights", "Zeros", "Sparsity", "MACs")
    lines += [text_table(headers, rows, right=(3, 4, 5, 6)), ""]
    facts = [("Parameters", f"{description.parameters:,} (biases and normalisation included)")]
    if description.input_shape is not None:
        facts.append(("Input", " × ".join(str(size) for size in description.input_shape)))
    if description.num_classes is not None:
        facts.append(("Classes", formatting.count(description.num_classes)))
    if description.file_bytes is not None:
        facts.append(
            ("File", f"{formatting.data_size(description.file_bytes)} ({description.file_bytes:,} bytes)")
        )
    if description.sha256 is not None:
        facts.append(("SHA-256", description.sha256))
    if description.recorded_accuracy is not None:
        facts.append(
            ("Accuracy", f"{formatting.percent(description.recorded_accuracy)} according to the file")
        )
    lines.append(text_table(("", ""), facts))
    lines += [f"Note: {note}" for note in description.notes]
    return "\n".join(lines)


def _sparsity(counted: list[_Counted]) -> float:
    weights = sum(entry.layer.weights for entry in counted)
    return sum(entry.zeros for entry in counted) / weights if weights else 0.0


def _macs(counted: list[_Counted]) -> int | None:
    known = [entry.layer.macs for entry in counted]
    return None if None in known else sum(value for value in known if value is not None)
