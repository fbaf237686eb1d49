"""Where a run computes and with how many threads, and what is recorded about it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from core.errors import StudioError


def choose_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu", "cuda", "cuda:N" or "mps". Auto prefers CUDA, then MPS, then the CPU.

    Raises:
        StudioError: if the device is not there or its name is unknown.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise StudioError(f"There is no device “{name}”: use auto, cpu, cuda or mps.")
    if kind == "cuda" and (not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count()):
        raise StudioError(f"The device “{name}” is not on this machine: choose auto or cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise StudioError("The device “mps” is not on this machine: choose auto or cpu.")
    return torch.device(name)


def available_cores() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads(threads: int | None) -> int:
    """Have torch compute with that many threads (all cores without a number) from the calling thread on.

    OpenMP keeps the number for each calling thread, so a worker must call this itself; two runs give the same bits
    only with the same number.

    Raises:
        StudioError: if the number is below 1.
    """
    if threads is not None and threads < 1:
        raise StudioError(f"The number of threads must be at least 1, not {threads}.")
    count = threads or available_cores()
    torch.set_num_threads(count)
    return count


def environment(device: torch.device, threads: int) -> tuple[tuple[str, str], ...]:
    """Versions, device and threads as text pairs, for the record of a run."""
    pairs = [
        ("compression-studio", _version("compression-studio")),
        ("python", platform.python_version()),
        ("torch", str(torch.__version__)),
        ("torchvision", _version("torchvision")),
        ("numpy", _version("numpy")),
        ("platform", platform.platform()),
        ("processor", _processor()),
        ("device", str(device)),
        ("threads", str(threads)),
    ]
    if device.type == "cuda":
        pairs.append(("gpu", torch.cuda.get_device_name(device)))
    return tuple(pairs)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
