"""Opening histories: new ones, old ones, and everything that is none."""

import contextlib
import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from core.errors import StudioError
from core.history import opening, sessions
from core.history.orm import Base
from core.history.store import HistoryStore, open_history

from .history_samples import points, request, started, whole_run

DATABASES = Path(__file__).parents[1] / "databases"


def test_a_new_history_is_created_with_its_folders_and_without_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "50 % off?" / "Büro #1" / "history.db"
    with caplog.at_level(logging.WARNING), open_history(path) as store:
        store.add_run(request())
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")
    # No write-ahead log stays behind: the file can be copied as it is.
    assert [entry.name for entry in path.parent.iterdir()] == ["history.db"]
    with open_history(str(path)) as store:
        assert len(store.runs()) == 1
        assert store.backup is None


def test_the_users_own_history_is_made_when_it_is_first_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "core.history.locations.platformdirs.user_data_dir", lambda name, appauthor: str(tmp_path / name)
    )
    assert opening.default_path() == tmp_path / "compression-studio" / "history.db"
    assert not opening.default_path().parent.exists()
    with open_history(None) as store:
        assert store.run_folder("abc") == tmp_path / "compression-studio" / "runs" / "abc"
    assert opening.default_path().exists()


def test_a_url_names_a_file_too(tmp_path: Path) -> None:
    with open_history(f"sqlite:///{tmp_path.as_posix()}/history.db") as store:
        store.add_run(request())
    with open_history(tmp_path / "history.db") as store:
        assert len(store.runs()) == 1


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.touch()
    with open_history(path) as store:
        store.add_run(request())


def test_the_connections_are_set_up_for_two_programs(tmp_path: Path) -> None:
    open_history(tmp_path / "history.db").close()
    engine = sessions.file_engine(tmp_path / "history.db")
    with engine.connect() as connection:
        asked = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    engine.dispose()
    assert values == ["wal", 1, 1, 20_000]


def _text(path: Path) -> None:
    path.write_text("<html>this is no database</html>" * 50)


