"""Cursors: which days of a series were answered, which are open, and what else is to be minded.

A window's points, its roll-ups, and what is noted here are one transaction: a stop at any moment
leaves the window asked and stored, or neither.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS, civil_days, day_bounds, day_interval
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy.agreement import disagreements
from ecolyo_worker.energy.gaps import DayHeld, Gap, GapState, Looked, gaps, suspicion, unread_again
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.points import Decoded, Point, Quality
from ecolyo_worker.energy.windows import PolledSeries, Ranges, joined, runs, todo, within
from ecolyo_worker.store import accounts, consumption, totals
from ecolyo_worker.store.accounts import Account, Moment
from ecolyo_worker.store.points import Series

__all__ = [
    "Answered",
    "Cursor",
    "Stored",
    "Unread",
    "asked",
    "begin",
    "cursor",
    "held_days",
    "mistrust",
    "note",
    "open_days",
    "put_aside",
    "resume",
    "series_of",
    "store",
    "to_do",
    "unread_of",
]

_STEPS: Final[dict[PolledSeries, Literal["half-hour", "day", "published"]]] = {
    "daily": "day",
    "curve": "half-hour",
    "gas_days": "day",
    "gas_periods": "published",
}
# Days in a published period: half a year where a meter is read twice a year.
_LONGEST_PERIOD = 400
# Whatever may still come is of a younger day.
_YOUNG_DAYS: Final[dict[PolledSeries, int]] = {
    "daily": 60,
    "curve": 60,
    "gas_days": 90,
    "gas_periods": 400,
}
_NEVER = 1 << 40
# GRDF gives whole kWh.
_ROUNDING_WH = 500


class Cursor(Struct, frozen=True):
    """What is to be minded when a series is asked for."""

    earliest: int | None = None
    """The first civil day that may be asked for, where the provider told it."""
    longest: int | None = None
    """The most days of a window, where the provider refused longer ones."""
    never: str | None = None
    """Why it is not asked for any more, in words."""
    trouble: str | None = None
    """Why the last request came to nothing, in words."""
    failures: int = 0
    """Requests that came to nothing, in a row."""


class Answered(Struct, frozen=True):
    """A window that was answered."""

    series: PolledSeries
    window: range
    found: Decoded
    today: int
    is_whole: bool = True
    """Whether all of the answer could be read; else its points are kept."""
    unread: str | None = None
    """Why the days of which it brought nothing cannot be read; else all of it is asked again."""


class Stored(Struct, frozen=True):
    """What storing a window came to."""

    new: int
    replaced: int
    refused: int
    """Points that were refused."""
    states: dict[GapState, int]
    """How many of its days are not as they should be, by state."""
    suspects: tuple[Gap, ...] = ()
    """The days that became suspect now."""
    newly_unread: int = 0
    """How many days cannot be read that could be before, or were not asked for."""


class Unread(Struct, frozen=True):
    """What of an account cannot be read."""

    days: int
    reason: str
    """Of the newest day."""


def series_of(account: Account, series: PolledSeries) -> Series:
    """Give under what the points of an account's series are kept."""
    assert account.meter is not None, "its meter is not known"
    return Series(account.instance, account.fluid, _STEPS[series], account.meter, account.provider)


def begin(connection: sqlite3.Connection, account: int, series: PolledSeries) -> Cursor:
    """Give the cursor of a series, made if need be; an account that is gone has an empty one."""
    connection.execute(
        "INSERT INTO cursors (account, series) SELECT id, ? FROM accounts WHERE id = ?"
        " ON CONFLICT DO NOTHING",
        (series, account),
    )
    return cursor(connection, account, series)


def mistrust(
    connection: sqlite3.Connection, account: int, series: PolledSeries, today: int
) -> None:
    """Let what a clock that was ahead asked of a series be asked again, if one was.

    It was, where days were answered, or put aside, that are not over. What it took for too old to
    come is asked again as well, and so are days before what it took for the beginning.
    """
    young = _YOUNG_DAYS[series]
    connection.execute(
        "UPDATE cursors SET earliest = NULL WHERE account = ? AND series = ? AND earliest > ?",
        (account, series, today),
    )
    known = asked(connection, account, series)
    is_ahead = bool(known) and known[-1].stop > today
    if not is_ahead and not open_days(connection, account, series, range(today, _NEVER)):
        return
    connection.execute(
        "DELETE FROM open_days WHERE account = ? AND series = ? AND day >= ?",
        (account, series, today - young),
    )
    connection.execute(
        "UPDATE open_days SET next_try = min(next_try, ?) WHERE account = ? AND series = ?",
        (today, account, series),
    )
    if not known:
        return
    connection.execute("DELETE FROM asked_days WHERE account = ? AND series = ?", (account, series))
    for days in within(known, range(known[0].start, today - young)):
        _add_asked(connection, account, series, days)


