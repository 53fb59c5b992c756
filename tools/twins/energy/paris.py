"""The civil time of Paris by its rule, for a bare machine may have no table of time zones.

Since 1996 summer time begins and ends on the last Sundays of March and October, at 01:00 UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

__all__ = ["PARIS", "gas_day_begin", "midnight"]

_HOUR = timedelta(hours=1)
_GAS_DAY_HOUR = 6


class _Paris(tzinfo):
    def utcoffset(self, at: datetime | None) -> timedelta:
        assert at is not None
        return _HOUR + self.dst(at)

    def dst(self, at: datetime | None) -> timedelta:
        assert at is not None
        local = at.replace(tzinfo=None, fold=0)
        begin, end = _change(at.year, 3, 2), _change(at.year, 10, 3)
        if begin <= local < begin + _HOUR:
            return _HOUR if at.fold else timedelta()  # A time that there is not.
        if end - _HOUR <= local < end:
            return timedelta() if at.fold else _HOUR
        return _HOUR if begin <= local < end else timedelta()

    def tzname(self, at: datetime | None) -> str:
        return "CEST" if self.dst(at) else "CET"

    def fromutc(self, at: datetime) -> datetime:
        utc = at.replace(tzinfo=None)
        begin, end = _change(at.year, 3, 1), _change(at.year, 10, 1)
        local = at + (2 * _HOUR if begin <= utc < end else _HOUR)
        return local.replace(fold=int(end <= utc < end + _HOUR))


PARIS = _Paris()


def midnight(day: date) -> datetime:
    """Give the instant, in UTC, at which a local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=PARIS).astimezone(UTC)


def gas_day_begin(day: date) -> datetime:
    """Give the instant, in local time, at which a gas day begins."""
    return datetime(day.year, day.month, day.day, _GAS_DAY_HOUR, tzinfo=PARIS)


@lru_cache(maxsize=1024)
def _change(year: int, month: int, hour: int) -> datetime:
    """Give the last Sunday of a month of 31 days, at this hour."""
    last = date(year, month, 31)
    sunday = last - timedelta(days=(last.weekday() + 1) % 7)
    return datetime.combine(sunday, time(hour))
