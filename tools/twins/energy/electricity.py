"""What a meter of electricity measures: computed from a seed, the same each time it is asked.

Each interval holds whole Wh, so that its mean power is a whole number of W, an even one for half
an hour. There is more in winter, at meals, and at week-ends by day; water is heated off-peak.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .paris import PARIS, midnight
from .weather import coldness

if TYPE_CHECKING:
    from datetime import date

    from .meters import Meter

__all__ = ["Interval", "intervals"]

# From these hours on, a meter whose step changes has intervals of these minutes.
_CHANGING = ((21, 10), (18, 15), (12, 60), (0, 30))
_SATURDAY = 5


class Interval(NamedTuple):
    """What was consumed until ``end``, in local time."""

    end: datetime
    minutes: int
    wh: int

    @property
    def begin(self) -> datetime:
        """Its begin, in local time."""
        return _local(self.end.astimezone(UTC) - timedelta(minutes=self.minutes))


def intervals(seed: int, meter: Meter, day: date) -> tuple[Interval, ...]:
    """Give all intervals of a local day, which may have 23, 24 or 25 hours."""
    step = 0 if "step-change" in meter.traits else meter.step_min
    found = _intervals(seed, meter.ident, step, day)
    if "zero" in meter.traits:
        return tuple(interval._replace(wh=0) for interval in found)
    return found


@lru_cache(maxsize=4096)
def _intervals(seed: int, ident: str, step: int, day: date) -> tuple[Interval, ...]:
    drawn = random.Random(f"{seed} {ident} {day}")
    heating_w = 12 * coldness(seed, day)
    found: list[Interval] = []
    at, end = midnight(day), midnight(day + timedelta(days=1))
    changes = end - at != timedelta(days=1)
    following = _local(at)
    while at < end:
        local = following
        minutes = step or next(minutes for hour, minutes in _CHANGING if local.hour >= hour)
        power_w = (_usual_w(local) + heating_w) * drawn.uniform(0.75, 1.25)
        length = timedelta(minutes=minutes)
        at += length
        # To convert is slow, and on most days the local clock goes on as all clocks do.
        following = _local(at) if changes else local + length
        found.append(Interval(following, minutes, round(power_w * minutes / 60)))
    return tuple(found)


def _usual_w(local: datetime) -> float:
    """Give the usual power at a time of the week, without heating."""
    hour, weekend = local.hour + local.minute / 60, local.weekday() >= _SATURDAY
    power_w = 90.0
    breakfast = (8.5, 11) if weekend else (6.5, 8.5)
    for begin, end, more_w in (
        (*breakfast, 320),
        (11.5, 14, 380 if weekend else 140),
        (18.5, 22, 420),
        (22.5, 24, 600),  # off-peak
    ):
        power_w += more_w if begin <= hour < end else 0
    return power_w


def _local(at: datetime) -> datetime:
    return at.astimezone(PARIS)
