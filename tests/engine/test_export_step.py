"""The export step: files that other programs open and that answer as the run says; bad input leaves no file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core import pipeline
from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.errors import StudioError
from core.events import ArtifactWritten, Failed, Finding, Finished, Notice
from core.export import runtime_file
from core.export.conversion import _reason, _shorten
from core.export.layer_times import LayerTime, owners
from core.export.runtime_file import convert, require_libraries
from core.export.settings import ExportSettings
from core.export.step import layer_table
from core.findings import Table, read_finding
from core.job import JobContext
from core.models.source import SAMPLE
from core.pruning.structured_settings import PruneChannelsSettings
from core.recipe import Recipe
from core.request import RunRequest
from core.steps import StepSettings

DIGITS = TaskSpec("digits")

# Knows nothing of the studio.
PLAIN = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
inputs, labels = numpy.load(sys.argv[2]), numpy.load(sys.argv[3])
name = session.get_inputs()[0].name
right = int((session.run(None, {name: inputs})[0].argmax(1) == labels).sum())
print(json.dumps({"right": right, "studio": any(module.startswith("core") for module in sys.modules)}))
"""


def run(folder: Path, *steps: StepSettings, task: TaskSpec | None = DIGITS) -> list[object]:
    folder.mkdir(exist_ok=True)
    events: list[object] = []
    request = RunRequest(Recipe(steps=steps), SAMPLE, task, threads=1, device="cpu", measure_latency=False)
    pipeline.run(request, JobContext("run", events.append, folder))
    return events


def test_int8_of_a_pruned_network_opens_in_plain_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "run"
    steps = (PruneChannelsSettings(amount=0.1), ExportSettings(format="onnx-int8", examples=64, batch=4))
    events = run(folder, *steps)
    assert isinstance(events[-1], Finished), events[-1]
    path = folder / "model-int8.onnx"
    written = next(e for e in events if isinstance(e, ArtifactWritten) and e.kind == "onnx-int8")
    assert written.size == path.stat().st_size
    findings = {e.kind: read_finding(e.data) for e in events if isinstance(e, Finding)}
    check, times = findings["export-check"], findings["export-latency"]
    assert isinstance(check, Table)
    assert isinstance(times, Table)
    rows = {row[0]: row for row in check.rows}
    assert [(row[0].split(",")[1].strip(), row[1]) for row in times.rows] == [
        (kind, batch) for batch in (1, 4) for kind in ("float32", "float32", "int8")
    ]
    layers = findings["export-layers"]
    assert isinstance(layers, Table)
    names = [row[0] for row in layers.rows]
    assert names[:5] == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert names[-1] == "all"
    # A layer this small may take less than the microsecond that the profile counts in.
    assert all(row[1].startswith("Q") and row[2] >= 0 for row in layers.rows[:5]), layers.rows
    assert all(row[4] is not None for row in layers.rows[:5]), layers.rows
    assert layers.rows[-1][2] > 0
    assert sum(row[2] for row in layers.rows[:-1]) == pytest.approx(layers.rows[-1][2])
    assert sum(row[3] for row in layers.rows[:-1]) == pytest.approx(100)
    split = load_task(DIGITS).test
    assert split is not None
    inputs, labels = split.batch(torch.arange(len(split)))
    np.save(tmp_path / "x.npy", inputs.numpy())
    np.save(tmp_path / "y.npy", labels.numpy())
    said = subprocess.run(
        [sys.executable, "-c", PLAIN, str(path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": ""},
    )
    found = json.loads(said.stdout)
    assert not found["studio"]
    assert f"({found['right']})" in rows["Accuracy"][2]
    assert "operators" in rows["Computed with integers"][2]
    assert any("in onnxruntime int8 is" in e.text for e in events if isinstance(e, Notice))
    # Weights keep the names of their layers, so that the file can be read in a viewer; all else is told shortly.
    graph = onnx.load(str(path)).graph
    weights = {entry.name for entry in graph.initializer if len(entry.dims) > 1}
    assert {name.split(".")[0] for name in weights} == {"conv1", "conv2", "conv3", "fc1", "fc2"}
    ends = {entry.name for entry in (*graph.input, *graph.output)}
    assert ends == {"x", "y"}
    others = {name for node in graph.node for name in (*node.input, *node.output)} - weights - ends
    assert max(len(name) for name in others) <= 5
    onnx.checker.check_model(str(path), full_check=True)


def test_names_are_shortened_without_clashes() -> None:
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    make = onnx.helper
    weight = make.make_tensor("t0", onnx.TensorProto.FLOAT, (2, 2), [1.0, 2.0, 3.0, 4.0])
    scale = make.make_tensor("a long name of a scale", onnx.TensorProto.FLOAT, (1,), [2.0])
    nodes = [
        make.make_node("MatMul", ["x", "t0"], ["what flows in between"], name="kept"),
        make.make_node("Clip", ["what flows in between", "", "a long name of a limit"], ["clipped"]),
        make.make_node("Mul", ["clipped", "a long name of a scale"], ["y"]),
    ]
    limit = make.make_tensor("a long name of a limit", onnx.TensorProto.FLOAT, (), [5.0])
    ends = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (None, 2)) for name in ("x", "y")]
    graph = make.make_graph(nodes, "g", ends[:1], ends[1:], [weight, scale, limit])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)])
    _shorten(model.graph)
    onnx.checker.check_model(model, full_check=True)
    names = [entry.name for entry in model.graph.initializer]
    assert names[0] == "t0"
    assert len(set(names)) == 3
    assert model.graph.node[0].name == "kept"
    assert model.graph.node[1].input[1] == ""
    (found,) = reference.ReferenceEvaluator(model).run(None, {"x": np.array([[1.0, 1.0]], np.float32)})
    np.testing.assert_array_equal(found, [[8.0, 10.0]])


