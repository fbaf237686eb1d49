"""MNIST's files: found, read without unpacking, validated, and downloaded where they are missing."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data import locations, mnist
from core.data.catalog import load_task
from core.data.idx import read_idx
from core.data.spec import TaskSpec
from core.data.task import TEST
from core.errors import StudioError

TRAIN_COUNT, TEST_COUNT = 240, 30
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    generator = np.random.default_rng(0)
    made = {}
    for prefix, count in (("train", TRAIN_COUNT), ("t10k", TEST_COUNT)):
        made[f"{prefix}-images-idx3-ubyte"] = idx_bytes(generator.integers(0, 256, (count, 28, 28), np.uint8))
        made[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(generator.integers(0, 10, count, np.uint8))
    return made


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A data root of its own with a small MNIST, and nothing else reachable."""
    monkeypatch.delenv(locations.ENVIRONMENT, raising=False)
    monkeypatch.setattr(locations, "user_data_root", lambda: tmp_path / "user")
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in contents().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path / "data"


def spec_at(root: Path, **fields) -> TaskSpec:
    return TaskSpec("mnist", folder=str(root), **fields)


def test_gz_and_plain_files_give_the_same(root):
    packed = load_task(spec_at(root))
    folder = root / "MNIST" / "raw"
    for name in NAMES:
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()
    plain = load_task(spec_at(root))
    for part in ("train", "validation", "test"):
        a, b = getattr(packed, part), getattr(plain, part)
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_the_environment_names_the_root_and_nothing_is_written(root, monkeypatch):
    monkeypatch.setenv(locations.ENVIRONMENT, str(root))
    before = sorted((root / "MNIST").rglob("*"))
    task = load_task(TaskSpec("mnist"), parts=frozenset({TEST}))
    assert task.test is not None
    assert len(task.test) == TEST_COUNT
    assert task.train is None
    assert sorted((root / "MNIST").rglob("*")) == before


def test_resizing_is_part_of_the_task(root):
    task = load_task(spec_at(root, image_size=(32, 20)), parts=frozenset({TEST}))
    assert task.input_shape == (1, 32, 20)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: gzip.compress(data)[:-300], "truncated"),
        (lambda data: gzip.compress(data[:-7]), "promises"),
        (lambda data: gzip.compress(data + b"\0"), "promises"),
        (lambda data: b"<html>sorry</html>", "not an idx file"),
        (lambda data: b"", "not an idx file"),
        (lambda data: gzip.compress(data[:6]), "truncated"),
        (lambda data: gzip.compress(data)[:40] + b"\xff" * 80, "truncated"),
    ],
    ids=["cut gz", "cut idx", "too long", "html", "empty", "header only", "damaged gz"],
)
def test_a_damaged_file_is_named(root, damage, words):
    path = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(gzip.decompress(path.read_bytes())))
    with pytest.raises(StudioError, match=words) as caught:
        load_task(spec_at(root))
    assert str(path) in caught.value.message


def test_images_and_labels_must_belong_together(root):
    path = root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(TEST_COUNT - 1, np.uint8))))
    with pytest.raises(StudioError, match="do not belong together"):
        load_task(spec_at(root))
    path.write_bytes(gzip.compress(idx_bytes(np.full(TEST_COUNT, 12, np.uint8))))
    with pytest.raises(StudioError, match="label 12"):
        load_task(spec_at(root))


@pytest.fixture
def server(tmp_path, monkeypatch) -> Path:
    """A folder that stands in for the internet."""
    folder = tmp_path / "server"
    folder.mkdir()
    resources = []
    for name, content in contents().items():
        packed = gzip.compress(content, mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    mirrors = [(folder / "down").as_uri() + "/", folder.as_uri() + "/"]
    monkeypatch.setattr(mnist, "published_files", lambda dataset: (resources, mirrors))
    return folder


def test_missing_files_are_downloaded_with_progress(server, tmp_path):
    fractions: list[float] = []

    def watch(activity: str, fraction: float | None) -> None:
        if fraction is not None:
            assert activity.startswith("Downloading MNIST")
            fractions.append(fraction)

    task = load_task(spec_at(tmp_path / "new"), progress=watch)
    assert task.train is not None
    assert len(task.train) == TRAIN_COUNT - TRAIN_COUNT // 12
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    for name in NAMES:
        (server / f"{name}.gz").unlink()
    assert load_task(spec_at(tmp_path / "new")).test is not None


def test_cancelling_a_download_leaves_no_part_of_a_file(server, tmp_path):
    class GivenUp(BaseException):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise GivenUp

    with pytest.raises(GivenUp):
        load_task(spec_at(tmp_path / "new"), check=check)
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("what", ["offline", "wrong data"])
def test_without_a_usable_server_one_sentence_says_so(server, tmp_path, what):
    for path in server.iterdir():
        if what == "offline":
            path.unlink()
        else:
            path.write_bytes(b"<html>log in first</html>")
    with pytest.raises(StudioError, match="MNIST is not on this computer and cannot be downloaded") as caught:
        load_task(spec_at(tmp_path / "new"))
    assert caught.value.details
    assert [path for path in (tmp_path / "new").rglob("*") if path.is_file()] == []


def test_torchvision_still_publishes_what_is_downloaded():
    for dataset in ("MNIST", "FashionMNIST"):
        resources, mirrors = mnist.published_files(dataset)
        assert {name for name, _ in resources} == {f"{name}.gz" for name in NAMES}
        assert all(len(md5) == 32 for _, md5 in resources)
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in mirrors)


REAL = os.environ.get(locations.ENVIRONMENT)


@pytest.mark.skipif(
    REAL is None or not Path(REAL, "MNIST", "raw").is_dir(), reason="COMPRESSION_STUDIO_DATA has no MNIST"
)
def test_the_real_mnist():
    assert REAL is not None
    raw = Path(REAL, "MNIST", "raw")
    labels = read_idx(next(raw.glob("t10k-labels-idx1-ubyte*")))
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    task = load_task(TaskSpec("mnist"))
    assert (len(task.train), len(task.validation), len(task.test)) == (55_000, 5_000, 10_000)
    both = torch.cat([task.train.images, task.validation.images]).double() / 255
    assert both.mean().item() == pytest.approx(task.mean[0], abs=5e-5)
    assert both.std().item() == pytest.approx(task.std[0], abs=5e-5)
