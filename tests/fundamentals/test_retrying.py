"""What fails is tried again, or dead with its reason; what waits says why and until when."""

import random
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.requests import OutboxDocument, Retry
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NIGHT = datetime(2026, 11, 21, 1, 0)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


async def test_a_refused_row_is_dead_with_its_answer(
    fill: Filled, quick: Quick, rows: Rows
) -> None:
    """A 400 is final: the row is dead, says what it was told, and others go on."""
    await fill()
    async with (
        echo_server("--fault", "status=400,ok") as echo,
        Worker(quick(echo.url)).opened() as worker,
    ):
        report = await worker.send()
        assert report.outcomes == {"delivered": 5, "rejected": 1}
        (dead,) = await rows(worker, "dead")
        assert dead.answer is not None
        assert dead.answer.startswith("400: ")
        assert any("1 indicator is dead" in advice for advice in worker.status().advice)


async def test_a_dead_row_is_moved_by_hand_only(
    state_dir: Path, fill: Filled, quick: Quick, rows: Rows
) -> None:
    """`retry` sends a dead row again, `discard` gives it up; no other row can be moved."""
    await fill("alice.example", PAGES[:2])
    async with (
        echo_server("--fault", "status=400*2,ok") as echo,
        Worker(quick(echo.url)).opened() as worker,
    ):
        commands = Commands(worker)
        await worker.send()
        first, second = await rows(worker, "dead")
        assert (await commands.outbox_retry(Retry(first.id))).rows == 1
        assert (await commands.outbox_discard(second.id)).rows == 1
        await worker.send()
        assert [row.state for row in await rows(worker)] == ["sent", "discarded"]
        for refused in (commands.outbox_discard(first.id), commands.outbox_retry(Retry(second.id))):
            with pytest.raises(CommandRefused, match="only a dead one"):
                await refused
        with pytest.raises(CommandRefused, match="no row 99"):
            await commands.outbox_show(99)
    await assert_balanced(state_dir)


async def test_a_backoff_survives_a_restart(fill: Filled, quick: Quick, rows: Rows) -> None:
    """When a row is tried again stands in the row: a new process waits as long as the old one."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "status=500,ok") as echo:
        settings = quick(echo.url, backoff_base=timedelta(hours=1))
        # The seed draws a wait of minutes, which is more than `send` has patience for.
        async with Worker(settings, random=random.Random(1)).opened() as worker:
            assert (await worker.send()).outcomes == {"failed": 1}
            (row,) = await rows(worker)
            assert (row.state, row.counted_attempts) == ("pending", 1)
        async with Worker(settings).opened() as worker:
            report = await worker.send(until_empty=True)
            assert (report.attempts, report.waiting) == (0, 1)
            assert (await rows(worker))[0].next_try == row.next_try


async def test_at_most_once_gives_an_unknown_row_up(
    state_dir: Path, fill: Filled, quick: Quick
) -> None:
    """With `on_unknown = "drop"` a row whose end is unknown becomes `sent?` and is not resent."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "accept-then-drop") as echo:
        async with Worker(quick(echo.url, on_unknown="drop")).opened() as worker:
            report = await worker.send(until_empty=True)
            assert (report.attempts, report.waiting) == (1, 0)
            assert worker.status().outbox["sent?"] == 1
        await assert_balanced(state_dir, echo.url)


async def test_interrupted_is_not_failed(fill: Filled, quick: Quick, rows: Rows) -> None:
    """A shutdown in mid-attempt puts the row back, uncounted, as possibly delivered."""
    await fill("alice.example", PAGES[:3])
    async with echo_server("--fault", "latency=1min*9") as echo:
        async with Worker(quick(echo.url, concurrency=1)).opened() as worker:
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                async with httpx.AsyncClient(trust_env=False) as client:
                    while (await client.get(f"{echo.url}/api/count")).json()["requests"] == 0:
                        await anyio.lowlevel.checkpoint()
                sending.cancel_scope.cancel()
            found = [(r.state, r.counted_attempts, r.maybe_delivered) for r in await rows(worker)]
    assert sorted(found) == [("pending", 0, 0), ("pending", 0, 0), ("pending", 0, 1)]


