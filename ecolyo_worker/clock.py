"""The one place where time is asked for, and what civil time is.

An *instant* is an aware `datetime` in UTC. *Civil time* is the wall clock in the settings' zone; it
is kept as whole milliseconds since 1970-01-01T00:00 of that wall clock, and a *civil day* as whole
days since then; a *civil month* as whole months since the year 0. Durations are plain differences
of civil times.
"""

import calendar
import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

import anyio

__all__ = [
    "DAY_MS",
    "MINUTE_MS",
    "Clock",
    "SystemClock",
    "civil_datetime",
    "civil_days",
    "civil_from_instant",
    "civil_text",
    "day_bounds",
    "day_interval",
    "day_of",
    "day_start",
    "day_text",
    "http_date",
    "instant_of_civil",
    "instant_of_ms",
    "instant_text",
    "instants_of_civil",
    "month_days",
    "month_of",
    "month_text",
    "parse_civil",
    "parse_day",
    "parse_instant",
    "parse_month",
    "parse_retry_after",
    "utc_ms",
]

DAY_MS = 86_400_000
MINUTE_MS = 60_000

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  civil time has no zone
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_EPOCH_DAY = _EPOCH.date().toordinal()
_MS = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)

# Newer Pythons read 24:00 as the next day's midnight; here it is no time.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ](?!24)\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)

_OUT_OF_YEARS = "the offset carries it out of the years 1 to 9999"


class Clock(Protocol):
    """What the worker asks about time; tests and simulations pass their own."""

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an unknown start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic clock, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await anyio.sleep(seconds)


def utc_ms(instant: datetime) -> int:
    """Give an instant as whole milliseconds since 1970 in UTC, for the due times of sending."""
    return (instant - _EPOCH_UTC) // _MS


def instant_of_ms(ms: int) -> datetime:
    """Give milliseconds since 1970 in UTC as an aware instant."""
    return _EPOCH_UTC + timedelta(milliseconds=ms)


def instant_text(ms: int) -> str:
    """Give milliseconds of UTC as ISO 8601 with a `Z`, to the second."""
    return f"{_EPOCH + timedelta(milliseconds=ms):%Y-%m-%dT%H:%M:%SZ}"


def civil_from_instant(instant: datetime, zone: ZoneInfo) -> int:
    """Give the civil time of an instant, or of a naive `datetime`, which is civil already.

    Raises `OverflowError` where the zone would carry it out of the years 1 to 9999.
    """
    if instant.tzinfo is not None:
        instant = instant.astimezone(zone).replace(tzinfo=None)
    return (instant - _EPOCH) // _MS


def http_date(instant: datetime) -> str:
    """Write an instant as a header of HTTP has it (RFC 9110, section 5.6.7)."""
    import email.utils  # slow to load, and only services write such dates

    return email.utils.format_datetime(instant.astimezone(UTC), usegmt=True)


