"""The weather of a seed: one temperature a day, for all meters the same."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

__all__ = ["coldness", "temperature_c"]

_YEAR_DAYS = 365.25
_COLDEST_DAY = 20
_MEAN_C, _SWING_C, _SPREAD_C = 12.5, 8.5, 2.5
_HEATED_BELOW_C = 17.0


@lru_cache(maxsize=8192)
def temperature_c(seed: int, day: date) -> float:
    """Give the mean temperature of a day, in degrees Celsius."""
    into_year = (day.timetuple().tm_yday - _COLDEST_DAY) / _YEAR_DAYS
    drawn = random.Random(f"{seed} weather {day}")
    return _MEAN_C - _SWING_C * math.cos(2 * math.pi * into_year) + drawn.gauss(0, _SPREAD_C)


def coldness(seed: int, day: date) -> float:
    """Give by how many degrees a day is too cold to do without heating; 0 if it is not."""
    return max(0.0, _HEATED_BELOW_C - temperature_c(seed, day))
