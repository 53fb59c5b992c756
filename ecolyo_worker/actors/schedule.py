"""When the nightly run is due: cron in civil time, at most once a civil day.

The clock on the wall jumps twice a year. A time that is skipped comes when the jump is over; one
that comes twice counts the first time: its slot, the civil day, is taken then.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ecolyo_worker.clock import civil_from_instant, day_of, instant_of_civil

if TYPE_CHECKING:
    from croniter import croniter

__all__ = ["Schedule"]

_SECOND = timedelta(seconds=1)


class Schedule:
    """A cron expression in a zone. Instants are aware, days are civil days."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        """`expression` was checked by the settings."""
        self._expression = expression
        self._zone = zone

    def latest(self, now: datetime) -> int:
        """Give the civil day of the last time that was due."""
        civil = now.astimezone(self._zone).replace(tzinfo=None)
        # What lies exactly at the start does not count, so it is asked a moment later.
        last: datetime = self._from(civil + _SECOND).get_prev(datetime)
        return day_of(civil_from_instant(last, self._zone))

    def next(self, now: datetime) -> datetime:
        """Give the instant of the next time; it is after now."""
        times = self._from(now.astimezone(self._zone).replace(tzinfo=None))
        while True:
            instant = instant_of_civil(times.get_next(datetime), self._zone)
            if instant > now:
                return instant

    def _from(self, civil: datetime) -> "croniter":
        from croniter import croniter  # takes a while to load: only who waits for it pays

        return croniter(self._expression, civil)