def cursor(connection: sqlite3.Connection, account: int, series: PolledSeries) -> Cursor:
    """Give the cursor of a series; that of one that was never asked for is empty."""
    row = connection.execute(
        "SELECT earliest, longest, never, trouble, failures FROM cursors"
        " WHERE account = ? AND series = ?",
        (account, series),
    ).fetchone()
    return Cursor(*(row or ()))


def note(connection: sqlite3.Connection, account: int, series: PolledSeries, noted: Cursor) -> bool:
    """Note what is to be minded from now on; tell whether its trouble, or its end, is a new one."""
    before = cursor(connection, account, series)
    connection.execute(
        "UPDATE cursors SET earliest = ?, longest = ?, never = ?, trouble = ?, failures = ?"
        " WHERE account = ? AND series = ?",
        (
            *(noted.earliest, noted.longest, noted.never, noted.trouble, noted.failures),
            *(account, series),
        ),
    )
    return (noted.never, noted.trouble) != (before.never, before.trouble)


def resume(connection: sqlite3.Connection, account: int) -> None:
    """Let all series of an account be asked for again, also those that were given up."""
    connection.execute(
        "UPDATE cursors SET never = NULL, trouble = NULL, failures = 0 WHERE account = ?",
        (account,),
    )


def asked(connection: sqlite3.Connection, account: int, series: PolledSeries) -> tuple[range, ...]:
    """Give the days of a series that were answered at least once."""
    rows = connection.execute(
        "SELECT first, stop FROM asked_days WHERE account = ? AND series = ? ORDER BY first",
        (account, series),
    )
    return tuple(range(*row) for row in rows)


def open_days(
    connection: sqlite3.Connection, account: int, series: PolledSeries, days: range
) -> list[Gap]:
    """Give the days of a series that are not as they should be, in order."""
    rows = connection.execute(
        "SELECT day, state, reason, next_try FROM open_days"
        " WHERE account = ? AND series = ? AND day >= ? AND day < ? ORDER BY day",
        (account, series, days.start, days.stop),
    )
    return [Gap(*row) for row in rows]


def to_do(
    connection: sqlite3.Connection, account: int, series: PolledSeries, days: range, today: int
) -> tuple[Ranges, Ranges]:
    """Give what of some days is to be asked today, and what only then: days that were not read.

    So these stand in the way of no other day.
    """
    found = open_days(connection, account, series, days)
    due = {gap.day for gap in found if gap.again is not None and gap.again <= today}
    aside = {gap.day for gap in found if gap.state == "unread"}
    answered = [*asked(connection, account, series), *runs(aside)]
    return todo(days, answered, due - aside), runs(due & aside)


def put_aside(
    connection: sqlite3.Connection,
    account: int,
    answered: Answered,
    *,
    is_alive: bool,
) -> None:
    """Note that a window is not answered time and again, so that others are asked for first.

    With `is_alive` others were answered: then it is the window's own trouble, and can wait.
    """
    before = _unread_days(connection, account, answered)
    again = unread_again(
        answered.window,
        answered.today,
        is_again=is_alive and not before.isdisjoint(answered.window),
    )
    judged = (Gap(day, "unread", answered.unread or "", again) for day in answered.window)
    _replace_open(connection, account, answered, judged)


def unread_of(connection: sqlite3.Connection, account: int) -> Unread | None:
    """Tell what of an account cannot be read; None: there is nothing."""
    row = connection.execute(
        "SELECT count(*), reason, max(day) FROM open_days WHERE account = ? AND state = 'unread'",
        (account,),
    ).fetchone()
    return Unread(row[0], row[1]) if row[0] else None


