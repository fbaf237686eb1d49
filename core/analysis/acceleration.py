"""Whether the compiled loops of `core.analysis.kernels` are there; until they are, numpy does the same work.

Compiling takes seconds, which a window cannot spare: it starts a `WarmUp` once it is usable. Both ways give the same
counts; sums differ by rounding only.
"""

import importlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs

_KERNELS = "core.analysis.kernels"
_PATIENCE = 120.0
"""Seconds that another process may take to compile; normal are ten."""

_lock = threading.Lock()
_loaded: Any = None
_held_back = False


def kernels() -> Any | None:
    """The module of compiled loops, or None while numpy has to do."""
    return None if _held_back else _loaded


def load() -> bool:
    """Have the loops ready when this returns; compiles them if no earlier process did. False without numba."""
    global _loaded
    with _lock:
        if _loaded is None:
            try:
                importlib.import_module("numba")
            except ImportError:
                return False
            choose_cache()
            try:
                _loaded = importlib.import_module(_KERNELS)
            except Exception:
                # A processor or a numba that cannot compile them: slower, but nothing is lost.
                return False
            if (stamp := _stamp()) is not None:
                with suppress(OSError):
                    stamp.touch()
    return True


def choose_cache() -> None:
    """Let numba keep what it compiles in the user's own folder; does nothing without numba."""
    try:
        numba: Any = importlib.import_module("numba")
    except ImportError:
        return
    if not numba.config.CACHE_DIR:
        numba.config.CACHE_DIR = str(_folder())


def load_compiled() -> bool:
    """As `load`, where an earlier process compiled the loops: what is wanted at once must not wait for a compiler."""
    if _loaded is None and ((stamp := _stamp()) is None or not stamp.exists()):
        return False
    return load()


class WarmUp:
    """Has the loops ready some time after `start`, on a thread that gives way to everything else.

    A first compilation runs in a process of its own, so that it takes nothing from a window but spare time.
    """

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="analysis-warm-up", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; False if that takes longer."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Give up what can be given up, and wait for the rest: no longer than loading takes."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.terminate()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        _give_way(threading.get_native_id())
        stamp = _stamp()
        if stamp is None:
            return
        if not stamp.exists() and not getattr(sys, "frozen", False):
            self._compile_elsewhere()
            if not stamp.exists():
                return
        with self._lock:
            if self._stopped:
                return
        load()

    def _compile_elsewhere(self) -> None:
        with self._lock:
            if self._stopped:
                return
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "core.analysis.acceleration"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextmanager
def numpy_only() -> Iterator[None]:
    """Within, everything is done by numpy alone; for comparisons."""
    global _held_back
    before, _held_back = _held_back, True
    try:
        yield
    finally:
        _held_back = before


def _give_way(thread: int) -> None:
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, 15)


def _folder() -> Path:
    """Where compiled code is kept: a folder of this user alone, because whoever writes there runs code here."""
    wanted = platformdirs.user_cache_path("compression-studio") / "kernels"
    try:
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(wanted, os.W_OK):
            return wanted
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="compression-studio-"))


def _stamp() -> Path | None:
    """The file that tells that this Python with this numba has compiled these loops; None without numba."""
    source = Path(__file__).with_name("kernels.py")
    try:
        changed = source.stat().st_mtime_ns
        words = (version("numba"), version("numpy"), sys.implementation.cache_tag, str(changed))
    except (PackageNotFoundError, OSError):
        return None
    folder = os.environ.get("NUMBA_CACHE_DIR") or _folder()
    return Path(folder) / f"compiled-{'-'.join(str(word) for word in words)}"


if __name__ == "__main__":
    # Run as a script, this module is another one than the one that it is imported as.
    _give_way(0)
    importlib.import_module("core.analysis.acceleration").load()
