"""Reading and writing small and large files so that nothing is ever left half-written."""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import StudioError

CHUNK = 1 << 20


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises:
        StudioError: if the folder is missing or read-only, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise StudioError(_why_not_written(path, error), details=str(error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all.

    Raises:
        StudioError: if it cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path, what: str) -> str:
    """The text of a file that should be a `what` ("recipe").

    Raises:
        StudioError: if it is missing, unreadable or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudioError(f"{path} does not exist: choose another {what} file.") from None
    except IsADirectoryError:
        raise StudioError(f"{path} is a folder, not a {what} file.") from None
    except UnicodeDecodeError:
        raise StudioError(f"{path.name} is not a {what}: it is not a text file.") from None
    except OSError as error:
        raise StudioError(f"{path} cannot be read ({error.strerror}).") from error


def sha256_of(path: Path, check: Callable[[], None] | None = None) -> str:
    """The SHA-256 of a file as hexadecimal text; `check` is called now and then and may raise to give up.

    Raises:
        StudioError: if the file cannot be read.
    """
    return sha256_of_all((path,), check)


def sha256_of_all(paths: Iterable[Path], check: Callable[[], None] | None = None) -> str:
    """The SHA-256 of files one after the other, as `cat FILES | sha256sum` gives it.

    Raises:
        StudioError: if one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    if check is not None:
                        check()
        except OSError as error:
            raise StudioError(f"{path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def _why_not_written(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{path.name} was not written: the disk that holds {path.parent} is full. Free some space and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path.name} was not written: {path.parent} may not be written to. Choose another folder."
    return f"{path.name} was not written to {path.parent} ({error.strerror or error})."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
