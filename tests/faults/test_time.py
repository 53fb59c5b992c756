"""Wrong clocks, sleeping machines, and the hours that zones take away and give twice."""

import zoneinfo
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.commands import Commands
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from tests.fundamentals.conftest import OK
from tests.nights import PARIS, Agree, Nights, asleep, connect, days, paris, runs

Event = Callable[..., dict[str, Any]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS = timedelta(days=3653)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
LOOK = timedelta(seconds=Actor.LOOK_S)
REFUSED = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


async def rows_of(worker: Worker) -> Counter[tuple[str, str]]:
    """Give how many rows there are of each measure and day."""
    rows = Commands(worker).outbox_list(ask.OutboxList())
    return Counter([(row.measure, row.start_date) async for row in rows])


@pytest.mark.fault(35)
@pytest.mark.parametrize(("ahead", "made"), [(HOUR, 0), (DAY, 1), (30 * DAY, 1)])
async def test_nights_that_a_clock_leaps_over(
    nights: Nights, agree: Agree, ahead: timedelta, made: int
) -> None:
    """One run makes up for all nights that the clock leapt over, of the days that count still."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-20T08:00")
        await asleep(worker, clock)
        await clock.step(clock.now() + ahead, jump=True)
        for _ in range(3):
            await clock.step(clock.now() + LOOK)
        assert await runs(worker) == made
        daily = [day for measure, day in await rows_of(worker) if measure.endswith("-daily")]
        assert len(daily) <= made * worker.settings.aggregation.max_age_days
        await clock.step(clock.now() + DAY)
        assert await runs(worker) == made + 1


@pytest.mark.fault(35)
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_night_that_all_would_be_too_old_for(
    nights: Nights, agree: Agree, event: Event, restarts: bool
) -> None:
    """Where a clock leaps so far that what waits would expire, the night waits for an hour.

    Set right before that, all is counted as if nothing had been.
    """
    visit = event("NavigationEvent", "2026-11-20T10:00", target="gas")
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-20T08:00")
        await worker.record("alice.example", visit)
        await asleep(worker, clock)
        if not restarts:
            await wrong_for_a_while(worker, clock)
    if restarts:
        clock = SteppedClock(clock.now() + YEARS)
        async with nights(clock) as worker:
            await asleep(worker, clock)
            await clock.step(clock.now() + HOUR / 2)
            assert await runs(worker) == 0
        clock = SteppedClock(paris("2026-11-20T13:00"))
    async with nights(clock) as worker:
        await asleep(worker, clock)
        await clock.step(paris("2026-11-21T02:30"))
        assert (await runs(worker), [one["state"] for one in await told(worker)]) == (
            1,
            ["counted"],
        )
        assert "2026-11-20" in await days(worker)


async def wrong_for_a_while(worker: Worker, clock: SteppedClock) -> None:
    """Let the clock be ten years ahead for half an hour, in which nothing runs."""
    await clock.step(clock.now() + YEARS, jump=True)
    for _ in range(3):
        await clock.step(clock.now() + HOUR / 6)
        assert await runs(worker) == 0
    await clock.step(clock.now() - YEARS, jump=True)


@pytest.mark.fault(35)
async def test_a_clock_that_stays_ten_years_ahead(nights: Nights, agree: Agree) -> None:
    """After an hour of going evenly it is believed: one run, not thousands, of no older days."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-20T08:00")
        await asleep(worker, clock)
        await clock.step(clock.now() + YEARS, jump=True)
        found = []
        for _ in range(4):
            await clock.step(clock.now() + HOUR / 2)
            found.append(await runs(worker))
        assert found == [0, 0, 1, 1]
        daily = [day for measure, day in await rows_of(worker) if measure.endswith("-daily")]
        assert len(daily) <= worker.settings.aggregation.max_age_days


