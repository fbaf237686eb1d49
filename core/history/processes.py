"""Which process works on a run, told so exactly that a number reused after a crash or reboot is not mistaken."""

import functools
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one machine.

    `started` tells processes of the same number apart; it is only ever compared for equality, and is "" where the
    system does not say.
    """

    host: str
    pid: int
    started: str

    @property
    def is_gone(self) -> bool:
        """Whether the process surely no longer runs. False for one on another host, about which nothing is known."""
        if self.host != platform.node():
            return False
        token = start_of(self.pid)
        return token is None or bool(self.started and token and token != self.started)


@functools.cache
def _identity_of(pid: int) -> ProcessIdentity:
    return ProcessIdentity(platform.node(), pid, start_of(pid) or "")


def this_process() -> ProcessIdentity:
    """The process that asks."""
    # Keyed by the number, because a forked child inherits the cache but not the identity.
    return _identity_of(os.getpid())


if sys.platform == "linux":

    def start_of(pid: int) -> str | None:
        """A text that names the start of process `pid`; "" if it is unknown, None if there is no such process."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None if Path("/proc/self/stat").exists() else ""
        except OSError:
            return ""
        # The command's name in parentheses may itself hold spaces and parentheses.
        fields = text.rpartition(")")[2].split()
        state, ticks = fields[0], fields[19]
        return None if state in "ZX" else f"{boot} {ticks}"

elif sys.platform == "win32":

    def start_of(pid: int) -> str | None:
        """A text that names the start of process `pid`; "" if it is unknown, None if there is no such process."""
        import ctypes
        from ctypes import wintypes

        query_limited, still_active, denied = 0x1000, 259, 5
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(query_limited, False, pid)
        if not handle:
            return "" if ctypes.get_last_error() == denied else None
        handle = wintypes.HANDLE(handle)
        try:
            code = wintypes.DWORD()
            if kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value != still_active:
                return None
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times)):
                return ""
            return str((times[0].dwHighDateTime << 32) + times[0].dwLowDateTime)
        finally:
            kernel.CloseHandle(handle)

else:

    def start_of(pid: int) -> str | None:
        """A text that names the start of process `pid`; "" if it is unknown, None if there is no such process."""
        import subprocess

        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        try:
            answer = subprocess.run(
                ["ps", "-o", "lstart=", "-p", str(pid)],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            )
        except OSError:
            return ""
        return answer.stdout.strip()
