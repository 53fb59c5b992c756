"""A schema is brought up to date file by file, each whole or not at all, with a copy first."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ecolyo_worker
from ecolyo_worker import CommandRefused, Settings, StateRefused, Worker
from ecolyo_worker.store.database import DATABASE, Database
from ecolyo_worker.store.migrations import (
    MIGRATIONS,
    MigrationPlan,
    latest_version,
    migrate,
    version_of,
)
from ecolyo_worker.store.refusing import look

FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO meta VALUES ('kept', 'from the first schema');
"""
COPY = "notes.db.before-0002"
SECOND = """
CREATE TABLE notes (text TEXT NOT NULL) STRICT;
INSERT INTO notes SELECT value FROM meta;
DELETE FROM meta -- and no semicolon at the end, but a comment"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of migrations with one file, and one that is none."""
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "0001_first.sql").write_text(FIRST)
    (directory / "README.md").write_text("not a migration")
    return directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def connection(path: Path, directory: Path) -> Iterator[sqlite3.Connection]:
    """A database of the first schema."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, path, directory)
        yield connection


@pytest.fixture
def older(state_dir: Path) -> Path:
    """A state directory whose database has no schema yet."""
    state_dir.mkdir()
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        connection.execute("VACUUM")
    return state_dir


def dump(connection: sqlite3.Connection) -> list[str]:
    """All that a database holds, with the version of its schema."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return [*connection.iterdump(), f"-- version {version}"]


