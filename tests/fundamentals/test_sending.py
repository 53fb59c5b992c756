"""What leaves: whole, allowed and evenly, and what is kept of it."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.pacing import RateGrid
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.settings import Aggregation
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import FakeClock

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

NIGHT = datetime(2026, 11, 21, 1, 0)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


async def test_a_sent_row_keeps_nothing_personal(
    state_dir: Path, fill: Filled, echo: Echo, quick: Quick
) -> None:
    """Once sent, a row has neither its text nor whose it was."""
    await fill()
    async with Worker(quick(echo.url)).opened() as worker:
        report = await worker.send()
    assert (report.outcomes, report.waiting) == ({"delivered": 6}, 0)
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        found = other.execute("SELECT DISTINCT state, body, instance FROM outbox").fetchall()
    other.close()
    assert found == [("sent", None, None)]


async def test_starts_lie_on_an_even_grid() -> None:
    """Starts are 1/rate apart, never closer; time that was lost is not made up by a burst."""
    clock = FakeClock(datetime(2026, 11, 21, tzinfo=UTC))
    grid = RateGrid(5.0, clock)
    starts = []
    for _ in range(4):
        await grid.wait()
        starts.append(clock.monotonic())
    clock.advance(3.05)
    for _ in range(3):
        await grid.wait()
        starts.append(clock.monotonic())
    assert starts == pytest.approx([0.0, 0.2, 0.4, 0.6, 3.65, 3.85, 4.05])


async def test_a_long_wait_for_a_place_shows_that_it_lives() -> None:
    """At a rate of a start an hour there is a sign of life every half minute all the same."""
    clock, signs = FakeClock(datetime(2026, 11, 21, tzinfo=UTC)), []
    grid = RateGrid(1 / 3600, clock, lambda: signs.append(clock.monotonic()))
    await grid.wait()
    await grid.wait()
    assert clock.monotonic() == 3600
    assert max(later - sooner for sooner, later in pairwise(signs)) <= 30


async def test_definitions_that_changed_stop_a_row(
    fill: Filled, echo: Echo, tmp_path: Path, quick: Quick, rows: Rows
) -> None:
    """A stored indicator that the definitions no longer allow is dead, never re-written."""
    await fill("alice.example", ("gas", "faq"))
    narrower = tmp_path / "measures.toml"
    narrower.write_text(
        '[[measure]]\nname = "navigation-count-daily"\npurpose = "p"\nunit = "u"\nperiod = "day"\n'
        'rows = "count"\ngroup1 = { key = "page", values = ["gas"] }\n'
    )
    settings = quick(echo.url).replace(aggregation=Aggregation(measures_file=narrower))
    async with Worker(settings).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}
        (dead,) = await rows(worker, "dead")
    assert dead.answer is not None
    assert dead.answer.startswith("no longer in the definitions: ")
    assert "'faq'" in dead.answer


async def test_many_rows_that_may_not_leave_hold_nothing_up(
    state_dir: Path, fill: Filled, echo: Echo, quick: Quick
) -> None:
    """Thousands of rows that became dead at once cost no recursion, and the good one leaves."""
    await fill("alice.example", PAGES[:1])
    copies = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac,"
        " state, shuffle, created) SELECT randomblob(16), instance, destination, measure,"
        " start_date, body, x'00', state, -i, created FROM outbox, n"
    )
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        other.execute(copies)
        other.execute("UPDATE totals SET count = 3001 WHERE name = 'outbox.pending'")
    other.close()
    async with Worker(quick(echo.url)).opened() as worker:
        report = await worker.send()
        assert (report.outcomes, report.waiting) == ({"delivered": 1}, 0)
        assert worker.status().outbox["dead"] == 3000


async def test_a_transport_that_says_nothing_makes_a_broken_attempt_unknown(
    fill: Filled, quick: Quick
) -> None:
    """A host's own client that does not trace its writing may have delivered what broke."""

    class Mute(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _: httpx.Request) -> httpx.Response:
            message = "gone"
            raise httpx.ReadError(message)

    await fill("alice.example", PAGES[:1])
    settings = quick("http://127.0.0.1:9", unknown_retry=timedelta(days=1))
    async with Worker(
        settings, http=lambda: httpx.AsyncClient(transport=Mute())
    ).opened() as worker:
        assert (await worker.send()).outcomes == {"unknown": 1}


async def test_a_trial_of_a_time_to_come_stays_on_this_machine(
    event: Event, agree: Agree, quick: Quick, rows: Rows
) -> None:
    """A row made as of next year for a local DACC is not sent to another address today."""
    clock = FakeClock(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick("http://127.0.0.1:9"), clock=clock).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", event("NavigationEvent", "2027-03-02T10:00"))
        await worker.run_once(datetime(2027, 3, 3, 1, 0))
    async with Worker(quick("https://dacc.invalid"), clock=clock).opened() as worker:
        assert (await worker.send()).attempts == 0
        (row,) = await rows(worker)
    assert row.answer == "it waits: its day has not ended yet"
