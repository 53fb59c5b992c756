"""A host has the worker in its own program: it is told what cannot be, and its errors stay its."""

import asyncio
import copy
import pickle
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from anyio import to_thread
from anyio.abc import TaskStatus

from ecolyo_worker import CommandRefused, Settings, StoreOwned, StoreUnavailable, Worker
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.errors import ActorFailed
from ecolyo_worker.facts import check_facts
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing.clock import SteppedClock

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

LIMIT_S = 30
NIGHT = datetime(2026, 11, 21, 1, 0)
ALICE = {"instance": "alice.example"}


async def test_two_workers_on_two_directories(tmp_path: Path, event: Event, agree: Agree) -> None:
    """Two workers live in one program beside each other, and know nothing of one another."""
    async with (
        Worker(Settings(state_dir=tmp_path / "a")) as one,
        Worker(Settings(state_dir=tmp_path / "b")) as other,
    ):
        await agree(one)
        visit = event("NavigationEvent", "2026-11-20T10:00", target="gas")
        async with anyio.create_task_group() as group:
            group.start_soon(one.record, "alice.example", visit)
            group.start_soon(other.record, "alice.example", visit)
        assert (await one.run_once(NIGHT)).indicators == {"navigation-count-daily": 1}
        assert (await other.run_once(NIGHT)).indicators == {}
        assert (one.status().events["counted"], other.status().events["waiting"]) == (1, 1)


async def test_two_workers_on_one_directory(worker: Worker, event: Event) -> None:
    """A second worker on the same directory is refused, and the first one works on."""
    with pytest.raises(StoreOwned, match="owned by another worker of this process"):
        async with Worker(worker.settings):
            pass
    await worker.record("alice.example", event("ConnectionEvent", "2026-11-20T10:00"))


async def test_a_worker_that_is_entered_twice(worker: Worker, event: Event) -> None:
    """Entering a worker that is entered is refused; it works on, and can be entered again later."""
    with pytest.raises(CommandRefused, match="entered already"):
        async with worker:
            pass
    assert worker.is_ready
    await worker.record("alice.example", event("ConnectionEvent", "2026-11-20T10:00"))


async def test_a_worker_that_was_left(state_dir: Path, event: Event) -> None:
    """After the block nothing is taken, with a sentence; the worker may be entered anew."""
    worker = Worker(Settings(state_dir=state_dir))
    visit = event("ConnectionEvent", "2026-11-20T10:00")
    for known in (0, 1):
        async with worker:
            assert (await worker.record("alice.example", visit)).known == known
        with pytest.raises(StoreUnavailable):
            await worker.record("alice.example", visit)
        with pytest.raises(StoreUnavailable, match="the worker was left"):
            await worker.run_once(NIGHT)


def _preview(worker: Worker) -> Coroutine[Any, Any, Any]:
    async def listed() -> list[Any]:
        return [item async for item in worker.preview(NIGHT)]

    return listed()


CALLS: dict[str, Callable[[Worker], Coroutine[Any, Any, Any]]] = {
    "record": lambda worker: worker.record("alice.example", []),
    "run_once": lambda worker: worker.run_once(NIGHT),
    "send": lambda worker: worker.send(),
    "forget": lambda worker: worker.forget("alice.example"),
    "store_facts": lambda worker: worker.store_facts(
        check_facts(ALICE, worker.settings.civil_zone)
    ),
    "preview": _preview,
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_from_another_thread(worker: Worker, name: str) -> None:
    """From a thread with another event loop a call is refused at once, with what to do."""

    def elsewhere() -> None:
        asyncio.run(CALLS[name](worker))

    with pytest.raises(CommandRefused, match=r"another event loop: .*run_coroutine_threadsafe"):
        await to_thread.run_sync(elsewhere)


@pytest.mark.parametrize("name", CALLS)
async def test_what_the_refusal_tells_to_do_works(worker: Worker, name: str) -> None:
    """Another thread hands its call over to the worker's event loop, and waits for its end."""
    loop = asyncio.get_running_loop()

    def elsewhere() -> None:
        asyncio.run_coroutine_threadsafe(CALLS[name](worker), loop).result(LIMIT_S)

    await to_thread.run_sync(elsewhere)


def test_an_event_loop_that_is_not_asyncios(state_dir: Path) -> None:
    """Entered under another event loop than asyncio's it is refused in words, and makes no file."""
    entering = Worker(Settings(state_dir=state_dir)).__aenter__()
    with pytest.raises(CommandRefused, match="no event loop of asyncio"):
        entering.send(None)
    assert not state_dir.exists()


def test_a_worker_is_no_data(state_dir: Path) -> None:
    """A worker cannot be pickled or copied, and says what can; its settings can."""
    settings = Settings(state_dir=state_dir)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="make another one of its settings"):
            attempt(Worker(settings))
    assert pickle.loads(pickle.dumps(settings)) == settings


