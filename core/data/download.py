"""Fetching the files of a data set with progress, a checksum, and nothing left behind when it is given up."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

from core.errors import StudioError
from core.files import written_whole

CHUNK = 1 << 16
TIMEOUT = 20.0
"""Seconds without any byte after which a server is given up."""

Check = Callable[[], None]
Report = Callable[[str, float | None], None]


def download(urls: Sequence[str], path: Path, md5: str, title: str, check: Check, progress: Report) -> None:
    """Write to `path` what the first of `urls` that answers delivers, whole or not at all.

    Args:
        md5: what the file must hash to, as published with the data set.
        title: of the data set, for progress and errors.
        check: called for every chunk; may raise to give up.
        progress: called with what is going on and the fraction of this file that is there, or None where
            unknown.

    Raises:
        StudioError: if no address answers, the data are not the published ones, or the folder cannot be
            written.
    """
    reasons: list[str] = []
    for url in urls:
        check()
        try:
            with written_whole(path) as temporary:
                digest = _fetch(url, temporary, f"Downloading {title}: {path.name}", check, progress)
                if digest != md5:
                    raise _WrongDataError(f"MD5 is {digest}, expected {md5}")
            return
        except StudioError as error:
            # `written_whole` words every OSError as a problem of writing; one of the network is not.
            if not isinstance(error.__cause__, urllib.error.URLError | TimeoutError | ConnectionError):
                raise
            reasons.append(f"{url}: {error.__cause__}")
        except (_WrongDataError, HTTPException, ValueError) as error:
            reasons.append(f"{url}: {error}")
    raise StudioError(
        f"{title} is not on this computer and cannot be downloaded: connect to the internet and try again, "
        f"or put {path.name} into {path.parent}.",
        details="\n".join(reasons),
    )


class _WrongDataError(Exception):
    """What came is not the file."""


def _fetch(url: str, path: Path, activity: str, check: Check, progress: Report) -> str:
    request = urllib.request.Request(url, headers={"User-Agent": "compression-studio"})
    digest = hashlib.md5(usedforsecurity=False)
    done = 0
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, path.open("wb") as stream:
        length = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(CHUNK):
            check()
            stream.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            progress(activity, min(1.0, done / length) if length else None)
    return digest.hexdigest()
