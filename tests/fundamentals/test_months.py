"""Months: each is counted once for each person, when it is due, and caught up when missed."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ecolyo_worker import CommandRefused, Settings, Worker
from ecolyo_worker.actors.night import InstanceNight
from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.clock import MINUTE_MS, civil_from_instant, day_bounds, parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import Point
from ecolyo_worker.measures import MONTHLY, Month, Observation, Rules, measure
from ecolyo_worker.requests import ConsumptionImport, Line
from ecolyo_worker.settings import Aggregation
from ecolyo_worker.store import consumption
from ecolyo_worker.store.points import Series
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]

ALICE = "alice.example"
NIGHT = datetime(2026, 11, 21, 1, 0)
CONNECTIONS = "connection-count-monthly"
VARIATION = "consumption-variation-monthly"


def said(accepted_at: str = "2026-01-01T00:00:00", **facts: Any) -> dict[str, Any]:
    consent = {"version": "1.0.0", "accepted_at": accepted_at}
    return {"instance": ALICE, "consent": consent, **facts}


@pytest.fixture
def open_worker(state_dir: Path) -> Callable[..., Any]:
    """Open a worker on the one state of a test, with settings of the aggregation's own."""

    def opened(zone: str = "Europe/Paris", **aggregation: Any) -> Any:
        settings = Settings(state_dir=state_dir, zone=zone, aggregation=Aggregation(**aggregation))
        return Worker(settings, clock=FakeClock(datetime(2030, 1, 1))).opened()

    return opened


async def made(worker: Worker, name: str = CONNECTIONS) -> dict[str, float]:
    """Give the value of each month's row of a measure that has at most one; by month."""
    found = await _bodies(worker, name)
    assert len({body["startDate"] for body in found}) == len(found)
    return {body["startDate"][:7]: body["value"] for body in found}


async def _bodies(worker: Worker, name: str) -> list[dict[str, Any]]:
    query = "SELECT body FROM outbox WHERE measure = ? ORDER BY id"
    rows = await worker.database.read(
        lambda connection: connection.execute(query, (name,)).fetchall()
    )
    return [json.loads(row[0]) for row in rows]


async def consume(worker: Worker, *readings: dict[str, Any]) -> None:
    lines = [
        Line(number, msgspec.json.encode({"instance": ALICE, "fluid": "gas", **reading}))
        for number, reading in enumerate(readings, 1)
    ]
    report = await Commands(worker).consumption_import(ConsumptionImport(lines))
    assert not report.refused, report.refused


def days(first: str, last: str, value: float) -> list[dict[str, Any]]:
    """Give a reading for each day from the first to the last."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    dates = (begin + timedelta(days=n) for n in range((end - begin).days + 1))
    return [{"step": "day", "start": day.isoformat(), "value": value} for day in dates]


@pytest.mark.parametrize(
    ("monthly_day", "before", "due"),
    [
        (6, "2026-11-05T23:59", "2026-11-06T00:00"),
        (1, "2026-10-31T23:59", "2026-11-01T00:00"),
        (28, "2026-11-27T23:59", "2026-11-28T00:00"),
    ],
)
async def test_a_month_is_due_from_a_day_on(
    open_worker: Any, agree: Agree, monthly_day: int, before: str, due: str
) -> None:
    """A month is counted from `monthly_day` of the next one on, not a moment before."""
    async with open_worker(monthly_day=monthly_day) as worker:
        await agree(worker, said())
        await worker.run_once(datetime.fromisoformat(before))
        assert "2026-10" not in await made(worker)
        await worker.run_once(datetime.fromisoformat(due))
        assert "2026-10" in await made(worker)


async def test_a_month_is_counted_once(open_worker: Any, agree: Agree, state_dir: Path) -> None:
    """Each person has each month once, however often it runs, and the books balance."""
    async with open_worker() as worker:
        await agree(worker, said(), {**said(), "instance": "bob.example"})
        for _ in range(2):
            await worker.run_once(NIGHT)
        assert len(await _bodies(worker, CONNECTIONS)) == 2
        report = await worker.run_once(NIGHT + timedelta(days=1))
        assert (report.months, report.indicators) == (0, {})
    await assert_balanced(state_dir)


async def test_the_first_run_looks_at_one_month(open_worker: Any, agree: Agree) -> None:
    """A person's first run looks at the month before it, however old the consent is."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(NIGHT)
        assert list(await made(worker)) == ["2026-10"]
        await agree(worker, {**said(), "instance": "bob.example"})  # his first run is the next
        await worker.run_once(datetime(2026, 12, 10))
        assert [b["startDate"] for b in await _bodies(worker, CONNECTIONS)] == [
            "2026-10-01",
            "2026-11-01",
            "2026-11-01",
        ]