@pytest.mark.fault(35)
@pytest.mark.parametrize("ahead", [HOUR, DAY, YEARS])
async def test_rows_in_backoff_when_a_clock_leaps(
    fill: Filled, quick: Quick, wire: Any, ahead: timedelta
) -> None:
    """What waits for its backoff is due at once, and leaves on the grid of `dacc.rate`."""
    await fill(pages=("electricity", "gas", "water", "faq"))
    clock = FakeClock(NOW)
    moments: list[float] = []

    def answer(_: object) -> bytes:
        moments.append(clock.monotonic())
        return REFUSED if len(moments) <= 4 else OK

    wire.answer = answer
    settings = quick(wire.url, rate=5.0, concurrency=1, backoff_base=timedelta(minutes=5))
    async with Worker(settings, clock=clock).opened() as worker:
        assert (await worker.send()).outcomes == {"failed": 4}
        clock.jump(clock.now() + ahead)
        assert (await worker.send()).outcomes == {"delivered": 4}
    assert all(0.199 < after - at < 0.201 for at, after in pairwise(moments[4:]))


@pytest.mark.fault(35)
@pytest.mark.parametrize("ahead", [HOUR, DAY, YEARS])
async def test_nothing_is_old_because_a_clock_leaps(
    fill: Filled, quick: Quick, echo: Echo, ahead: timedelta
) -> None:
    """Nothing is deleted as old before the clock has gone evenly for an hour."""
    await fill()
    clock = SteppedClock(datetime.now(UTC))
    async with Worker(quick(echo.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 6}
    async with Worker(quick(echo.url).replace(mode="off"), clock=clock) as worker:
        await asleep(worker, clock)
        await clock.step(clock.now() + ahead, jump=True)
        await clock.step(clock.now() + HOUR)
        assert worker.status().outbox["sent"] == 6
        await clock.step(clock.now() - ahead, jump=True)
        for _ in range(3):
            await clock.step(clock.now() + HOUR)
        assert (worker.status().outbox["sent"], worker.status().removed) == (6, {})


@pytest.mark.fault(36)
@pytest.mark.parametrize("back", [HOUR, DAY])
async def test_nights_of_a_clock_set_back(nights: Nights, agree: Agree, back: timedelta) -> None:
    """A night that was done is not done again: its slot is the civil day, and it is taken."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-18T08:00")
        await asleep(worker, clock)
        await clock.step(paris("2026-11-21T02:40"))
        assert await runs(worker) == 1
        await clock.step(clock.now() - back, jump=True)
        await clock.step(paris("2026-11-21T02:30"))
        await clock.step(paris("2026-11-21T12:00"))
        assert (await runs(worker), (await days(worker))[-1]) == (1, "2026-11-20")


@pytest.mark.fault(36)
@pytest.mark.parametrize("back", [HOUR / 2, DAY, YEARS])
@pytest.mark.parametrize("restarts", [False, True])
async def test_rows_in_backoff_when_a_clock_is_set_back(
    fill: Filled, quick: Quick, wire: Any, back: timedelta, restarts: bool
) -> None:
    """A row waits no longer than an hour, or a longer wait that is set: in this life or the next.

    Nobody asks for it: the sender goes by its own looks.
    """
    await fill(pages=("gas",))
    clock = SteppedClock(NOW)
    wire.answer = lambda _: OK if len(wire.requests) > 1 else REFUSED
    settings = quick(wire.url, backoff_base=HOUR / 4, backoff_cap=HOUR / 2)

    async def wait(worker: Worker) -> None:
        for _ in range(7):
            await clock.step(clock.now() + HOUR / 6)
        assert worker.status().outbox["sent"] == 1

    async with Worker(settings, clock=clock) as worker:
        await asleep(worker, clock)
        while worker.status().attempts < 1:
            await anyio.lowlevel.checkpoint()
        await asleep(worker, clock)
        await clock.step(clock.now() - back, jump=True)
        if not restarts:
            await wait(worker)
    if restarts:
        async with Worker(settings, clock=clock) as worker:
            await asleep(worker, clock)
            await wait(worker)


@pytest.mark.fault(36)
async def test_a_clock_that_was_wrong_holds_no_row_back(
    fill: Filled, echo: Echo, quick: Quick
) -> None:
    """A due time that lies farther ahead than any wait was set by a clock that was wrong."""
    await fill(pages=("faq",))
    clock = FakeClock(datetime(2036, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick("http://127.0.0.1:9"), clock=clock).opened() as worker:
        assert (await worker.send()).outcomes == {"unavailable": 1}
        clock.jump(datetime(2026, 11, 21, 2, 0, tzinfo=UTC))
    async with Worker(quick(echo.url), clock=clock).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}


@pytest.mark.fault(37)
async def test_a_machine_that_slept_through_the_night(nights: Nights, agree: Agree) -> None:
    """The night that was slept through is run once, half a minute after waking at the latest.

    While the machine sleeps its monotonic clock stands still, and so does whoever waits by it.
    """
    clock = SteppedClock(paris("2026-11-20T23:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-20T08:00")
        await asleep(worker, clock)
        await clock.step(clock.now() + 6 * HOUR, jump=True)
        found = []
        for _ in range(3):
            await clock.step(clock.now() + LOOK)
            found.append((await runs(worker), await days(worker)))
        assert found == [(1, ["2026-11-20"])] * 3
        await clock.step(paris("2026-11-22T02:30"))
        assert (await runs(worker), await days(worker)) == (2, ["2026-11-20", "2026-11-21"])


@pytest.mark.fault(38)
async def test_spring_skips_the_hour_and_not_the_night(nights: Nights, agree: Agree) -> None:
    """On 29 March 2026 there is no 02:30: the run comes when the clock has jumped, at 03:00."""
    clock = SteppedClock(paris("2026-03-28T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-03-28T08:00")
        await asleep(worker, clock)
        await clock.step(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC))
        assert await runs(worker) == 0
        await clock.step(paris("2026-03-29T03:00"))
        assert await runs(worker) == 1
        await clock.step(paris("2026-03-29T23:00"))
        assert (await runs(worker), await days(worker)) == (1, ["2026-03-28"])
        await clock.step(paris("2026-03-30T02:30"))
        assert await days(worker) == ["2026-03-28", "2026-03-29"]


@pytest.mark.fault(39)
async def test_autumn_repeats_the_hour_and_not_the_night(nights: Nights, agree: Agree) -> None:
    """On 25 October 2026 there are two 02:30: the run comes at the first one only."""
    clock = SteppedClock(paris("2026-10-24T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-10-24T08:00")
        await asleep(worker, clock)
        found = []
        for fold in (0, 1):
            for minute in ("02:29", "02:30", "02:59"):
                await clock.step(paris(f"2026-10-25T{minute}", fold))
                found.append(await runs(worker))
        assert found == [0, 1, 1, 1, 1, 1]
        await clock.step(paris("2026-10-26T02:30"))
        assert await days(worker) == ["2026-10-24", "2026-10-25"]


@pytest.mark.fault(39)
async def test_a_restart_in_the_repeated_hour_runs_nothing_again(
    nights: Nights, agree: Agree
) -> None:
    """The slot is on disk: a worker that starts in the second 02:30 knows that it is done."""
    clock = SteppedClock(paris("2026-10-24T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-10-24T08:00")
        await asleep(worker, clock)
        await clock.step(paris("2026-10-25T02:31", 0))
    clock = SteppedClock(paris("2026-10-25T02:30", 1))
    async with nights(clock) as worker:
        await asleep(worker, clock)
        assert await runs(worker) == 1


async def imported(worker: Worker, *values: tuple[str, str, float]) -> None:
    """Take in what alice's home consumed of electricity: step, start and kWh of each."""
    fixed = {"instance": "alice.example", "fluid": "electricity"}
    documents = [
        {**fixed, "step": step, "start": start, "value": value} for step, start, value in values
    ]
    lines = [ask.Line(n, msgspec.json.encode(one)) for n, one in enumerate(documents, 1)]
    report = await Commands(worker).consumption_import(ask.ConsumptionImport(lines))
    assert not report.refused, report.refused


async def exported(worker: Worker, step: ask.ConsumptionStep) -> list[tuple[str, float]]:
    """Give where each interval begins, and what was consumed in it."""
    request = ask.ConsumptionExport(step)
    return [(one.start, one.value) async for one in Commands(worker).consumption_export(request)]


@pytest.mark.parametrize(
    ("day", "hours", "odd"),
    [
        ("2026-03-29", 23, []),
        ("2026-10-25", 25, ["02:00:00+02:00", "02:00:00+01:00"]),
    ],
)
@pytest.mark.fault(38, 39)
async def test_readings_of_the_days_of_23_and_25_hours(
    settings: Settings, day: str, hours: int, odd: list[str]
) -> None:
    """Each hour is one of its own, told apart by its offset; all of them are the day's."""
    begin = paris(f"{day}T00:00")
    starts = [(begin + n * HOUR / 2).astimezone(PARIS).isoformat() for n in range(2 * hours)]
    async with Worker(settings).opened() as worker:
        await imported(worker, *(("half-hour", start, 0.5) for start in starts))
        assert [start for start, _ in await exported(worker, "half-hour")] == starts
        found = await exported(worker, "hour")
        assert found == [(start, 1.0) for start in starts[::2]]
        assert [start[11:] for start, _ in found if start[11:13] == "02"] == odd
        assert await exported(worker, "day") == [(day, float(hours))]


async def told(worker: Worker) -> list[Any]:
    """Give all events as `events list` shows them, with what became of them."""
    return [one async for one in Commands(worker).events_list(ask.EventsList())]


async def live_on(worker: Worker, clock: SteppedClock) -> None:
    """Let two days pass."""
    await asleep(worker, clock)
    for _ in range(8):
        await clock.step(clock.now() + 6 * HOUR)


@pytest.mark.fault(40)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Honolulu"])
async def test_a_zone_that_is_changed(
    nights: Nights, agree: Agree, event: Event, zone: str
) -> None:
    """Events keep the civil times that they came with, and no day is counted twice."""
    clock = SteppedClock(paris("2026-11-20T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-11-18T08:00")
        visits = [event("NavigationEvent", f"2026-11-20T{at}") for at in ("00:10", "23:50")]
        await worker.record("alice.example", visits)
        await imported(worker, ("day", "2026-11-18", 7.0))
        await asleep(worker, clock)
        await clock.step(paris("2026-11-21T02:30"))
        before = (await told(worker), await exported(worker, "day"))
    clock = SteppedClock(paris("2026-11-21T03:00"))
    async with nights(clock, zone=zone) as worker:
        await live_on(worker, clock)
        assert (await told(worker), await exported(worker, "day")) == before
        assert set((await rows_of(worker)).values()) == {1}


@pytest.fixture
def other_zone_data(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Install zone data by which Paris has no summer time any more."""

    def install() -> None:
        data = (resources.files("tzdata.zoneinfo.Africa") / "Lagos").read_bytes()
        (tmp_path / "zones" / "Europe").mkdir(parents=True)
        (tmp_path / "zones" / "Europe" / "Paris").write_bytes(data)
        zoneinfo.reset_tzpath([tmp_path / "zones"])
        zoneinfo.ZoneInfo.clear_cache()

    yield install
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.fault(40)
async def test_new_zone_data(
    nights: Nights, agree: Agree, event: Event, other_zone_data: Callable[[], None]
) -> None:
    """After a restart with new zone data events keep their civil times, and readings their days."""
    clock = SteppedClock(paris("2026-07-10T12:00"))
    async with nights(clock) as worker:
        await connect(agree, worker, "2026-07-08T08:00")
        visits = [event("NavigationEvent", f"2026-07-10T{at}") for at in ("00:10", "23:50")]
        await worker.record("alice.example", visits)
        await imported(worker, ("day", "2026-07-08", 7.0))
        await asleep(worker, clock)
        await clock.step(paris("2026-07-11T02:30"))
        before = (await told(worker), await exported(worker, "day"))
    other_zone_data()
    clock = SteppedClock(paris("2026-07-11T03:00"))
    async with nights(clock) as worker:
        assert (clock.now().astimezone(worker.settings.civil_zone)).hour == 2
        await live_on(worker, clock)
        assert (await told(worker), await exported(worker, "day")) == before
        assert set((await rows_of(worker)).values()) == {1}
