"""Where the time of a forward pass goes: onnxruntime's own profile of a file, read layer by layer."""

import json
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.export.conversion import INPUT
from core.export.runtime_file import FLOATING, INTEGER

WARM_UP = 5
PASSES = 30


@dataclass(frozen=True)
class LayerTime:
    """Operators that compute one layer, or all of one kind that belong to none.

    Attributes:
        layer: its name in the network; "" for operators without weights.
        operator: what onnxruntime runs, after it has fused what it could: `QLinearConv`.
        calls: how many operators these are.
        milliseconds: of one pass; the mean of the middle half of all passes, as the profile counts whole microseconds.
    """

    layer: str
    operator: str
    calls: int
    milliseconds: float


def layer_times(
    path: Path, threads: int, inputs: NDArray[np.float32], layers: Iterable[str], passes: int = PASSES
) -> tuple[LayerTime, ...]:
    """Run the file with profiling on.

    Args:
        inputs: float32 [N, *shape].
        layers: the network's layers with weights; an operator belongs to the one whose weight or bias it takes.

    Returns:
        The layers in the order of `layers`, those that the file does not tell apart left out; then everything else by
        kind, the longest first.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        folder = Path(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        options.optimized_model_filepath = str(folder / "optimised.onnx")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(WARM_UP + passes):
            session.run(None, {INPUT: inputs})
        events = json.loads(Path(session.end_profiling()).read_text())
        del session
        run, written = (
            onnx.load(str(file), load_external_data=False).graph for file in (folder / "optimised.onnx", path)
        )
    return _by_layer(events, owners(run, tuple(layers), written), tuple(layers))


def owners(graph: Any, layers: Sequence[str], written: Any = None) -> dict[str, str]:
    """The layer of every operator, by the operator's name, that takes the weight or the bias of one.

    Runtimes rename what they fold and reorder by adding to the name: `conv1.weight_quantized`, `conv1.weight_bias`.
    Where they drop the name altogether, the operator or what it puts out is still called as in the file.

    Args:
        graph: as the runtime runs it.
        written: as it stands in the file.
    """
    stems = {f"{layer}.{part}": layer for layer in layers for part in ("weight", "bias")}
    found = _by_constants(graph, stems)
    if written is None:
        return found
    at_first = _by_constants(written, stems, by_output=True)
    taken = set(found.values())
    for node in graph.node:
        if node.name in found or node.op_type not in FLOATING | INTEGER:
            continue
        # Blocked convolutions are named after what they put out in the file.
        for tensor in (node.output[0], node.name.removesuffix("_nchwc")):
            layer = _origin(tensor, at_first, written)
            if layer is not None and layer not in taken:
                found[node.name] = layer
                taken.add(layer)
                break
    return found


def _origin(tensor: str, at_first: dict[str, str], written: Any) -> str | None:
    """The layer that a tensor comes from, back through what has one input: activations and the like."""
    constants = {entry.name for entry in written.initializer}
    makers = {output: node for node in written.node for output in node.output}
    while tensor not in at_first:
        maker = makers.get(tensor)
        flowing = (
            [] if maker is None else [entry for entry in maker.input if entry and entry not in constants]
        )
        if len(flowing) != 1:
            return None
        tensor = flowing[0]
    return at_first[tensor]


def _by_constants(graph: Any, stems: dict[str, str], by_output: bool = False) -> dict[str, str]:
    constants = {entry.name for entry in graph.initializer}
    found = {}
    for node in graph.node:
        for entry in node.input:
            if entry in constants and (layer := _stem(entry, stems)) is not None:
                found[node.output[0] if by_output else node.name] = layer
                break
    return found


def _stem(name: str, stems: dict[str, str]) -> str | None:
    for stem in (name, name.rpartition("_")[0], name.partition("_")[0]):
        if stem in stems:
            return stems[stem]
    return next((layer for stem, layer in stems.items() if name.startswith(f"{stem}_")), None)


def _by_layer(
    events: Sequence[dict[str, Any]], owner: dict[str, str], layers: Sequence[str]
) -> tuple[LayerTime, ...]:
    taken: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in events:
        name, operator = str(event.get("name", "")), event.get("args", {}).get("op_name")
        if event.get("cat") == "Node" and name.endswith("_kernel_time") and operator:
            node = name.removesuffix("_kernel_time")
            taken.setdefault(node, []).append(float(event["dur"]) / 1000)
            kinds[node] = str(operator)
    groups: dict[tuple[str, str], list[str]] = {}
    for node, kind in kinds.items():
        layer = owner.get(node, "")
        groups.setdefault((layer, "" if layer else kind), []).append(node)
    rows = []
    for (layer, _), nodes in groups.items():
        each = [_middle(taken[node][WARM_UP:] or taken[node]) for node in nodes]
        operators = " + ".join(dict.fromkeys(kinds[node] for node in nodes))
        rows.append(LayerTime(layer, operators, len(nodes), sum(each)))
    place = {layer: index for index, layer in enumerate(layers)}
    return tuple(
        sorted(rows, key=lambda row: (place.get(row.layer, len(place)), -row.milliseconds, row.operator))
    )


def _middle(times: Sequence[float]) -> float:
    """The mean of the values between the quartiles: as little moved by a few slow passes as the median is."""
    quarter = len(times) // 4
    return statistics.fmean(sorted(times)[quarter : len(times) - quarter])
