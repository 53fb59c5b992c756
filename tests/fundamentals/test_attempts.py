"""Every attempt of a row is kept: when it ended, what it came to, and what was answered."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxExport, OutboxHistory, Retry
from ecolyo_worker.settings import Retention
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.ledger import assert_balanced

from .conftest import PAGES

Agree = Callable[..., Awaitable[None]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]

ALICE = "alice.example"
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
SAID = b"alice-was-here"


async def exported(worker: Worker, *wanted: Any) -> list[OutboxHistory]:
    """Give the rows with their attempts."""
    return [row async for row in Commands(worker).outbox_export(OutboxExport(*wanted))]


async def history(worker: Worker) -> list[tuple[Any, ...]]:
    """Give (outcome, status, answer) of each attempt of the only row."""
    (row,) = await exported(worker)
    return [(one.outcome, one.status, one.answer) for one in row.history]


def content(state_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in state_dir.iterdir())


def answering(status: bytes, body: bytes) -> Callable[[Any], bytes]:
    """Let a wire answer so, whatever comes."""
    return lambda _: b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def test_each_attempt_is_kept_in_its_order(fill: Filled, quick: Quick, wire: Any) -> None:
    """An attempt tells its outcome, the HTTP status if one came, and what was answered."""
    await fill(ALICE, PAGES[:1])
    clock = FakeClock(NOW)
    answers = {
        "failed": answering(b"500 X", b"oh \n no"),
        "unavailable": answering(b"503 X", b"x" * 300),
        "unknown": lambda _: b"HTTP/1.1 OK\r\n\r\n",
        "rejected": answering(b"400 X", b"never"),
    }
    async with Worker(quick(wire.url), clock=clock).opened() as worker:
        for kind, wire.answer in answers.items():
            assert (await worker.send()).outcomes == {kind: 1}
            clock.jump(clock.now() + timedelta(hours=2))
        (row,) = await exported(worker)
    assert [(one.n, one.ended[:14], one.outcome, one.status) for one in row.history] == [
        (1, "2026-11-21T02:", "failed", 500),
        (2, "2026-11-21T04:", "unavailable", 503),
        (3, "2026-11-21T06:", "unknown", None),
        (4, "2026-11-21T08:", "rejected", 400),
    ]
    assert {one.ended[-1] for one in row.history} == {"Z"}
    said = [one.answer for one in row.history]
    assert (said[0], said[1], said[3]) == ("oh no", "x" * 200, "never")
    assert (said[2] or "").startswith("RemoteProtocolError: ")
    assert (row.attempts, row.counted_attempts, row.failed_tries) == (4, 3, 4)


async def test_what_is_delivered_keeps_no_answer(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path
) -> None:
    """A sent row says how often and when it was tried, and no word of any answer."""
    await fill(ALICE, PAGES[:1])
    async with Worker(quick(wire.url)).opened() as worker:
        good, wire.answer = wire.answer, answering(b"500 X", SAID)
        await worker.send()
        assert await history(worker) == [("failed", 500, SAID.decode())]
        wire.answer = good
        await worker.send(until_empty=True)
        assert await history(worker) == [("failed", 500, None), ("delivered", 201, None)]
    await assert_balanced(state_dir)


async def test_an_interrupted_attempt_is_one(
    fill: Filled, quick: Quick, echo: Echo, state_dir: Path
) -> None:
    """What was cut off in its middle is an attempt of unknown end; what was not begun is none."""
    await fill(ALICE, PAGES[:2])
    await echo.set_fault("latency=1min*9")
    async with Worker(quick(echo.url, concurrency=1)).opened() as worker:
        async with anyio.create_task_group() as sending:
            sending.start_soon(worker.send)
            while not (await echo.count())["requests"]:
                await anyio.lowlevel.checkpoint()
            sending.cancel_scope.cancel()
        found = sorted(await exported(worker), key=lambda row: row.attempts)
        assert [[one.outcome for one in row.history] for row in found] == [[], ["interrupted"]]
        assert found[1].last_attempt is not None
        assert found[1].failed_tries == 0
    await assert_balanced(state_dir)


def take_off(state_dir: Path) -> None:
    """Let all rows be in flight, as a process leaves them that dies."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        other.execute("UPDATE outbox SET state = 'in_flight'")
        other.execute("UPDATE totals SET name = 'outbox.in_flight' WHERE name = 'outbox.pending'")


@pytest.mark.parametrize(("on_unknown", "state"), [("retry", "pending"), ("drop", "sent?")])
async def test_what_a_dead_process_left_is_an_attempt(
    fill: Filled, quick: Quick, state_dir: Path, on_unknown: str, state: str
) -> None:
    """A row that was in flight when its process died has an interrupted attempt from the start."""
    await fill(ALICE, PAGES[:1])
    take_off(state_dir)
    settings = quick("http://127.0.0.1:9", on_unknown=on_unknown)
    async with Worker(settings, clock=FakeClock(NOW)).opened() as worker:
        (row,) = await exported(worker)
        assert [(one.outcome, one.ended) for one in row.history] == [
            ("interrupted", "2026-11-21T02:00:00Z")
        ]
        assert (row.state, row.last_attempt) == (state, "2026-11-21T02:00:00Z")
        assert worker.status().attempts == 1
    await assert_balanced(state_dir)


