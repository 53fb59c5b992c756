"""What a query of the API says, checked."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .definitions import GROUPS
from .nearest import Wanted
from .record import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FILTER",
    "WANTED",
    "QueryError",
    "filter_of",
    "is_ndjson",
    "parameters",
    "timeout_s_of",
    "wanted_of",
    "whole_number",
]

FILTER = ("measure", "startDate", "stack")
_FIELDS = (*FILTER, "value", *GROUPS, *(f"{group}Key" for group in GROUPS))
WANTED = (*_FIELDS, "without")
_MAY_LACK = ("stack", *GROUPS)
WAIT_S = 30.0
LONGEST_WAIT_S = 3600.0


class QueryError(ValueError):
    """A query cannot be understood; the message says what was found and what may be."""


def parameters(query: str, *names: str) -> dict[str, str]:
    """Read a query; a parameter of another name, or given twice, is refused with QueryError."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="backslashreplace")
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(names):
        found = ", ".join(sorted({name for name, _ in pairs}))
        allowed = ", ".join(names) or "none"
        raise QueryError(f"the parameters are {found[:200]}; allowed, once each, are: {allowed}")
    return {name: value for name, value in given.items() if value}


def filter_of(given: Mapping[str, str]) -> Filter:
    """Give which indicators are meant."""
    return Filter(given.get("measure", ""), given.get("startDate", ""), given.get("stack", ""))


def wanted_of(given: Mapping[str, str]) -> Wanted:
    """Give which indicators are waited for; raises QueryError."""
    without = tuple(filter(None, given.get("without", "").split(",")))
    if not set(without) <= set(_MAY_LACK):
        allowed = ", ".join(_MAY_LACK)
        raise QueryError(f"without is {','.join(without)[:60]!r}; allowed are {allowed}")
    return Wanted(*(given.get(name, "") for name in _FIELDS), without=without)


def is_ndjson(given: Mapping[str, str]) -> bool:
    """Say whether each indicator is wanted on a line of its own; raises QueryError."""
    form = given.get("format", "json")
    if form not in ("json", "ndjson"):
        raise QueryError(f"format is {form[:60]!r}; allowed are json and ndjson")
    return form == "ndjson"


def whole_number(given: Mapping[str, str], name: str) -> int:
    """Give a number, 1 where none is given; raises QueryError."""
    text = given.get(name, "1")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise QueryError(f"{name} is {text[:60]!r}; allowed are whole numbers")
    return int(text)


def timeout_s_of(given: Mapping[str, str]) -> float:
    """Give for how many seconds to wait; raises QueryError."""
    text = given.get("timeout", str(WAIT_S))
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = math.nan
    if not 0 <= timeout_s <= LONGEST_WAIT_S:
        raise QueryError(f"timeout is {text[:60]!r}; allowed are seconds up to {LONGEST_WAIT_S:g}")
    return timeout_s
