"""Large checkpoints of which hardly anything is on the disk."""

import json
import struct
from pathlib import Path

import numpy as np

REAL_BYTES = 16 << 20
"""Real values for the first tensors; the rest are holes, which readers of headers never meet."""


def write_sparse(path: Path, names: list[str], shape: tuple[int, int]) -> None:
    """A safetensors file with real values at its start and holes after that."""
    size = 4 * shape[0] * shape[1]
    header = {
        name: {"dtype": "F32", "shape": list(shape), "data_offsets": [size * place, size * (place + 1)]}
        for place, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    real = min(REAL_BYTES, size * len(names))
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.write(np.random.default_rng(0).standard_normal(real // 4, dtype=np.float32).tobytes())
        stream.truncate(8 + len(text) + size * len(names))
