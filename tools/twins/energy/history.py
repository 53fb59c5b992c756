"""What is known of a meter at an instant: what came already, and what never will.

A day of electricity is there from 08:00 of the next day on, a gas day a day later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from .electricity import intervals
from .paris import PARIS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .electricity import Interval
    from .meters import Meter

__all__ = ["READY", "CurvePoint", "Period", "View", "days"]

READY = time(8)
_TUESDAY, _WEDNESDAY, _THURSDAY, _FRIDAY, _SATURDAY, _SUNDAY = range(1, 7)
_MONDAY = 0
_LATE_DAYS = 3
_CORRECTED_AFTER_DAYS = 4
_HOLE_HOURS = (10, 11)
_EVENING_HOUR = 18
_NOON = 12
_BAD = ("-12", "abc", "33")


class CurvePoint(NamedTuple):
    """A point of a curve as it is told: the label of its end, the mean power in W, or nothing."""

    label: str
    minutes: int
    watts: str | None


class Period(NamedTuple):
    """The days that are asked for, without the last."""

    begin: date
    end: date


@dataclass(frozen=True, slots=True)
class View:
    """A meter, seen at an instant, by the data of a seed; ``ready`` is when a new day is there."""

    seed: int
    meter: Meter
    now: datetime
    ready: time = READY

    def has(self, trait: str) -> bool:
        """Say whether the meter has something odd."""
        return trait in self.meter.traits

    def came(self, day: date, after_days: int = 1) -> bool:
        """Say whether a day's values are there, which come so many days after it."""
        activated = self.meter.begin("activated")
        if self.has("gaps") and day.weekday() == _WEDNESDAY:
            return False
        late = _LATE_DAYS if self.has("late") and day.weekday() == _THURSDAY else 0
        return not (activated and day < activated) and self._reached(day, after_days + late)

    def daily_wh(self, day: date) -> int | None:
        """Give the energy of a local day in Wh; None where it did not come."""
        if not self.came(day):
            return None
        more = 2 if self.has("differs") and day.weekday() == _SUNDAY else 0
        return sum(interval.wh for interval in self._told(day)) + more

    def curve(self, day: date) -> list[CurvePoint]:
        """Give the points of a local day's curve that came."""
        weekday = day.weekday()
        coarse = self.has("daily-only") and weekday == _SATURDAY
        if self.has("no-curve") or coarse or not self.came(day):
            return []
        found = self._told(day)
        if self.has("autumn-48"):
            found = [interval for interval in found if not interval.end.fold]
        if self.has("holes") and weekday == _TUESDAY:
            found = [one for one in found if one.begin.hour not in _HOLE_HOURS]
        points = [_point(interval) for interval in found]
        if self.has("nulls") and weekday == _FRIDAY:
            points = [point._replace(watts=None) for point in points]
        if self.has("bad-points") and weekday == _SUNDAY:
            bad = [point._replace(watts=text) for point, text in zip(points, _BAD, strict=False)]
            points[: len(bad)] = bad
        if self.has("unsorted"):
            noon = sum(interval.begin.hour < _NOON for interval in found)
            points = points[noon:] + points[:noon]
        return points

    def _told(self, day: date) -> list[Interval]:
        found = list(intervals(self.seed, self.meter, day))
        first = self.has("corrected") and day.weekday() == _MONDAY
        if not first or self._reached(day, 1 + _CORRECTED_AFTER_DAYS):
            return found
        return [
            one._replace(wh=one.wh // 2) if one.begin.hour >= _EVENING_HOUR else one
            for one in found
        ]

    def _reached(self, day: date, after_days: int) -> bool:
        at = datetime.combine(day + timedelta(days=after_days), self.ready, tzinfo=PARIS)
        return self.now >= at


def _point(interval: Interval) -> CurvePoint:
    label = interval.end.strftime("%Y-%m-%d %H:%M:%S")
    return CurvePoint(label, interval.minutes, str(interval.wh * 60 // interval.minutes))


def days(begin: date, end: date) -> Iterator[date]:
    """Give the days from one on, until before another."""
    for n in range((end - begin).days):
        yield begin + timedelta(days=n)