async def test_leaving_waits_for_nothing(state_dir: Path) -> None:
    """With nothing under way, leaving waits neither for a clock that stands nor for the grace."""
    log = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[log])
    clock = SteppedClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    settings = Settings(state_dir=state_dir, grace=timedelta(hours=1))
    with anyio.fail_after(LIMIT_S):
        async with Worker(settings, clock=clock, logger=logger):
            await clock.sleepers(3)
    assert log.entries == []


@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt, SystemExit, ExceptionGroup])
async def test_an_error_of_the_host_stays_as_it_is(
    state_dir: Path, kind: type[BaseException]
) -> None:
    """What the host raises in the block comes out of it: the very object, in no group."""
    error = ExceptionGroup("host", [LookupError()]) if kind is ExceptionGroup else kind("host")
    with pytest.raises(kind) as caught:
        async with Worker(Settings(state_dir=state_dir)):
            raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")


class Returning(Actor):
    """An actor that ends when it is woken, which none may."""

    name = "odd"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self.rest()


@asynccontextmanager
async def failing(state_dir: Path) -> AsyncIterator[Worker]:
    """A worker of which a part fails as soon as the block waits."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        actor = Returning(worker.clock)
        await worker.supervise(actor)
        actor.wake()
        yield worker


async def test_a_host_learns_that_a_part_failed(state_dir: Path) -> None:
    """If a part cannot be kept running the block is cancelled, and ends with that one error."""
    with pytest.raises(ActorFailed, match="odd ended by itself"):
        async with failing(state_dir):
            await anyio.sleep_forever()


async def test_a_failed_part_does_not_hide_the_hosts_error(state_dir: Path) -> None:
    """An error of the host's comes out as it is though a part failed too, which it then tells."""
    error = LookupError("of the host")

    async def host() -> None:
        async with failing(state_dir):
            try:
                await anyio.sleep_forever()
            finally:
                raise error

    with pytest.raises(LookupError) as caught:
        await host()
    assert caught.value is error
    (note,) = error.__notes__
    assert note.startswith("meanwhile the worker failed, too: odd ended by itself")


async def test_parts_that_have_nothing_to_do_write_nothing(state_dir: Path) -> None:
    """Who looks whether something is due only reads: others may write meanwhile."""
    clock = SteppedClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    url = "http://127.0.0.1:9/"  # where nobody is asked
    async with Worker(Settings(state_dir=state_dir, dacc=Dacc(url=url)), clock=clock) as worker:
        parts = len(worker.health()) - 1  # intake goes by the machine's time
        await clock.sleepers(parts)
        said: list[str] = []
        await worker.database.read(sqlite3.Connection.set_trace_callback, said.append)
        for _ in range(5):
            await clock.step(clock.now() + timedelta(minutes=1), sleepers=parts)
        begun = Counter(words for words in said if words.startswith("BEGIN"))
    assert begun["BEGIN"] >= 5
    assert begun["BEGIN IMMEDIATE"] == 0
