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
from core.export.runtime_file import convert, require_libraries
from core.export.settings import ExportSettings
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
