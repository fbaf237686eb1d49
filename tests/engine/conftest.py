"""What engine tests share: a tiny task in memory and a place where events gather."""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

# Before torch is imported anywhere: spinning threads would slow down whatever else runs on the machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def real_data() -> Path:
    """The folder of real data and checkpoints; the test is skipped without it."""
    folder = os.environ.get("COMPRESSION_STUDIO_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COMPRESSION_STUDIO_DATA is not set")
    return Path(folder)


@pytest.fixture
def collected() -> tuple[list[object], Callable[[object], None]]:
    """A list and the function that appends to it."""
    events: list[object] = []
    return events, events.append


@pytest.fixture(scope="session")
def cifar10_jpeg_test(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 as an image folder that holds only `test/`, unpacked once; the test is skipped without real data."""
    archive = Path(os.environ.get("COMPRESSION_STUDIO_DATA", "")) / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip("COMPRESSION_STUDIO_DATA is not set")
    target = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(archive) as tar:
        tar.extractall(target, (m for m in tar if m.name.startswith("cifar10-jpeg/test/")), filter="data")
    return target / "cifar10-jpeg"
