"""Points become hours, days, months and years, to the Wh; what is better known replaces."""

import random
from collections.abc import AsyncIterator, Iterable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import day_bounds, month_of, parse_day, parse_month
from ecolyo_worker.energy.adding import Interval
from ecolyo_worker.energy.points import GasDetail, Point, Quality
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.readings import Reading
from ecolyo_worker.store import consumption, instances, rollups
from ecolyo_worker.store.points import Change, Series

PARIS = ZoneInfo("Europe/Paris")
ALICE = "alice.example"
HALF_HOUR = 1_800_000
HOUR = 2 * HALF_HOUR


class Home:
    """A household of a worker, and what is stored of it."""

    def __init__(self, worker: Worker, ident: int) -> None:
        self._worker = worker
        self._ident = ident

    async def put(
        self, step: str, points: Iterable[Point], *, fluid: str = "electricity", meter: str = "1"
    ) -> Change:
        source = "grdf" if fluid == "gas" else "enedis"
        series = Series(self._ident, fluid, step, meter, source)  # type: ignore[arg-type]
        return await self._worker.database.run(consumption.store, series, list(points), PARIS)

    async def imported(self, fluid: str, step: str, *points: Point) -> None:
        readings = [Reading(ALICE, fluid, step, p.start, p.minutes, p.amount) for p in points]
        await self._worker.database.run(consumption.store_imported, readings, PARIS)

    async def half_hours(self, day: str) -> list[Interval]:
        days = range(parse_day(day), parse_day(day) + 1)
        return await self._worker.database.read(
            consumption.intervals, self._ident, "electricity", "half-hour", days, PARIS
        )

    async def rollups(
        self, step: str, starts: range = range(2**62), fluid: str = "electricity"
    ) -> list[Interval]:
        return await self._worker.database.read(rollups.between, self._ident, fluid, step, starts)


@pytest.fixture
async def home(state_dir: Path) -> AsyncIterator[Home]:
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.store_facts(InstanceFacts(ALICE))
        found = await worker.database.read(instances.find, ALICE)
        assert found is not None
        yield Home(worker, found.id)


def begin(day: str) -> int:
    return day_bounds(parse_day(day), PARIS)[0]


def curve(day: str, amount: int = 100, minutes: int = 30) -> list[Point]:
    first, end = day_bounds(parse_day(day), PARIS)
    return [Point(start, minutes, amount) for start in range(first, end, minutes * 60_000)]


