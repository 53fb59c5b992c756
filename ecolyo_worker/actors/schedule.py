"""When the nightly run is due: cron in civil time, at most once a civil day.

The clock on the wall jumps twice a year. A time that is skipped comes when the jump is over; one
that comes twice counts the first time: its slot, the civil day, is taken then.
"""

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ecolyo_worker.clock import civil_from_instant, day_of, instant_of_civil

if TYPE_CHECKING:
    from croniter import croniter

__all__ = ["Schedule"]

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# What most schedules are: a minute of some hours of every day.
_DAILY = re.compile(r"(\d{1,2}) (\d{1,2}(?:,\d{1,2})*) \* \* \*", re.ASCII)


class Schedule:
    """A cron expression in a zone. Instants are aware, days are civil days."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """`expression` was checked by the settings."""
        daily = _DAILY.fullmatch(expression)
        self._times = _Cron(expression) if daily is None else _Daily(daily[1], daily[2])
        self._zone = zone
        self._found: tuple[datetime, datetime] | None = None
        """The next time after an instant, which is that of all instants between the two."""

    def latest(self, now: datetime) -> int:
        """Give the civil day of the last time that was due."""
        civil = now.astimezone(self._zone).replace(tzinfo=None)
        return day_of(civil_from_instant(self._times.last(civil), self._zone))

    def next(self, now: datetime) -> datetime:
        """Give the instant of the next time; it is after now."""
        if self._found is None or not self._found[0] <= now < self._found[1]:
            self._found = now, self._next(now)
        return self._found[1]

    def _next(self, now: datetime) -> datetime:
        times = self._times.since(now.astimezone(self._zone).replace(tzinfo=None))
        instants = (instant_of_civil(civil, self._zone) for civil in times)
        return next(instant for instant in instants if instant > now)


class _Daily:
    """The civil times of each day that are at a minute of some hours.

    Cron's reader is for the others: to load it takes as long as ten of our modules.
    """

    def __init__(self, minute: str, hours: str) -> None:
        self._times = [time(hour, int(minute)) for hour in sorted(map(int, hours.split(",")))]

    def last(self, civil: datetime) -> datetime:
        """Give the last time that is not after a civil one."""
        passed = [one for one in self._times if one <= civil.time()]
        return datetime.combine(civil if passed else civil - _DAY, (passed or self._times)[-1])

    def since(self, civil: datetime) -> Iterator[datetime]:
        """Give the times of a civil time's day and of all days after it."""
        while True:
            yield from (datetime.combine(civil, one) for one in self._times)
            civil += _DAY


class _Cron:
    """The civil times that a cron expression says."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def last(self, civil: datetime) -> datetime:
        """Give the last time that is not after a civil one."""
        # What lies exactly at the start does not count, so it is asked a moment later.
        last: datetime = self._from(civil + _SECOND).get_prev(datetime)
        return last

    def since(self, civil: datetime) -> Iterator[datetime]:
        """Give all times after a civil one."""
        times = self._from(civil)
        while True:
            yield times.get_next(datetime)

    def _from(self, civil: datetime) -> "croniter":
        from croniter import croniter  # takes a while to load: only who waits for it pays

        return croniter(self._expression, civil)