async def test_what_a_dead_process_had_in_flight_is_sent_again(
    state_dir: Path, fill: Filled, echo: Echo, quick: Quick
) -> None:
    """At the start, rows in flight belong to a dead process: pending, and possibly delivered."""
    await fill("alice.example", PAGES[:2])
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        other.execute("UPDATE outbox SET state = 'in_flight' WHERE id = 1")
        other.execute("UPDATE totals SET count = 1 WHERE name = 'outbox.pending'")
        other.execute("INSERT INTO totals VALUES ('outbox.in_flight', 1)")
    other.close()
    async with Worker(quick(echo.url)).opened() as worker:
        assert worker.status().maybe_delivered == 1
        assert (await worker.send()).outcomes == {"delivered": 2}
    await assert_balanced(state_dir, echo.url)


async def test_a_paused_destination_is_asked_with_one_row(
    fill: Filled, tmp_path: Path, quick: Quick
) -> None:
    """After a refused token one row finds out whether it is accepted now, then all follow."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill()
    async with echo_server("--token", "right") as echo:
        settings = quick(echo.url, token_file=token, concurrency=4)
        async with Worker(settings).opened() as worker:
            first = (await worker.send()).outcomes
            assert set(first) == {"unauthorized"}
            assert first["unauthorized"] <= 4  # as many as were under way at the first refusal
            assert (await worker.send()).outcomes == {"unauthorized": 1}
            token.write_text("right")
            assert (await worker.send()).outcomes == {"delivered": 6}


async def test_at_most_once_holds_for_a_shutdown_too(fill: Filled, quick: Quick) -> None:
    """With `on_unknown = "drop"` an attempt that is cut off after writing is not made again."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "latency=1min") as echo:
        async with Worker(quick(echo.url, on_unknown="drop")).opened() as worker:
            async with anyio.create_task_group() as sending:
                sending.start_soon(worker.send)
                while not (await echo.count())["requests"]:
                    await anyio.lowlevel.checkpoint()
                sending.cancel_scope.cancel()
            assert worker.status().outbox["sent?"] == 1


async def test_waiting_for_a_dead_server_ends(fill: Filled, quick: Quick) -> None:
    """`send --until-empty` without a timeout gives up a minute after the last delivery."""
    await fill("alice.example", PAGES[:1])
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    settings = quick("http://127.0.0.1:9", backoff_base=timedelta(seconds=5))
    async with Worker(settings, clock=clock).opened() as worker:
        report = await worker.send(until_empty=True)
        assert report.waiting == 1
        assert clock.monotonic() < 70
        assert (await worker.send(until_empty=True, timeout_s=0)).attempts == 0


async def test_a_new_token_ends_the_waiting_at_once(
    fill: Filled, tmp_path: Path, quick: Quick
) -> None:
    """While `send` waits out a pause it looks at the token file every ten seconds."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill("alice.example", PAGES[:1])

    class Rotating(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.monotonic() >= 30:
                token.write_text("right")

    clock = Rotating(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with echo_server("--token", "right") as echo:
        settings = quick(echo.url, token_file=token)
        async with Worker(settings, clock=clock).opened() as worker:
            report = await worker.send(until_empty=True, timeout_s=3600)
    assert report.outcomes == {"delivered": 1, "unauthorized": 1}
    assert clock.monotonic() < 60


async def test_a_refused_row_shows_that_the_token_is_good(
    fill: Filled, tmp_path: Path, quick: Quick
) -> None:
    """An answer about the row itself ends the pause for a refused token."""
    token = tmp_path / "token"
    token.write_text("wrong")
    await fill("alice.example", PAGES[:3])
    async with echo_server("--token", "right") as echo:
        async with Worker(quick(echo.url, token_file=token)).opened() as worker:
            await worker.send()
            token.write_text("right")
            await echo.set_fault("status=400,ok")
            assert (await worker.send()).outcomes == {"delivered": 2, "rejected": 1}


async def test_a_failing_dacc_is_named(fill: Filled, quick: Quick) -> None:
    """What the last attempt was told stands in the report and in the status, until one succeeds."""
    await fill("alice.example", PAGES[:1])
    async with echo_server("--fault", "status=500,ok") as echo:
        settings = quick(echo.url)
        async with Worker(settings).opened() as worker:
            report = await worker.send()
            assert (report.reason or "").startswith("the last attempt failed (500: ")
            assert "the last attempt failed: 500: " in " ".join(worker.status().advice)
            await worker.send(until_empty=True)
            assert worker.status().advice == []


async def test_no_attempt_begins_after_the_timeout(fill: Filled, echo: Echo, quick: Quick) -> None:
    """`send` with a timeout leaves what it cannot begin in time, and says how much waits."""
    await fill()
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(echo.url, rate=1.0, concurrency=1), clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=2.5)
    assert (report.attempts, report.waiting) == (3, 3)
