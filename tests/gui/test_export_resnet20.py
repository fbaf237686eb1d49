"""The real ResNet-20 to int8 ONNX from the window, judged again by a script that knows nothing of the studio.

`python -m pytest -m reproduction tests/gui/test_export_resnet20.py -s` takes two minutes on two cores.
"""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFrame, QPushButton

from core.data.spec import TaskSpec
from core.findings import Table
from studio.controllers.export_runs import exported_files
from studio.jobs.background import Ticket

from .user import User

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.reproduction

PLAIN_SCRIPT = '''
"""Opens an ONNX file in plain onnxruntime and counts right answers on a folder of images. Knows no studio."""
import json, pathlib, sys
import numpy, onnxruntime
from PIL import Image

file, folder = sys.argv[1:]
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
mean = numpy.array([0.485, 0.456, 0.406], numpy.float32)
std = numpy.array([0.229, 0.224, 0.225], numpy.float32)
right = count = 0
for label, place in enumerate(sorted(pathlib.Path(folder).iterdir())):
    paths = sorted(place.iterdir())
    for start in range(0, len(paths), 250):
        pixels = numpy.stack([numpy.asarray(Image.open(path).convert("RGB")) for path in paths[start:start + 250]])
        images = (pixels.astype(numpy.float32) / 255 - mean) / std
        (answers,) = session.run(None, {name: numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))})
        right += int((answers.argmax(1) == label).sum())
        count += len(answers)
assert not {"core", "studio", "torch"} & set(sys.modules)
print(json.dumps({"right": right, "count": count}))
'''
CALIBRATION = 100
"""Training images of each class that are unpacked; calibration needs no more."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """CIFAR-10 as JPEG: all test images, and some training images of each class."""
    archive = Path(os.environ.get("COMPRESSION_STUDIO_DATA", "")) / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip("COMPRESSION_STUDIO_DATA is not set")

    def wanted(name: str) -> bool:
        path = Path(name)
        if path.suffix != ".jpg":
            return False
        return "test" in path.parts or int(path.stem) <= CALIBRATION

    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, (member for member in tar if wanted(member.name)), filter="data")
    return tmp_path / "cifar10-jpeg"


def test_resnet20_keeps_its_accuracy_in_int8(user: User, images: Path, tmp_path: Path) -> None:
    studio, store = user.studio, user.studio.store
    checkpoint = Path(os.environ["COMPRESSION_STUDIO_DATA"]) / "checkpoints" / "resnet20-12fca82f.th"
    assert store is not None
    studio.parts.model.open_text(str(checkpoint))
    user.until(
        lambda: studio.state.model is not None and "resnet20" in studio.state.model.description.source.title
    )
    user.until(lambda: studio.background.idle)
    studio.state.set_task(TaskSpec("folder", folder=str(images)))
    studio.workspaces.export()
    user.click(user.see(QPushButton, "export-onnx-int8"))
    user.until(lambda: bool(user.window.findChildren(QFrame, "exported-onnx-int8")), 240_000)

    model = studio.state.model
    assert model is not None
    (file,) = exported_files(store, model.description.source.to_json(), Ticket())
    run = store.run(file.run_id)
    assert run.before is not None
    assert run.before.accuracy is not None
    assert (run.before.accuracy.correct, run.before.accuracy.count) == (8103, 10_000)

    script = tmp_path / "plain.py"
    script.write_text(PLAIN_SCRIPT)
    told = subprocess.run(
        [sys.executable, "-I", str(script), str(file.path), str(images / "test")],
        capture_output=True,
        text=True,
        check=True,
    )
    plain = json.loads(told.stdout)
    assert plain["count"] == 10_000
    # At most 0.3 percentage points, and the very number that the page tells.
    assert plain["right"] >= 8103 - 30
    assert f"accuracy {plain['right'] / 100:.2f} % ({plain['right']:,})" in file.headline
    # A byte for each weight and a tenth more for scales and the graph.
    size = file.path.stat().st_size
    assert size <= 0.27 * checkpoint.stat().st_size
    assert isinstance(file.check, Table)
    ratio = checkpoint.stat().st_size / size
    print(f"\n{file.headline}\n{file.words}")
    print(f"plain onnxruntime: {plain}; {size:,} bytes, {ratio:.2f}× smaller than the checkpoint")
