"""Connections that do not come about, break, hang, or lead elsewhere: nothing is lost by them."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import ByteStream

from ecolyo_worker import Settings, Worker
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.fundamentals.conftest import OK, PAGES
from tests.fundamentals.outcomes import assert_outcome, attempt
from tests.machine_time import MachineTime
from tests.raw_server import served

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


async def _gone(stream: ByteStream) -> None:
    await stream.receive()


@pytest.mark.fault(41)
@pytest.mark.parametrize("how", ["refused", "no such name", "TLS breaks off"])
async def test_an_address_where_nobody_is(
    fill: Filled, quick: Quick, rows: Rows, free_tcp_port: int, how: str
) -> None:
    """Indicators wait, and no attempt is counted; after five failures none leaves for a minute.

    Then one does, to find out.
    """
    await fill()
    clock = FakeClock(NOW)
    async with served(_gone) as place:
        urls = {
            "refused": f"http://127.0.0.1:{free_tcp_port}",
            "no such name": "https://nobody.invalid",
            "TLS breaks off": f"https://{place}",
        }
        async with Worker(quick(urls[how], concurrency=1), clock=clock).opened() as worker:
            assert (await worker.send()).outcomes == {"unavailable": 5}
            (native,) = worker.status().destinations
            assert (native.state, native.next_try) == ("open", "2026-11-21T02:01:00Z")
            assert "ConnectError" in str(native.reason)
            found = {(row.state, row.counted_attempts) for row in await rows(worker)}
            assert found == {("pending", 0)}
            assert (await worker.send(until_empty=True, timeout_s=59)).attempts == 1


@pytest.mark.fault(42)
@pytest.mark.parametrize("how", ["resets", "closes"])
@pytest.mark.parametrize("sent", [0, 20, len(OK) - 4], ids=["before", "in the head", "in the body"])
async def test_an_answer_that_breaks_off(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any, how: str, sent: int
) -> None:
    """Nobody knows whether the indicator arrived: it is sent again, by the same bytes.

    It counts as a possible double.
    """
    await fill(pages=PAGES[:1])
    setattr(wire, how, True)
    wire.answer = lambda _: OK[:sent]
    async with Worker(quick(wire.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"unknown": 1}
        assert worker.status().maybe_delivered == 1
        setattr(wire, how, False)
        wire.answer = lambda _: OK
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.outcomes, report.waiting) == ({"delivered": 1}, 0)
    first, second = wire.requests
    assert first == second
    await assert_balanced(state_dir)


@pytest.mark.fault(43)
async def test_a_server_that_takes_and_says_nothing(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any, machine_time: MachineTime
) -> None:
    """An attempt ends 30 s after its begin; the indicator is sent again, by the same bytes.

    It counts as a possible double.
    """
    await fill(pages=PAGES[:1])

    async def say_nothing(_: object) -> bytes:
        machine_time.skip(31)
        await anyio.sleep_forever()
        return b""

    wire.answer = say_nothing
    async with Worker(quick(wire.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"unknown": 1}
        assert worker.status().maybe_delivered == 1
        wire.answer = lambda _: OK
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.outcomes, report.waiting) == ({"delivered": 1}, 0)
    first, second = wire.requests
    assert first == second
    assert wire.connections == 2
    await assert_balanced(state_dir)


class Closing:
    """Gives a destination once the server has closed the connection that was used last."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire

    async def __call__(self, _: str) -> tuple[str, None]:
        while self.wire.open_connections:
            await anyio.lowlevel.checkpoint()
        return self.wire.url, None


@pytest.mark.fault(53)
async def test_a_connection_that_was_closed_meanwhile(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any
) -> None:
    """The next indicator goes by a new connection: none is sent twice, and no attempt fails."""
    await fill()
    wire.closes = True
    settings = quick(None, target="cozy-v2", concurrency=1)
    async with Worker(settings, destination=Closing(wire)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 6}
        assert worker.status().maybe_delivered == 0
    assert (len(wire.requests), wire.connections) == (6, 6)
    await assert_balanced(state_dir)


