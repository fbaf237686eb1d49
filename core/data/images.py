"""Decoding many image files into one uint8 tensor, quickly and cancellably."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.errors import StudioError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif"}
)

CHUNK = 256
"""Files in one piece of work; cancelling waits for at most one piece per thread."""
SMALL = 128 * 128
"""Pixels below which one thread is fastest: decoding is then so short that threads only fight for the GIL."""


def read_images(
    paths: Sequence[Path],
    size: tuple[int, int] | None,
    channels: int,
    check: Callable[[], None],
    progress: Callable[[int], None],
) -> Tensor:
    """Decode images to uint8 [N, channels, H, W].

    Args:
        paths: at least one file.
        size: (height, width) that every image is resized to (bilinear with antialiasing), or None if they
            must all have the size of the first.
        channels: 3 for red, green, blue; 1 for grey.
        check: called now and then on the calling thread; may raise to give up.
        progress: called with the number of images read so far.

    Raises:
        StudioError: naming the file that cannot be decoded or whose size differs, or if memory does not
            suffice.
    """
    first = _decode(paths[0], size, channels)
    height, width = first.shape[:2]
    _check_memory(len(paths), first.nbytes, paths[0])
    pixels = np.empty((len(paths), channels, height, width), np.uint8)
    given_up = Event()

    def decode_chunk(start: int) -> int:
        stop = min(start + CHUNK, len(paths))
        for index in range(start, stop):
            if given_up.is_set():
                return 0
            image = _decode(paths[index], size, channels)
            if image.shape != first.shape:
                raise StudioError(
                    f"{paths[index]} has {image.shape[0]} × {image.shape[1]} pixels and {paths[0].name} has "
                    f"{height} × {width}: give an image size that all images are resized to."
                )
            pixels[index] = image.transpose(2, 0, 1)
        return stop - start

    with Image.open(paths[0]) as image:
        threads = 1 if image.width * image.height <= SMALL else max(1, min(8, os.cpu_count() or 1))
    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="read-images") as pool:
        pending = {pool.submit(decode_chunk, start) for start in range(0, len(paths), CHUNK)}
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in finished)
                check()
                progress(done)
        finally:
            given_up.set()
            for future in pending:
                future.cancel()
    return torch.from_numpy(pixels)


def _decode(path: Path, size: tuple[int, int] | None, channels: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as opened:
            image = _converted(opened, channels)
            if size is not None and image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array: NDArray[np.uint8] = np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        # Pillow raises SyntaxError for some broken PNG files.
        raise StudioError(
            f"{path} is not an image that can be read: repair or remove it.", details=str(error)
        ) from None
    return array if array.ndim == 3 else array[:, :, None]


def _converted(image: Image.Image, channels: int) -> Image.Image:
    mode = "RGB" if channels == 3 else "L"
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide.clip(0, 0xFFFF) >> 8).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _check_memory(count: int, size: int, example: Path) -> None:
    available = available_memory()
    # The normalised copy of what is trained on takes four times the pixels; splitting makes one more copy.
    needed = 2 * count * size
    if available is not None and needed > available:
        raise StudioError(
            f"{count:,} images such as {example.name} need {needed / 1e9:,.1f} GB of memory and "
            f"{available / 1e9:,.1f} GB are free: give a smaller image size."
        )


def available_memory() -> int | None:
    """Bytes of memory that can be used without swapping, or None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return None
