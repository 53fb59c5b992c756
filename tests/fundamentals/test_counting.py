"""Counted once: from waiting events to indicators in the outbox."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import CommandRefused, Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import EventsList, GiveConsent, OutboxList
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing.clock import FakeClock

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]

NIGHT = datetime(2026, 11, 21, 1, 0)


async def bodies(worker: Worker) -> list[dict[str, Any]]:
    """The indicators in the outbox, in the order in which they were made."""
    rows = [row async for row in Commands(worker).outbox_list(OutboxList())]
    return [json.loads(bytes(row.indicator)) for row in rows]


async def states(worker: Worker) -> dict[str, str]:
    """The state of each event, by its id."""
    found = Commands(worker).events_list(EventsList())
    return {document["_id"]: document["state"] async for document in found}


def page(event: Event, at: str, ident: str | None = None, **fields: Any) -> dict[str, Any]:
    return event("NavigationEvent", at, ident, target="gas", **fields)


async def test_a_day_is_counted_after_it_ended(worker: Worker, event: Event) -> None:
    """A run counts the days before its own; today's events and later ones wait."""
    days = ("2026-11-19T10:00", "2026-11-20T23:59:59.999", "2026-11-21T00:00", "2027-01-01T10:00")
    await worker.record("alice.example", [page(event, at) for at in days])
    report = await worker.run_once(NIGHT)
    assert report.events == {"counted": 2}
    assert worker.status().events["waiting"] == 2
    assert [body["startDate"] for body in await bodies(worker)] == ["2026-11-19", "2026-11-20"]


async def test_running_twice_changes_nothing(worker: Worker, event: Event) -> None:
    """A second run finds nothing to do."""
    await worker.record("alice.example", page(event, "2026-11-20T10:00"))
    await worker.run_once(NIGHT)
    before = await bodies(worker)
    again = await worker.run_once(NIGHT)
    assert again.indicators == {}
    assert await bodies(worker) == before


async def test_a_late_event_is_a_supplement(worker: Worker, event: Event) -> None:
    """An event that comes after its day was counted is counted alone, by the next run."""
    await worker.record("alice.example", [page(event, "2026-11-20T10:00", i) for i in "ab"])
    await worker.run_once(NIGHT)
    await worker.record("alice.example", page(event, "2026-11-20T09:00", "late"))
    await worker.run_once(NIGHT)
    assert [body["value"] for body in await bodies(worker)] == [2, 1]
    assert set((await states(worker)).values()) == {"counted"}


async def test_an_outage_loses_no_day(worker: Worker, event: Event) -> None:
    """After days without a run, each of them is counted under its own date."""
    stamps = [f"2026-11-{day:02}T12:00" for day in range(10, 21)]
    await worker.record("alice.example", [page(event, at) for at in stamps])
    await worker.run_once(NIGHT)
    assert [body["startDate"] for body in await bodies(worker)] == [at[:10] for at in stamps]


@pytest.mark.parametrize(
    ("at", "fate"), [("2026-10-21T10:00", "counted"), ("2026-10-20T10:00", "expired")]
)
async def test_a_day_expires(worker: Worker, event: Event, at: str, fate: str) -> None:
    """A day more than `max_age_days` before the run's is marked as expired, and says so."""
    await Commands(worker).instances_consent(
        GiveConsent("alice.example", "1.0.0", "2026-10-01T00:00:00")
    )
    await worker.record("alice.example", page(event, at, "old"))
    report = await worker.run_once(NIGHT)
    assert report.events == {fate: 1}
    assert await states(worker) == {"old": fate}


async def test_without_consent_nothing_is_counted(worker: Worker, event: Event) -> None:
    """An instance that never agreed is left alone, and its events wait."""
    await worker.record("dave.example", page(event, "2026-11-20T10:00", "d"))
    report = await worker.run_once(NIGHT)
    assert report.indicators == {}
    assert await states(worker) == {"d": "waiting"}


async def test_an_event_before_the_consent_is_not_counted(worker: Worker, event: Event) -> None:
    """A second before the acceptance is before it: the event stays, as without consent."""
    stamps = {"before": "2026-10-31T23:59:59.999", "after": "2026-11-01T00:00:00"}
    await worker.record("alice.example", [page(event, at, ident) for ident, at in stamps.items()])
    await worker.run_once(datetime(2026, 11, 2, 1, 0))
    assert await states(worker) == {"before": "unconsented", "after": "counted"}
    assert [body["value"] for body in await bodies(worker)] == [1]


async def test_what_came_as_counted_stays_so(worker: Worker, event: Event) -> None:
    """An event with `aggregated` is never counted again, whatever day it is of."""
    await worker.record("alice.example", page(event, "2026-11-20T10:00", "old", aggregated=True))
    await worker.run_once(NIGHT)
    assert await states(worker) == {"old": "imported"}
    assert await bodies(worker) == []


