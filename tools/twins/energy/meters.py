"""The meters that there are, and how they differ from a good one.

A meter is written as its number, and what is odd about it: ``11111111111111:holes,late``. One of
electricity has 14 digits; a number of gas says ``gas``, or is ``GI`` and 6 digits.

========================  ======================================================================
``gas``                   a meter of gas, of GRDF; all others are of electricity, of Enedis
``pt10m`` … ``pt60m``     the step of its curve: also ``pt5m``, ``pt15m``, ``pt20m``; else 30 min
``step-change``           its step changes within the day: 30, from 12:00 60, 18:00 15, 21:00 10 min
``holes``                 of Tuesdays the curve lacks 10:00 to 12:00
``gaps``                  Wednesdays are absent, from the days and from the curve
``late``                  Thursdays come three days later than others
``nulls``                 of Fridays the curve has only nulls
``daily-only``            of Saturdays there is no curve
``differs``               of Sundays the daily value is 2 Wh more than the curve's sum
``bad-points``            of Sundays the curve begins with a negative, a word and half a Wh
``corrected``             Mondays come too low, and are corrected four days later
``unsorted``              a day's afternoon comes before its morning
``autumn-48``             of the autumn day the repeated hour comes only once
``zero``                  nobody lives there: all values are 0
``no-curve``              no curve is found, ever
``curve-off``             its holder does not let the curve be collected
``production``            it does not consume
``activated=2026-01-15``  its contract began on that day
``consented=2026-01-15``  its consent began on that day
``revoked``               its holder has taken the consent back
``estimated``             of gas: Thursdays are estimated until the month is published
``wavering``              of gas: on Sundays it tells again what it told before it was final
``half-yearly``           of gas: it is read in April and in October, and gives no days
``no-informative``        of gas: the right does not hold for days
``no-published``          of gas: the right does not hold for what is published
``torn=2026-01-15``       of gas: what is told of that day is cut in the midst
``foreign=2026-01-15``    of gas: what is told of that day names another meter
========================  ======================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches

__all__ = ["DEFAULTS", "Meter", "MeterSyntaxError", "day_of", "parse_meter", "traits_of"]

DEFAULTS = (
    "11111111111111",
    "12222222222222:holes,gaps,late,corrected",
    "13333333333333:step-change,nulls",
    "23000000000000:gas",
    "GI123456:late,estimated",
)
_STEPS = ("pt5m", "pt10m", "pt15m", "pt20m", "pt60m")
_DATED = ("activated", "consented", "torn", "foreign")
_PLAIN = (
    "gas",
    *_STEPS,
    "step-change",
    "holes",
    "gaps",
    "late",
    "nulls",
    "daily-only",
    "differs",
    "bad-points",
    "corrected",
    "unsorted",
    "autumn-48",
    "zero",
    "no-curve",
    "curve-off",
    "production",
    "revoked",
    "estimated",
    "wavering",
    "half-yearly",
    "no-informative",
    "no-published",
)
_NUMBER = re.compile(r"[0-9]{14}|GI[0-9]{6}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class MeterSyntaxError(ValueError):
    """A text names no meter; the message says what was found and what may be."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter: its number, and what is odd about it."""

    ident: str
    traits: frozenset[str] = frozenset()
    dates: tuple[tuple[str, date], ...] = ()

    def __str__(self) -> str:
        dated = (f"{name}={day}" for name, day in self.dates)
        told = ",".join([*(name for name in _PLAIN if name in self.traits), *dated])
        return f"{self.ident}:{told}" if told else self.ident

    @property
    def is_gas(self) -> bool:
        """Whether it is one of GRDF."""
        return "gas" in self.traits

    @property
    def revoked(self) -> bool:
        """Whether its holder has taken the consent back."""
        return "revoked" in self.traits

    @property
    def step_min(self) -> int:
        """The minutes of an interval of its curve."""
        found = [int(name[2:-1]) for name in _STEPS if name in self.traits]
        return found[0] if found else 30

    def begin(self, name: str) -> date | None:
        """Give the day of ``activated``, ``consented`` and such, if there is one."""
        return dict(self.dates).get(name)

    def with_consent(self, *, given: bool) -> Meter:
        """Give the same meter, its consent given or taken back."""
        others = self.traits - {"revoked"}
        return replace(self, traits=others if given else others | {"revoked"})


def parse_meter(text: str) -> Meter:
    """Read a meter as it is written on the command line.

    Raises MeterSyntaxError.
    """
    ident, _, traits = text.partition(":")
    if not _NUMBER.fullmatch(ident):
        raise MeterSyntaxError(
            f"{_cut(ident)} is no meter; allowed are 14 digits (was a zero lost at its begin?), "
            "or GI and 6 digits, for gas"
        )
    return traits_of(ident, traits)


def traits_of(ident: str, text: str) -> Meter:
    """Give a meter that has what this list names, which may be empty.

    Raises MeterSyntaxError.
    """
    names, dates = set[str](), dict[str, date]()
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, equals, value = item.partition("=")
        if name in _DATED:
            dates[name] = day_of(value)
        elif equals or name not in _PLAIN:
            raise MeterSyntaxError(f"{_cut(item)} is nothing that a meter has; {_hint(name)}")
        else:
            names.add(name)
    if ident.startswith("GI"):
        names.add("gas")
    return Meter(ident, frozenset(names), tuple(sorted(dates.items())))


def day_of(text: str) -> date:
    """Read a day as in 2026-01-15; raises MeterSyntaxError."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise MeterSyntaxError(f"{_cut(text)} is no day; allowed are days as in 2026-01-15")


def _hint(name: str) -> str:
    near = get_close_matches(name.lower(), (*_PLAIN, *_DATED), n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    dated = [f"{name}=2026-01-15" for name in _DATED]
    return f"{meant}allowed are {', '.join((*_PLAIN, *dated))}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
