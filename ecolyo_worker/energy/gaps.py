"""What is wrong with the days of a series after an answer, and which of them are asked again.

A day of which nothing came is asked again while it is younger than 30 days, of gas once a month for
longer; one of which too little
came while it is younger than 7; then it is missing, which needs no row: it was asked, and is not
there. What GRDF calls provisional is asked again until it is final, as long as there is hope. What
could not be read is asked again for as long as it is wanted, ever more seldom.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

from msgspec import Struct

from ecolyo_worker.clock import parse_day
from ecolyo_worker.energy.points import BadPoint, Decoded, Quality
from ecolyo_worker.energy.windows import PolledSeries

__all__ = [
    "DayHeld",
    "Gap",
    "GapState",
    "Looked",
    "gaps",
    "partly",
    "suspicion",
    "unread_again",
]

GapState = Literal["late", "empty", "coarse", "suspect", "error", "provisional", "unread"]
"""What is wrong with a day of a series:

- `late`: nothing is there yet;
- `empty`: the provider spoke of it, and gave nothing but nulls;
- `coarse`: of the half-hours of a day that has its daily value, some or all are missing;
- `suspect`: the half-hours do not come to the daily value, or the days not to the published month;
- `error`: what came of it was refused;
- `provisional`: GRDF's value is not final;
- `unread`: what was answered cannot be read, or was no answer time and again.
"""

_LATE_DAYS: Final[dict[PolledSeries, int]] = {
    "daily": 30,
    "curve": 30,
    "gas_days": 30,
    "gas_periods": 60,
}
# GRDF gives the days of a pro meter (MM) up to the 20th of the next month, and the periods of one
# that is read twice a year (6M) after half a year: days that are older still may come.
_LATEST_DAYS: Final[dict[PolledSeries, int]] = {"gas_days": 90, "gas_periods": 400}
_LATEST_EVERY = 28
_COARSE_DAYS = 7
_PROVISIONAL_DAYS = 60
_PERIODS_EVERY = 7
_UNREAD_DAYS, _UNREAD_EVERY = 30, 7
_MOST_DAYS = max(_LATE_DAYS.values())
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MIDNIGHT = re.compile(r"[T ]00:00(?::00)?")


class DayHeld(Struct, frozen=True):
    """What is held of a day of a series."""

    minutes: int
    """How much of the day it covers."""
    amount: int
    """In Wh."""
    quality: Quality = Quality.DEFINITIVE_MEASURED
    """The lowest of its points."""


class Gap(Struct, frozen=True):
    """A day of a series that is not as it should be."""

    day: int
    state: GapState
    reason: str
    """In words, without a number of a meter."""
    again: int | None
    """The civil day from which on it is asked again; None: it is not."""


class Looked(Struct, frozen=True, kw_only=True):
    """A window that was answered, and what is held of its days since."""

    series: PolledSeries
    window: range
    found: Decoded
    held: Mapping[int, DayHeld]
    """What there is of the series, by day."""
    lengths: Mapping[int, int]
    """How many minutes each day has."""
    daily: Collection[int]
    """The days that have a daily value, for the load curve."""
    today: int
    unread: str | None = None
    """Why a part of the answer, or all of it, cannot be read."""
    unread_before: Collection[int] = ()
    """The days that could not be read before."""


def gaps(looked: Looked) -> tuple[Gap, ...]:
    """Judge the days of a window that was answered."""
    bad = _refused(looked.found.refused, looked.series)
    judged = (_gap(looked, day, bad.get(day)) for day in looked.window)
    return tuple(gap for gap in judged if gap is not None)


def suspicion(day: int, curve: DayHeld, daily: DayHeld, today: int) -> Gap | None:
    """Compare the half-hours of a whole day with its daily value, to the Wh."""
    if curve.amount == daily.amount:
        return None
    reason = f"the half-hours come to {curve.amount} Wh, the day to {daily.amount} Wh"
    return Gap(day, "suspect", reason, _again(day, today, _COARSE_DAYS))


def unread_again(window: range, today: int, *, is_again: bool) -> int:
    """Give when days of a window that cannot be read are asked again: `is_again` not today.

    That is to spare the quota: what stays so is the provider's to mend.
    """
    wait = 1 if today - window[-1] <= _UNREAD_DAYS else _UNREAD_EVERY
    return today + wait if is_again else today


def partly(minutes: int, length: int) -> str:
    """Say that of a day of so many minutes only some are there."""
    return f"of {length / 60:g} hours {minutes / 60:g} are there"


def _gap(looked: Looked, day: int, bad: str | None) -> Gap | None:
    held, today = looked.held.get(day), looked.today
    length = looked.lengths[day]
    if held is not None and held.minutes >= length:
        return _provisional(looked, day, held)
    if bad is not None:
        return Gap(day, "error", bad, _again(day, today, _COARSE_DAYS))
    if looked.unread is not None:
        return _unread(looked, day, looked.unread)
    state, reason = _missing(looked, day, held, length)
    again = _late(looked, day) if state == "late" else _again(day, today, _COARSE_DAYS)
    return None if again is None else Gap(day, state, reason, again)


def _unread(looked: Looked, day: int, reason: str) -> Gap:
    again = unread_again(looked.window, looked.today, is_again=day in looked.unread_before)
    return Gap(day, "unread", reason, again)


def _missing(looked: Looked, day: int, held: DayHeld | None, length: int) -> tuple[GapState, str]:
    """Say what is missing of a day."""
    if held is not None:
        return "coarse", partly(held.minutes, length)
    if day in looked.found.empty_days:
        return "empty", "the provider gave only empty values"
    if looked.series == "curve" and day in looked.daily:
        return "coarse", "there is a daily value, and no half-hours"
    return "late", "not published yet" if looked.series == "gas_periods" else "not there yet"


def _provisional(looked: Looked, day: int, held: DayHeld) -> Gap | None:
    if looked.series != "gas_days" or held.quality >= Quality.DEFINITIVE_ESTIMATED:
        return None
    again = _again(day, looked.today, _PROVISIONAL_DAYS)
    reason = "GRDF's value is not final yet"
    return None if again is None else Gap(day, "provisional", reason, again)


def _late(looked: Looked, day: int) -> int | None:
    """Give when a day is asked again of which nothing came."""
    series, today = looked.series, looked.today
    if today - day > _LATE_DAYS[series]:
        is_over = today - day > _LATEST_DAYS.get(series, 0)
        # All of them on one day, so that one request asks for all.
        return None if is_over else today + _LATEST_EVERY - today % _LATEST_EVERY
    return today + _PERIODS_EVERY if series == "gas_periods" else _again(day, today, _MOST_DAYS)


def _again(day: int, today: int, days: int) -> int | None:
    """Give when a day is asked again: yesterday today, older ones tomorrow, old ones never."""
    age = today - day
    if age > days:
        return None
    return today if age <= 1 else today + 1


def _refused(refused: tuple[BadPoint, ...], series: PolledSeries) -> dict[int, str]:
    """Say of each day how many of its points were refused, and why the first was."""
    days = [(day, point) for point in refused for day in _day_of(point.label, series)]
    counts = Counter(day for day, _ in days)
    first = {day: point.reason for day, point in reversed(days)}
    return {
        day: f"{count} point{'s were' if count > 1 else ' was'} refused: {first[day]}"
        for day, count in counts.items()
    }


def _day_of(label: str, series: PolledSeries) -> Iterator[int]:
    """Give the day that a point's label is of, if it names one; midnight ends the day before."""
    match = _DATE.match(label)
    if match is not None:
        is_end = series == "curve" and _MIDNIGHT.match(label, match.end()) is not None
        yield parse_day(match[0]) - is_end
