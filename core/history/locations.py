"""Where histories lie, and what lies beside them; knows no database."""

from pathlib import Path

import platformdirs

APPLICATION = "compression-studio"
SQLITE = "sqlite:///"


def default_path() -> Path:
    """The history in the user's data folder (which need not exist yet)."""
    return Path(platformdirs.user_data_dir(APPLICATION, appauthor=False)) / "history.db"


def snapshot_of(path: Path) -> Path:
    """Where the columns of the history at `path` may be kept."""
    return path.with_name(f".{path.name}.columns")


def history_file(location: str | Path | None) -> Path | None:
    """The file of a history that is given as `core.history.store.open_history` takes it; None for a server's."""
    if location is None:
        return default_path()
    if isinstance(location, str) and "://" in location:
        if not location.startswith(SQLITE) or "?" in location:
            return None
        location = location.removeprefix(SQLITE)
    return Path(location).expanduser().absolute()
