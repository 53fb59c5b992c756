"""Load curves: which days of an account lack half-hours, and why."""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import day_bounds, day_interval
from ecolyo_worker.energy.gaps import Gap, partly
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.meanings import NO_HALF_HOURS
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account, Trouble
from ecolyo_worker.store.outlook import Outlook

__all__ = ["NOTHING_CAME", "SILENCE", "Curve", "Lack", "curve", "silent_from"]

SILENCE: Final = Trouble(
    f"{NO_HALF_HOURS.happened} {NO_HALF_HOURS.to_do}",
    NO_HALF_HOURS.cozy or "UNKNOWN_ERROR.PARTIAL_SYNC",
)
"""What is wrong with an account of which half-hours have not come for days."""
_SILENT_DAYS = 5
# These are looked at first, for in most accounts half-hours come.
_NEWEST_DAYS = 30
NOTHING_CAME: Final = "nothing came while it was asked for"
"""Why something is missing that is not asked for any more."""


class Lack(Struct, frozen=True):
    """Why half-hours of a day are not there."""

    reason: str
    again: int | None = None
    """The civil day from which on they are asked for again."""


class Curve(Struct, frozen=True, kw_only=True):
    """What is known of the half-hours of an account."""

    minutes: dict[int, int]
    """How much of each day is held."""
    gaps: dict[int, Gap]
    asked: tuple[range, ...]
    silent_from: int | None
    outlook: Outlook

    def lack(self, day: int) -> Lack | None:
        """Say why half-hours of a day are not there; None: they are, or nobody wants them."""
        minutes, (_, length) = self.minutes.get(day, 0), day_interval(day, ZONE)
        if minutes >= length:
            return None
        found = self._open(day) or self._closed(day, minutes, length)
        is_silent = self.silent_from is not None and day >= self.silent_from and not minutes
        if found is not None and is_silent:
            return Lack(SILENCE.reason, found.again)
        return found

    def _open(self, day: int) -> Lack | None:
        gap = self.gaps.get(day)
        return None if gap is None else Lack(self.outlook.reason(gap), self.outlook.again(gap))

    def _closed(self, day: int, minutes: int, length: int) -> Lack | None:
        if any(day in one for one in self.asked):
            return Lack(partly(minutes, length) if minutes else NOTHING_CAME)
        unasked = self.outlook.unasked
        return Lack(unasked.reason, unasked.again) if self.outlook.reaches(day) else None


def curve(
    connection: sqlite3.Connection, account: Account, days: range, today: int, outlook: Outlook
) -> Curve:
    """Tell what is known of the half-hours of some civil days of an account.

    `outlook` is that of its half-hours.
    """
    asked = cursors.asked(connection, account.id, "curve")
    since = asked[0].start if asked else today
    return Curve(
        minutes=_minutes(connection, account, days),
        gaps={gap.day: gap for gap in cursors.open_days(connection, account.id, "curve", days)},
        asked=asked,
        silent_from=silent_from(connection, account, range(since, today)),
        outlook=outlook,
    )


def silent_from(connection: sqlite3.Connection, account: Account, days: range) -> int | None:
    """Give since which of some civil days daily values come, and no half-hours at all.

    None: they come, or it has been so for less than five days that were asked for.
    """
    asked = cursors.asked(connection, account.id, "curve")
    found = _silent_from(connection, account, days[-_NEWEST_DAYS:], asked)
    is_all = found is None or len(days) <= _NEWEST_DAYS
    return found if is_all else _silent_from(connection, account, days, asked)


def _silent_from(
    connection: sqlite3.Connection, account: Account, days: range, asked: Sequence[range]
) -> int | None:
    daily = cursors.held_days(connection, account, "daily", days)
    known = [day for day in sorted(daily, reverse=True) if any(day in one for one in asked)]
    minutes = _minutes(connection, account, known)
    silent = list(takewhile(lambda day: day not in minutes, known))
    return silent[-1] if len(silent) >= _SILENT_DAYS else None


def _minutes(
    connection: sqlite3.Connection, account: Account, days: Iterable[int]
) -> dict[int, int]:
    """Give how many minutes of each of some civil days half-hours are held of, if any."""
    of = cursors.series_of(account, "curve")
    bounds = msgspec.json.encode([(day, *day_bounds(day, ZONE)) for day in days])
    # In this order each day is one look into the index, whatever statistics there are.
    rows = connection.execute(
        "SELECT json_extract(d.value, '$[0]') AS day, sum(p.minutes)"
        " FROM series AS s CROSS JOIN json_each(?) AS d CROSS JOIN points AS p"
        " ON p.series = s.id AND p.start >= json_extract(d.value, '$[1]')"
        " AND p.start < json_extract(d.value, '$[2]')"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = ? AND s.meter = ? AND s.source = ?"
        " GROUP BY day",
        (bounds.decode(), of.instance, of.fluid, of.step, of.meter, of.source),
    )
    return dict(rows.fetchall())
