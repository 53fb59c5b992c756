"""Roll-ups: hours, days, months and years of a household, made of its points."""

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS, day_bounds, month_days, month_of
from ecolyo_worker.energy import adding
from ecolyo_worker.energy.adding import IMPORTED, Interval, Known, MeterReading
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.store import homes
from ecolyo_worker.store.homes import Meter
from ecolyo_worker.store.ladder import Ladder

__all__ = ["between", "half_hours", "renew"]

_COLUMNS = ["instance", "fluid", "step", "start", "amount", "is_whole"]
_READINGS = (
    "SELECT s.meter, p.start, p.minutes, p.amount FROM series AS s JOIN points AS p"
    " ON p.series = s.id WHERE s.instance = ? AND s.fluid = ? AND s.step = ?"
    " AND p.start >= ? AND p.start < ?"
)
# Where a home has but one series, each hour is known as far as that says.
_HOURS = (
    f"INSERT INTO rollups ({', '.join(_COLUMNS)})"  # noqa: S608  texts of ours
    " SELECT :instance, :fluid, 'hour', :begin + (start - :begin) / 3600000 * 3600000,"
    " sum(amount), sum(minutes) >= 60 FROM points"
    " WHERE series = :series AND start >= :begin AND start < :end"
    " GROUP BY (start - :begin) / 3600000"
)
_ROLLUPS = Ladder(
    "rollups",
    _COLUMNS,
    "DO UPDATE SET amount = excluded.amount, is_whole = excluded.is_whole",
)


class _Home(Struct, frozen=True):
    """A household's fluid, while its roll-ups are made."""

    household: tuple[int, str]
    meters: Mapping[str, Meter]
    only: int | None
    """Its one series of half-hours, if it has one, and no other meter."""
    zone: ZoneInfo
    """By whose clocks its civil days go."""
    imported: ZoneInfo
    """By whose clocks imported days go."""


