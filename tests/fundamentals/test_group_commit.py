"""Callers who come together share a transaction, and each is told about its own events."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from ecolyo_worker import IntakeFull, Settings, StoreUnavailable, Worker
from ecolyo_worker.actors.intake import Intake
from ecolyo_worker.settings import Intake as IntakeSettings
from tests.callers import ALICE, Callers, calling, navigation

LIMIT_S = 10


class Hold:
    """Stops the database's thread when a statement begins, until it is let go."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._reached = threading.Event()
        self._let_go = threading.Event()

    def see(self, statement: str) -> None:
        if statement.startswith(self._statement):
            self._reached.set()
            assert self._let_go.wait(LIMIT_S)

    async def reached(self) -> None:
        assert await to_thread.run_sync(self._reached.wait, LIMIT_S)

    def let_go(self) -> None:
        self._let_go.set()


@asynccontextmanager
async def held(worker: Worker, statement: str = "COMMIT") -> AsyncIterator[Hold]:
    """Stop the next transaction at one of its statements, at the latest until the block ends."""
    hold = Hold(statement)
    await worker.database._in_thread(lambda c: c.set_trace_callback(hold.see))
    try:
        yield hold
    finally:
        hold.let_go()
        await worker.database._in_thread(lambda c: c.set_trace_callback(None))


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    async with Worker(settings).opened() as worker:
        yield worker


@pytest.fixture
def narrow(state_dir: Path) -> Settings:
    """Settings with which three events may wait."""
    return Settings(state_dir=state_dir, intake=IntakeSettings(max_waiting=3))


def stored_ids(state_dir: Path) -> list[str]:
    """Read the ids with another connection, as whoever opens the file next would."""
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        found = [row[0] for row in other.execute("SELECT id FROM events ORDER BY seq")]
    other.close()
    return found


async def in_transaction(worker: Worker) -> bool:
    return await worker.database._in_thread(lambda connection: connection.in_transaction)


async def test_who_comes_during_a_commit_shares_the_next(worker: Worker, state_dir: Path) -> None:
    """However many callers come while a transaction runs, the next one stores for all of them."""
    async with calling(worker) as callers:
        async with held(worker) as hold:
            callers.record("first")
            await hold.reached()
            for n in range(100):
                callers.record(*(f"{n}-{m}" for m in range(1 + n % 3)))
            await anyio.wait_all_tasks_blocked()
            assert worker.intake.statistics().waiting == 199
            assert stored_ids(state_dir) == []
    assert worker.intake.statistics().commits == 2
    assert callers.accepted == {key: len(key.split()) for key in callers.receipts}
    assert len(callers.receipts) == 101
    assert len(stored_ids(state_dir)) == 200


async def test_the_order_of_arrival_is_kept(worker: Worker, state_dir: Path) -> None:
    """Events are numbered in the order in which their callers came."""
    idents = [f"{n:03}" for n in range(300)]
    async with calling(worker) as callers:
        for begin in range(0, 300, 100):
            for ident in idents[begin : begin + 100]:
                callers.record(ident)
            await anyio.lowlevel.checkpoint()
    assert stored_ids(state_dir) == idents


async def test_one_event_of_many_callers_is_accepted_once(worker: Worker, state_dir: Path) -> None:
    """Of callers who hand over the same event together, the first one's is accepted."""
    async with held(worker) as hold, calling(worker) as callers:
        callers.record("of another time")
        await hold.reached()
        callers.record("same", "own")
        callers.record("same", "same", "other")
        callers.record("own", "of another time")
        await anyio.wait_all_tasks_blocked()
        hold.let_go()
    counts = {key: (r.accepted, r.known) for key, r in callers.receipts.items()}
    assert counts == {
        "of another time": (1, 0),
        "same own": (2, 0),
        "same same other": (1, 2),
        "own of another time": (0, 2),
    }
    assert stored_ids(state_dir) == ["of another time", "same", "own", "other"]