async def test_a_run_before_the_due_day_is_a_first_run_too(open_worker: Any, agree: Agree) -> None:
    """What a first run on the 3rd looked at is counted when it is due, and nothing older."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 11, 3))
        assert await made(worker) == {}
        await worker.run_once(datetime(2026, 11, 6))
        assert list(await made(worker)) == ["2026-10"]


async def test_a_run_without_consent_is_no_first_run(open_worker: Any, agree: Agree) -> None:
    """Who has not agreed is not looked at: the first run is the first one with a consent."""
    async with open_worker() as worker:
        await worker.record(ALICE, {"type": "ConnectionEvent", "eventDate": "2026-05-05T10:00"})
        await worker.run_once(datetime(2026, 6, 10))
        await agree(worker, said("2026-05-01T00:00:00"))
        await worker.run_once(NIGHT)
        assert list(await made(worker)) == ["2026-10"]


@pytest.mark.parametrize(
    ("then", "months"),
    [
        ("2026-04-10", ["2026-03"]),
        ("2026-05-10", ["2026-03", "2026-04"]),
        ("2026-06-10", ["2026-03", "2026-04", "2026-05"]),
        ("2026-06-05", ["2026-03", "2026-04"]),
        ("2026-09-10", ["2026-06", "2026-07", "2026-08"]),
        ("2027-02-10", ["2026-11", "2026-12", "2027-01"]),
    ],
)
async def test_missed_months_are_caught_up(
    open_worker: Any, agree: Agree, then: str, months: list[str]
) -> None:
    """After an outage every due month is made that lies at most three back."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 3, 10))
        await worker.run_once(datetime.fromisoformat(then))
        assert list(await made(worker)) == ["2026-02", *months]


@pytest.mark.parametrize(
    ("not_before", "months"),
    [
        ("2026-10-01", ["2026-10"]),
        ("2026-09-30", ["2026-09", "2026-10"]),
        ("2026-10-31", ["2026-10"]),
        ("2026-11-01", []),
    ],
)
async def test_months_that_end_before_a_beginning_count_as_done(
    open_worker: Any, agree: Agree, not_before: str, months: list[str]
) -> None:
    """A month that ends before `not_before` is not made; one that reaches it is."""
    async with open_worker(not_before=not_before) as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 10, 10))
        await worker.run_once(datetime(2026, 11, 10))
        assert list(await made(worker)) == months


@pytest.mark.parametrize(
    ("accepted_at", "rows"),
    [
        ("2026-11-01T00:00:00", 0),
        ("2026-11-10T00:00:00", 0),
        ("2026-10-31T23:59:59.999", 1),
        ("2026-10-01T00:00:00", 1),
    ],
)
async def test_a_month_that_ended_before_the_consent_makes_no_row(
    open_worker: Any, agree: Agree, state_dir: Path, accepted_at: str, rows: int
) -> None:
    """A month that ended at or before the acceptance is done without a row."""
    async with open_worker() as worker:
        summary = [{"subscribed": True, "since": "2026-01-01T00:00"}]
        await agree(worker, said(accepted_at, monthly_summary=summary))
        report = await worker.run_once(NIGHT)
        assert len(await made(worker)) == rows
        assert report.months == 1
        assert sum(report.indicators.values()) == 3 * rows
    await assert_balanced(state_dir)


