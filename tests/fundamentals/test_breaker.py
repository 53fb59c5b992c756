"""The breaker: a DACC that is away is left alone, and asked with one row now and then."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
NAMES = [f"p{n}.example" for n in range(4)]


def failing(_: Any) -> bytes:
    return b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


async def test_it_opens_after_five_failures_in_a_row(fill: Filled, quick: Quick, wire: Any) -> None:
    """After the fifth failure nothing leaves but one row at times, each wait twice as long."""
    for name in NAMES:
        await fill(name)
    wire.answer = failing
    clock = FakeClock(NOW)
    settings = quick(wire.url, concurrency=1, backoff_cap=timedelta(milliseconds=1))
    async with Worker(settings, clock=clock).opened() as worker:
        await worker.send()
        assert len(wire.requests) == 5
        (native,) = worker.status().destinations
        assert (native.state, native.next_try) == ("open", "2026-11-21T02:01:00Z")
        assert "the last attempts failed (500: )" in worker.status().advice[0]
        moments: list[float] = []

        def answer(request: Any) -> bytes:
            moments.append(clock.monotonic())
            return failing(request)

        wire.answer = answer
        await worker.send(until_empty=True, timeout_s=4000)
    waits = [round(later - sooner) for sooner, later in pairwise(moments)]
    assert waits == [120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(
    ("faults", "outcomes"),
    [
        ("status=500*9", {"failed": 5}),
        ("status=503*9", {"unavailable": 5}),
        ("drop*9", {"unknown": 5}),
        ("cant-connect*9", {"unknown": 5}),
        (
            "status=500,status=502,reset,status=504,garbage",
            {"failed": 1, "unavailable": 1, "unknown": 3},
        ),
        ("status=500*4,ok,status=500*9", {"failed": 5, "delivered": 1}),
        ("status=500*4,status=400,status=500*9", {"failed": 5, "rejected": 1}),
    ],
)
async def test_whatever_fails_five_times_in_a_row_opens_it(
    fill: Filled, quick: Quick, echo: Echo, faults: str, outcomes: dict[str, int]
) -> None:
    """Failed, unavailable and unknown count alike; an answer about a row begins the count anew."""
    await fill()
    await echo.set_fault(faults)
    async with Worker(quick(echo.url, concurrency=1), clock=FakeClock(NOW)).opened() as worker:
        assert (await worker.send()).outcomes == outcomes
        (native,) = worker.status().destinations
        is_open = sum(outcomes.values()) == 5
        assert native.state == ("open" if is_open else "ready")


async def test_one_delivery_closes_it(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any
) -> None:
    """While it is half open one row is on its way; when that arrives, the others follow at once."""
    for name in NAMES:
        await fill(name)
    wire.answer = failing
    clock = FakeClock(NOW)
    settings = quick(wire.url, rate=50.0, concurrency=4)
    async with Worker(settings, clock=clock).opened() as worker:
        await worker.send()
        tried = len(wire.requests)
        assert 5 <= tried <= 8
        clock.advance(3600)
        wire.answer = lambda _: b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\n{}"
        report = await worker.send()
        assert (report.outcomes, report.waiting) == ({"delivered": 24}, 0)
        assert worker.status().destination_states == {"ready": 1, "paused": 0, "open": 0}
        assert not any("native" in words for words in worker.status().advice)
    await assert_balanced(state_dir)


async def test_a_refused_row_closes_it(fill: Filled, quick: Quick, wire: Any) -> None:
    """An answer about the row itself shows that the DACC is there again."""
    await fill()
    wire.answer = failing
    async with Worker(quick(wire.url, concurrency=1), clock=FakeClock(NOW)).opened() as worker:
        await worker.send()
        wire.answer = lambda _: b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n"
        await worker.send()
        assert worker.status().destination_states["ready"] == 1


async def test_a_day_away_kills_no_row(
    state_dir: Path, fill: Filled, quick: Quick, rows: Rows
) -> None:
    """A DACC that fails for a day gets few requests, costs no row, and all arrives afterwards."""
    for name in NAMES:
        await fill(name)
    clock = FakeClock(NOW)
    async with echo_server("--fault", "status=500*9999") as echo:
        settings = quick(
            echo.url, backoff_base=timedelta(seconds=30), unknown_retry=timedelta(minutes=15)
        )
        async with Worker(settings, clock=clock, random=random.Random(1)).opened() as worker:
            report = await worker.send(until_empty=True, timeout_s=86_400)
            assert (report.waiting, set(report.outcomes)) == (24, {"failed"})
            assert report.attempts < 150
            await echo.set_fault("ok")
            assert (await worker.send(until_empty=True, timeout_s=86_400)).waiting == 0
            assert {row.state for row in await rows(worker)} == {"sent"}
        await assert_balanced(state_dir, echo.url)


async def test_nobody_there_for_a_day_costs_no_attempt(
    fill: Filled, quick: Quick, rows: Rows, echo: Echo
) -> None:
    """An address where nobody listens for a day: no attempt counts, no double is possible."""
    await fill()
    clock = FakeClock(NOW)
    settings = quick("http://127.0.0.1:9", backoff_base=timedelta(seconds=30))
    async with Worker(settings, clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=86_400)
        assert (report.waiting, set(report.outcomes)) == (6, {"unavailable"})
        found = {
            (row.state, row.counted_attempts, row.maybe_delivered) for row in await rows(worker)
        }
        assert found == {("pending", 0, 0)}
    async with Worker(quick(echo.url), clock=clock).opened() as worker:
        assert (await worker.send(until_empty=True, timeout_s=86_400)).outcomes == {"delivered": 6}


async def test_the_log_says_when_it_begins_and_when_it_ends(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """However many attempts fail, one line tells that it begins, and one that it is over.

    What fails meanwhile is told to who debugs. The last one says how long it was, and how many
    attempts failed.
    """
    lines: list[dict[str, Any]] = []

    def note(_: Any, __: str, line: Any) -> Any:
        lines.append(line)
        raise structlog.DropEvent

    for name in NAMES:
        await fill(name)
    wire.answer = failing
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[note])
    clock = FakeClock(NOW)
    async with Worker(quick(wire.url), clock=clock, logger=logger).opened() as worker:
        await worker.send(until_empty=True, timeout_s=7200)
        wire.answer = lambda _: b"HTTP/1.1 201 OK\r\nContent-Length: 2\r\n\r\n{}"
        await worker.send(until_empty=True, timeout_s=7200)
    events = [line["event"] for line in lines]
    began, ended = "destination is held back", "destination works again"
    begin, end = events.index(began), events.index(ended)
    assert events.count("indicator not delivered") == 4
    assert [one for one in events[begin:] if one != "destination does not work"] == [began, ended]
    assert lines[end]["failed"] == len(events[begin + 1 : end]) > 5
    assert 3600 < lines[end]["after_s"] < 4 * 3600
