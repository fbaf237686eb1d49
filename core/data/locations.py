"""Where the files of the well-known data sets lie, and where downloads go."""

import os
from pathlib import Path

import platformdirs

from core.data.spec import TaskSpec

ENVIRONMENT = "COMPRESSION_STUDIO_DATA"


def user_data_root() -> Path:
    """The folder that downloaded data sets go to."""
    return Path(platformdirs.user_data_path("compression-studio", appauthor=False)) / "data"


def candidate_roots(spec: TaskSpec) -> tuple[Path, ...]:
    """Folders in which a data set may lie, the first that has it wins; downloads go to the last one.

    `spec.folder` alone where it is given, else the folder that `COMPRESSION_STUDIO_DATA` names, else the
    user's own.
    """
    if spec.folder is not None:
        return (Path(spec.folder),)
    named = os.environ.get(ENVIRONMENT)
    return (*((Path(named),) if named else ()), user_data_root())