def _foreign(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")


def _foreign_with_alembic(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE runs (id INTEGER)")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('1975ea83b712')")


def _newer(path: Path) -> None:
    open_history(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9001'")


def _truncated(path: Path) -> None:
    open_history(path).close()
    path.write_bytes(path.read_bytes()[:5000])


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_text, r"is not a database: choose another file for the history\."),
        (_foreign, r"is a database of another program, not a history: choose another file"),
        (_foreign_with_alembic, r"is a database of another program, not a history: choose another file"),
        (
            _newer,
            r"was written by a newer version \(schema 9001; this studio knows \d{4}\): update Compression",
        ),
        (_truncated, r"is damaged: put back a copy of it, or choose another file\."),
        (_folder, r"is a folder: name a file in it for the history, such as history\.db\."),
    ],
)
def test_what_is_no_history_is_refused_in_one_sentence_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "history.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    entries = sorted(tmp_path.iterdir())
    with pytest.raises(StudioError, match=says) as caught:
        open_history(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert sorted(tmp_path.iterdir()) == entries


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("mysql://user:secret@host/name", "cannot hold a history: use a file or PostgreSQL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("://", "is not a database URL"),
        ("postgresql+missing://user:secret@host/name", "needs a driver that is not installed"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(location: str, says: str) -> None:
    with pytest.raises(StudioError, match=says) as caught:
        open_history(location)
    assert "secret" not in caught.value.message


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudioError, match=r"history\.db cannot be (created|opened)"):
        open_history(tmp_path / "file" / "history.db")
    assert (tmp_path / "file").read_bytes() == b""


def test_a_history_whose_folder_vanishes_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    store = open_history(folder / "history.db")
    store.close()
    shutil.rmtree(folder)
    database = opening.OpenedDatabase(sessions.file_engine(folder / "history.db"), "history.db", folder)
    with (
        HistoryStore(database) as store,
        pytest.raises(StudioError, match="cannot be opened: check that its folder"),
    ):
        store.runs()
    assert not folder.exists()


def test_a_full_disk_is_reported_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[sqlite3.Connection] = []
    prepare = sessions._prepare_connection

    def limited(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)
        connections.append(connection)

    monkeypatch.setattr(sessions, "_prepare_connection", limited)

    def allow(pages: int) -> None:
        for connection in connections:
            connection.execute(f"PRAGMA max_page_count={pages}")

    asked = request()
    with open_history(tmp_path / "history.db") as store:
        store.add_run(asked)
        allow(1)  # which SQLite reads as: not one page more than there are
        with pytest.raises(StudioError, match=r"was not written: its disk is full\. Free some space"):
            store.record([started(asked.run_id), *points(asked.run_id, 5_000)])
        assert store.run(asked.run_id).status == "queued"
        allow(1_000_000)
        store.record([started(asked.run_id), *points(asked.run_id, 5_000)])
        assert len(store.metrics(asked.run_id)) == 5_000


# -- schemas ---------------------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_classes_say(tmp_path: Path) -> None:
    open_history(tmp_path / "history.db").close()
    engine = sessions.file_engine(tmp_path / "history.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []
        sql = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    engine.dispose()
    tables = {row.name: row.sql for row in sql}
    assert all("WITHOUT ROWID" in tables[name] for name in ("metrics", "layers"))
    assert "AUTOINCREMENT" in tables["runs"]


def test_there_is_a_stored_history_of_every_schema() -> None:
    stored = {path.stem.removeprefix("history_") for path in DATABASES.glob("history_*.db")}
    assert stored == set(opening.schema_versions())


@pytest.mark.parametrize("stored", sorted(DATABASES.glob("history_*.db")), ids=lambda path: path.stem)
def test_every_stored_history_opens_with_all_that_is_in_it(tmp_path: Path, stored: Path) -> None:
    path = tmp_path / "history.db"
    shutil.copyfile(stored, path)
    with open_history(path) as store:
        everything = store.runs(include_archived=True, include_deleted=True)
        assert [record.number for record in store.runs()] == [2, 1]
        assert [record.number for record in everything] == [4, 3, 2, 1]
        second, first = store.runs()
        assert (first.name, first.note, first.tags) == ("Best", "Small *and* good.", ("paper", "final"))
        assert (first.status, first.starred, first.started, first.ended) == (
            "finished",
            True,
            1_000.0,
            1_010.0,
        )
        assert (first.seed, first.threads, first.method) == (3, 2, "prune + fine-tune")
        assert first.environment == {"torch": "2.14", "device": "cpu"}
        assert first.notices == ("Zeros do not shrink a dense file.",)
        assert first.before is not None
        assert first.after is not None
        assert first.before.latency is not None
        assert first.before.latency.runtime == "torch 2.14 eager"
        assert first.after.latency is None
        assert first.after.accuracy is not None
        assert (first.after.accuracy.correct, first.after.accuracy.count) == (348, 360)
        assert first.after.nonzero_weights == 11_344
        curve = [point.value for point in store.metrics(first.run_id) if point.split == "train"]
        assert curve == [1 / (n + 1) for n in range(1, 9)]
        (layer,) = store.layers(first.run_id, "after")
        assert (layer.shape, layer.nonzero_weights) == ((16, 1, 3, 3), 100)
        assert [artifact.kind for artifact in store.artifacts(first.run_id)] == ["model"]
        found = [finding.data for finding in store.findings(first.run_id, "export-check")]
        assert found == ([] if stored.stem == "history_0001" else [{"largest_difference": 0.5}])
        assert (second.status, second.error) == ("failed", "/images holds no images.")
        assert second.parent_run_id == first.run_id
        assert store.request_of(first.run_id).recipe.steps[0].model_dump()["overrides"] == {"conv*": 0.5}
        # And it is a history like any other from here on.
        asked = request()
        assert store.add_run(asked).number == 5
        store.record(whole_run(asked.run_id))
        assert store.run("5").status == "finished"


NEWEST = opening.schema_versions()[-1]
NEXT = f"{int(NEWEST) + 1:04}"
NEXT_SCHEMA = '''"""The schema after the newest, only for a test."""

import sqlalchemy as sa
from alembic import op

revision = "{next}"
down_revision = "{newest}"


def upgrade() -> None:
    op.add_column("runs", sa.Column("mood", sa.Text(), nullable=True))
    op.execute("UPDATE runs SET mood = 'calm'")
    {more}
'''


@pytest.fixture
def next_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the studio one schema newer; takes a line that is run at the end of the migration."""

    def add(more: str) -> None:
        migrations = tmp_path / "migrations"
        shutil.copytree(opening.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
        schema = NEXT_SCHEMA.format(next=NEXT, newest=NEWEST, more=more)
        (migrations / "versions" / f"{NEXT}_mood.py").write_text(schema)
        monkeypatch.setattr(opening, "MIGRATIONS", migrations)

    return add


def _version(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_an_old_history_is_copied_and_then_upgraded(
    tmp_path: Path, next_schema: Callable[[str], None]
) -> None:
    path = tmp_path / "history.db"
    with open_history(path) as store:
        store.add_run(request())
    next_schema("pass")
    with open_history(path) as store:
        backup = store.backup
        assert len(store.runs()) == 1
    assert backup == tmp_path / f"history.schema-{NEWEST}.db"
    assert (_version(path), _version(backup)) == (NEXT, NEWEST)
    with open_history(path) as store:
        assert store.backup is None
    assert sorted(entry.name for entry in tmp_path.glob("*.db*")) == [
        "history.db",
        f"history.schema-{NEWEST}.db",
    ]


def test_an_earlier_copy_is_never_overwritten(tmp_path: Path, next_schema: Callable[[str], None]) -> None:
    path = tmp_path / "history.db"
    open_history(path).close()
    (tmp_path / f"history.schema-{NEWEST}.db").write_text("mine")
    next_schema("pass")
    with open_history(path) as store:
        assert store.backup == tmp_path / f"history.schema-{NEWEST}-2.db"
    assert (tmp_path / f"history.schema-{NEWEST}.db").read_text() == "mine"


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, next_schema: Callable[[str], None]) -> None:
    path = tmp_path / "history.db"
    asked = request()
    with open_history(path) as store:
        store.add_run(asked)
    before = path.read_bytes()
    next_schema("raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        open_history(path)
    assert path.read_bytes() == before
    assert _version(path) == NEWEST


def test_several_threads_open_an_old_history_at_once(
    tmp_path: Path, next_schema: Callable[[str], None]
) -> None:
    path = tmp_path / "history.db"
    open_history(path).close()
    next_schema("pass")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with open_history(path) as store:
                store.add_run(request())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(tmp_path.glob("history.schema-*"))) == 1
    with open_history(path) as store:
        assert len(store.runs()) == 4


# -- imports ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import core.history.store, core.history.writer", {"torch", "alembic", "numpy"}),
        (
            "from core.history.store import open_history; open_history(r'{path}').close()",
            {"torch", "alembic"},
        ),
        ("import core.history.compare, core.history.records", {"torch", "sqlalchemy"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(
    tmp_path: Path, program: str, unwanted: set[str]
) -> None:
    path = tmp_path / "history.db"
    open_history(path).close()
    program = program.replace("{path}", str(path)) + "; import sys; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert unwanted.isdisjoint(answer.stdout.split())