async def test_only_the_guilty_one_sees_its_error(worker: Worker, state_dir: Path) -> None:
    """An event that the database refuses takes nobody else's events with it."""
    await worker.database.run(
        lambda connection: connection.execute(
            "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.events WHEN new.id = 'guilty'"
            " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
    )
    idents = [f"{n:02}" for n in range(50)]
    async with calling(worker) as callers:
        for ident in [*idents[:30], "guilty", *idents[30:]]:
            callers.record(ident)
    assert callers.accepted == dict.fromkeys(idents, 1)
    assert isinstance(callers.errors["guilty"], sqlite3.IntegrityError)
    assert stored_ids(state_dir) == idents
    assert [task.restarts for task in worker.health()] == [0]


async def test_a_full_list_refuses_and_recovers(narrow: Settings, state_dir: Path) -> None:
    """Beyond `intake.max_waiting` a caller is refused, told how it stands, and taken later."""
    async with Worker(narrow).opened() as worker:
        async with held(worker) as hold, calling(worker) as callers:
            callers.record("begun")
            await hold.reached()
            callers.record("a", "b")
            callers.record("c", "d")
            callers.record("e")
            callers.record("f")
            await anyio.wait_all_tasks_blocked()
            assert set(callers.errors) == {"c d", "f"}
            hold.let_go()
        assert isinstance(callers.errors["f"], IntakeFull)
        words = str(callers.errors["f"])
        assert words.startswith("3 events wait to be stored, and 3 may (intake.max_waiting)")
        assert "nothing of these 1 was taken; try again" in words
        statistics = worker.intake.statistics()
        assert (statistics.full, statistics.waiting) == (2, 0)
        assert (await worker.record(ALICE, [navigation("c"), navigation("d")])).accepted == 2
    assert stored_ids(state_dir) == ["begun", "a", "b", "e", "c", "d"]


async def test_a_batch_larger_than_all_that_may_wait(narrow: Settings) -> None:
    """A batch of more than `intake.max_waiting` is taken when nothing else waits."""
    async with Worker(narrow).opened() as worker:
        receipt = await worker.record(ALICE, [navigation(str(n)) for n in range(50)])
        assert receipt.accepted == 50


Cancelling = Callable[[Callable[[], Coroutine[Any, Any, Any]], Hold], Coroutine[Any, Any, None]]


async def by_scope(call: Callable[[], Coroutine[Any, Any, Any]], hold: Hold) -> None:
    """Start a call, cancel its scope once the transaction is held, and see it end."""
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await hold.reached()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


async def natively(call: Callable[[], Coroutine[Any, Any, Any]], hold: Hold) -> None:
    """Do the same as a host does that knows asyncio only."""
    task = asyncio.create_task(call())
    await hold.reached()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


both_ways = pytest.mark.parametrize("cancelling", [by_scope, natively])


@both_ways
@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT INTO events", "COMMIT"])
async def test_a_caller_that_goes_while_it_is_stored(
    worker: Worker, state_dir: Path, cancelling: Cancelling, statement: str
) -> None:
    """What is being stored for a caller that is cancelled is stored, and known when it retries."""
    async with calling(worker) as callers:
        async with held(worker, statement) as hold:
            callers.record("beside")
            await cancelling(lambda: worker.record(ALICE, navigation("gone")), hold)
            assert callers.receipts == {}
            hold.let_go()
    assert callers.accepted == {"beside": 1}
    assert sorted(stored_ids(state_dir)) == ["beside", "gone"]
    assert not await in_transaction(worker)
    assert (await worker.record(ALICE, navigation("gone"))).known == 1


@both_ways
async def test_a_caller_that_goes_while_it_waits(
    worker: Worker, state_dir: Path, cancelling: Cancelling
) -> None:
    """A caller that is cancelled on the list takes nobody along; a retry stores nothing twice."""
    async with calling(worker) as callers:
        async with held(worker) as hold:
            callers.record("begun")
            await hold.reached()
            callers.record("before")
            await anyio.lowlevel.checkpoint()
            await cancelling(lambda: worker.record(ALICE, navigation("gone")), hold)
            callers.record("behind")
            await anyio.wait_all_tasks_blocked()
    assert callers.accepted == {"begun": 1, "before": 1, "behind": 1}
    assert not await in_transaction(worker)
    await worker.record(ALICE, navigation("gone"))
    assert stored_ids(state_dir) == ["begun", "before", "gone", "behind"]


async def test_leaving_stores_what_waits(settings: Settings, state_dir: Path) -> None:
    """Leaving answers all who wait, from the disk, and refuses who comes after."""
    async with anyio.create_task_group() as tasks:
        async with Worker(settings) as worker:
            callers = Callers(worker, tasks)
            async with held(worker) as hold:
                callers.record("begun")
                await hold.reached()
                callers.record("waiting")
                await anyio.wait_all_tasks_blocked()
                worker.intake.stop()
                with pytest.raises(StoreUnavailable, match="the worker is stopping"):
                    await worker.record(ALICE, navigation("late"))
    assert callers.accepted == {"begun": 1, "waiting": 1}
    assert stored_ids(state_dir) == ["begun", "waiting"]


async def test_who_waits_when_all_is_aborted_is_told(settings: Settings, state_dir: Path) -> None:
    """A scope cancelled around the worker lets the transaction end; who waits behind it is told."""
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with Worker(settings).opened() as worker:
                callers = Callers(worker, tasks)
                hold = Hold("COMMIT")
                await worker.database._in_thread(lambda c: c.set_trace_callback(hold.see))
                callers.record("begun")
                await hold.reached()
                callers.record("waiting")
                await anyio.wait_all_tasks_blocked()
                hold.let_go()
                scope.cancel()
    assert callers.accepted == {"begun": 1}
    assert isinstance(callers.errors["waiting"], StoreUnavailable)
    assert stored_ids(state_dir) == ["begun"]


async def test_intake_ended_natively_leaves_nobody_without_an_answer(
    worker: Worker, state_dir: Path
) -> None:
    """Who was being stored is told to retry, which doubles nothing; who waits is stored later."""
    intake = Intake(worker.janitor._context)
    batches = [[(ALICE, navigation("begun"))], [(ALICE, navigation("waiting"))]]
    running = asyncio.create_task(intake.run())
    async with held(worker) as hold:
        begun = asyncio.create_task(intake.take(batches[0]))
        await hold.reached()
        waiting = asyncio.create_task(intake.take(batches[1]))
        await anyio.wait_all_tasks_blocked()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(StoreUnavailable, match="hand it over again"):
            await begun
    running = asyncio.create_task(intake.run())
    assert (await waiting).accepted == 1
    assert (await intake.take(batches[0])).known == 1
    intake.stop()
    await running
    assert stored_ids(state_dir) == ["begun", "waiting"]