def _unread_days(connection: sqlite3.Connection, account: int, answered: Answered) -> set[int]:
    found = open_days(connection, account, answered.series, answered.window)
    return {gap.day for gap in found if gap.state == "unread"}


def held_days(
    connection: sqlite3.Connection, account: Account, series: PolledSeries, days: range
) -> dict[int, DayHeld]:
    """Give what is held of each of some days, by day; a gas day is that on which it begins."""
    rows = _points(connection, account, series, days)
    found: dict[int, DayHeld] = {}
    for day, point in zip(civil_days((point.start for point in rows), ZONE), rows, strict=True):
        before = found.get(day, DayHeld(0, 0))
        found[day] = DayHeld(
            before.minutes + point.minutes,
            before.amount + point.amount,
            Quality(min(point.quality, before.quality)),
        )
    return found


def _points(
    connection: sqlite3.Connection, account: Account, series: PolledSeries, days: range
) -> list[Point]:
    """Give the points of a series that touch some days, in order."""
    if not days:
        return []
    of = series_of(account, series)
    rows = connection.execute(
        "SELECT p.start, p.minutes, p.amount, p.quality"
        " FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = ? AND s.meter = ? AND s.source = ?"
        " AND p.start >= ? AND p.start < ? AND p.start + p.minutes * 60000 > ? ORDER BY p.start",
        (
            *(of.instance, of.fluid, of.step, of.meter, of.source),
            day_bounds(days[0] - _LONGEST_PERIOD if of.step == "published" else days[0], ZONE)[0],
            day_bounds(days[-1], ZONE)[1],
            day_bounds(days[0], ZONE)[0],
        ),
    )
    return [Point(start, minutes, amount, Quality(rank)) for start, minutes, amount, rank in rows]


def store(
    connection: sqlite3.Connection,
    account: Account,
    answered: Answered,
    zone: ZoneInfo,
    now: Moment,
) -> Stored:
    """Store the points of a window, what they come to, and how far it has come, all or nothing.

    `zone` is the roll-ups'. With the first points the account is active.
    """
    series, found = answered.series, answered.found
    change = consumption.store(connection, series_of(account, series), found.points, zone)
    suspected = _suspected(connection, account, answered)
    before = _unread_days(connection, account.id, answered)
    newly_unread = 0
    states: Counter[GapState] = Counter()
    if answered.is_whole or answered.unread is not None:
        judged = _judge(connection, account, answered, before)
        newly_unread = sum(gap.state == "unread" and gap.day not in before for gap in judged)
        _replace_open(connection, account.id, answered, judged)
        _add_asked(connection, account.id, series, answered.window)
        states.update(gap.state for gap in judged)
    suspects = _compare(connection, account, answered)
    states["suspect"] += len(suspects)
    if found.points:
        *_, last = civil_days((_end(found.points[-1]) - 1,), ZONE)
        # A gas day ends on the morning after it.
        accounts.hold(connection, account.id, last - (account.provider == "grdf"), now)
    if found.refused:
        totals.add(connection, {f"energy.{account.provider}.refused": len(found.refused)})
    reach("poller.storing")
    new = tuple(gap for gap in suspects if gap.day not in suspected)
    refused = len(found.refused)
    return Stored(change.new, change.replaced, refused, dict(+states), new, newly_unread)


def _judge(
    connection: sqlite3.Connection, account: Account, answered: Answered, before: Collection[int]
) -> tuple[Gap, ...]:
    series, window = answered.series, answered.window
    find = _published if series == "gas_periods" else held_days
    daily = held_days(connection, account, "daily", window) if series == "curve" else {}
    held, lengths = find(connection, account, series, window), _lengths(window)
    if series == "gas_days":
        # They come whole; where the clock changes they are not as long as the civil day.
        lengths |= {day: one.minutes for day, one in held.items()}
    return gaps(
        Looked(
            series=series,
            window=window,
            found=answered.found,
            held=held,
            lengths=lengths,
            daily=daily.keys(),
            today=answered.today,
            unread=answered.unread,
            unread_before=before,
        )
    )


def _lengths(days: Iterable[int]) -> dict[int, int]:
    """Give how many minutes each day has."""
    return {day: day_interval(day, ZONE)[1] for day in days}


