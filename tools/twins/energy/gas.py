"""What a meter of gas measures: computed from a seed, by temperature; gas days, 06:00 to 06:00.

The meter shows whole m³, so a day's volume is the difference of two indexes; the energy is that of
the gas itself, so that it is not the rounded volume times the coefficient, which varies by week.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .weather import coldness

if TYPE_CHECKING:
    from .meters import Meter

__all__ = ["GasDay", "gas_day", "index_m3", "published_on"]

# The first day of which an index can be told.
_FIRST = date(2010, 1, 1)
_FIRST_INDEX_M3 = 120
_PUBLISHED_ON = 3


class GasDay(NamedTuple):
    """A gas day: indexes in m³ at its begin and end, kWh for each m³, and the energy in kWh."""

    begin_m3: int
    end_m3: int
    coefficient: float
    kwh: int


def gas_day(seed: int, meter: Meter, day: date) -> GasDay:
    """Give what a gas day comes to in the end."""
    coefficient = _coefficient(seed, day)
    volume_m3 = 0.0 if "zero" in meter.traits else _volume_l(seed, meter.ident, day) / 1000
    return GasDay(
        index_m3(seed, meter, day),
        index_m3(seed, meter, day + timedelta(days=1)),
        coefficient,
        round(volume_m3 * coefficient),
    )


def index_m3(seed: int, meter: Meter, day: date) -> int:
    """Give what the meter shows at the begin of a gas day, in m³."""
    if "zero" in meter.traits:
        return _FIRST_INDEX_M3
    return _FIRST_INDEX_M3 + _since_first_l(seed, meter.ident, day) // 1000


def published_on(day: date) -> date:
    """Give the day on which the month of a gas day is published, and its days become final."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=_PUBLISHED_ON)


def _coefficient(seed: int, day: date) -> float:
    year, week, _ = day.isocalendar()
    return random.Random(f"{seed} gas {year} {week}").randint(1085, 1140) / 100


def _volume_l(seed: int, ident: str, day: date) -> int:
    drawn = random.Random(f"{seed} {ident} {day}")
    hot_water_l, heating_l = 600, 420 * coldness(seed, day)
    return round((hot_water_l + heating_l) * drawn.uniform(0.8, 1.2))


@lru_cache(maxsize=256)
def _year_l(seed: int, ident: str, year: int) -> tuple[int, ...]:
    """Give what was consumed until each day of a year since the year began."""
    sums, day = [0], date(year, 1, 1)
    while day.year == year:
        sums.append(sums[-1] + _volume_l(seed, ident, day))
        day += timedelta(days=1)
    return tuple(sums)


def _since_first_l(seed: int, ident: str, day: date) -> int:
    before = sum(_year_l(seed, ident, year)[-1] for year in range(_FIRST.year, day.year))
    return before + _year_l(seed, ident, day.year)[day.timetuple().tm_yday - 1]