async def test_as_of_an_earlier_and_a_later_time(open_worker: Any, agree: Agree) -> None:
    """A run as of any time makes what is due then and was not made; going back makes nothing."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 5, 10))
        await worker.run_once(datetime(2026, 7, 10))
        assert list(await made(worker)) == ["2026-04", "2026-05", "2026-06"]
        for earlier in (datetime(2026, 6, 10), datetime(2026, 3, 10), datetime(2026, 7, 2)):
            assert (await worker.run_once(earlier)).months == 0


async def test_a_month_can_be_chosen(open_worker: Any, agree: Agree, event: Event) -> None:
    """`month` does that one only, no day and no other month; what was done is not done again."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 9, 10))
        await worker.record(ALICE, event("ConnectionEvent", "2026-12-09T10:00"))
        later = datetime(2026, 12, 10)
        report = await worker.run_once(later, month="2026-10")
        assert (report.months, report.days) == (1, 0)
        assert list(await made(worker)) == ["2026-08", "2026-10"]
        for month in ("2026-10", "2026-08", "2026-12", "2026-07", "2027-01"):
            assert (await worker.run_once(later, month=month)).months == 0
        assert (await worker.run_once(later, day="2026-12-08")).months == 0
        report = await worker.run_once(later)
        assert (report.months, report.days) == (2, 1)
        assert list(await made(worker)) == ["2026-08", "2026-10", "2026-09", "2026-11"]


async def test_a_month_that_is_none_is_refused(open_worker: Any) -> None:
    """What is no month is refused in words, and nothing runs."""
    async with open_worker() as worker:
        with pytest.raises(CommandRefused, match="--month: found 'October'; allowed: a month as"):
            await worker.run_once(NIGHT, month="October")


async def test_the_last_month_of_the_calendar_is_no_error(open_worker: Any, agree: Agree) -> None:
    """A preview as of the year 9999 tells what there would be."""
    async with open_worker() as worker:
        await agree(worker, said())
        *_, report = [found async for found in worker.preview(datetime(9999, 12, 31))]
        assert isinstance(report, RunReport)
        assert report.months == 1


async def test_a_preview_of_a_month_stores_nothing(open_worker: Any, agree: Agree) -> None:
    """`preview` gives a month as often as it is asked, byte for byte what the run makes."""
    async with open_worker() as worker:
        await agree(worker, said())
        seen = []
        for _ in range(2):
            *nights, _ = [found async for found in worker.preview(NIGHT, month="2026-10")]
            rows = [
                row for night in nights if isinstance(night, InstanceNight) for row in night.rows
            ]
            seen.append([row.indicator.encode() for row in rows])
        assert seen[0] == seen[1] != []
        await worker.run_once(NIGHT)
        stored = await worker.database.read(
            lambda connection: connection.execute("SELECT body FROM outbox ORDER BY id").fetchall()
        )
        assert [row[0] for row in stored] == seen[0]


async def test_late_events_never_repeat_a_month(
    open_worker: Any, agree: Agree, event: Event, state_dir: Path
) -> None:
    """An event or a reading that comes after its month was made changes nothing in it."""
    async with open_worker() as worker:
        await agree(worker, said(first_connection_at="2026-02-10T09:00:00"))
        await worker.record(ALICE, event("ConnectionEvent", "2026-10-30T10:00"))
        await worker.run_once(NIGHT)
        await worker.record(ALICE, event("ConnectionEvent", "2026-10-31T10:00"))
        await consume(worker, *days("2026-09-01", "2026-10-31", 1))
        report = await worker.run_once(NIGHT)
        assert (report.months, report.days) == (0, 1)
        assert await made(worker) == {"2026-10": 1}
        assert await made(worker, VARIATION) == {}
    await assert_balanced(state_dir)