async def test_days_before_a_beginning_count_as_done(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """`not_before` takes over from an older system: what is before it is imported, not counted."""
    settings = Settings(state_dir=state_dir, aggregation=Aggregation(not_before="2026-11-20"))
    async with Worker(settings).opened() as worker:
        await agree(worker)
        await worker.record(
            "alice.example",
            [page(event, "2026-11-19T10:00", "old"), page(event, "2026-11-20T10:00", "new")],
        )
        await worker.run_once(NIGHT)
        assert await states(worker) == {"old": "imported", "new": "counted"}


async def test_one_day_can_be_chosen(worker: Worker, event: Event) -> None:
    """With a day only that day is counted; the others are when their turn comes."""
    await worker.record(
        "alice.example", [page(event, "2026-11-19T10:00"), page(event, "2026-11-20T10:00")]
    )
    report = await worker.run_once(NIGHT, day="2026-11-20")
    assert report.indicators == {"navigation-count-daily": 1}
    await worker.run_once(NIGHT)
    assert [body["startDate"] for body in await bodies(worker)] == ["2026-11-20", "2026-11-19"]


async def test_connected_rows_are_made_once_for_each_day(worker: Worker, agree: Agree) -> None:
    """Every day has its connected row, days caught up get the state of that day, none twice."""
    states = [("water", True, "17T10:00"), ("gas", True, "18T10:00"), ("water", False, "20T10:00")]
    facts = {
        "instance": "alice.example",
        "konnectors": [
            {"fluid": fluid, "connected": connected, "since": f"2026-11-{since}"}
            for fluid, connected, since in states
        ],
    }
    await agree(worker, facts)
    await worker.run_once(NIGHT, day="2026-11-18")
    for _ in range(2):
        await worker.run_once(NIGHT)
    assert sorted(
        (body["startDate"], body["group1"]["categories"]) for body in await bodies(worker)
    ) == [
        ("2026-11-17", "water"),
        ("2026-11-18", "water:gas"),
        ("2026-11-19", "water:gas"),
        ("2026-11-20", "gas"),
    ]


async def test_a_run_for_a_time_to_come_needs_a_local_dacc(worker: Worker) -> None:
    """A run as of tomorrow is refused unless everything is sent to this machine."""
    with pytest.raises(CommandRefused, match="later than now"):
        await worker.run_once(datetime(2999, 1, 1))


async def test_mode_local_keeps_everything_here(
    state_dir: Path, event: Event, agree: Agree
) -> None:
    """What was counted in mode `local` is never sent, after a change to `on` either."""
    async with Worker(Settings(state_dir=state_dir, mode="local")).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", page(event, "2026-11-20T10:00"))
        await worker.run_once(NIGHT)
        assert worker.status().outbox["local"] == 1
        with pytest.raises(CommandRefused, match="the mode is local"):
            await worker.send()
    reachable = Dacc(url="http://127.0.0.1:9")
    async with Worker(Settings(state_dir=state_dir, dacc=reachable)).opened() as worker:
        assert (await worker.send()).attempts == 0
        assert worker.status().outbox["local"] == 1


async def test_the_clock_decides_what_today_is(state_dir: Path, event: Event, agree: Agree) -> None:
    """Without a time a run goes by the clock, in the zone: 23:30 UTC is the next day in Paris."""
    clock = FakeClock(datetime(2026, 11, 20, 23, 30, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock).opened() as worker:
        await agree(worker)
        await worker.record("alice.example", page(event, "2026-11-20T10:00"))
        assert (await worker.run_once()).events == {"counted": 1}


def finished(event: Event, at: str, ident: str) -> dict[str, Any]:
    """The end of one and the same challenge, looked at again and again."""
    return event(
        "ChallengeEndEvent", at, ident, target="CHALLENGE0001", startDate="2026-11-18T08:00"
    )


@pytest.mark.parametrize("first_run", [None, "2026-11-19", "2026-11-20"])
async def test_of_equal_ends_one_makes_a_row_in_any_order_of_days(
    worker: Worker, event: Event, first_run: str | None
) -> None:
    """Whichever day is counted first, the earliest of equal ends makes the one row."""
    ends = [finished(event, "2026-11-19T10:00", "A"), finished(event, "2026-11-20T10:00", "B")]
    await worker.record("alice.example", ends)
    if first_run is not None:
        await worker.run_once(NIGHT, day=first_run)
    await worker.run_once(NIGHT)
    assert [body["startDate"] for body in await bodies(worker)] == ["2026-11-19"]


async def test_a_late_end_makes_no_row_if_an_equal_one_was_counted(
    worker: Worker, event: Event
) -> None:
    """An end that comes after its day was counted, and after an equal one was, makes no row."""
    await worker.record("alice.example", page(event, "2026-11-19T09:00"))
    await worker.record("alice.example", finished(event, "2026-11-20T10:00", "B"))
    await worker.run_once(NIGHT)
    await worker.record("alice.example", finished(event, "2026-11-19T10:00", "A"))
    await worker.run_once(NIGHT)
    durations = [b for b in await bodies(worker) if b["measureName"] == "event-duration"]
    assert [body["startDate"] for body in durations] == ["2026-11-20"]
