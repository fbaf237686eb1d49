"""Damaged files are either read or refused in one sentence; no other exception, no hang, no flood of memory."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint

from .checkpoint_files import FORMATS, read_all, save, small_state

# A tiny file may not make the readers take more than this.
MOST_MEMORY = 50_000_000
some = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", params=FORMATS)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a good file of each format, wrapped as scripts do."""
    state = small_state()
    value = state if request.param == "safetensors" else {"state_dict": state, "best_prec1": 90.0}
    return save(tmp_path_factory.mktemp("good") / "model", value, request.param).read_bytes()


def read_or_refuse(path: Path, data: bytes) -> bool:
    """Whether the file was read; refusals must be sentences."""
    path.write_bytes(data)
    refusal = None
    tracemalloc.start()
    try:
        with open_checkpoint(path) as checkpoint:
            read_all(checkpoint)
    except StudioError as error:
        refusal = error.message
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST_MEMORY
    assert refusal is None or path.name in refusal
    return refusal is None


@some
@given(keep=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(original: bytes, tmp_path: Path, keep: float) -> None:
    assert not read_or_refuse(tmp_path / "m", original[: int(keep * len(original))])


@some
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_are_read_or_refused(
    original: bytes, tmp_path: Path, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(original)
    for place, value in changes:
        data[int(place * len(data))] = value
    read_or_refuse(tmp_path / "m", bytes(data))


@some
@given(
    begin=st.floats(0, 1),
    length=st.integers(0, 200),
    filler=st.binary(max_size=200),
    repeat=st.integers(0, 3),
)
def test_spliced_files_are_read_or_refused(
    original: bytes, tmp_path: Path, begin: float, length: int, filler: bytes, repeat: int
) -> None:
    start = int(begin * len(original))
    piece = original[start : start + length]
    read_or_refuse(tmp_path / "m", original[:start] + filler + piece * repeat + original[start + length :])


@some
@given(st.binary(max_size=300))
def test_noise_behind_any_beginning_is_refused(tmp_path: Path, noise: bytes) -> None:
    for start in (
        b"",
        b"PK\x03\x04",
        b"\x80\x02",
        b"\x80\x04",
        (2 + len(noise)).to_bytes(8, "little") + b"{",
    ):
        read_or_refuse(tmp_path / "m", start + noise)
