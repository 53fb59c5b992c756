"""What a query of the API says, checked."""

from __future__ import annotations

import math
import re
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .definitions import GROUPS
from .nearest import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FILTER",
    "WANTED",
    "QueryError",
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
    allowed = ", ".join(names) or "none"
    for name in given:
        if name not in names:
            near = get_close_matches(name[:60], names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise QueryError(f"there is no parameter {name[:60]!r}; {hint}allowed are: {allowed}")
    if len(given) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise QueryError(f"{twice} is given more than once; allowed, once each, are: {allowed}")
    return {name: value for name, value in given.items() if value}


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