@pytest.mark.fault(53)
async def test_a_connection_that_is_closed_under_a_request(
    fill: Filled, quick: Quick, wire: Any
) -> None:
    """An indicator that was written to it is not written again at once: it may have arrived."""
    await fill(pages=PAGES[:2])

    def answer(_: object) -> bytes:
        wire.closes = len(wire.requests) == 2
        return b"" if wire.closes else OK

    wire.answer = answer
    settings = quick(wire.url, concurrency=1, unknown_retry=timedelta(minutes=15))
    async with Worker(settings).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1, "unknown": 1}
    assert (len(wire.requests), wire.connections) == (2, 1)


@pytest.mark.fault(51)
@pytest.mark.parametrize("status", [303, 307])
@pytest.mark.parametrize("place", ["elsewhere", "here"])
@pytest.mark.parametrize("by_host", [False, True])
async def test_a_redirect_is_never_followed(
    state_dir: Path, wire: Any, echo: Echo, tmp_path: Path, status: int, place: str, by_host: bool
) -> None:
    """Neither indicator nor token goes there, nor a second time to the same place.

    The operator is told. A host's own client follows none either, though it would for others.
    """
    (tmp_path / "token").write_text("secret")
    location = f"{echo.url if place == 'elsewhere' else wire.url}/measure"
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    wire.answer = lambda _: head.encode()
    client = partial(httpx.AsyncClient, follow_redirects=True) if by_host else None
    tried = await attempt(state_dir, client, url=wire.url, token_file=tmp_path / "token")
    assert_outcome(tried, "misconfigured", f"{status}: ")
    assert len(wire.requests) == 1
    assert (await echo.count())["requests"] == 0


def held() -> tuple[set[Any], int]:
    """Give the tasks that run, and how many files and sockets are open."""
    return asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.fault(52)
async def test_a_burst_of_cancelled_sends(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """After many sends that were cancelled anywhere, natively, the next one delivers everything.

    None of them leaves a task or a connection.
    """
    draw = random.Random(5)
    await fill("alice.example")
    await fill("bob.example")
    await echo.set_fault("latency=1min*1000000")
    async with Worker(quick(echo.url, unknown_retry=timedelta(milliseconds=1))).opened() as worker:
        before = held()
        for n in range(60):
            task = asyncio.ensure_future(worker.send())
            for _ in range(draw.randrange(120)):
                await anyio.lowlevel.checkpoint()
            while n == 0 and not (await echo.count())["requests"]:
                await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
            assert held() == before
        assert worker.status().maybe_delivered > 0
        await echo.set_fault("ok")
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.waiting, worker.status().outbox["sent"]) == (0, 12)
        assert held() == before
    await assert_balanced(state_dir, echo.url)


@pytest.mark.fault(52)
@pytest.mark.parametrize("target", ["native", "cozy-v2"])
async def test_a_worker_that_is_left_in_mid_attempt_many_times(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo, target: str
) -> None:
    """However often a worker is left while rows are on their way, the next one delivers them."""
    draw = random.Random(6)
    await fill("alice.example")
    await fill("bob.example")
    await echo.set_fault("latency=1min*1000000")
    before = held()
    settings = quick(echo.url, target=target, unknown_retry=timedelta(milliseconds=1))
    for n in range(1, 9):
        async with Worker(settings) as worker:
            while (await echo.count())["requests"] < 4 * n:
                await anyio.lowlevel.checkpoint()
            for _ in range(draw.randrange(20)):
                await anyio.lowlevel.checkpoint()
            worker.abort()
        assert held() == before
    await echo.set_fault("ok")
    async with Worker(settings).opened() as worker:
        assert worker.status().maybe_delivered == 8 * 4
        report = await worker.send(until_empty=True, timeout_s=30)
        assert (report.outcomes, report.waiting) == ({"delivered": 12}, 0)
    await assert_balanced(state_dir, echo.url)
    assert held() == before
