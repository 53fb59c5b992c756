"""What a household consumed, as a file of readings says it, checked.

`check_reading` turns what came in into a `Reading`; what is wrong raises `FactsRefused`, naming the
field, what was found and what is allowed, and nothing of it is taken.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import msgspec

from ecolyo_worker.clock import (
    MINUTE_MS,
    civil_from_instant,
    day_interval,
    day_of,
    parse_day,
    parse_instant,
    utc_ms,
)
from ecolyo_worker.errors import FactsRefused, kind_of, quote
from ecolyo_worker.facts import check_fluid, check_instance
from ecolyo_worker.indicators import ARITHMETIC

__all__ = [
    "KNOWN_DAYS",
    "LARGEST",
    "STEPS",
    "Reading",
    "check_reading",
    "start_text",
    "thousandths",
]

STEPS = ("day", "half-hour")
"""How long the intervals of readings are."""

# Anything else is a slip of the pen, and would be added up all the same.
LARGEST = 1_000_000
"""The most of an interval, in kWh, of water in litres."""

_KEYS = ("instance", "fluid", "step", "start", "value", "minutes", "partial")
_HALF_HOUR = 30
_HOUR = 60
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
KNOWN_DAYS = range(parse_day("2000-01-01"), parse_day("2100-01-01"))
"""The civil days that readings may be of."""

_DAYS = "allowed: a day as YYYY-MM-DD, or the date-time at which it begins"
_HALF_HOURS = "allowed: a date-time on the hour or the half hour, such as 2026-10-25T02:30:00+02:00"
_HOURS = "allowed: a date-time on the hour, where the minutes are 60"
_MINUTES = (
    "allowed: of a half-hour 30, or 60 where the halves of an hour are not known; of a day none"
)
_ADDED_UP = "hours, months and years are added up of these"
_PARTS = "allowed: of a half-hour; a day that is known in part is added up of its half-hours"
_YEARS = "allowed: the years 2000 to 2099"


class Reading(msgspec.Struct, frozen=True):
    """What an instance consumed of a fluid in an interval.

    `start` is the instant at which it begins, in ms since 1970 in UTC; `amount` is in Wh, of water
    in ml.
    """

    instance: str
    fluid: str
    step: str
    start: int
    minutes: int
    """How long the interval is: a day has 23, 24 or 25 hours."""
    amount: int
    is_whole: bool = True
    """Whether all of the interval is known; of a day it is."""


def check_reading(found: Mapping[str, object], zone: ZoneInfo) -> Reading:
    """Check one reading: kWh, of water litres, kept to three decimals.

    A `start` with an offset, `Z` too, is a true instant, without one it is civil time in the zone.
    `minutes` and `partial` are those of an export, and may be left out.
    Raises `FactsRefused`.
    """
    instance = check_instance(found.get("instance"))
    for key in found:
        if key not in _KEYS:
            raise FactsRefused(key, f"unknown key; known: {', '.join(_KEYS)}")
    fluid = check_fluid(found.get("fluid"), "fluid")
    step = found.get("step")
    if not isinstance(step, str) or step not in STEPS:
        allowed = f"{', '.join(STEPS)}; {_ADDED_UP}"
        raise FactsRefused("step", f"found {kind_of(step)}; allowed: {allowed}")
    is_whole = _is_whole(found.get("partial"), step)
    length = _length(found.get("minutes"), step)
    start, minutes = _interval(found.get("start"), step, length, zone)
    amount = _amount(found.get("value"), fluid)
    return Reading(instance, fluid, step, start, minutes, amount, is_whole)


def start_text(start: int, step: str, zone: ZoneInfo) -> str:
    """Give where an interval begins, an instant in ms of UTC, in the form it is read in."""
    begin = datetime.fromtimestamp(start // 1000, zone)
    return begin.date().isoformat() if step == "day" else begin.isoformat()


def _is_whole(found: object, step: str) -> bool:
    if found is None or found is False:
        return True
    if found is not True:
        raise FactsRefused("partial", f"found {kind_of(found)}; allowed: true or false")
    if step == "day":
        raise FactsRefused("partial", f"found true; {_PARTS}")
    return False


def _length(found: object, step: str) -> int:
    """Give how many minutes an interval has that is no day."""
    if found is None:
        return _HALF_HOUR
    if step == "day" or not isinstance(found, int) or found not in {_HALF_HOUR, _HOUR}:
        raise FactsRefused("minutes", f"found {kind_of(found)}; {_MINUTES}")
    return found


def _interval(found: object, step: str, length: int, zone: ZoneInfo) -> tuple[int, int]:
    """Give where an interval begins, in ms of UTC, and how many minutes it has."""
    if not isinstance(found, str):
        allowed = _DAYS if step == "day" else _HALF_HOURS
        raise FactsRefused("start", f"found {kind_of(found)}; {allowed}")
    try:
        return _day(found, zone) if step == "day" else (_half_hour(found, length, zone), length)
    except ValueError as error:
        raise FactsRefused("start", f"found {quote(found)}; {error}") from None


def _day(text: str, zone: ZoneInfo) -> tuple[int, int]:
    if _DATE.fullmatch(text):
        return day_interval(_within_years(_read_day(text)), zone)
    instant = parse_instant(text, zone)
    begin, minutes = day_interval(_civil_day(instant, zone), zone)
    if begin != utc_ms(instant):
        raise ValueError(_DAYS)
    return begin, minutes


def _read_day(text: str) -> int:
    try:
        return parse_day(text)
    except ValueError as error:
        raise ValueError(f"there is no such day; allowed: {error}") from None


def _half_hour(text: str, length: int, zone: ZoneInfo) -> int:
    if _DATE.fullmatch(text):
        raise ValueError(_HALF_HOURS)
    instant = parse_instant(text, zone)
    _civil_day(instant, zone)
    # By the clock on the wall: some zones are a quarter of an hour off.
    if instant.microsecond or civil_from_instant(instant, zone) % (length * MINUTE_MS):
        raise ValueError(_HALF_HOURS if length == _HALF_HOUR else _HOURS)
    return utc_ms(instant)


def _civil_day(instant: datetime, zone: ZoneInfo) -> int:
    try:
        return _within_years(day_of(civil_from_instant(instant, zone)))
    except OverflowError:
        raise ValueError(_YEARS) from None


def _within_years(day: int) -> int:
    if day not in KNOWN_DAYS:
        raise ValueError(_YEARS)
    return day


def _amount(found: object, fluid: str) -> int:
    unit = "litres" if fluid == "water" else "kWh"
    allowed = f"allowed: a number of {unit} from 0 to {LARGEST}"
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= LARGEST:
        raise FactsRefused("value", f"found {kind_of(found)}; {allowed}")
    return thousandths(Decimal(repr(found)))


def thousandths(amount: Decimal) -> int:
    """Give an amount in thousandths, kWh in Wh: exact, but that a half is rounded up."""
    return int(ARITHMETIC.multiply(amount, 1000).to_integral_value(ROUND_HALF_UP))
