"""Which files may run their code: the user's list of trusted SHA-256 sums, and the error that asks for trust."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from core.errors import StudioError
from core.files import read_text, sha256_of, write_text

APPLICATION = "compression-studio"
FILE_NAME = "trusted.json"
PYTHON_SUFFIX = ".py"
PYTHON_PREFIX = "python:"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NeedsTrustError(StudioError):
    """The file can only be opened by running its code, and the user has not allowed that.

    Attributes:
        path: of the file.
        sha256: of its contents, which the user would trust; "" where it is not computed yet.
    """

    def __init__(self, message: str, path: Path, sha256: str = "") -> None:
        super().__init__(message, details=f"{path}\nSHA-256: {sha256}" if sha256 else str(path))
        self.path = path
        self.sha256 = sha256

    def __reduce__(self) -> tuple[object, ...]:
        return (NeedsTrustError, (self.message, self.path, self.sha256))


@dataclass(frozen=True)
class TrustedFile:
    """What the user has trusted: contents, not a place. `path` is where they were then, `when` in UTC (ISO 8601)."""

    sha256: str
    path: str
    when: str


class TrustStore:
    """The user's list of trusted files, read anew each time, because other windows and commands change it.

    Args:
        file: where it is kept; the user's data folder without one.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or Path(platformdirs.user_data_dir(APPLICATION, appauthor=False)) / FILE_NAME

    def files(self) -> tuple[TrustedFile, ...]:
        """All trusted files, in the order in which they were trusted.

        Raises:
            StudioError: if the list is damaged.
        """
        if not self.file.exists():
            return ()
        try:
            listed = json.loads(read_text(self.file, "list of trusted files"))
            return tuple(
                TrustedFile(_checked(entry["sha256"]), str(entry["path"]), str(entry["when"]))
                for entry in listed["files"]
            )
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StudioError(
                f"{self.file} is damaged, so no file is trusted: delete it and trust your files again.",
                details=str(error),
            ) from error

    def find(self, sha256: str) -> TrustedFile | None:
        """The trusted file of these contents."""
        return next((file for file in self.files() if file.sha256 == sha256), None)

    def is_trusted(self, path: Path) -> bool:
        """Whether what the file contains now is trusted.

        Raises:
            StudioError: if it cannot be read.
        """
        return self.find(sha256_of(path)) is not None

    def trust(
        self, path: Path, sha256: str | None = None, check: Callable[[], None] | None = None
    ) -> TrustedFile:
        """Trust the contents of a file from now on.

        Args:
            sha256: what the user was shown; the file must still have it.

        Raises:
            StudioError: if it cannot be read, or has changed since the user was asked.
        """
        found = sha256_of(path, check)
        if sha256 is not None and found != sha256:
            raise StudioError(
                f"{path.name} has changed since you were asked whether you trust it: open it again."
            )
        trusted = TrustedFile(found, str(path.absolute()), datetime.now(UTC).isoformat(timespec="seconds"))
        self._write((*(file for file in self.files() if file.sha256 != found), trusted))
        return trusted

    def revoke(self, sha256: str) -> TrustedFile:
        """Trust a file no longer.

        Args:
            sha256: its sum, or the beginning of it.

        Raises:
            StudioError: if no trusted file has it, or several have.
        """
        matching = [file for file in self.files() if sha256 and file.sha256.startswith(sha256.lower())]
        if len(matching) != 1:
            what = "More than one trusted file has" if matching else "No trusted file has"
            raise StudioError(
                f"{what} a SHA-256 that begins with “{sha256[:64]}”: see compression-studio trust list."
            )
        self._write(tuple(file for file in self.files() if file != matching[0]))
        return matching[0]

    def _write(self, files: tuple[TrustedFile, ...]) -> None:
        document = {"version": 1, "files": [asdict(file) for file in files]}
        write_text(self.file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def is_python(path: Path) -> bool:
    """Whether a file is a Python program, by its name: its contents could be anything that is text."""
    return path.suffix.lower() == PYTHON_SUFFIX


def about_python(path: Path) -> str:
    """What to tell about a Python file that is not trusted yet."""
    return (
        f"{path.name} is a Python program, which would have to be run to build its network, and was not: trust it if "
        "you know where it comes from (--trust on the command line)."
    )


def about_objects(path: Path, names: Sequence[str]) -> str:
    """What to tell about a file whose network is a pickled object."""
    return (
        f"{path.name} holds Python objects ({names[0][:80]}) that can only be read by running code, and nothing was "
        "executed: trust it if you know where it comes from (--trust on the command line), or save the weights alone "
        "with torch.save(model.state_dict(), …)."
    )


def _checked(sha256: object) -> str:
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return sha256
