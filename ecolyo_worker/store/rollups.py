"""Roll-ups: hours, days, months and years of a household, made of its points."""

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import day_bounds, month_days, month_of
from ecolyo_worker.store.ladder import Ladder

__all__ = ["Interval", "between", "half_hours", "renew"]

_HOUR_MS = 3_600_000
_HOUR = 60
_HALF_HOUR_MS = 1_800_000
_HALF_HOUR = 30

_COLUMNS = ["instance", "fluid", "step", "start", "amount", "is_whole"]
_CURVE = (
    "SELECT start, minutes, amount FROM points"
    " WHERE series = :series AND start >= :begin AND start < :end"
)
# Of an interval the polled values go before the imported ones, and meters add up.
_CURVES = (
    "SELECT p.start, max(p.minutes) AS minutes,"
    " coalesce(sum(p.amount) FILTER (WHERE s.source != 'import'), sum(p.amount)) AS amount"
    " FROM series AS s JOIN points AS p ON p.series = s.id"
    " WHERE s.instance = :instance AND s.fluid = :fluid AND s.step = 'half-hour'"
    " AND p.start >= :begin AND p.start < :end GROUP BY p.start"
)
_ROLLUPS = Ladder(
    "rollups",
    _COLUMNS,
    "DO UPDATE SET amount = excluded.amount, is_whole = excluded.is_whole",
)


class Interval(Struct, frozen=True):
    """What a household consumed in an interval: Wh, of water ml.

    `start` is, of half an hour and an hour, its instant in ms of UTC; of a day, month or year, the
    civil one. `is_whole` tells whether all of the interval is known.
    """

    start: int
    amount: int
    is_whole: bool
    minutes: int | None = None
    """How long it is, where that is not what its step says."""


def renew(
    connection: sqlite3.Connection, instance: int, fluid: str, days: Iterable[int], zone: ZoneInfo
) -> None:
    """Make the roll-ups of a household's civil days anew, and of the months and years around them.

    Meters add up; what was polled goes before what was imported. A day is its daily value, where
    there is one, else the sum of its half-hours.
    """
    household = (instance, fluid)
    touched = sorted(set(days))
    for run in _runs(touched):
        _renew_hours(connection, household, run, zone)
        _renew_days(connection, household, run, zone)
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
    connection: sqlite3.Connection, instance: int, fluid: str, starts: range
) -> list[Interval]:
    """Give a household's half-hours that begin in the range, from its points, in order.

    Quarters of an hour and the like are added up; what a meter gives by the hour stays an hour.
    """
    curve, asked = _curve(connection, (instance, fluid), starts.start, starts.stop)
    rows = connection.execute(
        f"SELECT min(start), sum(amount), sum(minutes) FROM ({curve})"  # noqa: S608  texts of ours
        " GROUP BY (start - :begin) / :length ORDER BY start",
        asked | {"length": _HALF_HOUR_MS},
    )
    return [
        Interval(start, amount, minutes >= _HALF_HOUR, None if minutes == _HALF_HOUR else minutes)
        for start, amount, minutes in rows
    ]


def _curve(
    connection: sqlite3.Connection, household: tuple[int, str], begin: int, end: int
) -> tuple[str, dict[str, int | str | None]]:
    """Give the query for a household's half-hours, and what it asks; most have one series."""
    (count, series) = connection.execute(
        "SELECT count(*), max(id) FROM series"
        " WHERE instance = ? AND fluid = ? AND step = 'half-hour'",
        household,
    ).fetchone()
    instance, fluid = household
    asked = {"instance": instance, "fluid": fluid, "begin": begin, "end": end, "series": series}
    return _CURVES if count > 1 else _CURVE, asked


def _runs(days: list[int]) -> Iterator[range]:
    """Cut ordered days into runs without a gap."""
    first = 0
    for place in range(1, len(days) + 1):
        if place == len(days) or days[place] != days[place - 1] + 1:
            yield range(days[first], days[place - 1] + 1)
            first = place


def _renew_hours(
    connection: sqlite3.Connection, household: tuple[int, str], days: range, zone: ZoneInfo
) -> None:
    begin, end = day_bounds(days[0], zone)[0], day_bounds(days[-1], zone)[1]
    _delete(connection, household, "hour", begin, end)
    curve, asked = _curve(connection, household, begin, end)
    connection.execute(
        f"INSERT INTO rollups ({', '.join(_COLUMNS)})"  # noqa: S608  texts of ours
        " SELECT :instance, :fluid, 'hour', :begin + (start - :begin) / :length * :length,"
        f" sum(amount), sum(minutes) >= :minutes FROM ({curve})"
        " GROUP BY (start - :begin) / :length",
        asked | {"length": _HOUR_MS, "minutes": _HOUR},
    )


def _renew_days(
    connection: sqlite3.Connection, household: tuple[int, str], days: range, zone: ZoneInfo
) -> None:
    begins = [day_bounds(day, zone)[0] for day in range(days.start, days.stop + 1)]
    made: dict[int, tuple[int, bool]] = {}
    hours: list[list[tuple[int, int]]] = [[] for _ in days]
    for start, amount, is_whole in connection.execute(
        "SELECT start, amount, is_whole FROM rollups WHERE instance = ? AND fluid = ?"
        " AND step = 'hour' AND start >= ? AND start < ?",
        (*household, begins[0], begins[-1]),
    ):
        hours[bisect_right(begins, start) - 1].append((amount, is_whole))
    for place, found in enumerate(hours):
        if found:
            due = (begins[place + 1] - begins[place]) // _HOUR_MS
            whole = sum(is_whole for _, is_whole in found)
            made[days[place]] = (sum(amount for amount, _ in found), whole == due)
    made |= {day: (amount, True) for day, amount in _daily(connection, household, days, begins)}
    _delete(connection, household, "day", days.start, days.stop)
    values: list[int | str] = []
    for day, (amount, is_day_whole) in made.items():
        values += (*household, "day", day, amount, is_day_whole)
    _ROLLUPS.insert(connection, values)


def _daily(
    connection: sqlite3.Connection, household: tuple[int, str], days: range, begins: list[int]
) -> Iterator[tuple[int, int]]:
    """Give the daily values. A polled day of gas begins at six in the morning."""
    sums: dict[tuple[int, bool], int] = {}
    for start, is_imported, amount in connection.execute(
        "SELECT p.start, s.source = 'import', p.amount"
        " FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = 'day' AND p.start >= ? AND p.start < ?",
        (*household, begins[0], begins[-1]),
    ):
        key = (days[bisect_right(begins, start) - 1], bool(is_imported))
        sums[key] = sums.get(key, 0) + amount
    for (day, is_imported), amount in sums.items():
        if not (is_imported and (day, False) in sums):
            yield day, amount


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