def dump_file(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return dump(connection)


def schema(connection: sqlite3.Connection) -> set[tuple[str, str, str | None]]:
    return set(connection.execute("SELECT type, name, sql FROM sqlite_schema"))


def set_version(path: Path, version: int) -> bytes:
    """Set the schema's version, and give the file's bytes, which are all there is."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def names(directory: Path, pattern: str = "*") -> list[str]:
    return [path.name for path in directory.glob(pattern)]


async def open_and_close(state_dir: Path, *, migrating: bool = True) -> tuple[int, int]:
    async with Database.open(state_dir, migrating=migrating) as database:
        return database.migrated


# The package's own files.


def test_the_files_are_found_in_the_package() -> None:
    """A checkout's `migrations` are found through the package, under the path of a wheel."""
    package = Path(ecolyo_worker.__file__).parent
    checkout = Path(__file__).parents[2]
    assert package / "migrations" == MIGRATIONS
    assert MIGRATIONS.samefile(checkout / "migrations")
    assert latest_version() == len(list((checkout / "migrations").glob("*.sql"))) > 0


async def test_a_fresh_database_has_the_latest_schema(state_dir: Path) -> None:
    """A fresh database has what the files say, their number as its version, and no copy."""
    latest = latest_version()
    assert await open_and_close(state_dir) == (0, latest)
    assert await open_and_close(state_dir) == (latest, latest)
    with (
        closing(sqlite3.connect(":memory:")) as expected,
        closing(sqlite3.connect(state_dir / DATABASE)) as found,
    ):
        for file in sorted(MIGRATIONS.glob("*.sql")):
            expected.executescript(file.read_text())
        assert schema(found) == schema(expected)
        assert version_of(found) == latest
    assert not names(state_dir, "*before*")


async def test_two_databases_have_different_identities(tmp_path: Path) -> None:
    """Every database has an identity of its own, of 128 bits."""
    for name in ("one", "another"):
        await open_and_close(tmp_path / name)
    query = "SELECT value FROM meta WHERE key = 'database_id'"
    with (
        closing(sqlite3.connect(tmp_path / "one" / DATABASE)) as one,
        closing(sqlite3.connect(tmp_path / "another" / DATABASE)) as another,
    ):
        found = {connection.execute(query).fetchone()[0] for connection in (one, another)}
    assert [len(identity) for identity in found] == [32, 32]


@pytest.mark.parametrize("migrating", [True, False])
async def test_a_newer_schema(state_dir: Path, migrating: bool) -> None:
    """A database of a newer version of this program is refused, and nothing is written to it."""
    await open_and_close(state_dir)
    before = set_version(state_dir / DATABASE, latest_version() + 1)
    with pytest.raises(StateRefused, match="knows schemas up to"):
        await open_and_close(state_dir, migrating=migrating)
    assert (state_dir / DATABASE).read_bytes() == before


# Opened without migrating, as a preview does.


async def test_nothing_to_read(state_dir: Path) -> None:
    """Without a database, reading is refused, and nothing is made."""
    with pytest.raises(CommandRefused, match="holds no database yet"):
        await open_and_close(state_dir, migrating=False)
    assert names(state_dir.parent) == []


async def test_a_lost_database_is_not_called_a_new_one(state_dir: Path) -> None:
    """Where one was before, reading says that it is missing; where none was, that none is."""
    await open_and_close(state_dir)
    (state_dir / DATABASE).unlink()
    with pytest.raises(StateRefused, match="is missing, and what it held with it"):
        await open_and_close(state_dir, migrating=False)
    (state_dir / "owner.lock").write_text("")
    with pytest.raises(CommandRefused, match="holds no database yet"):
        await open_and_close(state_dir, migrating=False)
    assert names(state_dir) == ["owner.lock"]


async def test_an_older_schema_is_not_read(older: Path) -> None:
    """An older database is refused for reading, and nothing is written to it."""
    before = set_version(older / DATABASE, 0)
    with pytest.raises(StateRefused, match="has an older schema; run `ecolyo-worker migrate`"):
        await open_and_close(older, migrating=False)
    assert (older / DATABASE).read_bytes() == before


async def test_reading_changes_nothing(state_dir: Path) -> None:
    """A worker that is only for reading leaves the database as it is, byte for byte."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    before = set_version(state_dir / DATABASE, latest_version())
    async with Worker(Settings(state_dir=state_dir)).reading() as worker:
        assert worker.status().instances == 0
    assert (state_dir / DATABASE).read_bytes() == before


# From one schema to the next.


def test_the_next_file_is_applied(
    connection: sqlite3.Connection, directory: Path, path: Path
) -> None:
    """A new file is applied to what the first one made, and only once."""
    (directory / "0002_notes.sql").write_text(SECOND)
    for _ in range(2):
        migrate(connection, path, directory)
        assert version_of(connection, directory) == 2
        notes = connection.execute("SELECT text FROM notes").fetchall()
        assert notes == [("from the first schema",)]


def test_a_copy_is_made_first(connection: sqlite3.Connection, directory: Path, path: Path) -> None:
    """Before a database is changed all it holds is copied, for its owner's eyes alone."""
    assert not names(path.parent, "*before*")
    before = dump(connection)
    (directory / "0002_notes.sql").write_text(SECOND)
    migrate(connection, path, directory)
    assert names(path.parent, "*before*") == [COPY]
    assert dump_file(path.with_name(COPY)) == before
    assert path.with_name(COPY).stat().st_mode & 0o777 == 0o600


def test_the_copy_is_of_the_last_time(
    connection: sqlite3.Connection, directory: Path, path: Path
) -> None:
    """What another try or a crash left of a copy is not taken for the one of this time."""
    path.with_name(COPY).write_bytes(b"a copy from last year")
    path.with_name(f"{COPY}.part").write_bytes(b"half a copy")
    before = dump(connection)
    (directory / "0002_notes.sql").write_text(SECOND)
    migrate(connection, path, directory)
    assert names(path.parent, "*before*") == [COPY]
    assert dump_file(path.with_name(COPY)) == before


def test_a_failing_file_leaves_nothing(
    connection: sqlite3.Connection, directory: Path, path: Path
) -> None:
    """Of a file that fails at its end nothing stays, and the next try, repaired, works."""
    before = dump(connection)
    (directory / "0002_notes.sql").write_text(f"{SECOND}\n; INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, path, directory)
    assert not connection.in_transaction
    assert dump(connection) == dump_file(path) == before
    (directory / "0002_notes.sql").write_text(SECOND)
    migrate(connection, path, directory)
    assert version_of(connection, directory) == 2
    assert dump_file(path.with_name(COPY)) == before


def test_a_failing_file_leaves_those_before_it(
    connection: sqlite3.Connection, directory: Path, path: Path
) -> None:
    """Each file is a transaction of its own: the third one's failure leaves the second's schema."""
    (directory / "0002_notes.sql").write_text(SECOND)
    (directory / "0003_bad.sql").write_text("CREATE TABLE more (n INTEGER); DROP TABLE nowhere;")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(connection, path, directory)
    assert version_of(connection, directory) == 2
    assert {name for _, name, _ in schema(connection)} >= {"meta", "notes"}
    assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'more'").fetchall()


def test_a_gap_in_the_files_is_our_mistake(directory: Path) -> None:
    """Files that are not numbered from 1 without a gap are noticed, and not skipped."""
    (directory / "0003_notes.sql").write_text(SECOND)
    with pytest.raises(AssertionError):
        latest_version(directory)


# What would be done, told before.


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_a_dry_run_tells_all_and_changes_no_byte(state_dir: Path, tmp_path: Path) -> None:
    """From which schema to which, by which files, where the copy goes, and what it needs."""
    await open_and_close(state_dir)
    newer = tmp_path / "newer"
    shutil.copytree(MIGRATIONS, newer)
    latest = latest_version()
    for number in (1, 2):
        (newer / f"{latest + number:04}_more.sql").write_text(f"CREATE TABLE t{number} (n);")
    lock = state_dir / "owner.lock"  # as another process left it
    lock.write_text(lock.read_text().replace(f'"pid":{os.getpid()},', '"pid":1,'))
    before = bytes_of(state_dir)
    plan = look(state_dir, newer)
    assert bytes_of(state_dir) == before
    assert (plan.before, plan.after) == (latest, latest + 2)
    assert plan.scripts == [f"{latest + 1:04}_more.sql", f"{latest + 2:04}_more.sql"]
    assert plan.copy == str(state_dir / f"{DATABASE}.before-{latest + 1:04}")
    assert 100_000 < plan.copy_bytes <= len(before[DATABASE])
    assert plan.free_bytes > 0
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        migrate(connection, state_dir / DATABASE, newer)
    assert plan.copy is not None
    assert abs(len(bytes_of(state_dir)[Path(plan.copy).name]) - plan.copy_bytes) <= 8192


async def test_a_dry_run_sees_what_only_the_log_holds(state_dir: Path) -> None:
    """After a kill, what was committed counts, and neither database nor log is changed."""
    async with Database.open(state_dir):
        killed = bytes_of(state_dir)
    for name, text in killed.items():
        (state_dir / name).write_bytes(text)
    assert killed[f"{DATABASE}-wal"]
    assert look(state_dir).scripts == []
    after = bytes_of(state_dir)
    assert all(after[name] == text for name, text in killed.items() if not name.endswith("-shm"))


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_a_dry_run_without_a_database(cli: Any, state_dir: Path, options: list[str]) -> None:
    """Where there is none, it tells that one would be made, and makes nothing."""
    done = await cli("migrate", "--dry-run", *options)
    assert done.returncode == 0
    told = done.stdout.decode()
    if options:
        plan = msgspec.json.decode(told, type=MigrationPlan)
        assert (plan.before, plan.copy, plan.copy_bytes) == (0, None, 0)
    else:
        assert f"{DATABASE}: nothing there → schema {latest_version()}, by\n  0001_" in told
        assert "are free. Nothing was changed." in told
    assert names(state_dir.parent) == []


async def test_a_dry_run_refuses_what_opening_would(
    cli: Any, state_dir: Path, tmp_path: Path
) -> None:
    """A missing, another or a foreign database, and one that is in use, are refused alike."""
    await open_and_close(state_dir)
    async with Database.open(state_dir):
        done = await cli("migrate", "--dry-run")
        assert done.returncode == 73
    assert (await cli("migrate", "--dry-run")).stdout.decode().endswith("nothing to do\n")
    await open_and_close(tmp_path / "other")
    shutil.copy(tmp_path / "other" / DATABASE, state_dir / DATABASE)
    done = await cli("migrate", "--dry-run")
    assert (done.returncode, b"is not the database that was here" in done.stderr) == (78, True)
    (state_dir / DATABASE).write_bytes(b"garbage" * 1000)
    assert (await cli("migrate", "--dry-run")).returncode == 78
    (state_dir / DATABASE).unlink()
    done = await cli("migrate", "--dry-run")
    assert (done.returncode, b"is missing, and what it held" in done.stderr) == (78, True)
