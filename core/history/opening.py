"""Opening a history: where it lies, whether it is one, how an old one is brought up to date.

A file that is refused is left exactly as it was; an old one is copied beside itself before it is migrated.
"""

import contextlib
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from core.errors import StudioError
from core.history.locations import default_path as default_path
from core.history.locations import snapshot_of
from core.history.orm import Base
from core.history.sessions import (
    BUSY_SECONDS,
    alone,
    copy_file_database,
    file_engine,
    server_engine,
    told_in_words,
)

MIGRATIONS = Path(__file__).parent / "migrations"
MAGIC = b"SQLite format 3\x00"
SUFFIXES_BESIDE = ("-wal", "-shm", "-journal")
_ONE_MIGRATION = threading.Lock()  # Alembic keeps its context in a global


@dataclass(frozen=True)
class OpenedDatabase:
    """An engine on a history of the newest schema; `folder` is where files of its runs go, `place` names it.

    `snapshot` is where `core.history.snapshot` may keep the columns of a history that is a file.
    """

    engine: Engine
    place: str
    folder: Path
    backup: Path | None = None
    snapshot: Path | None = None


def schema_versions() -> list[str]:
    """All schema versions that this studio knows, oldest first: "0001", …"""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def open_database(location: str | Path | None) -> OpenedDatabase:
    """Open a history of the newest schema, creating or upgrading it first where that is needed.

    Args:
        location: a file, a SQLAlchemy URL of SQLite or PostgreSQL, or None for `default_path()`.

    Raises:
        StudioError: if it is no history, is newer than this studio, or may not be written to.
    """
    if isinstance(location, str) and "://" in location:
        url = _parse_url(location)
        if url.get_backend_name() == "postgresql":
            return _open_server(url)
        if not url.database or url.database == ":memory:":
            raise StudioError(
                f"{location} names no file: give the history's file as in sqlite:///folder/history.db."
            )
        location = url.database
    return _open_file(default_path() if location is None else Path(location).expanduser())


# -- files -----------------------------------------------------------------------------------------------------


def _open_file(path: Path) -> OpenedDatabase:
    path = path.absolute()
    place = str(path)
    found = _inspect_file(path)
    if found is None:
        _create_file(path)
    engine = file_engine(path)
    backup = None
    try:
        if found != _newest():
            with told_in_words(place):
                backup = _bring_up_to_date(engine, path, place)
    except BaseException:
        engine.dispose()
        if found is None:
            _remove_if_empty(path)
        raise
    return OpenedDatabase(engine, place, path.parent, backup, snapshot=snapshot_of(path))


def _inspect_file(path: Path) -> str | None:
    """The schema version of the history at `path`, "" for a database without tables, None where there is no file.

    Raises:
        StudioError: if it is something else, too new, or may not be written to.
    """
    try:
        if path.is_dir():
            raise StudioError(f"{path} is a folder: name a file in it for the history, such as history.db.")
        if not path.exists():
            return None
        with path.open("rb") as stream:
            start = stream.read(len(MAGIC))
    except PermissionError:
        raise StudioError(f"{path} may not be read: change its permissions or choose another file.") from None
    except OSError as error:
        raise StudioError(f"{path} cannot be opened ({error.strerror}): choose another file.") from error
    # An empty file is what a program leaves that ends while it creates a database.
    if start and start != MAGIC:
        raise StudioError(f"{path} is not a database: choose another file for the history.")
    _refuse_read_only(path)
    if not start:
        return ""
    with told_in_words(str(path)):
        version = _file_version(path)
    return _checked(version, str(path))


def _file_version(path: Path) -> str | None:
    # Looking at a file that is then refused must leave no trace. Even a reader makes the files of a write-ahead log
    # unless it is told that nobody writes, which is so where there is no log.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    reader = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS)
    with contextlib.closing(reader):
        tables = {row[0] for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return ""
        if not {"alembic_version", "runs"} <= tables:
            return None
        rows = reader.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(rows[0][0]) if len(rows) == 1 else None


def _checked(version: str | None, place: str) -> str:
    known = schema_versions()
    if version is not None and (not version or version in known):
        return version
    if version is not None and version.isdigit() and int(version) > int(known[-1]):
        raise StudioError(
            f"{place} was written by a newer version (schema {version}; this studio knows {known[-1]}): "
            "update Compression Studio to open it."
        )
    raise StudioError(
        f"{place} is a database of another program, not a history: choose another file for the history."
    )


def _refuse_read_only(path: Path) -> None:
    for needed, what in ((path, "file"), (path.parent, "folder")):
        if not os.access(needed, os.W_OK):
            raise StudioError(
                f"{path} may not be written to (its {what} is read-only): change that or choose another file."
            )


def _create_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may create it at the same moment; then both migrate, one after the other.
        with path.open("ab"):
            pass
    except (FileExistsError, NotADirectoryError):
        raise StudioError(
            f"{path} cannot be created: a part of its path is a file, not a folder. Choose another place."
        ) from None
    except OSError as error:
        raise StudioError(
            f"{path} cannot be created ({error.strerror}): choose a folder that may be written to."
        ) from error


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
            for suffix in SUFFIXES_BESIDE:
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy_beside(path: Path, version: str) -> Path:
    """Copy the history to a new file beside it, named after its schema.

    Raises:
        StudioError: if there is no room for it.
    """
    target = path.with_name(f"{path.stem}.schema-{version}{path.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.schema-{version}-{number}{path.suffix}")
    try:
        copy_file_database(path, target)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            target.unlink(missing_ok=True)
        raise StudioError(
            f"{path} was not upgraded because no copy of it could be made beside it ({error}): free some space.",
            details=str(error),
        ) from error
    return target


# -- servers ---------------------------------------------------------------------------------------------------


def _parse_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        raise StudioError(
            f"{text} is not a database URL: write it as postgresql+psycopg://user@host/name."
        ) from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise StudioError(
            f"{url.render_as_string(hide_password=True)} cannot hold a history: use a file or PostgreSQL."
        )
    return url


def _open_server(url: URL) -> OpenedDatabase:
    place = url.render_as_string(hide_password=True)
    try:
        engine = server_engine(url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StudioError(
            f"{place} needs a driver that is not installed: install one, such as “pip install psycopg[binary]”.",
            details=str(error),
        ) from error
    try:
        with told_in_words(place):
            _bring_up_to_date(engine, None, place)
    except BaseException:
        engine.dispose()
        raise
    return OpenedDatabase(engine, place, default_path().parent)


# -- migrations ------------------------------------------------------------------------------------------------


def _newest() -> str:
    return schema_versions()[-1]


def _bring_up_to_date(engine: Engine, path: Path | None, place: str) -> Path | None:
    """Migrate to the newest schema; returns the copy of an older history that was made before.

    Raises:
        StudioError: if the database turns out to be newer or no history.
    """
    # Imported here, because the everyday start finds the newest schema and does without Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from sqlalchemy import inspect

    config = Config()
    # Alembic's configuration interpolates percent signs.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _ONE_MIGRATION, alone(engine) as connection:
        # Asked again now that nobody else can change it.
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None:
            _checked(current, place)
        elif set(inspect(connection).get_table_names()) & set(Base.metadata.tables):
            _checked(None, place)
        if current == _newest():
            return None
        backup = _copy_beside(path, current) if path is not None and current is not None else None
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return backup