async def test_a_restart_in_between_changes_nothing(open_worker: Any, agree: Agree) -> None:
    """What was done is on disk: a worker that starts again goes on where the last one ended."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 9, 10))
    for now in (datetime(2026, 9, 10), datetime(2026, 10, 10), NIGHT):
        async with open_worker() as worker:
            await worker.run_once(now)
    async with open_worker() as worker:
        assert list(await made(worker)) == ["2026-08", "2026-09", "2026-10"]


async def test_a_new_consent_doubles_no_month(
    open_worker: Any, agree: Agree, state_dir: Path
) -> None:
    """That a month was made stays known after a withdrawal; a new consent does not repeat it."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(NIGHT)
        await agree(worker, {"instance": ALICE, "consent": None})
        assert await made(worker) == {}
        await agree(worker, said("2026-10-10T00:00:00"))
        report = await worker.run_once(NIGHT)
        assert (report.months, report.indicators) == (0, {})
    await assert_balanced(state_dir)


async def test_a_month_reads_whatever_became_of_its_events(
    open_worker: Any, agree: Agree, event: Event
) -> None:
    """Counted, expired and aggregated events are read alike; those before the consent are not."""
    async with open_worker() as worker:
        await agree(worker, said("2026-10-03T12:00:00"))
        times = ("02T10:00", "03T11:59", "03T12:00", "04T10:00", "30T10:00")
        visits = [event("ConnectionEvent", f"2026-10-{time}") for time in times]
        elsewhere = event("ConnectionEvent", "2026-10-05T10:00", aggregated=True)
        await worker.record(ALICE, [*visits, elsewhere])
        report = await worker.run_once(NIGHT)
        assert report.events == {"unconsented": 2, "expired": 2, "counted": 1}
        assert await made(worker) == {"2026-10": 4}


async def test_what_was_before_the_consent_is_not_counted_ever(
    open_worker: Any, agree: Agree, event: Event
) -> None:
    """Profiles and attempts before the acceptance are no part of a life's count."""
    async with open_worker() as worker:
        await agree(worker, said("2026-10-03T12:00:00"))
        for time in ("2026-10-03T11:59", "2026-10-03T12:00"):
            await worker.record(ALICE, event("ProfileSetEvent", time))
            attempt = {"target": "enedis", "result": "success"}
            await worker.record(ALICE, event("KonnectorAttemptEvent", time, **attempt))
        await worker.run_once(NIGHT)
        assert await made(worker, "profile-count-monthly") == {"2026-10": 1}
        assert await made(worker, "konnector-attempts-monthly") == {"2026-10": 1}


async def test_a_lifes_counts_survive_the_events(
    open_worker: Any, agree: Agree, event: Event, state_dir: Path
) -> None:
    """Profiles and attempts are known after their events are gone, and are not counted twice."""
    visits = [
        event("ProfileSetEvent", "2026-09-10T10:00"),
        event("KonnectorAttemptEvent", "2026-09-11T10:00", target="egl", result="error"),
    ]
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.record(ALICE, visits)
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        for table in ("events", "waiting_days"):
            other.execute(f"DELETE FROM {table}")
    async with open_worker() as worker:
        attempt = {"target": "egl", "result": "success"}
        again = event("KonnectorAttemptEvent", "2026-10-11T10:00", **attempt)
        await worker.record(ALICE, [*visits, again, event("ProfileSetEvent", "2026-10-10T10:00")])
        await worker.run_once(NIGHT)
        assert await made(worker, "profile-count-monthly") == {"2026-10": 2}
        assert await made(worker, "konnector-attempts-monthly") == {"2026-10": 2}


@pytest.mark.parametrize(
    ("since", "value"),
    [
        ("2026-10-31T23:59:59.999", 1),
        ("2026-11-01T00:00:00", 0),
        ("2026-10-31T22:59:59Z", 1),
        ("2026-10-31T23:00:00Z", 0),
    ],
)
async def test_the_subscription_at_the_end_of_the_month_counts(
    open_worker: Any, agree: Agree, since: str, value: int
) -> None:
    """What is said from the first moment of the next month on says nothing about this one."""
    history = [
        {"subscribed": False, "since": "2026-02-01T00:00:00"},
        {"subscribed": True, "since": since},
    ]
    async with open_worker() as worker:
        await agree(worker, said(monthly_summary=history))
        await worker.run_once(NIGHT)
        assert await made(worker, "summary-subscription-monthly") == {"2026-10": value}


