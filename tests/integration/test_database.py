"""One function is one transaction: what `Database` promises of it, on real files."""

import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest
from anyio import to_thread

import ecolyo_worker
from ecolyo_worker import StoreUnavailable
from ecolyo_worker.store.database import DATABASE, Database

LIMIT_S = 10


@pytest.fixture
async def database(state_dir: Path) -> AsyncIterator[Database]:
    async with Database.open(state_dir) as opened:
        yield opened


@pytest.fixture
def other(database: Database, state_dir: Path) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else to the same file."""
    with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as connection:
        yield connection


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(tmp_path / "any.db", isolation_level=None) as opened:
        yield opened


class Hold:
    """A place where the database's thread stops until it is let go."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, *_: object) -> None:
        self._reached.set()
        assert self.let_go.wait(LIMIT_S)

    async def reached(self) -> None:
        assert await to_thread.run_sync(self._reached.wait, LIMIT_S)


async def execute(connection: aiosqlite.Connection, function: Callable[[], Any]) -> Any:
    return await connection._execute(function)  # type: ignore[no-untyped-call]


def add(connection: sqlite3.Connection, *names: str) -> None:
    connection.executemany("INSERT INTO meta VALUES (?, '')", [(name,) for name in names])


def stored(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT key FROM meta WHERE key != 'database_id' ORDER BY key"
    return [name for (name,) in connection.execute(query)]


async def assert_clean(database: Database) -> None:
    """The connection is in no transaction, and the next one works."""
    assert not await database._in_thread(lambda connection: connection.in_transaction)
    await database.run(add, "next")
    assert "next" in await database.read(stored)


# What is asked of `aiosqlite.Connection._execute`, which its documentation does not promise.


async def test_aiosqlite_runs_a_function_in_the_thread_of_its_connection(
    connection: aiosqlite.Connection,
) -> None:
    """`_execute` gives a function's result, from the one thread where `_conn` can be used."""
    raw = connection._conn
    threads = {await execute(connection, threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert await execute(connection, lambda: raw.execute("SELECT 7").fetchone()) == (7,)
    with pytest.raises(sqlite3.ProgrammingError, match="thread"):
        raw.execute("SELECT 7")


async def test_aiosqlite_raises_what_a_function_raises(connection: aiosqlite.Connection) -> None:
    """`_execute` raises the very error of a function, and runs the next one."""
    error = LookupError("of the function")

    def fail() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        await execute(connection, fail)
    assert caught.value is error
    assert await execute(connection, lambda: "next") == "next"


async def test_aiosqlite_runs_one_function_after_the_other(
    connection: aiosqlite.Connection,
) -> None:
    """`_execute` begins functions in the order of the calls, each when the one before has ended."""
    happened: list[tuple[str, int]] = []

    async def call(number: int) -> None:
        def work() -> None:
            happened.append(("begins", number))
            happened.append(("ends", number))

        await execute(connection, work)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(call, number)
    assert happened == [(what, number) for number in range(100) for what in ("begins", "ends")]


async def test_aiosqlite_runs_a_function_whose_caller_has_gone(
    connection: aiosqlite.Connection,
) -> None:
    """`_execute` neither stops a running statement nor drops a waiting function when cancelled."""
    hold, done, raw = Hold(), list[str](), connection._conn

    def work() -> None:
        raw.create_function("hold", 0, hold)
        raw.execute("SELECT hold()").fetchone()
        done.append("running")

    async with anyio.create_task_group() as group:
        group.start_soon(execute, connection, work)
        await hold.reached()
        group.start_soon(execute, connection, lambda: done.append("waiting"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert done == []
    hold.let_go.set()
    await execute(connection, lambda: done.append("next"))
    assert done == ["running", "waiting", "next"]


async def test_aiosqlite_ends_its_thread_after_what_waits(tmp_path: Path) -> None:
    """`close` lets run what was asked for before it, and then the thread ends."""
    connection = await aiosqlite.connect(tmp_path / "any.db")
    hold, ran_in = Hold(), list[threading.Thread]()
    async with anyio.create_task_group() as group:
        group.start_soon(execute, connection, hold)
        await hold.reached()
        group.start_soon(execute, connection, lambda: ran_in.append(threading.current_thread()))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(connection.close)
        await anyio.wait_all_tasks_blocked()
        hold.let_go.set()
    (thread,) = ran_in
    thread.join(LIMIT_S)
    assert not thread.is_alive()


# Transactions.


async def test_what_returned_is_committed(database: Database, other: sqlite3.Connection) -> None:
    """Another connection sees nothing of a transaction before `run` returns, and then all of it."""
    hold = Hold()

    def work(connection: sqlite3.Connection) -> str:
        add(connection, "a", "b")
        hold()
        return "result"

    results: list[str] = []

    async def call() -> None:
        results.append(await database.run(work))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await hold.reached()
        assert stored(other) == []
        hold.let_go.set()
    assert results == ["result"]
    assert stored(other) == ["a", "b"]


async def test_what_is_committed_is_there_after_opening_again(state_dir: Path) -> None:
    """A database that is opened again holds what `run` did before, and is the same one."""
    query = "SELECT value FROM meta WHERE key = 'database_id'"
    async with Database.open(state_dir) as database:
        await database.run(add, "a")
        identity = await database.read(lambda c: c.execute(query).fetchone())
    async with Database.open(state_dir) as database:
        assert await database.read(stored) == ["a"]
        assert await database.read(lambda c: c.execute(query).fetchone()) == identity


async def test_a_function_that_raises_leaves_nothing(
    database: Database, other: sqlite3.Connection
) -> None:
    """What a function raises is raised, nothing of it is stored, and the next one works."""

    def work(connection: sqlite3.Connection) -> None:
        add(connection, "a")
        raise LookupError("of the function")

    with pytest.raises(LookupError, match="of the function"):
        await database.run(work)
    assert stored(other) == []
    await assert_clean(database)


async def test_a_commit_that_fails_leaves_nothing(
    database: Database, other: sqlite3.Connection
) -> None:
    """A COMMIT that SQLite refuses is raised, nothing is stored, and the next one works."""

    def work(connection: sqlite3.Connection) -> None:
        add(connection, "a")
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("INSERT INTO waiting_days VALUES (404, 1)")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.run(work)
    assert stored(other) == []
    await assert_clean(database)


async def test_a_full_disk_leaves_nothing(database: Database, other: sqlite3.Connection) -> None:
    """A transaction that finds no room is `StoreUnavailable`, and a smaller one works."""

    def limited(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")

    await database.read(limited)
    with pytest.raises(StoreUnavailable, match="full"):
        await database.run(add, *(f"{number:0999}" for number in range(100)))
    assert stored(other) == []
    await assert_clean(database)


async def test_reading_may_not_write(database: Database, other: sqlite3.Connection) -> None:
    """A function that writes under `read` fails, and the next one may write under `run`."""
    with pytest.raises(RuntimeError, match="writes: it must be run by `run`"):
        await database.read(add, "a")
    assert stored(other) == []
    await assert_clean(database)


async def test_only_what_changed_is_looked_at(state_dir: Path) -> None:
    """A snapshot is taken once of what was written; who writes nothing takes none."""
    async with Database.open(state_dir, observe=stored) as database:
        await database.run(add, "a")
        first = database.snapshot
        await database.read(stored)
        await database.run(stored)
        assert database.snapshot is first
        await database.run(add, "b")
        assert database.snapshot == ["a", "b"]


async def test_reading_sees_one_state(database: Database, other: sqlite3.Connection) -> None:
    """A function under `read` sees one state, whatever others commit meanwhile."""

    def twice(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        first = stored(connection)
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            add(writer, "a")
        return first, stored(connection)

    path = other.execute("SELECT file FROM pragma_database_list").fetchone()[0]
    assert await database.read(twice) == ([], [])
    assert await database.read(stored) == ["a"]


async def test_a_busy_database_leaves_nothing(
    database: Database, other: sqlite3.Connection
) -> None:
    """A lock held for longer than is waited is `StoreUnavailable`, and reading goes on."""
    await database.read(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))
    other.execute("BEGIN IMMEDIATE")
    add(other, "of another")
    with pytest.raises(StoreUnavailable, match="locked"):
        await database.run(add, "a")
    assert await database.read(stored) == []
    other.execute("COMMIT")
    assert stored(other) == ["of another"]
    await assert_clean(database)


# The snapshot.


async def test_the_snapshot_is_of_the_last_commit(state_dir: Path) -> None:
    """There is a snapshot once the database is open, and a new one when `run` returns."""
    async with Database.open(state_dir, observe=stored) as database:
        assert database.snapshot == []
        await database.run(add, "a")
        assert database.snapshot == ["a"]


async def test_the_snapshot_is_not_left_behind_by_a_failure(state_dir: Path) -> None:
    """A transaction that waits behind another and then fails does not hide what that one did."""
    hold = Hold()

    async def add_twice(database: Database) -> None:
        with pytest.raises(sqlite3.IntegrityError):
            await database.run(add, "a", "a")

    async with Database.open(state_dir, observe=stored) as database:
        async with anyio.create_task_group() as group:
            group.start_soon(database.read, hold)
            await hold.reached()
            group.start_soon(database.run, add, "a")
            await anyio.wait_all_tasks_blocked()
            group.start_soon(add_twice, database)
            await anyio.wait_all_tasks_blocked()
            hold.let_go.set()
        assert database.snapshot == ["a"]


async def test_a_snapshot_that_fails_undoes_no_commit(state_dir: Path) -> None:
    """`run` never says that nothing was done when only the look at what it did has failed."""

    def observe(connection: sqlite3.Connection) -> list[str]:
        names = stored(connection)
        if names:
            raise sqlite3.OperationalError("cannot look")
        return names

    async with Database.open(state_dir, observe=observe) as database:
        await database.run(add, "a")
        assert await database.read(stored) == ["a"]
        assert database.snapshot == []


# How it is set up.


async def test_the_settings_of_the_connection(database: Database) -> None:
    """An open database is durable, checks its foreign keys, and overwrites what is deleted."""
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "auto_vacuum": 2,
        "secure_delete": 1,
        "busy_timeout": 5000,
        "trusted_schema": 0,
    }
    found = await database.read(
        lambda connection: {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected
        }
    )
    assert found == expected


def test_no_statement_numbers_its_values() -> None:
    """`?1` with values in an order makes a warning on Python 3.12.0 to 3.12.3; names do not."""
    package = Path(ecolyo_worker.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [path for path, text in sources.items() if re.search(r"[ (,]\?\d", text)] == []
