"""The sender by itself: it wakes, rests, gives way, stops, and forgets no answer."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NIGHT = datetime(2026, 11, 21, 1, 0)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


async def requested(echo: Echo, count: int = 1) -> None:
    """Wait until so many requests have come to it."""
    with anyio.fail_after(30):
        while (await echo.count())["requests"] < count:
            await anyio.lowlevel.checkpoint()


def states(rows: list[OutboxDocument]) -> list[tuple[str, int, int]]:
    return sorted((row.state, row.counted_attempts, row.maybe_delivered) for row in rows)


async def test_what_is_counted_is_sent_by_itself(
    state_dir: Path, event: Event, agree: Agree, quick: Quick, echo: Echo
) -> None:
    """A run's rows leave without anybody asking, at once when the run ends."""
    async with Worker(quick(echo.url)) as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        assert await echo.wait(1) == 1
        await worker.send()  # waits until the pass that sent it has ended
        assert None not in [successes(worker)[name] for name in ("aggregator", "sender")]
    await assert_balanced(state_dir, echo.url)


def successes(worker: Worker) -> dict[str, str | None]:
    return {task.name: task.last_success for task in worker.status().tasks}


async def test_an_attempt_that_hangs_holds_up_nobody(
    state_dir: Path, event: Event, agree: Agree, quick: Quick, wire: Any
) -> None:
    """What is counted meanwhile leaves at once, by the lanes that have nothing to do."""
    good, came, done = wire.answer, anyio.Event(), anyio.Event()

    async def hang(request: Any) -> bytes:
        if len(wire.requests) == 1:
            came.set()
            await done.wait()
        return bytes(good(request))

    wire.answer = hang
    async with Worker(quick(wire.url, concurrency=3)) as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2026-11-19T10:00"))
        await worker.run_once(NIGHT)
        await came.wait()
        await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00", "b"))
        await worker.run_once(NIGHT)
        with anyio.fail_after(5):  # an attempt may hang for 30 s
            while worker.status().outbox["sent"] < 1:
                await anyio.lowlevel.checkpoint()
        done.set()
    await assert_balanced(state_dir)


async def test_what_a_run_made_that_was_cut_off_leaves_at_once(
    state_dir: Path, event: Event, agree: Agree, quick: Quick, wire: Any
) -> None:
    """It waits neither for the next look of the sender nor for the next night."""
    names = [f"p{n}.example" for n in range(600)]
    consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
    async with Worker(quick(wire.url)) as worker:
        for name in names:
            await agree(worker, {"instance": name, "consent": consent})
            await worker.record(name, event("NavigationEvent", "2026-11-20T10:00"))
        running = asyncio.ensure_future(worker.run_once(NIGHT))
        while not sum(worker.status().outbox.values()):
            worker.sender.wake()  # it looks, and finds that a run is counting
            await anyio.lowlevel.checkpoint()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not wire.requests
        with anyio.fail_after(20):  # it looks by itself after 30 s
            while not worker.status().outbox["sent"]:
                await anyio.lowlevel.checkpoint()
    await assert_balanced(state_dir)


async def test_runs_without_end_hold_nothing_up(
    state_dir: Path, event: Event, agree: Agree, quick: Quick, echo: Echo
) -> None:
    """Where one run follows the other, what the earlier ones made leaves all the same."""

    async def run_again_and_again() -> None:
        while True:
            await worker.run_once(NIGHT)

    async with Worker(quick(echo.url)) as worker:
        await agree(worker)
        async with anyio.create_task_group() as runs:
            for _ in range(3):
                runs.start_soon(run_again_and_again)
            await worker.record("alice.example", event("NavigationEvent", "2026-11-20T10:00"))
            with anyio.fail_after(20):  # it looks by itself after 30 s
                assert await echo.wait(1) == 1
            runs.cancel_scope.cancel()
    await assert_balanced(state_dir, echo.url)


