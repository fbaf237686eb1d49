"""CIFAR-10 as torchvision reads it."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.catalog import load_task
from core.data.spec import TaskSpec
from core.data.task import TEST
from core.errors import StudioError


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A tiny CIFAR-10 in the published layout, its checksums made known to torchvision."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    generator = np.random.default_rng(0)

    def write(name: str, content: dict) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(count: int) -> dict:
        return {
            "data": generator.integers(0, 256, (count, 3072), np.uint8),
            "labels": generator.integers(0, 10, count).tolist(),
        }

    monkeypatch.setattr(CIFAR10, "train_list", [write(f"data_batch_{n}", batch(1100)) for n in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(20))])
    key = CIFAR10.meta["key"]
    name, md5 = write("batches.meta", {key: ["a"] * 10})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": key, "md5": md5})
    return tmp_path


def test_pixels_labels_and_split(root):
    task = load_task(TaskSpec("cifar10", folder=str(root)))
    assert (len(task.train), len(task.validation), len(task.test)) == (500, 5_000, 20)
    assert task.input_shape == (3, 32, 32)
    raw = pickle.loads((root / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert torch.equal(task.test.images, torch.from_numpy(raw["data"]).view(20, 3, 32, 32))
    assert task.test.labels.tolist() == raw["labels"]
    assert task.mean == (0.485, 0.456, 0.406)


def test_only_test_is_read_when_only_test_is_needed(root):
    task = load_task(TaskSpec("cifar10", folder=str(root)), parts=frozenset({TEST}))
    assert task.train is None
    assert task.test is not None


def test_damaged_files_are_never_unpickled(root):
    path = root / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StudioError, match="incomplete or damaged"):
        load_task(TaskSpec("cifar10", folder=str(root)))


def test_missing_files_are_fetched_and_unpacked(root, tmp_path, monkeypatch):
    import tarfile

    from torchvision.datasets import CIFAR10

    archive = tmp_path / "published.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(CIFAR10, "url", archive.as_uri())
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    task = load_task(TaskSpec("cifar10", folder=str(tmp_path / "new")))
    assert task.test is not None
    assert len(task.test) == 20


def test_offline_one_sentence_says_so(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "url", (tmp_path / "nothing.tar.gz").as_uri())
    with pytest.raises(StudioError, match="CIFAR-10 is not on this computer"):
        load_task(TaskSpec("cifar10", folder=str(tmp_path / "new")))