def test_without_data_int8_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    events = run(tmp_path, ExportSettings(format="onnx-int8"), task=None)
    assert isinstance(events[-1], Failed)
    assert "calibration examples" in events[-1].message
    assert not list(tmp_path.glob("*.onnx"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudioError, match=r"onnx, onnxscript, onnxruntime.*compression-studio\[onnx\]"):
        require_libraries("onnx")
    require_libraries("torch-export")


class Undecided(nn.Module):
    """A branch that depends on values, which cannot be traced."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) if float(x.sum()) > 0 else -x.flatten(1)


def test_what_cannot_be_traced_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="was not exported") as caught:
        convert(Undecided(), (1, 4, 4), "torch-export", tmp_path / "out.pt2")
    assert "\n" not in caught.value.message
    assert not list(tmp_path.iterdir())


def test_giving_up_ends_the_helper_and_leaves_no_file(tmp_path: Path) -> None:
    def give_up() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        convert(nn.Flatten(), (1, 4, 4), "torch-export", tmp_path / "out.pt2", check=give_up)
    assert not list(tmp_path.iterdir())


def test_reasons_are_words() -> None:
    assert "not known to the exporter" in _reason("X", ["No ONNX function found for aten::strange"])
    assert "larger than 2 GB" in _reason("X", ["exceeds maximum protobuf size"])
    assert _reason("KeyError", ["'x'"]) == "KeyError: 'x'"


def test_operators_belong_to_the_layer_whose_weight_they_take_by_whatever_name() -> None:
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    names = [
        "conv1.weight_quantized",
        "conv10.weight",
        "conv1.weight_bias",
        "block.conv1.weight_bias_1",
        "shape",
    ]
    constants = [make.make_tensor(name, onnx.TensorProto.FLOAT, (1,), [1.0]) for name in names]
    inputs = {
        "a": ["x", "scale", "conv1.weight_quantized"],
        "b": ["x", "conv10.weight"],
        "c": ["x", "reordered", "conv1.weight_bias"],
        "d": ["x", "block.conv1.weight_bias_1"],
        "e": ["x", "shape"],
        "f": ["conv1.weight"],  # flows in from elsewhere
    }
    nodes = [make.make_node("Conv", given, [f"y{name}"], name=name) for name, given in inputs.items()]
    graph = make.make_graph(nodes, "g", [], [], constants)
    assert owners(graph, ("conv1", "conv10", "block.conv1")) == {
        "a": "conv1", "b": "conv10", "c": "conv1", "d": "block.conv1",
    }  # fmt: skip
    # Where the weight has lost its name: by the operator's, back through the activation that was fused into it.
    first = make.make_graph(
        [
            make.make_node("Conv", ["x", "conv10.weight"], ["conv"], name="first"),
            make.make_node("Relu", ["conv"], ["relu"], name="second"),
            make.make_node("Add", ["relu", "x"], ["sum"], name="third"),
        ],
        "written", [], [], constants,
    )  # fmt: skip
    run = make.make_graph(
        [
            make.make_node("Conv", ["x", "reordered"], ["reordered_1"], name="relu_nchwc"),
            make.make_node("Conv", ["x", "reordered"], ["reordered_2"], name="sum_nchwc"),
            make.make_node("Relu", ["x"], ["relu"], name="no work"),
        ],
        "run", [], [], [],
    )  # fmt: skip
    assert owners(run, ("conv1", "conv10"), first) == {"relu_nchwc": "conv10"}


def test_of_each_layer_the_median_is_told_and_the_rest_by_kind() -> None:
    def rows(*times: LayerTime) -> list[tuple[object, ...]]:
        return [tuple(row) for row in layer_table(times).rows]

    assert rows(LayerTime("fc", "Gemm", 1, 3.0), LayerTime("", "Relu", 2, 1.0)) == [
        ("fc", "Gemm", 3.0, 75.0),
        ("other operators", "2 × Relu", 1.0, 25.0),
        ("all", "", 4.0, 100.0),
    ]
    beside = layer_table([LayerTime("fc", "QGemm", 1, 1.0)], [LayerTime("fc", "Gemm", 1, 4.0)])
    assert [tuple(row) for row in beside.rows] == [
        ("fc", "QGemm", 1.0, 100.0, 4.0, 4.0),
        ("all", "", 1.0, 100.0, 4.0, 4.0),
    ]
