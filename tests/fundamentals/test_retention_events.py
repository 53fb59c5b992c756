"""Old events go, when nothing needs them any more; what was made of them stays as it was."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import civil_from_instant
from ecolyo_worker.commands import Commands
from ecolyo_worker.measures import Rules
from ecolyo_worker.requests import EventsList, Explain, OutboxList
from ecolyo_worker.settings import Aggregation, Retention
from ecolyo_worker.store.retention import EventAge, prune_events
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

ALICE = "alice.example"
HOUR = timedelta(hours=1)
LATER = datetime(2026, 5, 15, 12, tzinfo=UTC)
WITHDRAWN = {"instance": ALICE, "consent": None}


def consent(accepted_at: str, version: str = "1.0.0") -> dict[str, Any]:
    return {"instance": ALICE, "consent": {"version": version, "accepted_at": accepted_at}}


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    return Settings(state_dir=state_dir, retention=Retention(events_days=31))


@pytest.fixture
def counted(settings: Settings, agree: Agree, event: Event) -> Callable[..., Awaitable[None]]:
    """Let Alice do things, each at a time, and count them in runs as of some times."""

    async def done(events: list[str], runs: list[str], accepted: str = "2026-01-01T00:00") -> None:
        async with Worker(settings).opened() as worker:
            await agree(worker, consent(accepted))
            await worker.record(ALICE, [event("NavigationEvent", at, at) for at in events])
            for as_of in runs:
                await worker.run_once(datetime.fromisoformat(as_of))

    return done


async def tidied(settings: Settings, now: datetime = LATER) -> list[str]:
    """Let the janitor go round twice, and give the ids of the events that are left."""
    clock = SteppedClock(now - HOUR)
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(now)
        return await left(worker)


async def left(worker: Worker) -> list[str]:
    listed = Commands(worker).events_list(EventsList())
    return [document["_id"] async for document in listed]


async def rows(settings: Settings) -> list[tuple[str, str]]:
    """Give measure and date of each indicator."""
    async with Worker(settings).reading() as worker:
        listed = Commands(worker).outbox_list(OutboxList())
        return [(row.measure, row.start_date) async for row in listed]


async def test_old_events_go(
    settings: Settings, state_dir: Path, counted: Callable[..., Awaitable[None]]
) -> None:
    """Events go when they are older than `retention.events_days`; the books balance without."""
    await counted(
        ["2026-02-01T10:00", "2026-04-13T10:00", "2026-04-14T10:00"],
        ["2026-02-10T01:00", "2026-03-10T01:00", "2026-04-20T01:00", "2026-05-10T01:00"],
    )
    assert await tidied(settings) == ["2026-04-14T10:00"]
    async with Worker(settings).reading() as worker:
        status = worker.status()
    assert (status.removed, status.events["counted"]) == ({"events.counted": 2}, 1)
    assert (await assert_balanced(state_dir)).events == 3


async def test_a_single_look_at_a_clock_is_not_believed(
    settings: Settings, counted: Callable[..., Awaitable[None]]
) -> None:
    """Nothing goes in the first round, or while the clock jumps: it may have been set wrong."""
    await counted(["2026-02-01T10:00"], ["2026-02-10T01:00", "2026-03-10T01:00"])
    clock = SteppedClock(datetime(2026, 2, 2, tzinfo=UTC))
    async with Worker(settings.replace(mode="off"), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)
        await clock.step(LATER, jump=True)
        await clock.step(clock.now() + HOUR)
        assert len(await left(worker)) == 1
        await clock.step(clock.now() + HOUR)
        assert await left(worker) == []


async def test_what_waits_stays(settings: Settings, agree: Agree, event: Event) -> None:
    """A day that waits for a run stays, and all behind it, however old; without consent it goes."""
    stamps = ["2025-01-02T10:00", "2025-01-03T10:00"]
    for stamp in stamps:
        async with Worker(settings).opened() as worker:
            await agree(worker, consent("2024-12-01T00:00"))
            await worker.record(ALICE, event("NavigationEvent", stamp, stamp))
            if stamp == stamps[1]:
                await worker.run_once(LATER, day=stamp[:10])
    assert await tidied(settings) == stamps
    stricter = settings.replace(aggregation=Aggregation(consent_version="2.0.0"))
    assert await tidied(stricter) == []


@pytest.mark.parametrize("why", ["never", "before the acceptance", "withdrawn"])
async def test_what_is_without_consent_goes(
    settings: Settings, state_dir: Path, agree: Agree, event: Event, why: str
) -> None:
    """Events of people without a consent in force, and those before it, go by their age alone."""
    async with Worker(settings).opened() as worker:
        if why == "before the acceptance":
            await agree(worker, consent("2026-02-02T00:00"))
        elif why == "withdrawn":
            await agree(worker, consent("2026-01-02T00:00"))
            await agree(worker, WITHDRAWN)
        visit = event("ConnectionEvent", "2026-02-01T10:00", "v", result="firstConnection")
        await worker.record(ALICE, visit)
        if why == "before the acceptance":
            await worker.run_once(datetime(2026, 2, 10, 1))
            await worker.run_once(datetime(2026, 3, 10, 1))
    assert await tidied(settings) == []
    async with Worker(settings).reading() as worker:
        shown = await Commands(worker).instances_show(ALICE)
    assert shown["first_connection_seen"] == "2026-02-01T10:00:00.000"
    await assert_balanced(state_dir)


async def test_a_month_that_is_not_done_keeps_its_events(
    settings: Settings, counted: Callable[..., Awaitable[None]]
) -> None:
    """Events stay until the measures of their month are done, or never will be."""
    events = ["2026-01-31T10:00", "2026-02-01T10:00", "2026-03-01T10:00"]
    await counted(events, ["2026-02-10T01:00", "2026-03-05T01:00"])
    assert await tidied(settings) == events[1:]
    assert await tidied(settings, LATER + timedelta(days=20)) == ["2026-03-01T10:00"]
    assert await tidied(settings, LATER + timedelta(days=50)) == []


async def test_what_failed_goes_with_its_error(
    settings: Settings, state_dir: Path, counted: Callable[..., Awaitable[None]]
) -> None:
    """Why an event failed goes with the event, and is counted as it was."""
    await counted(["2026-02-01T10:00"], ["2026-02-10T01:00", "2026-03-10T01:00"])
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        other.execute("INSERT INTO failures SELECT seq, 'secret' FROM events")
        other.execute("UPDATE totals SET name = 'events.failed' WHERE name = 'events.counted'")
    assert await tidied(settings) == []
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        assert other.execute("SELECT * FROM failures").fetchall() == []
        assert other.execute("SELECT what, count FROM removed").fetchall() == [("events.failed", 1)]


@pytest.mark.parametrize("as_of", ["2026-05-16T01:00", "2026-02-10T01:00"])
async def test_what_comes_again_is_not_counted_again(
    settings: Settings,
    state_dir: Path,
    counted: Callable[..., Awaitable[None]],
    event: Event,
    as_of: str,
) -> None:
    """An event handed over again after it went is expired, in a run as of whatever time."""
    at = "2026-02-01T10:00"
    await counted([at], ["2026-02-10T01:00", "2026-03-10T01:00"])
    assert await tidied(settings) == []
    before = await rows(settings)
    async with Worker(settings).opened() as worker:
        assert (await worker.record(ALICE, event("NavigationEvent", at, at))).accepted == 1
        report = await worker.run_once(datetime.fromisoformat(as_of), day=at[:10])
        assert report.events == {"expired": 1}
    assert await rows(settings) == before
    assert await tidied(settings) == []
    assert (await assert_balanced(state_dir)).events == 2


async def test_a_month_without_its_events_is_not_made(
    settings: Settings, agree: Agree, event: Event
) -> None:
    """A month that was over and gone makes no row from what is left of it, as of whatever time."""
    async with Worker(settings).opened() as worker:
        await worker.record(ALICE, event("ConnectionEvent", "2026-02-10T10:00", "c"))
    assert await tidied(settings) == []
    async with Worker(settings).opened() as worker:
        await agree(worker, consent("2026-01-01T00:00"))
        assert (await worker.run_once(datetime(2026, 3, 10, 1))).months == 0
        question = Explain("connection-count-monthly", "2026-02", ALICE, "2026-03-10T01:00")
        (found,) = [item async for item in Commands(worker).explain(question)]
        assert "some were removed for their age" in (found.why or "")
        assert (await worker.run_once(datetime(2026, 4, 10, 1))).months == 1


async def test_a_history_that_is_gone_through_by_hand_keeps_its_months(
    settings: Settings, counted: Callable[..., Awaitable[None]]
) -> None:
    """While runs as of times long ago have days before them, their months' events stay."""
    events = ["2025-02-01T10:00", "2025-02-20T10:00", "2025-03-20T10:00"]
    await counted(events, ["2025-02-10T01:00", "2025-03-01T01:00"], "2025-01-01T00:00")
    assert await tidied(settings) == events
    async with Worker(settings).opened() as worker:
        await worker.run_once(datetime(2025, 3, 10, 1))
    assert await tidied(settings) == events[2:]