async def test_rows_that_waited_are_sent_at_the_start(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """What an earlier worker left is found when one starts, without a waking."""
    await fill()
    async with Worker(quick(echo.url)):
        assert await echo.wait(6) == 6
    await assert_balanced(state_dir, echo.url)


@pytest.mark.parametrize("setting", ["mode", "url"])
async def test_without_leave_it_only_rests(
    fill: Filled, quick: Quick, echo: Echo, rows: Rows, setting: str
) -> None:
    """Without an address, or in another mode than `on`, nothing leaves, and nothing crashes."""
    await fill()
    settings = quick(echo.url).replace(mode="local") if setting == "mode" else quick(None)
    async with Worker(settings) as worker:
        worker.sender.wake()
        await anyio.wait_all_tasks_blocked()
        assert states(await rows(worker)) == [("pending", 0, 0)] * 6
        assert all(task.state == "working" for task in worker.health())
    await echo.expect_nothing()


async def test_a_stop_finishes_what_is_under_way(fill: Filled, quick: Quick, rows: Rows) -> None:
    """A stop waits for the attempt that has begun, marks it, and begins no other."""
    await fill("alice.example", PAGES[:4])
    async with echo_server("--fault", "latency=300ms*9") as echo:
        async with Worker(quick(echo.url, concurrency=1)).opened() as worker:
            async with anyio.create_task_group() as running:
                running.start_soon(worker.sender.run)
                await requested(echo)
                worker.sender.stop()
            assert states(await rows(worker)) == [("pending", 0, 0)] * 3 + [("sent", 0, 0)]


async def test_a_stop_does_not_wait_for_a_place_on_the_grid(
    fill: Filled, quick: Quick, rows: Rows, echo: Echo
) -> None:
    """Rows that wait for their turn at a slow rate are put back at once."""
    await fill("alice.example", PAGES[:4])
    async with Worker(quick(echo.url, rate=0.001)).opened() as worker:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as running:
                running.start_soon(worker.sender.run)
                await requested(echo)
                worker.sender.stop()
        assert states(await rows(worker)) == [("pending", 0, 0)] * 3 + [("sent", 0, 0)]


async def test_native_cancelling_puts_everything_back(
    state_dir: Path, fill: Filled, quick: Quick, rows: Rows
) -> None:
    """Cancelled by the host in mid-attempt, only the row under way may have been delivered."""
    await fill("alice.example", PAGES[:4])
    async with echo_server("--fault", "latency=1min*9") as echo:
        async with Worker(quick(echo.url, concurrency=1)).opened() as worker:
            running = asyncio.ensure_future(worker.sender.run())
            await requested(echo)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert states(await rows(worker)) == [("pending", 0, 0)] * 3 + [("pending", 0, 1)]
    await assert_balanced(state_dir)


async def test_a_claim_that_is_cut_off_is_found_again(
    fill: Filled, quick: Quick, rows: Rows, echo: Echo
) -> None:
    """Rows in flight that nobody has in hand are put back before anything else is sent."""
    await fill("alice.example", PAGES[:4])
    async with Worker(quick(echo.url)).opened() as worker:
        claiming = asyncio.ensure_future(worker.sender._claim(3, 0))
        await asyncio.sleep(0)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        assert {row.state for row in await rows(worker)} == {"in_flight", "pending"}
        assert (await worker.send()).outcomes == {"delivered": 4}
        assert worker.status().maybe_delivered == 0


async def test_asking_for_it_works_while_it_runs(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """`send` gets its turn from the sender that runs, and what it reports is true."""
    await fill()
    async with Worker(quick(echo.url, rate=20.0)) as worker:
        await requested(echo)
        report = await worker.send(until_empty=True)
        assert report.waiting == 0
        assert worker.status().outbox["sent"] == 6
    ledger = await assert_balanced(state_dir, echo.url)
    assert ledger.received == 6


async def test_a_run_of_the_schedule_is_spread(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """Rows that are due later wait for that; `send` does not, and takes them at once."""
    await fill()
    clock = FakeClock(NOW)
    async with Worker(quick(echo.url), clock=clock).opened() as worker:
        later = int((NOW + timedelta(minutes=20)).timestamp() * 1000)
        await worker.database.run(lambda c: c.execute("UPDATE outbox SET due = ?", (later,)))
        assert await worker.sender._round() > 10
        await echo.expect_nothing()
        assert (await worker.send()).outcomes == {"delivered": 6}


async def test_a_connection_that_was_closed_meanwhile_costs_nothing(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """A kept connection that the other side closed is not written to: a new one is taken."""
    wire.closes = True
    await fill()
    async with Worker(quick(wire.url, concurrency=1, rate=50.0)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 6}
    assert wire.connections == 6


async def test_where_it_goes_fast_rows_are_marked_together(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """At a high rate a few transactions do for many rows; all of them are marked all the same."""
    for n in range(20):
        await fill(f"p{n}.example")
    async with Worker(quick(echo.url, rate=10_000.0, concurrency=10)).opened() as worker:
        said: list[str] = []
        await worker.database.read(sqlite3.Connection.set_trace_callback, said.append)
        assert (await worker.send()).outcomes == {"delivered": 120}
        assert sum(words.startswith("BEGIN") for words in said) < 30
    await assert_balanced(state_dir, echo.url)