async def test_of_very_many_the_first_and_the_last_are_kept(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path, cli: Any
) -> None:
    """However long a destination is unwell, a row keeps 25 attempts, and knows how many it had."""
    await fill(ALICE, PAGES[:1])
    clock = FakeClock(NOW)
    wire.answer = answering(b"500 X", b"no")
    async with Worker(quick(wire.url, max_attempts=1000), clock=clock).opened() as worker:
        for _ in range(40):
            await worker.send()
            clock.jump(clock.now() + timedelta(hours=2))
        (row,) = await exported(worker)
    assert row.attempts == row.counted_attempts == 40
    assert [one.n for one in row.history] == [*range(1, 6), *range(21, 41)]
    shown = (await cli("outbox", "show", "1")).stdout.decode()
    assert "attempts          40" in shown
    assert "6–20     not kept: there were too many" in shown
    await assert_balanced(state_dir)


async def test_a_retry_by_hand_goes_on_counting(fill: Filled, quick: Quick, echo: Echo) -> None:
    """What was tried before somebody said `retry` is kept beside what comes after it."""
    await fill(ALICE, PAGES[:1])
    await echo.set_fault("status=400")
    async with Worker(quick(echo.url)).opened() as worker:
        await worker.send()
        await Commands(worker).outbox_retry(Retry())
        await worker.send()
        assert [one[:2] for one in await history(worker)] == [("rejected", 400), ("delivered", 201)]


@asynccontextmanager
async def failing(quick: Quick, wire: Any, answer: Callable[[Any], bytes]) -> AsyncIterator[Worker]:
    """Send to a server that answers so three times, and takes the rest; and give the worker."""
    good = wire.answer
    wire.answer = lambda request: (answer if len(wire.requests) <= 3 else good)(request)
    async with Worker(quick(wire.url, concurrency=1)).opened() as worker:
        await worker.send()
        assert SAID.decode() in str(await exported(worker))
        yield worker


async def test_what_is_given_up_keeps_no_answer(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path
) -> None:
    """A row that is discarded keeps when it was tried, and nothing of what was answered."""
    await fill(ALICE, PAGES[:1])
    async with failing(quick, wire, answering(b"400 X", SAID)) as worker:
        await Commands(worker).outbox_discard(1)
        assert await history(worker) == [("rejected", 400, None)]
    await assert_balanced(state_dir)


@pytest.mark.parametrize("leaving", ["withdraw", "forget"])
@pytest.mark.parametrize("status", [b"400 X", b"504 X"], ids=["refused", "maybe delivered"])
async def test_who_leaves_takes_the_answers_along(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path, leaving: str, status: bytes
) -> None:
    """Of someone who left no byte of an answer stays in any file; attempts go with their rows."""
    await fill(ALICE)
    async with failing(quick, wire, answering(status, SAID)) as worker:
        assert SAID in content(state_dir)
        commands = Commands(worker)
        if leaving == "forget":
            gone = await commands.instances_forget(ALICE)
            assert gone.rows["attempts"] == (3 if status == b"400 X" else 0)
        else:
            await commands.instances_withdraw(ALICE)
        left = await exported(worker)
        assert {row.state for row in left} == (
            {"sent"} if status == b"400 X" else {"sent", "sent?"}
        )
        assert {one.answer for row in left for one in row.history} == {None}
        assert await worker.database.read(_attempts) == len(left)
        assert SAID not in content(state_dir)
    await assert_balanced(state_dir)


@pytest.mark.parametrize("leaving", ["withdraw", "forget"])
async def test_nor_is_it_the_reason_of_a_destination(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path, leaving: str
) -> None:
    """That the destination that all share is held back stays known, without the answer."""
    await fill(ALICE)
    wire.answer = answering(b"401 X", SAID)
    async with Worker(quick(wire.url)).opened() as worker:
        await worker.send()
        assert SAID in content(state_dir)
        commands = Commands(worker)
        await (commands.instances_forget if leaving == "forget" else commands.instances_withdraw)(
            ALICE
        )
        assert SAID not in content(state_dir)
        (held,) = worker.status().destinations
        assert (held.state, held.reason) == (
            "paused",
            "the last answer is deleted, as somebody left",
        )


def _attempts(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM attempts").fetchone()[0]
    return count


async def test_an_answer_that_comes_too_late_is_not_kept(
    fill: Filled, quick: Quick, wire: Any, state_dir: Path
) -> None:
    """What is answered to an attempt during which somebody was forgotten stands in no file."""
    await fill(ALICE, PAGES[:1])
    asked, left = anyio.Event(), anyio.Event()

    async def hold(stream: Any) -> None:
        async with stream:
            await stream.receive()
            asked.set()
            await left.wait()
            await stream.send(answering(b"400 X", SAID)(None))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with Worker(quick(f"http://127.0.0.1:{port}")).opened() as worker, listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, hold)
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                await asked.wait()
                await Commands(worker).instances_forget(ALICE)
                left.set()
            tasks.cancel_scope.cancel()
        assert await exported(worker) == []
        assert worker.status().attempts == 1
        assert SAID not in content(state_dir)
    await assert_balanced(state_dir)


@pytest.mark.parametrize(("how", "state"), [("sent", "sent"), ("cut off", "sent?")])
async def test_attempts_go_with_their_row(
    fill: Filled, quick: Quick, echo: Echo, state_dir: Path, how: str, state: str
) -> None:
    """When finished rows are deleted for their age, nothing of their attempts stays."""
    await fill()
    settings = quick(echo.url, on_unknown="drop").replace(retention=Retention(sent_days=1))
    if how == "cut off":
        take_off(state_dir)
    async with Worker(settings).opened() as worker:
        await worker.send()
        assert worker.status().outbox[state] == 6
        assert await worker.database.read(_attempts) == 6
    clock = SteppedClock(datetime.now(UTC) + timedelta(days=2))
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(clock.now() + timedelta(hours=1))
        assert worker.status().outbox[state] == 0
        assert await worker.database.read(_attempts) == 0
    await assert_balanced(state_dir)
