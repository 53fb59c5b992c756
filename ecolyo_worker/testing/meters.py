"""Made-up meters: what a household consumes, in lines as a host imports them."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import cos, pi
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

__all__ = ["MeterLine", "read_days", "read_half_hours"]

_ZONE = ZoneInfo("Europe/Paris")
_DAY = timedelta(days=1)
_HALF_HOUR = timedelta(minutes=30)
# What a day comes to on average (kWh; litres of water), by how much of it winter and summer differ,
# and how many days a value may be late.
_HABITS = {"electricity": (9.0, 0.4, 1), "water": (260.0, -0.1, 1), "gas": (28.0, 0.8, 5)}


class MeterLine(Struct, frozen=True):
    """A line of consumption, and the civil day on which the meter's operator gives it."""

    day: date
    line: dict[str, Any]


def read_days(
    draw: random.Random, instance: str, fluid: str, begin: date, end: date
) -> Iterator[MeterLine]:
    """Give a value for each civil day in begin <= day < end."""
    average, season, latest = _HABITS[fluid]
    size = average * draw.uniform(0.5, 1.5)
    day = begin
    while day < end:
        winter = 1 + season * cos(2 * pi * (day.timetuple().tm_yday - 15) / 365)
        value = round(size * winter * draw.uniform(0.8, 1.2), 3)
        arrival = day + draw.randrange(1, latest + 1) * _DAY
        yield MeterLine(arrival, _line(instance, fluid, "day", day.isoformat(), value))
        day += _DAY


def read_half_hours(
    draw: random.Random, instance: str, begin: date, end: date
) -> Iterator[MeterLine]:
    """Give the half-hours of electricity of each month's last Sunday in begin <= day < end.

    Such a Sunday has 48 of them, or 46 or 50 where the clock changes.
    """
    day = begin
    while day < end:
        if day.weekday() == 6 and (day + 7 * _DAY).month != day.month:
            yield from _half_hours_of(draw, instance, day)
        day += _DAY


def _half_hours_of(draw: random.Random, instance: str, day: date) -> Iterator[MeterLine]:
    moment, end = _midnight(day), _midnight(day + _DAY)
    while moment < end:
        start = moment.astimezone(_ZONE).isoformat()
        value = round(draw.uniform(0.05, 0.6), 3)
        yield MeterLine(day + _DAY, _line(instance, "electricity", "half-hour", start, value))
        moment += _HALF_HOUR


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), _ZONE).astimezone(UTC)


def _line(instance: str, fluid: str, step: str, start: str, value: float) -> dict[str, Any]:
    return {"instance": instance, "fluid": fluid, "step": step, "start": start, "value": value}
