"""The real checkpoint and the real images, from the command line."""

import json
import tarfile
from pathlib import Path

import pytest

from core.cli import main

CHECKPOINT = Path("checkpoints") / "resnet20-12fca82f.th"
IMAGES = "cifar10-jpeg.tar.xz"


@pytest.fixture
def checkpoint(real_data) -> Path:
    """The ResNet-20 of CIFAR-10."""
    if not (real_data / CHECKPOINT).is_file():
        pytest.skip("COMPRESSION_STUDIO_DATA has no checkpoint")
    return real_data / CHECKPOINT


def unpack_test_images(archive: Path, folder: Path, of_each_class: int) -> Path:
    """The first test images of each class, as an image folder; the training images are not even unpacked."""
    if not archive.is_file():
        pytest.skip("COMPRESSION_STUDIO_DATA has no CIFAR-10 images")
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name)
            if "train" in name.parts:
                break
            if member.isfile() and int(name.stem) < of_each_class:
                tar.extract(member, folder, filter="data")
    return folder / "cifar10-jpeg"


def answer(capsys, *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_checkpoint_is_recognised(capsys, checkpoint):
    data = answer(capsys, "inspect", checkpoint)
    assert data["architecture"] == "zoo:resnet20"
    assert data["parameters"] == 269_722
    assert len(data["layers"]) == 20
    assert data["macs"] == pytest.approx(40.6e6, rel=0.01)
    assert any("module." in note for note in data["notes"])


def test_some_of_the_jpeg_images(capsys, checkpoint, real_data, tmp_path):
    folder = unpack_test_images(real_data / IMAGES, tmp_path, 20)
    data = answer(capsys, "evaluate", checkpoint, "--task", f"folder:{folder}", "--no-latency")
    accuracy = data["measurement"]["accuracy"]
    assert accuracy["count"] == 200
    assert accuracy["low"] < 0.8103 < accuracy["high"]


@pytest.mark.reproduction
def test_all_jpeg_test_images(capsys, checkpoint, real_data, tmp_path):
    folder = unpack_test_images(real_data / IMAGES, tmp_path, 1000)
    data = answer(capsys, "evaluate", checkpoint, "--task", f"folder:{folder}", "--no-latency")
    assert data["measurement"]["accuracy"]["correct"] == 8103
    assert data["measurement"]["accuracy"]["count"] == 10_000
