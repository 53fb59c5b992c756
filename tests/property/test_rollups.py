"""Roll-ups of homes with two meters and imported values, with holes, beside a simple reading."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker.clock import day_bounds, month_of, parse_day
from ecolyo_worker.energy.points import Point
from ecolyo_worker.store import consumption, instances, rollups
from ecolyo_worker.store.points import Series
from tests.property.made import limits
from tests.property.worked import opened

PARIS = ZoneInfo("Europe/Paris")
HALF_HOUR = 1_800_000
# Both changes of the clock are in it, and the ends of a month and of a year.
DAYS = [parse_day(text) for text in ("2025-03-30", "2025-10-25", "2025-10-26", "2025-12-31")]
DAYS += [parse_day("2026-01-01")]
STARTS = {day: range(*day_bounds(day, PARIS), HALF_HOUR) for day in DAYS}

Given = tuple[str, str, int, int, int]
"""Of a meter: the step, a day, a hole of half-hours from a place on, and how long it is."""


def givens() -> st.SearchStrategy[list[Given]]:
    """Give what comes in, day by day, in any order."""
    return st.lists(
        st.tuples(
            st.sampled_from(["1", "2", ""]),
            st.sampled_from(["half-hour", "half-hour", "day"]),
            st.sampled_from(DAYS),
            st.integers(0, 49),
            st.sampled_from([0, 0, 1, 2, 50]),
        ),
        min_size=1,
        max_size=12,
    )


class Model:
    """What is known: of each meter and step the Wh by start; no meter is what was imported."""

    def __init__(self) -> None:
        self.curve: dict[str, dict[int, int]] = {meter: {} for meter in ("1", "2", "")}
        self.daily: dict[str, dict[int, int]] = {meter: {} for meter in ("1", "2", "")}

    def had(self, day: int) -> list[str]:
        """Name the meters that the home has on a day: from the first to the last reading."""
        found = []
        for meter in ("1", "2"):
            days = {day for day in DAYS if self.curve[meter].keys() & set(STARTS[day])}
            days |= self.daily[meter].keys()
            if days and min(days) <= day <= max(days):
                found.append(meter)
        return found

    def half_hour(self, start: int, meters: list[str]) -> tuple[int, bool] | None:
        """Give what is known of half an hour, and whether it is all."""
        known = [self.curve[meter][start] for meter in meters if start in self.curve[meter]]
        if known and len(known) == len(meters):
            return sum(known), True
        if start in self.curve[""]:
            return self.curve[""][start], True
        return (sum(known), False) if known else None

    def hours(self) -> dict[int, tuple[int, bool]]:
        """Give all hours that something is known of."""
        found = {}
        for day in DAYS:
            for start in STARTS[day][::2]:
                halves = [self.half_hour(at, self.had(day)) for at in (start, start + HALF_HOUR)]
                known = [half for half in halves if half is not None]
                if known:
                    is_whole = len(known) == 2 and all(whole for _, whole in known)
                    found[start] = (sum(amount for amount, _ in known), is_whole)
        return found

    def days(self) -> dict[int, tuple[int, bool]]:
        """Give all days that something is known of."""
        hours = self.hours()
        return {
            day: made
            for day in DAYS
            if (made := self._day(day, [hours.get(start) for start in STARTS[day][::2]]))
        }

    def _day(self, day: int, hours: list[tuple[int, bool] | None]) -> tuple[int, bool] | None:
        daily = {meter: values[day] for meter, values in self.daily.items() if day in values}
        meters = self.had(day)
        if meters and all(meter in daily for meter in meters):
            return sum(daily[meter] for meter in meters), True
        curves = {meter: [self.curve[meter].get(at) for at in STARTS[day]] for meter in meters}
        total = sum(hour[0] for hour in hours if hour)
        metered = sum(daily.get(m) or sum(filter(None, curves[m])) for m in meters)
        if meters and all(meter in daily or None not in curves[meter] for meter in meters):
            return metered, True
        if "" in daily:
            return daily[""], True
        if all(hour is not None and hour[1] for hour in hours):
            return total, True
        if daily:
            return max(metered, total), False
        return (total, False) if any(hours) else None


def points(given: Given) -> list[Point]:
    """Make the points of a day with a hole, each Wh another one."""
    meter, step, day, place, length = given
    weight = {"1": 1, "2": 1000, "": 7}[meter]
    if step == "day":
        begin, end = day_bounds(day, PARIS)
        return [Point(begin, (end - begin) // 60_000, 3_000_000 * weight + place)]
    return [
        Point(start, 30, weight * (n + 1))
        for n, start in enumerate(STARTS[day])
        if not place <= n < place + length
    ]


def sums(days: Mapping[int, tuple[int, bool]], months: int) -> dict[int, int]:
    """Add days up by spans of so many months."""
    found: Counter[int] = Counter()
    for day, (amount, _) in days.items():
        found[month_of(day) // months] += amount
    return dict(found)


@limits(60)
@given(givens())
@example([(meter, "half-hour", DAYS[0], 0, hole) for meter, hole in (("1", 0), ("2", 1), ("", 0))])
async def test_meters_with_holes_come_to_what_the_rules_say(given: list[Given]) -> None:
    """In any order: hours and days are the model's; months and years are the sums of the days."""
    model = Model()
    with TemporaryDirectory() as directory:
        async with opened(Path(directory)) as worker:
            home = await worker.database.run(instances.identify, "alice.example")
            for one in given:
                meter, step, day, *_ = one
                found = points(one)
                if step == "day":
                    model.daily[meter][day] = found[0].amount
                else:
                    model.curve[meter] |= {point.start: point.amount for point in found}
                source = "enedis" if meter else "import"
                series = Series(home, "electricity", step, meter, source)  # type: ignore[arg-type]
                await worker.database.run(consumption.store, series, found, PARIS)
            made = {
                step: {
                    item.start: (item.amount, item.is_whole)
                    for item in await worker.database.read(
                        rollups.between, home, "electricity", step, range(2**62)
                    )
                }
                for step in ("hour", "day", "month", "year")
            }
    assert made["hour"] == model.hours()
    assert made["day"] == model.days()
    for step, months in (("month", 1), ("year", 12)):
        assert {start: amount for start, (amount, _) in made[step].items()} == sums(
            made["day"], months
        )
    if not any(model.daily.values()):
        totals = {sum(amount for amount, _ in values.values()) for values in made.values()}
        assert len(totals) == 1