def daily(day: str, amount: int, quality: Quality = Quality.DEFINITIVE_MEASURED) -> Point:
    first, end = day_bounds(parse_day(day), PARIS)
    return Point(first, (end - first) // 60_000, amount, quality)


def gas_day(day: str, amount: int, quality: Quality = Quality.DEFINITIVE_MEASURED) -> Point:
    return Point(begin(day) + 6 * HOUR, 1440, amount, quality, GasDetail(7.0, 11.27))


async def test_a_lower_quality_never_replaces_a_higher_one(home: Home) -> None:
    """Provisoire 88, Définitive 87 and Provisoire 88 again end as 87."""
    day = "2026-02-10"
    for amount, quality, changes in (
        (88_000, Quality.PROVISIONAL_MEASURED, 1),
        (87_000, Quality.DEFINITIVE_MEASURED, 1),
        (88_000, Quality.PROVISIONAL_MEASURED, 0),
    ):
        change = await home.put("day", [gas_day(day, amount, quality)], fluid="gas")
        assert change.new + change.replaced == changes
    assert [item.amount for item in await home.rollups("day", fluid="gas")] == [87_000]


@pytest.mark.parametrize("before", list(Quality))
@pytest.mark.parametrize("after", list(Quality))
async def test_every_quality_meets_every_other(home: Home, before: Quality, after: Quality) -> None:
    """The newer value of an equal or higher quality holds, definitive before measured."""
    await home.put("day", [gas_day("2026-02-10", 1, before)], fluid="gas")
    await home.put("day", [gas_day("2026-02-10", 2, after)], fluid="gas")
    expected = 2 if after >= before else 1
    assert [item.amount for item in await home.rollups("day", fluid="gas")] == [expected]


async def test_a_corrected_value_replaces_and_an_equal_one_changes_nothing(home: Home) -> None:
    """What came again is told as no change; a correction moves all that it is a part of."""
    points = curve("2026-02-10")
    assert await home.put("half-hour", points) == Change(48, 0, tuple(p.start for p in points))
    assert await home.put("half-hour", points) == Change(0, 0, ())
    corrected = Point(points[7].start, 30, 150)
    change = await home.put("half-hour", [*points[:7], corrected, *points[8:]])
    assert change == Change(0, 1, (corrected.start,))
    assert [item.amount for item in await home.rollups("hour")][3] == 250
    for step in ("day", "month", "year"):
        assert [item.amount for item in await home.rollups(step)] == [4850]


async def test_a_value_of_another_length_takes_the_place_of_those_it_covers(home: Home) -> None:
    """Where the meter's step changes, no energy is there twice, in either direction."""
    await home.put("half-hour", curve("2026-02-10", 200, minutes=60))
    await home.put("half-hour", curve("2026-02-10", 100))
    assert [item.amount for item in await home.rollups("day")] == [4800]
    hours = [Point(begin("2026-02-10") + 3 * HOUR, 60, 500)]
    change = await home.put("half-hour", hours)
    assert change.starts == (hours[0].start, hours[0].start + HALF_HOUR)
    assert [item.amount for item in await home.rollups("day")] == [4800 + 300]
    quarters = [Point(hours[0].start + n * HALF_HOUR // 2, 15, 10) for n in range(4)]
    await home.put("half-hour", quarters)
    assert [item.amount for item in await home.rollups("hour")][3] == 40


async def test_a_value_that_began_before_is_replaced_as_well(home: Home) -> None:
    """Half an hour takes the place of the hour that it ends, whose other half is not known then."""
    day = "2026-02-10"
    await home.put("half-hour", curve(day, 200, minutes=60))
    change = await home.put("half-hour", curve(day)[3:])
    assert (change.new, change.replaced) == (23, 45 - 23 + 1)
    hours = await home.rollups("hour")
    assert [(item.amount, item.is_whole) for item in hours[:3]] == [
        (200, True),
        (100, False),
        (200, True),
    ]
    assert await home.rollups("day") == [Interval(parse_day(day), 200 + 45 * 100, False)]


@pytest.mark.parametrize("later", [-HOUR, 0, HOUR])
async def test_a_lower_quality_replaces_no_other_interval(home: Home, later: int) -> None:
    """Nor does it stand beside the surer value that it overlaps, wherever it begins."""
    known = gas_day("2026-02-10", 87_000)
    other = Point(known.start + later, 1440, 88_000, Quality.PROVISIONAL_MEASURED)
    await home.put("day", [known], fluid="gas")
    assert await home.put("day", [other], fluid="gas") == Change(0, 0, ())
    assert [item.amount for item in await home.rollups("day", fluid="gas")] == [87_000]


async def test_the_clock_changes_make_days_of_23_and_25_hours(home: Home) -> None:
    """46 and 50 half-hours are whole days, and every hour of them is one of its own."""
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25)):
        assert len(curve(day)) == 2 * hours
        await home.put("half-hour", curve(day))
        made = await home.rollups("hour", range(*day_bounds(parse_day(day), PARIS)))
        assert [(item.amount, item.is_whole) for item in made] == [(200, True)] * hours
        number = parse_day(day)
        assert await home.rollups("day", range(number, number + 1)) == [
            Interval(number, 200 * hours, True)
        ]


async def test_three_years_add_up_to_the_wh(home: Home) -> None:
    """The sums of hours, days, months and years of three years of half-hours are all equal."""
    chance = random.Random(7)
    first, last = parse_day("2023-11-01"), parse_day("2026-11-01")
    start, end = day_bounds(first, PARIS)[0], day_bounds(last, PARIS)[0]
    points = [Point(at, 30, chance.randrange(2000)) for at in range(start, end, HALF_HOUR)]
    assert len(points) == 2 * 24 * (last - first) == 52_608
    await home.put("half-hour", points)
    total = sum(point.amount for point in points)
    counts = {"hour": 26_304, "day": 1096, "month": 36, "year": 4}
    for step, count in counts.items():
        made = await home.rollups(step)
        assert (len(made), sum(item.amount for item in made)) == (count, total)
    assert [item.is_whole for item in await home.rollups("year")] == [False, True, True, False]
    assert all(item.is_whole for item in await home.rollups("month"))


async def test_the_daily_value_goes_before_the_curve(home: Home) -> None:
    """Of day, month and year the daily value is the reference, the curve of the hours."""
    await home.put("half-hour", curve("2026-02-10"))
    await home.put("day", [daily("2026-02-10", 4801)])
    for step in ("day", "month", "year"):
        assert [item.amount for item in await home.rollups(step)] == [4801]
    assert sum(item.amount for item in await home.rollups("hour")) == 4800


async def test_a_day_with_a_hole_is_not_whole(home: Home) -> None:
    """What there is of a day is added up, and said to be a part; a daily value makes it whole."""
    points = curve("2026-02-10")
    await home.put("half-hour", points[:13] + points[14:])
    assert [item.is_whole for item in await home.rollups("hour")].index(False) == 6
    (day,) = await home.rollups("day")
    assert (day.amount, day.is_whole) == (4700, False)
    await home.put("day", [daily("2026-02-10", 4800)])
    (day,) = await home.rollups("day")
    assert (day.amount, day.is_whole) == (4800, True)


async def test_the_running_month_and_year_are_replaced(home: Home) -> None:
    """A new day makes them larger, not one more; only a month of all its days is whole."""
    days = [str(date(2026, 2, n)) for n in range(1, 29)]
    await home.put("day", [daily(day, 1000) for day in days[:-1]])
    february = parse_month("2026-02")
    assert await home.rollups("month") == [Interval(february, 27_000, False)]
    await home.put("day", [daily(days[-1], 5500)])
    assert await home.rollups("month") == [Interval(february, 32_500, True)]
    assert await home.rollups("year") == [Interval(2026, 32_500, False)]
    assert month_of(parse_day(days[0])) == february


@pytest.mark.parametrize("polled_first", [True, False])
async def test_what_was_polled_goes_before_what_was_imported(
    home: Home, *, polled_first: bool
) -> None:
    """In either order: a gas day, which begins at six, and each half-hour by itself."""
    day = "2026-02-10"
    half_hours = curve(day)[:2]

    async def poll() -> None:
        await home.put("day", [gas_day(day, 7000)], fluid="gas")
        await home.put("half-hour", [half_hours[0]])

    async def import_() -> None:
        await home.imported("gas", "day", daily(day, 9000), daily("2026-02-11", 11))
        await home.imported(
            "electricity", "half-hour", *(Point(p.start, 30, 7) for p in half_hours)
        )

    for do in (poll, import_) if polled_first else (import_, poll):
        await do()
    assert [item.amount for item in await home.rollups("day", fluid="gas")] == [7000, 11]
    assert [item.amount for item in await home.rollups("hour")] == [107]


async def test_meters_add_up(home: Home) -> None:
    """Two meters of a household are one consumption, hour by hour and day by day."""
    for meter in ("1", "2"):
        await home.put("half-hour", curve("2026-02-10"), meter=meter)
        await home.put("day", [daily("2026-02-11", 3)], meter=meter)
    assert {(item.amount, item.is_whole) for item in await home.rollups("hour")} == {(400, True)}
    assert [item.amount for item in await home.rollups("day")] == [9600, 6]


async def test_a_hole_in_one_of_two_meters_is_seen(home: Home) -> None:
    """What one meter does not know of a half-hour makes its hour, day, month and year a part."""
    february = [str(date(2026, 2, n)) for n in range(1, 29)]
    for meter in ("1", "2"):
        await home.put("half-hour", [p for day in february for p in curve(day)], meter=meter)
    assert [item.is_whole for item in await home.rollups("month")] == [True]
    points = curve("2026-02-10")
    other = [p for day in ("2026-02-09", "2026-02-11") for p in curve(day)]
    await home.put("half-hour", [*other, *points[:13], *points[14:]], meter="3")
    hours = await home.rollups("hour", range(points[0].start, points[-1].start + 1))
    assert [item.is_whole for item in hours].index(False) == 6
    assert [item.is_whole for item in hours].count(False) == 1
    assert hours[6].amount == 500
    halves = await home.half_hours("2026-02-10")
    assert [(item.amount, item.is_whole) for item in halves[12:14]] == [(300, True), (200, False)]
    days = {item.start: item.is_whole for item in await home.rollups("day")}
    assert [day for day, is_whole in days.items() if not is_whole] == [parse_day("2026-02-10")]
    assert [item.is_whole for item in await home.rollups("month")] == [False]


async def test_a_meter_is_missed_only_while_the_home_has_it(home: Home) -> None:
    """Days before a meter's first reading and after its last one are whole without it."""
    for number in range(1, 7):
        await home.put("day", [daily(f"2026-02-0{number}", 1000)])
    await home.put("day", [daily("2026-02-03", 20)], meter="2")
    assert all(item.is_whole for item in await home.rollups("day"))
    await home.put("day", [daily("2026-02-05", 20)], meter="2")
    days = [(item.amount, item.is_whole) for item in await home.rollups("day")]
    assert days[1:5] == [(1000, True), (1020, True), (1000, False), (1020, True)]
    await home.put("day", [daily("2026-02-04", 20)], meter="2")
    await home.put("day", [daily(f"2026-02-0{number}", 1001) for number in (1, 2, 6)])
    assert all(item.is_whole for item in await home.rollups("day"))


async def test_each_meter_has_its_daily_value_or_its_half_hours(home: Home) -> None:
    """A day is known where one meter gives the day, and the other one all of its half-hours."""
    day = "2026-02-10"
    await home.put("day", [daily(day, 1000)])
    points = curve(day)
    await home.put("half-hour", points[1:], meter="2")
    assert await home.rollups("day") == [Interval(parse_day(day), 5700, False)]
    await home.put("half-hour", points[:1], meter="2")
    assert await home.rollups("day") == [Interval(parse_day(day), 5800, True)]
    # No half-hour is known of the first one, so that none is of the home.
    assert {item.is_whole for item in await home.rollups("hour")} == {False}


async def test_what_was_imported_stands_for_what_a_meter_lacks(home: Home) -> None:
    """Where one of two meters is not known, the home's imported value is; else it is not used."""
    day = "2026-02-10"
    await home.put("half-hour", curve(day))
    await home.put("half-hour", curve(day)[:-1], meter="2")
    await home.imported("electricity", "half-hour", *curve(day, 250))
    halves = await home.half_hours(day)
    assert [(item.amount, item.is_whole) for item in halves[-2:]] == [(200, True), (250, True)]
    assert await home.rollups("day") == [Interval(parse_day(day), 9650, True)]
    await home.put("day", [daily(day, 4800)])
    assert await home.rollups("day") == [Interval(parse_day(day), 9650, True)]
    await home.imported("electricity", "day", daily(day, 9999))
    assert await home.rollups("day") == [Interval(parse_day(day), 9999, True)]
    await home.put("day", [daily(day, 4900)], meter="2")
    assert await home.rollups("day") == [Interval(parse_day(day), 9700, True)]


async def test_an_imported_day_stands_for_half_hours_with_a_hole(home: Home) -> None:
    """It does not stand for a polled curve that is whole, whatever comes first."""
    day = "2026-02-10"
    points = curve(day)
    await home.imported("electricity", "day", daily(day, 99_000))
    for polled, expected in ((points[1:], 99_000), (points[:1], 4800)):
        await home.put("half-hour", polled)
        assert await home.rollups("day") == [Interval(parse_day(day), expected, True)]
    await home.imported("electricity", "day", daily(day, 98_000))
    assert await home.rollups("day") == [Interval(parse_day(day), 4800, True)]
    await home.put("half-hour", curve(day), meter="2")
    assert await home.rollups("day") == [Interval(parse_day(day), 9600, True)]


@pytest.mark.parametrize("minutes", [60, 20, 15])
async def test_no_energy_is_there_twice_where_the_steps_differ(home: Home, minutes: int) -> None:
    """What was imported by the half-hour is nowhere beside a polled curve that is whole."""
    day = "2026-02-10"
    await home.put("half-hour", curve(day, 10 * minutes, minutes))
    await home.imported("electricity", "half-hour", *curve(day, 7))
    assert [(item.amount, item.is_whole) for item in await home.rollups("hour")] == [
        (600, True)
    ] * 24
    assert await home.rollups("day") == [Interval(parse_day(day), 24 * 600, True)]


@pytest.mark.parametrize(("minutes", "imported"), [(60, 14), (15, 7)])
async def test_imported_half_hours_fill_a_hole_of_another_step(
    home: Home, minutes: int, imported: int
) -> None:
    """They stand for the hour, or the half, of which the meter does not tell all, and no more."""
    day = "2026-02-10"
    await home.imported("electricity", "half-hour", *curve(day, 7))
    await home.put("half-hour", curve(day, 10 * minutes, minutes)[:-1])
    polled = 24 * 600 - 10 * max(minutes, 30)
    assert await home.rollups("day") == [Interval(parse_day(day), polled + imported, True)]
    assert sum(item.amount for item in await home.half_hours(day)) == polled + imported


@pytest.mark.parametrize("minutes", [60, 20])
async def test_an_hour_without_halves_stays_one(home: Home, minutes: int) -> None:
    """An hour that one meter does not tell the halves of is one, with all that the other has."""
    day = "2026-02-10"
    await home.put("half-hour", curve(day, 10 * minutes, minutes))
    await home.imported("electricity", "half-hour", *curve(day, 7))
    await home.put("half-hour", curve(day)[:-1], meter="2")
    halves = await home.half_hours(day)
    assert [(item.amount, item.minutes) for item in halves] == [(800, 60)] * 23 + [(14, 60)]
    assert await home.rollups("day") == [Interval(parse_day(day), 23 * 800 + 14, True)]


async def test_published_months_are_kept_apart(home: Home) -> None:
    """What GRDF publishes for a month is stored, and is in no sum."""
    await home.put("day", [gas_day("2026-01-10", 7)], fluid="gas")
    await home.put("published", [Point(begin("2026-01-01") + 6 * HOUR, 44_640, 9)], fluid="gas")
    for step in ("day", "month", "year"):
        assert [item.amount for item in await home.rollups(step, fluid="gas")] == [7]
