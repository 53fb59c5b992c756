"""What is answered to an indicator, and is no plain yes: whose matter it is, and what waits."""

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.remote.outcome import Kind
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.fundamentals.conftest import OK
from tests.fundamentals.outcomes import assert_outcome, attempt

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def http(status: int, body: bytes = b"") -> bytes:
    """Write an answer."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.fault(46)
async def test_a_storm_then_recovery(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any, rows: Rows
) -> None:
    """After five failures in a row one indicator is tried, after 1 minute, then 2, 4, up to 15.

    The first that is delivered lets the others follow, one by one on the grid of `dacc.rate`; no
    row is lost or dead.
    """
    await fill("alice.example")
    await fill("bob.example")
    clock, storm = FakeClock(NOW), cycle((500, 502, 503, 504))
    moments: list[float] = []

    def answer(_: object) -> bytes:
        moments.append(clock.monotonic())
        return http(next(storm)) if clock.monotonic() < 3000 else OK

    wire.answer = answer
    async with Worker(quick(wire.url, rate=5.0, concurrency=1), clock=clock).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=7200)
        assert (report.waiting, report.outcomes["delivered"]) == (0, 12)
        assert Counter(row.state for row in await rows(worker)) == {"sent": 12}
    waits = [after - at for at, after in pairwise(moments)]
    tries = len(waits) - 4 - 11
    assert [round(wait / 60) for wait in waits[4:][:tries]] == [1, 2, 4, 8, 15, 15, 15][:tries]
    assert all(0.199 < wait < 0.201 for wait in waits[:4] + waits[-11:])
    await assert_balanced(state_dir)


@pytest.mark.fault(46)
async def test_a_probe_goes_alone(fill: Filled, quick: Quick, wire: Any) -> None:
    """While the one is on its way that finds out whether the DACC is back, no other leaves."""
    await fill()
    clock = FakeClock(NOW)
    wire.answer = lambda _: http(500)
    async with Worker(quick(wire.url, concurrency=4), clock=clock).opened() as worker:
        await worker.send()
        tried = len(wire.requests)
        clock.advance(3600)
        under_way: list[int] = []

        async def answer(_: object) -> bytes:
            if not under_way:  # others would come now
                for _ in range(3):
                    await worker.database.read(lambda connection: connection.total_changes)
            under_way.append(len(wire.requests) - tried)
            return OK

        wire.answer = answer
        assert (await worker.send()).outcomes == {"delivered": 6}
    assert under_way[0] == 1


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(200, b"<html><form>Log in</form></html>"), "misconfigured"),
        (http(202, b"<p>Accepted</p>"), "misconfigured"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "misconfigured"),
        (http(202, b'{"ok": true}'), "delivered"),
    ],
    ids=["200-login", "202-html", "204", "202-json"],
)
async def test_a_yes_that_is_none(state_dir: Path, wire: Any, answer: bytes, kind: Kind) -> None:
    """It is a yes if its body is JSON; else the destination is paused, and the operator told."""
    wire.answer = lambda _: answer
    assert_outcome(await attempt(state_dir, url=wire.url), kind)


@pytest.mark.fault(49)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_refused(
    fill: Filled, quick: Quick, wire: Any, rows: Rows, tmp_path: Path, status: int
) -> None:
    """One line of the log tells it; the destination is paused, its indicators wait, uncounted.

    When the token's file changes one is tried within ten seconds, and then all follow.
    """
    await fill()
    token = tmp_path / "token"
    token.write_text("old")
    taken = {"Bearer new": OK}
    wire.answer = lambda request: taken.get(request.headers["authorization"], http(status))
    log = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[log])
    clock = FakeClock(NOW)
    settings = quick(wire.url, token_file=token, concurrency=1)
    async with Worker(settings, clock=clock, logger=logger).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=3500)
        # At once, and every quarter of an hour.
        assert report.outcomes == {"unauthorized": 4}
        found = {(row.state, row.counted_attempts) for row in await rows(worker)}
        assert found == {("pending", 0)}
        assert "does not accept the token" in str(worker.status().destinations[0].reason)
        warned = [line["event"] for line in log.entries if line["log_level"] == "warning"]
        assert warned == ["destination is held back"]
        token.write_text("new")
        os.utime(token, ns=(1, 1))
        begin = clock.monotonic()
        report = await worker.send(until_empty=True, timeout_s=3600)
        assert report.outcomes == {"delivered": 6}
        assert clock.monotonic() - begin < 11


@pytest.mark.fault(50)
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_row_that_is_refused(
    fill: Filled, quick: Quick, wire: Any, rows: Rows, status: int
) -> None:
    """400, 413, 422: the indicator is dead, with what was answered; the others go on."""
    await fill()
    wire.answer = lambda _: OK if len(wire.requests) > 1 else http(status, b'{"error": "no"}')
    async with Worker(quick(wire.url, concurrency=1), clock=FakeClock(NOW)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 5, "rejected": 1}
        assert Counter(row.state for row in await rows(worker)) == {"sent": 5, "dead": 1}
        (dead,) = await rows(worker, "dead")
        assert str(dead.answer).startswith(f'{status}: {{"error"')
        assert [one.state for one in worker.status().destinations] == ["ready"]


@pytest.mark.fault(50)
@pytest.mark.parametrize("status", [404, 405])
async def test_an_address_that_is_none_of_a_dacc(state_dir: Path, wire: Any, status: int) -> None:
    """404, 405: the destination is paused, and the operator told; its indicators wait."""
    wire.answer = lambda _: http(status, b'{"error": "no"}')
    assert_outcome(await attempt(state_dir, url=wire.url), "misconfigured", f"{status}: ")
