"""Finds the files that a model file names as its parts, and refuses names that lead out of its folder."""

import re
from pathlib import Path

from core.errors import StudioError
from core.models.tensor_file import TensorFile
from core.models.wording import shown

_DRIVE = re.compile(r"^[A-Za-z]:")


def part_beside(file: TensorFile, name: str) -> Path:
    """The path of a part that lies in the folder of `file` or below it.

    Links are followed only inside that folder and the folder in which `file` itself really lies, which is how download
    caches keep the parts of one model.

    Raises:
        StudioError: if the name leads elsewhere, or nothing is there.
    """
    parts = re.split(r"[/\\]", name)
    if (
        not name.isprintable()
        or not parts[-1]
        or parts[0] == ""
        or ".." in parts
        or _DRIVE.match(name)
        or "\\" in name
        or len(name) > 1024
    ):
        raise StudioError(
            f"{file.name} names “{shown(name)}” as one of its parts, which is no file in its folder: it "
            "was not read, and this file should not be trusted."
        )
    path = file.path.parent / name
    try:
        if not path.exists():
            raise StudioError(
                f"{file.name} needs its part {shown(name)}, which is missing: put it into {file.path.parent}."
            )
        real = path.resolve()
        folders = (file.path.parent.resolve(), file.path.resolve().parent)
    except (OSError, RuntimeError) as error:
        raise StudioError(
            f"{shown(name)}, a part of {file.name}, cannot be read ({getattr(error, 'strerror', None) or error}): "
            "download or copy it again."
        ) from error
    if not any(real.is_relative_to(folder) for folder in folders):
        raise StudioError(
            f"{file.name} names {shown(name)} as one of its parts, which is a link out of its folder: it was not read. "
            "Put the file itself there."
        )
    return path