# A zone, a month of its with a change of the clock or none, and the last day of that month.
CLOCKS = [
    ("Europe/Paris", "2026-03", 31),
    ("Europe/Paris", "2026-04", 30),
    ("Europe/Paris", "2026-10", 31),
    ("Europe/Paris", "2026-11", 30),
    ("Europe/Paris", "2028-02", 29),
    ("Europe/Paris", "2028-03", 31),
    ("Indian/Reunion", "2026-10", 31),
    ("America/Martinique", "2026-10", 31),
    ("Pacific/Noumea", "2026-10", 31),
    ("Asia/Kathmandu", "2026-10", 31),
    ("Australia/Lord_Howe", "2026-10", 31),
    ("Africa/Cairo", "2026-04", 30),  # a day of it has no midnight
    ("America/Havana", "2026-11", 30),  # its first day has two
]


def around(month: str, last: int) -> tuple[date, date, date, datetime]:
    """Give the first days of the month before, of the month and of the next one, and a night."""
    first = date.fromisoformat(f"{month}-01")
    before = (first - timedelta(days=1)).replace(day=1)
    following = first + timedelta(days=last)
    return before, first, following, datetime(following.year, following.month, 10)


@pytest.mark.parametrize(("zone", "month", "last"), CLOCKS)
async def test_days_of_any_zone_make_a_month(
    open_worker: Any, agree: Agree, event: Event, zone: str, month: str, last: int
) -> None:
    """A reading for every civil day of two months makes a variation, whatever the clock did."""
    before, first, following, night = around(month, last)
    async with open_worker(zone) as worker:
        await agree(worker, said(first_connection_at="2026-01-01T10:00"))
        await worker.record(ALICE, event("ConnectionEvent", f"{month}-05T10:00"))
        yesterday, ago = first - timedelta(days=1), following - timedelta(days=1)
        await consume(
            worker,
            *days(str(before - timedelta(days=1)), str(before - timedelta(days=1)), 999),
            *days(str(before), str(yesterday), 1),
            *days(str(first), str(ago), 2),
            *days(str(following), str(following), 999),
        )
        await worker.run_once(night)
        change = 100 * (2 * last - yesterday.day) / yesterday.day
        assert await made(worker, VARIATION) == {month: pytest.approx(change, abs=0.005)}


@pytest.mark.parametrize("missing", ["09-01", "09-30", "10-01", "10-25", "10-31"])
async def test_a_missing_day_makes_no_variation(
    open_worker: Any, agree: Agree, event: Event, missing: str
) -> None:
    """One day without a value, the first or the last of either month too, and there is no row."""
    async with open_worker() as worker:
        await agree(worker, said(first_connection_at="2026-01-01T10:00"))
        await worker.record(ALICE, event("ConnectionEvent", "2026-10-05T10:00"))
        known = days("2026-08-01", "2026-11-10", 1)
        await consume(worker, *(day for day in known if day["start"] != f"2026-{missing}"))
        await worker.run_once(NIGHT)
        assert await made(worker, VARIATION) == {}


@pytest.mark.parametrize(
    ("zone", "start", "value"),
    [
        ("Europe/Paris", "2026-09-30T23:30:00+02:00", 0),
        ("Europe/Paris", "2026-10-01T00:00:00+02:00", 1),
        ("Europe/Paris", "2026-09-30T22:00:00Z", 1),
        ("Europe/Paris", "2026-10-25T02:30:00+01:00", 1),
        ("Europe/Paris", "2026-10-31T23:30:00+01:00", 1),
        ("Europe/Paris", "2026-11-01T00:00:00+01:00", 0),
        ("Europe/Paris", "2026-10-31T23:00:00Z", 0),
        ("Indian/Reunion", "2026-09-30T20:00:00Z", 1),
        ("Indian/Reunion", "2026-10-31T20:00:00Z", 0),
        ("America/Martinique", "2026-11-01T03:30:00Z", 1),
        ("America/Martinique", "2026-11-01T04:00:00Z", 0),
    ],
)
async def test_a_half_hour_is_in_the_month_in_which_it_begins(
    open_worker: Any, agree: Agree, zone: str, start: str, value: int
) -> None:
    """One half-hour of electricity that begins in the month by the zone's clock is enough."""
    async with open_worker(zone) as worker:
        await agree(worker, said())
        half_hour = {"fluid": "electricity", "step": "half-hour", "start": start, "value": 0}
        await consume(worker, half_hour)
        await worker.run_once(NIGHT)
        assert await made(worker, "fluid-data-granularity-monthly") == {"2026-10": value}