def _published(
    connection: sqlite3.Connection, account: Account, series: PolledSeries, window: range
) -> dict[int, DayHeld]:
    """Give which days of a window are in a published period, each as a whole one."""
    found: dict[int, DayHeld] = {}
    for period in _points(connection, account, series, window):
        covered = range(*civil_days((period.start, _end(period)), ZONE))
        found |= {day: DayHeld(length, 0) for day, length in _lengths(covered).items()}
    return found


def _end(point: Point) -> int:
    return point.start + point.minutes * MINUTE_MS


def _checked(answered: Answered) -> PolledSeries:
    """Give the series whose days are noted as suspect when parts do not come to the whole."""
    return "curve" if answered.series in ("daily", "curve") else "gas_periods"


def _suspected(connection: sqlite3.Connection, account: Account, answered: Answered) -> set[int]:
    days = range(answered.window.start - _LONGEST_PERIOD, answered.window.stop)
    found = open_days(connection, account.id, _checked(answered), days)
    return {gap.day for gap in found if gap.state == "suspect"}


def _compare(connection: sqlite3.Connection, account: Account, answered: Answered) -> list[Gap]:
    """Compare half-hours with their days, or days with their published periods; note suspects.

    Gives all that are suspect now.
    """
    series = _checked(answered)
    compare = _compare_days if series == "curve" else _compare_periods
    judged = compare(connection, account, answered)
    begin(connection, account.id, series)
    suspects = []
    for day, gap in judged.items():
        connection.execute(
            "DELETE FROM open_days WHERE account = ? AND series = ? AND day = ?"
            " AND (state = 'suspect' OR ?)",
            (account.id, series, day, gap is not None),
        )
        if gap is not None:
            _put(connection, account.id, series, gap)
            suspects.append(gap)
    return suspects


def _compare_days(
    connection: sqlite3.Connection, account: Account, answered: Answered
) -> dict[int, Gap | None]:
    days = held_days(connection, account, "daily", answered.window)
    curve = held_days(connection, account, "curve", answered.window)
    lengths = _lengths(days.keys() & curve.keys())
    return {
        day: suspicion(day, curve[day], days[day], answered.today)
        for day, length in sorted(lengths.items())
        if curve[day].minutes == length
    }


def _compare_periods(
    connection: sqlite3.Connection, account: Account, answered: Answered
) -> dict[int, Gap | None]:
    """Compare published periods with their days, but for what comes of rounding to a kWh each."""
    window = answered.window
    found: dict[int, Gap | None] = {}
    periods = _points(connection, account, "gas_periods", window)
    for period in periods:
        first, stop = civil_days((period.start, _end(period)), ZONE)
        days = _points(connection, account, "gas_days", range(first, stop))
        total = sum(day.amount for day in days)
        found[first] = None
        for wrong in disagreements([period], days):
            if abs(wrong.parts - period.amount) > len(days) * _ROUNDING_WH:
                reason = f"its days come to {total} Wh, the published period to {period.amount} Wh"
                found[first] = Gap(first, "suspect", reason, None)
    return found


def _replace_open(
    connection: sqlite3.Connection, account: int, answered: Answered, judged: Iterable[Gap]
) -> None:
    window = answered.window
    connection.execute(
        "DELETE FROM open_days WHERE account = ? AND series = ? AND day >= ? AND day < ?",
        (account, answered.series, window.start, window.stop),
    )
    for gap in judged:
        _put(connection, account, answered.series, gap)


def _put(connection: sqlite3.Connection, account: int, series: PolledSeries, gap: Gap) -> None:
    connection.execute(
        "INSERT INTO open_days (account, series, day, state, reason, next_try)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (account, series, gap.day, gap.state, gap.reason, gap.again),
    )


def _add_asked(
    connection: sqlite3.Connection, account: int, series: PolledSeries, window: range
) -> None:
    """Add a window to the days that were answered, joined with those around it."""
    touching = [
        one
        for one in asked(connection, account, series)
        if one.start <= window.stop and one.stop >= window.start
    ]
    for one in touching:
        connection.execute(
            "DELETE FROM asked_days WHERE account = ? AND series = ? AND first = ?",
            (account, series, one.start),
        )
    (whole,) = joined([*touching, window])
    connection.execute(
        "INSERT INTO asked_days (account, series, first, stop) VALUES (?, ?, ?, ?)",
        (account, series, whole.start, whole.stop),
    )
