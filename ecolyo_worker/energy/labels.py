"""The times that Enedis writes: by the clocks of Paris, without an offset."""

import re
from collections import Counter
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import (
    MINUTE_MS,
    civil_datetime,
    civil_from_instant,
    day_interval,
    day_start,
    instant_of_ms,
    instants_of_civil,
    parse_day,
    parse_instant,
    utc_ms,
)
from ecolyo_worker.energy.decoding import described

__all__ = ["NOT_ASKED", "ZONE", "Ends", "Mark", "end_text", "label_text", "read_day"]

NOT_ASKED = "the day was not asked for; allowed: the days that were"

ZONE: Final = ZoneInfo("Europe/Paris")
"""By whose clocks both providers write, wherever the worker runs."""

_PLAIN_DAY = 1440
_DATE = len("YYYY-MM-DD")
_LABEL = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ]([01]\d|2[0-3]):([0-5]\d)(?::00(?:\.0{1,9})?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_TIMES = "allowed: a time of Paris as YYYY-MM-DD HH:MM:SS"
_DAYS = "allowed: a day as YYYY-MM-DD"


class Mark(Struct, frozen=True):
    """The end of an interval."""

    day: int
    """The civil day that the interval lies in: at midnight, the one that ends."""
    minute: int
    """Of the hour, as the clock shows it."""
    instant: int
    """In ms of UTC."""


class _Time(Struct, frozen=True):
    minutes: int
    """Since midnight, as the clock shows it."""
    minute: int
    offset: str | None


class _Day(Struct, frozen=True):
    number: int
    begin: int
    is_plain: bool
    """Whether the clocks run through it."""


def label_text(found: object, place: int) -> str:
    """Name a point by the time that it was given, or by its place, which counts from 1."""
    if isinstance(found, str) and _LABEL.fullmatch(found):
        return found
    return f"point {place}"


def end_text(instant: int) -> str:
    """Write the end of an interval, in ms of UTC, as Enedis does: its day can be told by it."""
    civil = civil_from_instant(instant_of_ms(instant), ZONE)
    return civil_datetime(civil).isoformat(" ", "seconds")


def read_day(found: object, days: range) -> int:
    """Read a civil day of those asked for, also one that is written as its midnight.

    Raises `ValueError` in words.
    """
    match = _LABEL.fullmatch(found) if isinstance(found, str) else None
    if match is None or (match[2] or "00") + (match[3] or "00") != "0000":
        raise ValueError(f"found {described(found)}; {_DAYS}")
    return _asked(_number(match[1]), days)


class Ends:
    """Reads the labels of one answer, each the end of its interval, in their order.

    When the clocks are set back a label comes twice: the first one found is the earlier. One look
    at the calendar serves a whole day, and one at a time of day serves all days.
    """

    def __init__(self, days: range) -> None:
        """`days` are the civil days asked for."""
        self._days = days
        self._known: dict[str, _Day] = {}
        self._times: dict[str, _Time] = {}
        self._seen: Counter[int] = Counter()

    def read(self, found: object) -> Mark:
        """Give when an interval ends; raises `ValueError` in words."""
        label = found if isinstance(found, str) else ""
        date, clock = label[:_DATE], label[_DATE:]
        day, time = self._known.get(date), self._times.get(clock)
        if day is None or time is None:
            time = self._times[clock] = _read_time(found)
            day = day or self._look_up(date, is_end=not time.minutes)
        belongs = day.number if time.minutes else _asked(day.number - 1, self._days)
        if time.minutes and day.number == self._days.stop:
            raise ValueError(NOT_ASKED)
        if day.is_plain and time.offset is None:
            return Mark(belongs, time.minute, day.begin + time.minutes * MINUTE_MS)
        civil = day_start(day.number) + time.minutes * MINUTE_MS
        instant = self._told(label, civil) if time.offset else self._guessed(civil)
        return Mark(belongs, time.minute, instant)

    def _look_up(self, date: str, *, is_end: bool) -> _Day:
        number = _number(date)
        _asked(number - is_end, self._days)
        begin, minutes = day_interval(number, ZONE)
        self._known[date] = day = _Day(number, begin, minutes == _PLAIN_DAY)
        return day

    def _told(self, label: str, civil: int) -> int:
        """Give the instant of a label with an offset, which must be that of Paris."""
        instant = parse_instant(label, ZONE)
        if civil_from_instant(instant, ZONE) != civil:
            raise ValueError(f"found {described(label)}, whose offset Paris did not have; {_TIMES}")
        return utc_ms(instant)

    def _guessed(self, civil: int) -> int:
        """Give the instant of a label on a day on which the clocks are changed."""
        instants = instants_of_civil(civil_datetime(civil), ZONE)
        if not instants:
            raise ValueError(f"the clocks of Paris skipped it; {_TIMES}")
        times = 0 if len(instants) == 1 else self._seen[civil]
        self._seen[civil] += 1
        if times >= len(instants):
            raise ValueError("it comes a third time; allowed: twice, as the clocks were set back")
        return utc_ms(instants[times])


def _read_time(found: object) -> _Time:
    match = _LABEL.fullmatch(found) if isinstance(found, str) else None
    if match is None or match[2] is None:
        raise ValueError(f"found {described(found)}; {_TIMES}")
    _, hour, minute, offset = match.groups()
    return _Time(int(hour) * 60 + int(minute), int(minute), offset)


def _number(date: str) -> int:
    try:
        return parse_day(date)
    except ValueError:
        raise ValueError(f"there is no such day; {_DAYS}") from None


def _asked(day: int, days: range) -> int:
    if day not in days:
        raise ValueError(NOT_ASKED)
    return day