async def test_a_step_ends_with_a_day(
    settings: Settings, counted: Callable[..., Awaitable[None]]
) -> None:
    """A transaction deletes whole days, and no further one once it has deleted so many events."""
    stamps = [f"2026-02-0{day}T10:0{minute}" for day in (1, 2, 3) for minute in range(4)]
    await counted(stamps, ["2026-02-10T01:00", "2026-03-10T01:00"])
    async with Worker(settings).opened() as worker:
        age = EventAge(
            as_of=civil_from_instant(LATER, settings.civil_zone),
            days=31,
            rules=Rules(worker.definitions),
            consent_version="1.0.0",
        )
        steps = [await worker.database.run(prune_events, 1, age, 5) for _ in range(3)]
    assert steps == [8, 4, 0]


async def test_many_events_go_at_once(
    settings: Settings, state_dir: Path, agree: Agree, event: Event
) -> None:
    """However many are old, all of them go in one round, and the file becomes shorter."""
    text = "x" * 250
    days = [datetime(2026, 2, 1, 10) + timedelta(days=n) for n in range(20)]
    async with Worker(settings).opened() as worker:
        for number in range(60):
            name = f"p{number}.example"
            await agree(worker, {**consent("2026-01-01T00:00"), "instance": name})
            batch = [
                event("NavigationEvent", f"{day + timedelta(minutes=n):%FT%R}", target=text)
                for day in days
                for n in range(10)
            ]
            await worker.record(name, batch)
        await worker.run_once(datetime(2026, 2, 28, 1))
        await worker.run_once(datetime(2026, 3, 10, 1))
    size = (state_dir / "ecolyo.db").stat().st_size
    assert await tidied(settings) == []
    assert (state_dir / "ecolyo.db").stat().st_size < size
    async with Worker(settings).reading() as worker:
        assert worker.status().removed == {"events.counted": 12_000}
    await assert_balanced(state_dir)
