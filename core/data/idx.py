"""Reading idx files, the format of MNIST, plain or gzipped, without unpacking them on disk."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import StudioError

UNSIGNED_BYTE = 0x08


def find_idx(folder: Path, name: str) -> Path | None:
    """The file `name` or `name.gz` in `folder`, whichever is there (plain first: it reads faster)."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes, with the shape that its header tells; read-only.

    Raises:
        StudioError: if the file is unreadable, is no idx file, or does not hold exactly what its header
            promises.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise StudioError(
            f"{path} is truncated or damaged: download the data set again.", details=str(error)
        ) from None
    except OSError as error:
        raise StudioError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE or content[3] == 0:
        raise StudioError(f"{path} is not an idx file of bytes: download the data set again.")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise StudioError(f"{path} is truncated or damaged: download the data set again.")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", content[3], 4))
    if len(content) - header != prod(shape):
        raise StudioError(
            f"{path} is truncated or damaged (it has {len(content) - header:,} bytes of data where its "
            f"header promises {prod(shape):,}): download the data set again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
