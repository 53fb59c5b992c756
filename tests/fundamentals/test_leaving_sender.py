"""A consent that is withdrawn while the sender is at work: nothing more of that person goes out."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.ledger import assert_balanced

from .conftest import NIGHT

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

# Whose row it is can be told by its day alone.
DAYS = {"alice.example": range(5, 13), "bob.example": range(13, 21)}


def is_alices(start_date: str) -> bool:
    return int(start_date[-2:]) in DAYS["alice.example"]


async def count_days(worker: Worker, agree: Agree, event: Event) -> None:
    """Make a row for each day of each person."""
    for name, days in DAYS.items():
        consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
        await agree(worker, {"instance": name, "consent": consent})
        stamps = [f"2026-11-{day:02}T10:00" for day in days]
        await worker.record(name, [event("NavigationEvent", at, target="gas") for at in stamps])
    await worker.run_once(NIGHT)


async def requests(echo: Echo, wanted: int) -> None:
    """Wait until so many attempts have come."""
    with anyio.fail_after(30):
        while (await echo.count())["requests"] < wanted:
            await anyio.lowlevel.checkpoint()


async def put_off(worker: Worker, rows: Rows, wanted: int) -> list[OutboxDocument]:
    """Wait until so many rows that failed wait for their next time, and give them."""
    with anyio.fail_after(30):
        while True:
            found = [row for row in await rows(worker, "pending") if row.next_try]
            if len(found) == wanted:
                return found


@pytest.mark.parametrize("target", ["native", "cozy-v2"])
async def test_no_byte_goes_out_after_a_withdrawal(
    quick: Callable[..., Settings],
    echo: Echo,
    agree: Agree,
    event: Event,
    rows: Rows,
    target: str,
) -> None:
    """Rows that wait, that failed and wait for their next time, and that are claimed go nowhere.

    What was under way at that moment is all that may arrive; the others' rows go on.
    """
    await echo.set_fault("status=503*3,latency=1min*4")
    url = echo.url if target == "native" else f"{echo.url}/{{instance}}"
    patience = {"attempt_timeout": timedelta(seconds=2), "backoff_base": timedelta(hours=1)}
    settings = quick(url, target=target, concurrency=4, **patience)
    async with Worker(settings) as worker:
        await count_days(worker, agree, event)
        await requests(echo, 7)
        retried = await put_off(worker, rows, 3)
        claimed = {row.start_date for row in await rows(worker, "in_flight")}
        await Commands(worker).instances_withdraw("alice.example")
        assert not [row for row in await rows(worker, "pending") if is_alices(row.start_date)]
        bobs = [row for row in await rows(worker) if not is_alices(row.start_date)]
        waiting_long = sum(not is_alices(row.start_date) for row in retried)
        await requests(echo, 7 + len(bobs) - waiting_long - len(claimed))
        with anyio.fail_after(30):
            while await rows(worker, "in_flight"):
                await worker.send()
        arrived = {record["indicator"]["startDate"] for record in await echo.indicators()}
        assert {day for day in arrived if is_alices(day)} <= claimed
        assert sum(is_alices(day) for day in arrived) <= 4
        assert await worker.database.read(_owned) <= {"bob.example"}
    await assert_balanced(settings.directory, echo.url)


def _owned(connection: sqlite3.Connection) -> set[str]:
    """Give whose rows with a text there are."""
    query = (
        "SELECT coalesce(i.name, 'nobody') FROM outbox AS o"
        " LEFT JOIN instances AS i ON i.id = o.instance WHERE o.body IS NOT NULL"
    )
    return {name for (name,) in connection.execute(query)}
