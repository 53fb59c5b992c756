"""A caller that is cancelled stops waiting; its transaction still happens whole or not at all."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from ecolyo_worker import StoreOwned
from ecolyo_worker.store.database import DATABASE, Database

LIMIT_S = 10

Call = Callable[[], Coroutine[Any, Any, object]]
Cancelling = Callable[[Call, Call], Coroutine[Any, Any, None]]


async def by_scope(call: Call, reached: Call) -> None:
    """Start a call, cancel it by its scope once something is reached, and see it end."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await reached()
        group.cancel_scope.cancel()


async def natively(call: Call, reached: Call) -> None:
    """Do the same as a host does that knows asyncio only."""
    task = asyncio.create_task(call())
    await reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


both_ways = pytest.mark.parametrize("cancelling", [by_scope, natively])


class Hold:
    """Stops the database's thread at one stage of a transaction of `write`, until it is let go."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._written = False
        self._reached = threading.Event()
        self._let_go = threading.Event()

    def write(self, connection: sqlite3.Connection) -> None:
        add(connection, "first")
        self._at("function")
        add(connection, "second")
        self._written = True

    def write_and_fail(self, connection: sqlite3.Connection) -> None:
        self.write(connection)
        raise LookupError("of the function")

    def see_statement(self, sql: str) -> None:
        """Be told of each statement as SQLite begins it."""
        if sql == "BEGIN IMMEDIATE" and self._stage == "begin":
            self._reached.set()  # and SQLite waits, for the lock of another connection
        if sql == "COMMIT" and self._written:
            self._at("commit")

    def see_end(self, _: sqlite3.Connection) -> None:
        """Be told of the end of each transaction, before its caller is."""
        if self._written:
            self._at("answer")

    async def reached(self) -> None:
        assert await to_thread.run_sync(self._reached.wait, LIMIT_S)

    def let_go(self) -> None:
        self._let_go.set()

    def _at(self, stage: str) -> None:
        if stage == self._stage:
            self._reached.set()
            assert self._let_go.wait(LIMIT_S)


@asynccontextmanager
async def held(stage: str, state_dir: Path) -> AsyncIterator[tuple[Database, Hold]]:
    """Open a database whose thread will stop at a stage, at the latest until the block ends."""
    hold = Hold(stage)
    async with Database.open(state_dir, observe=hold.see_end) as database:
        await database._in_thread(lambda c: c.set_trace_callback(hold.see_statement))
        try:
            yield database, hold
        finally:
            hold.let_go()


def add(connection: sqlite3.Connection, *names: str) -> None:
    connection.executemany("INSERT INTO meta VALUES (?, '')", [(name,) for name in names])


def stored(state_dir: Path) -> set[str]:
    """What another connection sees."""
    with closing(sqlite3.connect(state_dir / DATABASE)) as connection:
        return {name for (name,) in connection.execute("SELECT key FROM meta")} - {"database_id"}


async def assert_clean(database: Database, state_dir: Path) -> None:
    """The connection is in no transaction, and the next one works and takes nothing else along."""
    assert not await database._in_thread(lambda connection: connection.in_transaction)
    before = stored(state_dir)
    await database.run(add, "next")
    assert stored(state_dir) == before | {"next"}


@both_ways
async def test_cancelled_during_begin(state_dir: Path, cancelling: Cancelling) -> None:
    """Cancelled while BEGIN waits for a lock, a transaction happens whole when the lock is free."""
    async with held("begin", state_dir) as (database, hold):
        with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await cancelling(lambda: database.run(hold.write), hold.reached)
            other.execute("ROLLBACK")
        await assert_clean(database, state_dir)
        assert stored(state_dir) == {"first", "second", "next"}


@both_ways
async def test_cancelled_during_a_begin_that_fails(state_dir: Path, cancelling: Cancelling) -> None:
    """Cancelled while BEGIN waits in vain for a lock, a transaction does not happen at all."""
    async with held("begin", state_dir) as (database, hold):
        await database._in_thread(lambda c: c.execute("PRAGMA busy_timeout = 50"))
        with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await cancelling(lambda: database.run(hold.write), hold.reached)
            await database._in_thread(lambda _: "after the one before")
            other.execute("ROLLBACK")
        await assert_clean(database, state_dir)
        assert stored(state_dir) == {"next"}


@both_ways
@pytest.mark.parametrize(
    ("stage", "visible"),
    [("function", set()), ("commit", set()), ("answer", {"first", "second"})],
)
async def test_cancelled_later(
    state_dir: Path, cancelling: Cancelling, stage: str, visible: set[str]
) -> None:
    """Cancelled in its function, its COMMIT or before the answer, a transaction happens whole."""
    async with held(stage, state_dir) as (database, hold):
        await cancelling(lambda: database.run(hold.write), hold.reached)
        assert stored(state_dir) == visible
        hold.let_go()
        await assert_clean(database, state_dir)
        assert stored(state_dir) == {"first", "second", "next"}


@both_ways
async def test_cancelled_and_failing(state_dir: Path, cancelling: Cancelling) -> None:
    """A function that raises after its caller has gone leaves nothing, and a clean connection."""
    async with held("function", state_dir) as (database, hold):
        await cancelling(lambda: database.run(hold.write_and_fail), hold.reached)
        hold.let_go()
        await assert_clean(database, state_dir)
        assert stored(state_dir) == {"next"}


@both_ways
async def test_cancelled_before_its_turn(state_dir: Path, cancelling: Cancelling) -> None:
    """Cancelled while it waits for the one before, a transaction happens whole."""

    async def queued() -> None:
        await hold.reached()
        await anyio.wait_all_tasks_blocked()

    async with held("function", state_dir) as (database, hold), anyio.create_task_group() as group:
        group.start_soon(database.run, hold.write)
        await hold.reached()
        await cancelling(lambda: database.run(add, "waited 1", "waited 2"), queued)
        hold.let_go()
        await assert_clean(database, state_dir)
        assert stored(state_dir) == {"first", "second", "waited 1", "waited 2", "next"}


@both_ways
async def test_a_rollback_undoes_nothing_of_others(state_dir: Path, cancelling: Cancelling) -> None:
    """What others store around a cancelled transaction that is rolled back stays stored."""
    async with held("function", state_dir) as (database, hold):
        await database.run(add, "before")
        async with anyio.create_task_group() as group:

            async def queued() -> None:
                await hold.reached()
                for number in range(10):
                    group.start_soon(database.run, add, f"behind {number}")
                await anyio.wait_all_tasks_blocked()

            await cancelling(lambda: database.run(hold.write_and_fail), queued)
            assert stored(state_dir) == {"before"}
            hold.let_go()
        await assert_clean(database, state_dir)
        behind = {f"behind {number}" for number in range(10)}
        assert stored(state_dir) == {"before", "next", *behind}


async def test_many_cancelled_at_once(state_dir: Path) -> None:
    """Of many callers cancelled together while they wait, none leaves half a transaction."""

    def add_pair(connection: sqlite3.Connection, number: int) -> None:
        add(connection, f"{number} a")
        add(connection, f"{number} b")

    async with held("function", state_dir) as (database, hold):
        async with anyio.create_task_group() as group:
            group.start_soon(database.run, hold.write)
            await hold.reached()
            for number in range(50):
                group.start_soon(database.run, add_pair, number)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        hold.let_go()
        await assert_clean(database, state_dir)
        names = stored(state_dir) - {"first", "second", "next"}
        assert names == {name[:-1] + half for name in names for half in "ab"}


@both_ways
async def test_left_while_a_transaction_runs(state_dir: Path, cancelling: Cancelling) -> None:
    """A cancelled owner gives its lock back only when the transaction that runs has ended."""
    hold = Hold("function")
    threads: list[threading.Thread] = []

    async def own() -> None:
        async with Database.open(state_dir) as database:
            threads.append(await database.read(lambda _: threading.current_thread()))
            await database.run(hold.write)

    async def reached() -> None:
        await hold.reached()
        group.start_soon(look_and_let_go)

    async def look_and_let_go() -> None:
        await anyio.wait_all_tasks_blocked()  # the owner was cancelled, and waits for its thread
        assert stored(state_dir) == set()
        with pytest.raises(StoreOwned):
            async with Database.open(state_dir):
                pass
        hold.let_go()

    async with anyio.create_task_group() as group:
        await cancelling(own, reached)
    threads[0].join(LIMIT_S)
    assert not threads[0].is_alive()
    async with Database.open(state_dir) as database:
        await assert_clean(database, state_dir)
    assert stored(state_dir) == {"first", "second", "next"}