async def test_only_half_hours_of_electricity_count(open_worker: Any, agree: Agree) -> None:
    """Days of electricity, and half-hours of gas, say nothing of the granularity."""
    async with open_worker() as worker:
        await agree(worker, said())
        start = "2026-10-10T10:00"
        await consume(
            worker,
            {"step": "half-hour", "start": start, "value": 1},
            {"step": "day", "start": "2026-10-10", "fluid": "electricity", "value": 1},
        )
        await worker.run_once(NIGHT)
        assert await made(worker, "fluid-data-granularity-monthly") == {"2026-10": 0}


@pytest.mark.parametrize("minutes", [5, 10, 15, 20, 30, 60])
async def test_hours_are_no_half_hours(open_worker: Any, agree: Agree, minutes: int) -> None:
    """Points of half an hour and of less are as fine as the measure asks; those of an hour not."""
    async with open_worker() as worker:
        await agree(worker, said())
        zone = worker.settings.civil_zone
        point = Point(day_bounds(parse_day("2026-10-10"), zone)[0], minutes, 100)
        polled = Series(1, "electricity", "half-hour", "11111111111111", "enedis")
        await worker.database.run(consumption.store, polled, [point], zone)
        await worker.run_once(NIGHT)
        expected = int(minutes <= 30)
        assert await made(worker, "fluid-data-granularity-monthly") == {"2026-10": expected}


