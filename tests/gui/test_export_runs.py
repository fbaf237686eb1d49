"""Exports for other runtimes by real clicks on the Export page, judged by plain onnxruntime as well."""

import importlib.util
from pathlib import Path

import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QWidget

from core.data.catalog import load_task
from studio.controllers.export_runs import copied, exported_files
from studio.jobs.background import Ticket
from studio.views.grid_view import GridView

from .user import JOB_TIMEOUT, User

onnxruntime = pytest.importorskip("onnxruntime")


def states(user: User) -> dict[str, QLabel]:
    return {name: user.see(QLabel, f"exportState-{name}") for name in ("onnx-int8", "onnx", "torch-export")}


def test_int8_onnx_of_the_sample_in_two_clicks(user: User, tmp_path: Path) -> None:
    studio = user.studio
    user.key(Qt.Key.Key_4)
    button = user.see(QPushButton, "export-onnx-int8")
    user.click(button)
    assert not button.isEnabled()
    assert "Under way" in states(user)["onnx-int8"].text()
    user.until(lambda: bool(user.window.findChildren(QFrame, "exported-onnx-int8")), 3 * JOB_TIMEOUT)
    assert button.isEnabled()
    card = user.see(QFrame, "exported-onnx-int8")
    headline = card.findChild(QLabel, "exportedHeadline").text()
    assert headline.startswith("✓ ")
    assert "smaller than dense safetensors" in headline
    tables = {view.objectName(): view.table for view in card.findChildren(GridView)}
    assert tables["check"].rowCount() >= 6
    assert tables["latency"].rowCount() == 6
    layers = tables["layerTimes"]
    names = [str(layers.index(row, 0).data()) for row in range(layers.rowCount())]
    assert names[:5] == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert names[-1] == "all"
    assert layers.index(len(names) - 1, 3).data() == "100.0"

    # The file's own accuracy, by a runtime that knows nothing of the studio.
    store = studio.store
    model = studio.state.model
    assert store is not None
    assert model is not None
    (file,) = exported_files(store, model.description.source.to_json(), Ticket())
    assert studio.state.task is not None
    task = load_task(studio.state.task)
    assert task.test is not None
    session = onnxruntime.InferenceSession(str(file.path), providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    images, labels = task.test.batch(torch.arange(len(task.test)), torch.device("cpu"))
    (outputs,) = session.run(None, {name: images.numpy()})
    correct = int((outputs.argmax(1) == labels.numpy()).sum())
    assert f"({correct})" in headline

    # The table of sizes above has the file too.
    size = file.path.stat().st_size
    labels = [label for label in user.see(QWidget, "sizeTable").findChildren(QLabel) if label.isVisible()]
    assert f"model-int8.onnx: {size:,} bytes" in [label.accessibleName() for label in labels]
    assert any("Exported by run 1" in label.text() for label in labels)

    target = tmp_path / "digits-int8.onnx"
    assert "the same bytes" in copied(file.path, target)
    assert target.read_bytes() == file.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_what_is_missing_is_said_before_anything_runs(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "onnxruntime" else real(name, *a)
    )
    store = user.studio.store
    assert store is not None
    user.key(Qt.Key.Key_4)
    user.click(user.see(QPushButton, "export-onnx"))
    assert "pip install 'compression-studio[onnx]'" in states(user)["onnx"].text()
    assert store.runs() == []
    user.studio.state.set_task(None)
    assert not user.see(QPushButton, "export-onnx-int8").isEnabled()
    assert "Choose a task first" in states(user)["onnx-int8"].text()
    assert "random inputs" in states(user)["torch-export"].text()
