"""Countings go once their events and rows are gone; that something was counted stays known."""

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Explain
from ecolyo_worker.settings import Dacc, Retention
from ecolyo_worker.store import slots
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.ledger import assert_balanced

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]

ALICE = "alice.example"
HOUR = timedelta(hours=1)
LATER = datetime(2026, 7, 15, 12, tzinfo=UTC)
DAYS = ["2026-02-01", "2026-02-02", "2026-04-10"]
CONSENT = {"instance": ALICE, "consent": {"version": "1.0.0", "accepted_at": "2026-01-01T00:00"}}


@pytest.fixture
async def settings(state_dir: Path, echo: Echo, agree: Agree, event: Event) -> Settings:
    """A state of some days of Alice's, all counted; nothing is sent yet."""
    settings = Settings(
        state_dir=state_dir,
        dacc=Dacc(url=echo.url, rate=1000.0),
        retention=Retention(events_days=31, sent_days=100),
    )
    async with Worker(settings).opened() as worker:
        await agree(worker, CONSENT)
        await worker.record(ALICE, [event("NavigationEvent", f"{day}T10:00") for day in DAYS])
        for as_of in ("2026-02-10T01:00", "2026-03-10T01:00", "2026-04-20T01:00"):
            await worker.run_once(datetime.fromisoformat(as_of))
        await worker.run_once(datetime.fromisoformat("2026-06-20T01:00"))
    return settings


async def tidied(settings: Settings, now: datetime = LATER) -> list[int]:
    """Let the janitor go round twice, and give the days of the countings that are left."""
    clock = SteppedClock(now - HOUR)
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(now)
        return await worker.database.read(counted_days)


def counted_days(connection: sqlite3.Connection) -> list[int]:
    return [day for (day,) in connection.execute("SELECT day FROM countings ORDER BY day")]


async def test_old_countings_go(settings: Settings, state_dir: Path, echo: Echo) -> None:
    """They stay for as long as events or rows do, by the settings, and the books balance after."""
    as_long = settings.replace(retention=Retention(events_days=31, sent_days=170))
    assert await tidied(as_long) == [parse_day(day) for day in DAYS]
    assert await tidied(settings, LATER - timedelta(days=30)) == [parse_day(DAYS[2])]
    assert await tidied(settings, LATER + timedelta(days=30)) == []
    async with Worker(settings).opened() as worker:
        await worker.send(until_empty=True)
    ledger = await assert_balanced(state_dir, echo.url)
    assert (ledger.missing, ledger.duplicates) == (0, 0)
    assert ledger.received == ledger.indicators


@pytest.mark.parametrize("as_of", ["2026-02-10T01:00", "2026-07-20T01:00"])
async def test_nothing_is_counted_again(
    settings: Settings, state_dir: Path, agree: Agree, event: Event, as_of: str
) -> None:
    """What comes again is expired, as of whatever time, though she withdrew before and after."""
    async with Worker(settings).opened() as worker:
        await agree(worker, {"instance": ALICE, "consent": None})
    assert await tidied(settings, LATER + timedelta(days=30)) == []
    async with Worker(settings).opened() as worker:
        await agree(worker, {"instance": ALICE, "consent": None})
        again = {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:01"}
        await agree(worker, {"instance": ALICE, "consent": again})
        await worker.record(ALICE, [event("NavigationEvent", f"{day}T10:00") for day in DAYS])
        made = 0
        for day in DAYS:
            report = await worker.run_once(datetime.fromisoformat(as_of), day=day)
            made += sum(report.indicators.values())
        assert made == 0
    await assert_balanced(state_dir)


async def test_what_is_gone_is_said(settings: Settings) -> None:
    """Asked for a day or a month that is gone, `explain` says that it was deleted by age."""
    assert await tidied(settings, LATER + timedelta(days=30)) == []
    async with Worker(settings).reading() as worker:
        commands = Commands(worker)
        question = Explain("navigation-count-daily", DAYS[0], ALICE)
        (day,) = [item async for item in commands.explain(question)]
        assert "up to 2026-04-10 what is old was deleted (retention)" in (day.why or "")
        question = Explain("connection-count-monthly", "2026-02", ALICE)
        (month,) = [item async for item in commands.explain(question)]
        (counting,) = month.countings
        assert any("were deleted since, by age" in note for note in counting.notes)


async def test_of_old_slots_the_last_stays(settings: Settings) -> None:
    """Slots go with the events' age, but a job's last one, which says that it ever ran."""
    nights = [parse_day(day) for day in ("2026-01-05", "2026-06-01", "2026-07-01")]
    async with Worker(settings).opened() as worker:
        for night in nights:
            await worker.database.run(slots.take, "night", night, 0)
            await worker.database.run(slots.take, "once", night - 200, 0)
    await tidied(settings)
    async with Worker(settings).reading() as worker:
        assert await worker.database.read(slots.taken, "night") == ["2026-07-01"]
        assert len(await worker.database.read(slots.taken, "once")) == 1


async def test_a_row_that_was_never_tried_goes_too(settings: Settings) -> None:
    """A row that was given up before any attempt goes by the day on which it was made."""
    async with Worker(settings).opened() as worker:
        await worker.database.run(kill)
        assert (await Commands(worker).outbox_discard(1)).rows == 1
        before = worker.status().outbox
    await tidied(settings, datetime.now(UTC) + timedelta(days=99))
    async with Worker(settings).reading() as worker:
        assert worker.status().outbox == before
    await tidied(settings, datetime.now(UTC) + timedelta(days=101))
    async with Worker(settings).reading() as worker:
        assert worker.status().outbox == {**before, "discarded": 0}


def kill(connection: sqlite3.Connection) -> None:
    """Let a row be dead as one is whose bytes were changed: nothing was sent."""
    connection.execute("UPDATE outbox SET state = 'dead', waits = NULL WHERE id = 1")
    connection.execute("UPDATE totals SET count = count - 1 WHERE name = 'outbox.pending'")
    connection.execute("INSERT OR REPLACE INTO totals VALUES ('outbox.dead', 1)")