def instant_of_civil(civil: datetime, zone: ZoneInfo) -> datetime:
    """Give the instant of a naive civil time in UTC.

    The first of two; of a time that the clock skips, the moment at which it skips it.
    """
    instant = civil.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == civil:
        return instant
    # In the gap, the two readings of the time lie on either side of the jump.
    before, after = civil.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def instants_of_civil(civil: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Give the instants, in UTC, at which the clocks of a zone show a naive civil time.

    It is one; two when the clock is set back over it; none when the clock skips it. Raises
    `OverflowError` where the zone would carry it out of the years 1 to 9999.
    """
    first, second = (civil.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        return ()
    return (first,) if first == second else (first, second)


def civil_text(ms: int) -> str:
    """Give civil time as `YYYY-MM-DDTHH:MM:SS.mmm`, without offset."""
    return civil_datetime(ms).isoformat(timespec="milliseconds")


def civil_datetime(ms: int) -> datetime:
    """Give civil time as a naive `datetime`."""
    return _EPOCH + timedelta(milliseconds=ms)


def day_of(ms: int) -> int:
    """Give the civil day that a civil time lies in."""
    return ms // DAY_MS


def day_start(day: int) -> int:
    """Give the civil time at which a civil day begins."""
    return day * DAY_MS


@lru_cache(maxsize=4096)  # the same few days come for every household
def day_bounds(day: int, zone: ZoneInfo) -> tuple[int, int]:
    """Give the instants at which a civil day begins and ends, in ms of UTC."""
    begin, end = (
        utc_ms(instant_of_civil(civil_datetime(day_start(number)), zone))
        for number in (day, day + 1)
    )
    return begin, end


def day_interval(day: int, zone: ZoneInfo) -> tuple[int, int]:
    """Give the instant at which a civil day begins, in ms of UTC, and its length in minutes."""
    begin, end = day_bounds(day, zone)
    return begin, (end - begin) // MINUTE_MS


def civil_days(instants: Iterable[int], zone: ZoneInfo) -> Iterator[int]:
    """Give the civil day of each instant, in ms of UTC; fast where one lies near the last one."""
    day = begin = end = 0
    for instant in instants:
        if not begin <= instant < end:
            day = _civil_day(instant, zone)
            begin, end = day_bounds(day, zone)
        yield day


def _civil_day(instant: int, zone: ZoneInfo) -> int:
    return day_of(civil_from_instant(civil_datetime(instant).replace(tzinfo=UTC), zone))


def day_text(day: int) -> str:
    """Give a civil day as `YYYY-MM-DD`."""
    return date.fromordinal(day + _EPOCH_DAY).isoformat()


def parse_day(text: str) -> int:
    """Read a civil day from `YYYY-MM-DD`; raises `ValueError` for anything else."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text).toordinal() - _EPOCH_DAY
    message = "a day as YYYY-MM-DD"
    raise ValueError(message)


def month_of(day: int) -> int:
    """Give the civil month that a civil day lies in."""
    date_ = date.fromordinal(day + _EPOCH_DAY)
    return date_.year * 12 + date_.month - 1


def month_days(month: int) -> range:
    """Give the civil days of a civil month."""
    year, number = month // 12, month % 12 + 1
    first = date(year, number, 1).toordinal() - _EPOCH_DAY
    return range(first, first + calendar.monthrange(year, number)[1])


def month_text(month: int) -> str:
    """Give a civil month as `YYYY-MM`."""
    return f"{month // 12:04}-{month % 12 + 1:02}"


def parse_month(text: str) -> int:
    """Read a civil month from `YYYY-MM`; raises `ValueError` for anything else."""
    with contextlib.suppress(ValueError):
        return month_of(parse_day(f"{text}-01"))
    message = "a month as YYYY-MM"
    raise ValueError(message)


def parse_civil(text: str, zone: ZoneInfo, *, zulu_is_wall: bool) -> int:
    """Read civil time from an ISO 8601 date-time; digits beyond milliseconds are cut off.

    With `zulu_is_wall` an offset of zero, in any form, means nothing: the Ecolyo app writes the
    wall clock with a `Z` behind it. Any other offset, and without `zulu_is_wall` every offset,
    makes it a true instant, which is converted to the zone. Raises `ValueError`, in words.
    """
    civil, offset = _date_time(text)
    if offset is None or (zulu_is_wall and offset == "Z"):
        return (civil - _EPOCH) // _MS
    shift = _offset(offset)
    if zulu_is_wall and not shift:
        return (civil - _EPOCH) // _MS
    try:
        return civil_from_instant((civil - shift).replace(tzinfo=UTC), zone)
    except OverflowError:
        raise ValueError(_OUT_OF_YEARS) from None


def parse_instant(text: str, zone: ZoneInfo) -> datetime:
    """Read an instant, in UTC, from an ISO 8601 date-time; without an offset it is civil time.

    Raises `ValueError`, in words, also for a civil time that comes twice or never when the clock
    changes.
    """
    civil, offset = _date_time(text)
    try:
        if offset is not None:
            return (civil - _offset(offset)).replace(tzinfo=UTC)
        instants = instants_of_civil(civil, zone)
    except OverflowError:
        raise ValueError(_OUT_OF_YEARS) from None
    if len(instants) > 1:
        message = "it comes twice when the clock is set back; allowed: it with an offset behind it"
        raise ValueError(message)
    if not instants:
        message = "the clock skips it when it is set forward; allowed: a time that there is"
        raise ValueError(message)
    return instants[0]


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Read how long to wait from a `Retry-After`, in seconds: a number, or a date of HTTP.

    `now` is in seconds of UTC since 1970. None for anything absurd.
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:12]) or None
    import email.utils  # slow to load, and hardly anybody sends a date

    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = aware.timestamp() - now
    return seconds if seconds > 0 else None


def _date_time(text: str) -> tuple[datetime, str | None]:
    """Cut an ISO 8601 date-time into what it says and the offset behind it."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        message = "allowed: a date-time as YYYY-MM-DDTHH:MM[:SS[.fff]], Z or an offset behind it"
        raise ValueError(message)
    text, offset = match.groups()
    try:
        return datetime.fromisoformat(text), offset
    except ValueError as error:
        message = f"there is no such time ({error}); allowed: one of the calendar"
        raise ValueError(message) from None


def _offset(text: str) -> timedelta:
    if text == "Z":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    if hours > 23 or minutes > 59:
        message = f"the offset {text} is more than a day or has more than 59 minutes"
        raise ValueError(message)
    shift = timedelta(hours=hours, minutes=minutes)
    return -shift if text[0] == "-" else shift
