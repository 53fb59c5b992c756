"""What a household consumed: series of points, imported or polled."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS, civil_days, day_bounds, month_of
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy.adding import Interval
from ecolyo_worker.energy.points import Point, Quality
from ecolyo_worker.measures import Consumption
from ecolyo_worker.readings import Reading
from ecolyo_worker.store import homes, instances, points, rollups
from ecolyo_worker.store.points import Series

__all__ = [
    "Held",
    "beneath",
    "has_half_hours",
    "held",
    "held_days",
    "intervals",
    "of_days",
    "store",
    "store_imported",
    "zone_of",
]

# A polled day of gas begins hours after the civil one.
_DAY_MS = 86_400_000
_HALF_HOUR_MS = 1_800_000
_household = attrgetter("instance", "fluid", "step")
_is_whole = attrgetter("is_whole")
_QUARTER = 15


class Held(Struct, frozen=True):
    """What is held of one series. `first` and `last` are where intervals begin, in ms of UTC."""

    fluid: str
    step: str
    source: str
    points: int
    first: int
    last: int


def store(
    connection: sqlite3.Connection, series: Series, found: Sequence[Point], zone: ZoneInfo
) -> points.Change:
    """Store points of a series, as `points.put` does, and what they come to.

    `zone` is the worker's, here and below; by whose clocks the civil days of a home go, `homes`
    says.
    """
    ident = points.series_of(connection, series)
    if series.step == "published":
        return points.put(connection, ident, found)
    home = (series.instance, series.fluid)
    before = homes.meters(connection, *home, zone)
    change = points.put(connection, ident, found)
    after = homes.meters(connection, *home, zone)
    is_imported_day = series.source == "import" and series.step == "day"
    clocks = zone if is_imported_day else homes.zone_of(after, zone)
    days = {*civil_days(change.starts, clocks), *homes.recut(connection, home, before, after, zone)}
    days |= homes.gained(before.get(series.meter), after.get(series.meter))
    rollups.renew(connection, *home, days, zone)
    return change


def store_imported(
    connection: sqlite3.Connection, readings: Iterable[Reading], zone: ZoneInfo
) -> None:
    """Store readings that came in a file, for no meter; a later value replaces an earlier one.

    An instance that is not known yet is made.
    """
    ordered = sorted(readings, key=_household)
    ids = instances.identify_all(connection, (reading.instance for reading in ordered))
    for (name, fluid, step), group in groupby(ordered, key=_household):
        # Sorting is stable: of two values of an interval the later one stays, but a whole one does
        # before what is known in part.
        last = {reading.start: _point(reading) for reading in sorted(group, key=_is_whole)}
        found = [last[start] for start in sorted(last)]
        store(connection, Series(ids[name], fluid, step, "", "import"), found, zone)
    reach("readings.storing")


def _point(reading: Reading) -> Point:
    """Give the point that stands for a reading; it is shorter where only a part is known."""
    if reading.is_whole:
        return Point(reading.start, reading.minutes, reading.amount)
    # How long the part is, no file says. A quarter less keeps a half within its half-hour, and an
    # hour beyond it; by its lower rank it replaces nothing that is known in full.
    minutes = reading.minutes - _QUARTER
    return Point(reading.start, minutes, reading.amount, Quality.PROVISIONAL_MEASURED)


def beneath(connection: sqlite3.Connection, readings: Iterable[Reading], zone: ZoneInfo) -> int:
    """Count the readings of which all meters of the home were fetched, which goes before them."""
    count = 0
    for (name, fluid, step), group in groupby(sorted(readings, key=_household), key=_household):
        person = instances.find(connection, name)
        if person is None:  # forgotten meanwhile
            continue
        starts = [reading.start for reading in group]
        span = range(min(starts), max(starts) + _DAY_MS)
        fetched = _fetched(connection, (person.id, fluid, step), span, zone)
        marks = civil_days(starts, zone) if step == "day" else starts
        count += sum(mark in fetched for mark in marks)
    return count


def _fetched(
    connection: sqlite3.Connection, series: tuple[int, str, str], starts: range, zone: ZoneInfo
) -> set[int]:
    """Give the civil days, or in ms of UTC the half-hours, of which every meter is known."""
    rows = connection.execute(
        "SELECT s.meter, p.start, p.minutes FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = ? AND s.source != 'import'"
        " AND p.start >= ? AND p.start < ? ORDER BY p.start",
        (*series, starts.start, starts.stop),
    ).fetchall()
    instance, fluid, step = series
    known: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    days = civil_days((start for _, start, _ in rows), zone)
    for (meter, start, minutes), day in zip(rows, days, strict=True):
        end = start + minutes * MINUTE_MS
        for mark in (day,) if step == "day" else range(start, end, _HALF_HOUR_MS):
            known[day, mark].add(meter)
    meters = homes.meters(connection, instance, fluid, zone)
    return {
        mark
        for (day, mark), found in known.items()
        if (due := set(homes.meters_on(meters, day))) and due <= found
    }


def of_days(
    connection: sqlite3.Connection, instance: int, days: range
) -> Mapping[str, Consumption]:
    """Add up what is known of whole civil days, by fluid.

    Of a day that was polled and imported the polled value goes before; meters add up.
    """
    rows = connection.execute(
        "SELECT fluid, count(*), sum(amount) FROM rollups WHERE instance = ? AND step = 'day'"
        " AND start >= ? AND start < ? AND is_whole GROUP BY fluid",
        (instance, days.start, days.stop),
    )
    return {fluid: Consumption(count, total) for fluid, count, total in rows}


def zone_of(connection: sqlite3.Connection, instance: int, fluid: str, zone: ZoneInfo) -> ZoneInfo:
    """Give by whose clocks the civil days of a home's fluid go; `zone` is the worker's."""
    return homes.zone_of(homes.meters(connection, instance, fluid, zone), zone)


def has_half_hours(
    connection: sqlite3.Connection, instance: int, fluid: str, days: range, zone: ZoneInfo
) -> bool:
    """Tell whether a value of half an hour, or of less, of a fluid begins on any of some days."""
    clocks = zone_of(connection, instance, fluid, zone)
    begin, end = day_bounds(days[0], clocks)[0], day_bounds(days[-1], clocks)[1]
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = 'half-hour'"
        " AND p.start >= ? AND p.start < ? AND p.minutes <= 30)",
        (instance, fluid, begin, end),
    )
    return bool(found.fetchone()[0])


def held_days(connection: sqlite3.Connection, instance: int, fluid: str) -> range:
    """Give the civil days from the first to the last of which something is known."""
    first, last = connection.execute(
        "SELECT min(start), max(start) FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step = 'day'",
        (instance, fluid),
    ).fetchone()
    return range(0) if first is None else range(first, last + 1)


def intervals(
    connection: sqlite3.Connection,
    instance: int,
    fluid: str,
    step: str,
    days: range,
    zone: ZoneInfo,
) -> list[Interval]:
    """Give what is known of some civil days, or of the months or years that they lie in, in order.

    Meters add up, and what was polled goes before what was imported.
    """
    if not days:
        return []
    if step == "half-hour":
        return rollups.half_hours(connection, instance, fluid, days, zone)
    starts = days
    if step == "hour":
        clocks = zone_of(connection, instance, fluid, zone)
        starts = range(day_bounds(days[0], clocks)[0], day_bounds(days[-1], clocks)[1])
    elif step in {"month", "year"}:
        months = 12 if step == "year" else 1
        starts = range(month_of(days[0]) // months, month_of(days[-1]) // months + 1)
    return rollups.between(connection, instance, fluid, step, starts)


def held(connection: sqlite3.Connection, instance: int) -> list[Held]:
    """Tell what is held of an instance, series by series; those without a point are left out."""
    rows = connection.execute(
        "SELECT s.fluid, s.step, s.source, count(*), min(p.start), max(p.start)"
        " FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? GROUP BY s.id ORDER BY s.fluid, s.step, s.source, s.meter",
        (instance,),
    )
    return [Held(*row) for row in rows]