def renew(
    connection: sqlite3.Connection, instance: int, fluid: str, days: Iterable[int], zone: ZoneInfo
) -> None:
    """Make the roll-ups of a household's civil days anew, and of the months and years around them.

    Of each day it goes by the meters that the home has on it, as `adding` says. `zone` is the
    worker's; by whose clocks the days go, `homes` says.
    """
    household = (instance, fluid)
    home = _home(connection, household, zone)
    touched = sorted(set(days))
    for run in _runs(touched):
        begins = _begins(run, home.zone)
        _renew_hours(connection, home, run, begins)
        _renew_days(connection, home, run, begins)
    months = {month_of(day) for day in touched}
    for month in sorted(months):
        _renew_sum(connection, household, "month", month, month_days(month))
    for year in sorted({month // 12 for month in months}):
        days_of_year = range(month_days(year * 12).start, month_days(year * 12 + 11).stop)
        _renew_sum(connection, household, "year", year, days_of_year)


def between(
    connection: sqlite3.Connection, instance: int, fluid: str, step: str, starts: range
) -> list[Interval]:
    """Give a household's roll-ups of a step that begin in the range, in order."""
    rows = connection.execute(
        "SELECT start, amount, is_whole FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step = ? AND start >= ? AND start < ?"
        " ORDER BY start",
        (instance, fluid, step, starts.start, starts.stop),
    )
    return [Interval(start, amount, bool(is_whole)) for start, amount, is_whole in rows]


def half_hours(
    connection: sqlite3.Connection, instance: int, fluid: str, days: range, zone: ZoneInfo
) -> list[Interval]:
    """Give a household's half-hours of some civil days, from its points, in order.

    Quarters of an hour and the like are added up; what a meter gives by the hour stays an hour.
    """
    meters = homes.meters(connection, instance, fluid, zone)
    begins = _begins(days, homes.zone_of(meters, zone))
    curves = _readings(connection, (instance, fluid), "half-hour", begins)
    return [
        interval
        for day, begin, curve in zip(days, begins, curves, strict=False)
        for interval in adding.half_hours(curve, begin, homes.meters_on(meters, day))
    ]


def _home(connection: sqlite3.Connection, household: tuple[int, str], zone: ZoneInfo) -> _Home:
    meters = homes.meters(connection, *household, zone)
    series = connection.execute(
        "SELECT id, meter FROM series WHERE instance = ? AND fluid = ? AND step = 'half-hour'",
        household,
    ).fetchall()
    is_one = len(series) == 1 and meters.keys() <= {series[0][1]}
    only = series[0][0] if is_one else None
    return _Home(household, meters, only, homes.zone_of(meters, zone), zone)


def _runs(days: list[int]) -> Iterator[range]:
    """Cut ordered days into runs without a gap."""
    first = 0
    for place in range(1, len(days) + 1):
        if place == len(days) or days[place] != days[place - 1] + 1:
            yield range(days[first], days[place - 1] + 1)
            first = place


def _begins(days: range, zone: ZoneInfo) -> list[int]:
    """Give when each day begins, and when the last one ends, in ms of UTC."""
    return [day_bounds(day, zone)[0] for day in range(days.start, days.stop + 1)]


def _readings(
    connection: sqlite3.Connection, household: tuple[int, str], step: str, begins: Sequence[int]
) -> list[list[MeterReading]]:
    """Give what is known of each of some days."""
    found: list[list[MeterReading]] = [[] for _ in begins[1:]]
    for reading in connection.execute(_READINGS, (*household, step, begins[0], begins[-1])):
        found[bisect_right(begins, reading[1]) - 1].append(reading)
    return found


def _dailies(connection: sqlite3.Connection, home: _Home, days: range) -> list[Counter[str]]:
    """Give the values of each of some days, by meter: of the civil day in which they begin.

    A polled day of gas begins at six in the morning; an imported day where the worker's does.
    """
    polled, imported = _begins(days, ZONE), _begins(days, home.imported)
    span = min(polled[0], imported[0]), max(polled[-1], imported[-1])
    found: list[Counter[str]] = [Counter() for _ in days]
    for meter, start, _, amount in connection.execute(_READINGS, (*home.household, "day", *span)):
        place = bisect_right(imported if meter == IMPORTED else polled, start) - 1
        if 0 <= place < len(found):
            found[place][meter] += amount
    return found


def _renew_hours(
    connection: sqlite3.Connection, home: _Home, days: range, begins: Sequence[int]
) -> None:
    _delete(connection, home.household, "hour", begins[0], begins[-1])
    instance, fluid = home.household
    if home.only is not None:
        asked = {"series": home.only, "begin": begins[0], "end": begins[-1]}
        connection.execute(_HOURS, asked | {"instance": instance, "fluid": fluid})
        return
    curves = _readings(connection, home.household, "half-hour", begins)
    values: list[int | str] = []
    for day, begin, curve in zip(days, begins, curves, strict=False):
        for hour in adding.hours(curve, begin, homes.meters_on(home.meters, day)):
            values += (instance, fluid, "hour", hour.start, hour.amount, hour.is_whole)
    _ROLLUPS.insert(connection, values)


def _renew_days(
    connection: sqlite3.Connection, home: _Home, days: range, begins: Sequence[int]
) -> None:
    dailies = _dailies(connection, home, days)
    values: list[int | str] = []
    for day, begin, end, daily in zip(days, begins, begins[1:], dailies, strict=False):
        hours = _hours_of(connection, home.household, begin, end)
        if not (daily or hours):
            continue
        meters = homes.meters_on(home.meters, day)
        curve = {}
        if daily and not daily.keys() >= set(meters):
            curve = _curves_of(connection, home.household, begin, end)
        minutes = (end - begin) // MINUTE_MS
        made = adding.day(daily, curve, hours or Known(0, 0), meters, minutes)
        values += (*home.household, "day", day, *made)
    _delete(connection, home.household, "day", days.start, days.stop)
    _ROLLUPS.insert(connection, values)


def _hours_of(
    connection: sqlite3.Connection, household: tuple[int, str], begin: int, end: int
) -> Known | None:
    """Give what the hours of a day have, and how many minutes are in whole ones."""
    amount, minutes = connection.execute(
        "SELECT sum(amount), sum(is_whole) * 60 FROM rollups WHERE instance = ? AND fluid = ?"
        " AND step = 'hour' AND start >= ? AND start < ?",
        (*household, begin, end),
    ).fetchone()
    return None if amount is None else Known(amount, minutes)


def _curves_of(
    connection: sqlite3.Connection, household: tuple[int, str], begin: int, end: int
) -> dict[str, Known]:
    """Give what the half-hours of each meter have in a day."""
    rows = connection.execute(
        f"SELECT meter, sum(amount), sum(minutes) FROM ({_READINGS}) GROUP BY meter",  # noqa: S608
        (*household, "half-hour", begin, end),
    )
    return {meter: Known(amount, minutes) for meter, amount, minutes in rows}


def _renew_sum(
    connection: sqlite3.Connection, household: tuple[int, str], step: str, start: int, days: range
) -> None:
    """Add up the days of a month or a year."""
    amount, whole = connection.execute(
        "SELECT sum(amount), sum(is_whole) FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step = 'day' AND start >= ? AND start < ?",
        (*household, days.start, days.stop),
    ).fetchone()
    if amount is None:
        _delete(connection, household, step, start, start + 1)
    else:
        _ROLLUPS.insert(connection, [*household, step, start, amount, whole == len(days)])


def _delete(
    connection: sqlite3.Connection, household: tuple[int, str], step: str, begin: int, end: int
) -> None:
    connection.execute(
        "DELETE FROM rollups WHERE instance = ? AND fluid = ? AND step = ?"
        " AND start >= ? AND start < ?",
        (*household, step, begin, end),
    )