async def test_a_polled_day_goes_before_an_imported_one(
    open_worker: Any, agree: Agree, event: Event
) -> None:
    """A day that was polled and imported counts once, as it was polled; meters add up."""
    async with open_worker() as worker:
        await agree(worker, said(first_connection_at="2026-01-01T10:00"))
        await worker.record(ALICE, event("ConnectionEvent", "2026-10-05T10:00"))
        await consume(worker, *days("2026-09-01", "2026-10-31", 1))
        begin, end = day_bounds(parse_day("2026-10-31"), worker.settings.civil_zone)
        day = Point(begin, (end - begin) // MINUTE_MS, 16000)
        for meter in ("GI000001", "GI000002"):
            polled = Series(1, "gas", "day", meter, "grdf")
            await worker.database.run(consumption.store, polled, [day], worker.settings.civil_zone)
        await worker.run_once(NIGHT)
        # 30 days of 1 kWh, then 30 of 1 and one of 32.
        assert await made(worker, VARIATION) == {"2026-10": pytest.approx(106.67)}


@pytest.mark.parametrize("zone", ["Europe/Paris", "Europe/London", "Indian/Reunion"])
async def test_a_polled_day_is_of_the_month_of_its_name(
    open_worker: Any, agree: Agree, event: Event, zone: str
) -> None:
    """Months of fetched days are those of Paris, whose midnight is in another day elsewhere."""
    first, stop = parse_day("2026-09-01"), parse_day("2026-11-01")
    bounds = [day_bounds(day, ZoneInfo("Europe/Paris")) for day in range(first, stop)]
    found = [Point(begin, (end - begin) // MINUTE_MS, 1000) for begin, end in bounds]
    found[-1] = msgspec.structs.replace(found[-1], amount=30_000)
    async with open_worker(zone) as worker:
        await agree(worker, said(first_connection_at="2026-01-01T10:00"))
        await worker.record(ALICE, event("ConnectionEvent", "2026-10-05T10:00"))
        polled = Series(1, "electricity", "day", "11111111111111", "enedis")
        await worker.database.run(consumption.store, polled, found, worker.settings.civil_zone)
        await worker.run_once(NIGHT)
        # 30 days of 1 kWh, then 30 of 1 and one of 30.
        assert await made(worker, VARIATION) == {"2026-10": 100.0}


async def test_a_measure_that_breaks_costs_only_itself(
    open_worker: Any, agree: Agree, event: Event, state_dir: Path
) -> None:
    """An event that breaks one measure of a month stays counted, and all else is made."""

    @measure("profile-count-monthly", groups=0)
    def brittle(month: Month) -> Any:
        for found in month.ever_of("ProfileSetEvent"):
            assert found.target != "poison", "cannot bear it"
        yield Observation((), sum(1 for _ in month.ever_of("ProfileSetEvent")))

    @measure("fluid-data-granularity-monthly", groups=2)
    def hopeless(month: Month) -> Any:
        raise ValueError("never works")
        yield

    async with open_worker() as worker:
        await agree(worker, said())
        profiles = {"poison": "2026-10-30T10:00", "calm": "2026-10-31T10:00"}
        events = [event("ProfileSetEvent", t, target=name) for name, t in profiles.items()]
        await worker.record(ALICE, [*events, event("ConnectionEvent", "2026-10-30T11:00")])
        plan = worker.aggregator.plan(civil_from_instant(NIGHT, worker.settings.civil_zone))
        monthly = (hopeless, brittle, *MONTHLY[3:4])
        rules = Rules(worker.definitions, monthly=monthly)
        report = await worker.aggregator.run_once(msgspec.structs.replace(plan, rules=rules))
        assert report.events == {"counted": 3}
        assert await made(worker, "profile-count-monthly") == {"2026-10": 1}
        assert await made(worker, "fluid-data-granularity-monthly") == {}
        assert await made(worker) == {"2026-10": 1}
        assert (await worker.run_once(NIGHT)).months == 0
    await assert_balanced(state_dir)


async def test_the_night_makes_a_month_by_itself(state_dir: Path, agree: Agree) -> None:
    """The run of the schedule makes it in the night of the day from which it is due."""
    paris = ZoneInfo("Europe/Paris")
    clock = SteppedClock(datetime(2026, 11, 4, 12, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        await agree(worker, said())
        await clock.sleepers(len(worker.health()) - 1)
        found = []
        for day in (5, 6, 7):
            await clock.step(datetime(2026, 11, day, 1, tzinfo=paris).astimezone(UTC))
            found.append(len(await made(worker)))
        assert found == [0, 1, 1]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"month": "2026-10"}, "2026-10 is not due before 2026-11-06 (aggregation.monthly_day)"),
        ({"month": "2026-09"}, "nothing of 2026-09 is left to count: it is done already, or "),
        ({"month": "2026-07"}, "2026-07 is not counted any more: a run looks three months back"),
        ({"month": "9999-12"}, "9999-12 is not over as of 2026-11-01T01:00"),
        ({"day": "2026-11-01"}, "2026-11-01 is not over as of 2026-11-01T01:00"),
        ({"day": "2026-10-31"}, "nothing of 2026-10-31 is left to count: it is done already, or "),
        ({}, None),
    ],
)
async def test_what_does_nothing_says_why(
    open_worker: Any, agree: Agree, chosen: dict[str, str], words: str | None
) -> None:
    """A run of a chosen day or month that does nothing gives the reason, as its preview does."""
    async with open_worker() as worker:
        await agree(worker, said())
        await worker.run_once(datetime(2026, 10, 20))
        as_of = datetime(2026, 11, 1, 1)
        seen = [found async for found in worker.preview(as_of, **chosen)][-1]
        report = await worker.run_once(as_of, **chosen)
        assert (report.months, report.reason) == (0, seen.reason)
        assert str(report.reason).startswith(str(words))


async def test_without_a_consent_a_chosen_month_says_so(open_worker: Any, agree: Agree) -> None:
    """What nobody agreed to is named; a run that does something has no reason to give."""
    async with open_worker() as worker:
        report = await worker.run_once(NIGHT, month="2026-10")
        assert report.reason == "nobody has a consent in force"
        await agree(worker, said())
        assert (await worker.run_once(NIGHT, month="2026-10")).reason is None
