"""Which windows are asked for: whole civil days, the newest first, and none that is complete.

Civil days are days since 1970, a window is a half-open range of them.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from ecolyo_worker.energy.answers import Provider

__all__ = [
    "DEEPEST",
    "LONGEST",
    "SERIES_OF",
    "PolledSeries",
    "Ranges",
    "bridged",
    "joined",
    "newest",
    "number",
    "parted",
    "requested",
    "runs",
    "todo",
    "within",
    "without",
]

PolledSeries = Literal["daily", "curve", "gas_days", "gas_periods"]
"""What is asked of an account. One that fails never keeps another from being asked."""

SERIES_OF: Final[dict[Provider, tuple[PolledSeries, ...]]] = {
    "enedis": ("daily", "curve"),
    "grdf": ("gas_days", "gas_periods"),
}
"""What each provider gives, in the order in which it is asked."""
LONGEST: Final[dict[PolledSeries, int]] = {
    "daily": 365,
    "curve": 7,
    "gas_days": 365,
    "gas_periods": 303,
}
"""The most days that a window of a series has; one of periods leaves room for two months more."""
DEEPEST: Final[dict[PolledSeries, int]] = {
    "daily": 1110,
    "curve": 745,
    "gas_days": 1095,
    "gas_periods": 1825,
}
"""How many days before today a provider keeps; asked for older ones it may refuse all."""

_PERIODS_REQUEST = 365
_PARTS = 8
# Days that are asked for again between others cost less than another request.
_NEAR = 31

Ranges = tuple[range, ...]
"""Ranges in the order of time, of which no two touch."""


def todo(days: range, asked: Iterable[range], again: Iterable[int]) -> Ranges:
    """Give what is to be asked: days that never were, and those that are asked again."""
    never = without((days,), asked)
    return joined([*never, *runs(day for day in again if day in days)])


def newest(ranges: Sequence[range], longest: int) -> range | None:
    """Give the window that is asked for next, of so many days at most; None if nothing is left."""
    if not ranges:
        return None
    last = ranges[-1]
    return range(max(last.start, last.stop - longest), last.stop)


def bridged(ranges: Iterable[range], longest: int, apart: Iterable[range] = ()) -> Ranges:
    """Join ranges that are near each other, so that one request of at most so many days asks both.

    What is asked once more in between is nothing new; days `apart` are not among it.
    """
    found: list[range] = []
    barred = tuple(apart)
    for one in reversed(joined(ranges)):
        whole = range(one.start, found[-1].stop) if found else one
        gap = range(one.stop, found[-1].start) if found else range(0)
        is_near = found and len(gap) <= _NEAR and len(whole) <= longest
        if is_near and not within(barred, gap):
            found[-1] = whole
        else:
            found.append(one)
    return tuple(reversed(found))


def parted(ranges: Iterable[range]) -> Ranges:
    """Cut what could not be read into parts, so that what is good in it comes to light."""
    return tuple(
        range(start, min(start + length, one.stop))
        for one in ranges
        for length in (-(-len(one) // _PARTS),)
        for start in range(one.start, one.stop, length)
    )


def requested(series: PolledSeries, window: range, today: int) -> range:
    """Give the days that a request names for a window, none of them from `today` on.

    GRDF gives only published periods that lie within what is asked. So a request for them reaches
    beyond its window, up to a year from its first day: a period across the window's end comes, too.
    """
    if series != "gas_periods":
        return window
    return range(window.start, min(window.start + _PERIODS_REQUEST, today))


def number(ranges: Iterable[range], longest: int) -> int:
    """Give how many windows it takes to ask for all of it."""
    return sum(-(-len(one) // longest) for one in ranges)


def joined(ranges: Iterable[range]) -> Ranges:
    """Put ranges together that overlap or touch."""
    found: list[range] = []
    for one in sorted((one for one in ranges if one), key=lambda one: one.start):
        if found and one.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, one.stop))
        else:
            found.append(one)
    return tuple(found)


def without(ranges: Iterable[range], gone: Iterable[range]) -> Ranges:
    """Take some days out of ranges."""
    left = joined(ranges)
    for hole in gone:
        if hole:
            left = joined(part for one in left for part in _split(one, hole))
    return left


def within(ranges: Iterable[range], days: range) -> Ranges:
    """Keep only what lies within some days."""
    return joined(range(max(one.start, days.start), min(one.stop, days.stop)) for one in ranges)


def runs(days: Iterable[int]) -> Ranges:
    """Put days together that follow one another."""
    return joined(range(day, day + 1) for day in days)


def _split(one: range, hole: range) -> tuple[range, range]:
    """Give what lies before and behind a hole."""
    before = range(one.start, min(one.stop, hole.start))
    return before, range(max(one.start, hole.stop), one.stop)
