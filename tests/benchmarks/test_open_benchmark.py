"""Opening a checkpoint of 4 GB: how long until its layers are listed, in how much memory, and without torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..engine.large_files import write_sparse
from .conftest import Against

TENSORS = 300
GIGABYTES = float(os.environ.get("COMPRESSION_STUDIO_BENCHMARK_GB", "4"))
SHARDS = 4
MOST_MEMORY_MB = 300
MOST_SECONDS = 0.1

CHILD = """
import json, resource, sys, time
from core.models.opening import open_model
from core.models.source import ModelSource
# Linux's ru_maxrss starts with what the parent had; the status file speaks of this program alone.
def peak_megabytes():
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
taken = []
for _ in range(5):
    start = time.perf_counter()
    opened = open_model(ModelSource("file", sys.argv[1]))
    taken.append(time.perf_counter() - start)
weight = opened.weight(opened.description.layers[0].name)
print(json.dumps({
    "seconds": taken,
    "layers": len(opened.description.layers),
    "first": float(weight.reshape(-1)[0]),
    "megabytes": peak_megabytes(),
    "torch": "torch" in sys.modules,
}))
"""

OURS = """
import sys
from core.models.opening import open_model
from core.models.source import ModelSource
assert len(open_model(ModelSource("file", sys.argv[1])).description.layers) == 300
"""
THEIRS = """
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="pt") as file:
    assert len([file.get_slice(name).get_shape() for name in file.keys()]) == 300
"""


@pytest.fixture(params=["one file", "four files"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint of 300 tensors; hardly any of it is on the disk."""
    columns = 3328
    shape = (max(1, round(GIGABYTES * 1e9 / TENSORS / 4 / columns)), columns)
    names = [f"blocks.{place:03}.weight" for place in range(TENSORS)]
    if request.param == "one file":
        write_sparse(tmp_path / "large.safetensors", names, shape)
        return tmp_path / "large.safetensors"
    placed = {}
    for shard in range(SHARDS):
        mine = names[shard::SHARDS]
        write_sparse(tmp_path / f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors", mine, shape)
        placed |= dict.fromkeys(mine, f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    return tmp_path / "model.safetensors.index.json"


def test_a_large_checkpoint_is_listed_at_once(large: Path, say: Callable[[str], None]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(large)], capture_output=True, text=True, check=True, timeout=300
    )
    figures = json.loads(result.stdout)
    first, best = figures["seconds"][0], min(figures["seconds"])
    say(
        f"list {GIGABYTES:g} GB in {large.suffix[1:]}: {1e3 * first:.3g} ms the first time, {1e3 * best:.3g} ms then; "
        f"the whole process {figures['megabytes']:.0f} MB, torch {'' if figures['torch'] else 'not '}imported"
    )
    assert figures["layers"] == TENSORS
    assert figures["first"] != 0
    assert not figures["torch"]
    assert figures["megabytes"] < MOST_MEMORY_MB
    assert best < MOST_SECONDS


def test_listing_from_the_start_of_a_process(large: Path, against: Against) -> None:
    if large.suffix == ".json":
        pytest.skip("the library opens single files")

    def run(program: str) -> None:
        subprocess.run([sys.executable, "-c", program, str(large)], check=True, timeout=300)

    ratio = against(
        f"start a process and list {GIGABYTES:g} GB",
        lambda: run(OURS),
        "safe_open with torch",
        lambda: run(THEIRS),
        rounds=3,
    )
    assert ratio < 1
