"""How the history reaches its database: engine, pool, pragmas, one session for each operation, errors in words.

Everything that only SQLite (or only PostgreSQL) understands stands in this module and in `opening`.
"""

import contextlib
import functools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import QueuePool

from core.errors import StudioError

BUSY_SECONDS = 20.0
"""How long a writer waits for another program's write to end; ours take milliseconds."""

WRITING = "studio_writing"
MIGRATION_LOCK = 0x436F6D70  # any number that no other program on the same server uses


def file_engine(path: Path) -> Engine:
    """An engine on an existing SQLite file.

    A pool of real connections is chosen on purpose: their page caches make sorting a large history again fast, and
    each is used by one thread at a time.
    """
    # mode=rw: a file that was moved away must be an error, not silently a new, empty database.
    location = f"{path.absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(location, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
        json_deserializer=_parsed,
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def server_engine(url: URL) -> Engine:
    """An engine on a PostgreSQL server."""
    return create_engine(url, pool_size=4, max_overflow=16, pool_pre_ping=True, json_deserializer=_parsed)


@functools.lru_cache(maxsize=8192)
def _parsed(text: str) -> Any:
    """A JSON document. Recipes, sources and environments repeat from run to run and are frozen by agreement."""
    return json.loads(text)


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions by itself: it would defer the lock that `_begin` takes at once.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={round(1000 * BUSY_SECONDS)}")
        cursor.execute("PRAGMA foreign_keys=ON")
        _ensure_write_ahead_log(cursor)
        # With WAL, NORMAL survives a killed process without loss and a power cut without corruption.
        cursor.execute("PRAGMA synchronous=NORMAL")
    finally:
        cursor.close()


def _ensure_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Switch to WAL. Changing the mode does not honour the busy timeout, so two first starts at once must retry."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _begin(connection: Connection) -> None:
    # A transaction that starts by reading and then writes fails at once when another one wrote in between, whatever
    # the busy timeout; writers therefore take the lock first, where waiting works.
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class Sessions:
    """Gives out one session for each operation and turns database errors into sentences."""

    def __init__(self, engine: Engine, place: str) -> None:
        self.place = place
        self._engine = engine
        self._writing_engine = engine.execution_options(**{WRITING: True})
        # Threads of this process queue here, which is fair; other processes queue in the database by polling.
        self._write_lock = threading.Lock()
        self._closed = False

    @property
    def dialect_name(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one consistent state of the database; changes are rolled back.

        Raises:
            StudioError: if the database cannot be read.
        """
        with self._told(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits when the block ends well and rolls back when it does not.

        Raises:
            StudioError: if the database cannot be written (full disk, read-only, damaged).
        """
        with (
            self._told(),
            self._write_lock,
            Session(self._writing_engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        if self._closed:
            raise StudioError(f"The history {self.place} is already closed: open it again.")
        with told_in_words(self.place):
            yield


@contextmanager
def told_in_words(place: str) -> Iterator[None]:
    """Turn what a disk, a lock or a damaged file makes the database say into a StudioError; bugs stay bugs."""
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError, NotSupportedError):
        raise
    except DatabaseError as error:
        raise StudioError(_sentence(place, error.orig), details=str(error)) from error
    except sqlite3.DatabaseError as error:
        raise StudioError(_sentence(place, error), details=str(error)) from error


def _sentence(place: str, error: BaseException | None) -> str:
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL"):
        return f"The history {place} was not written: its disk is full. Free some space and try again."
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"The history {place} may not be written to: make the file and its folder writable, or choose another."
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"The history {place} is held by another program: end that program and try again."
    if code.startswith("SQLITE_NOTADB"):
        return f"{place} is not a database: choose another file for the history."
    if code.startswith("SQLITE_CORRUPT"):
        return f"The history {place} is damaged: put back a copy of it, or choose another file."
    if code.startswith("SQLITE_CANTOPEN"):
        return f"The history {place} cannot be opened: check that its folder is still there and writable."
    if code.startswith("SQLITE_IOERR"):
        return f"The history {place} cannot be read or written: its disk reports an error."
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"The history {place} did not answer as it should ({reason}): check the database and try again."


def upsert(
    session: Session, table: type[DeclarativeBase], rows: Sequence[Mapping[str, Any]], *, replace: bool = True
) -> None:
    """Insert rows; one whose primary key exists replaces the old row (or is dropped with `replace=False`)."""
    if not rows:
        return
    keys = [column.name for column in table.__table__.primary_key]
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if replace and others:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    # The connection takes the rows as they are; the session would first sort out ORM objects that there are none of.
    session.connection().execute(statement, list(rows))


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction during which nobody else writes or migrates; commits at the end."""
    with engine.execution_options(**{WRITING: True}).connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        yield connection


def copy_file_database(source: Path, target: Path) -> None:
    """Copy a SQLite database as of its last commit, other connections and write-ahead log included."""
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reader,
        contextlib.closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)
