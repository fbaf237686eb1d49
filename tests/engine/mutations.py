"""What every reader must do with damaged files: read them or refuse them in one sentence, in little memory."""

import tracemalloc
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from core.errors import StudioError
from core.models.checkpoint import open_checkpoint

from .checkpoint_files import read_all

# A tiny file may not make the readers take more than this.
MOST_MEMORY = 50_000_000
some = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8)


def changed(original: bytes, places: list[tuple[float, int]]) -> bytes:
    """The same bytes with other values at some places (as fractions of the length)."""
    data = bytearray(original)
    for place, value in places:
        data[int(place * len(data))] = value
    return bytes(data)


def read_or_refuse(path: Path, data: bytes | None = None) -> str | None:
    """Write `data`, open and read everything: the sentence of the refusal, or None if it was read."""
    if data is not None:
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
    assert refusal is None or (refusal.endswith(".") and "\n" not in refusal)
    return refusal
