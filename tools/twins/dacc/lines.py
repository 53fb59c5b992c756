"""What the stand-in prints: one line for each request, safe to look at in a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..terminal import shown
from .indicator import written

if TYPE_CHECKING:
    from .exchange import Ruling
    from .indicator import JsonObject

__all__ = ["Columns", "Handled", "columns_of", "line", "raw_line"]

_GROUPS = ("group1", "group2", "group3")


@dataclass(frozen=True, slots=True)
class Handled:
    """A request that was dealt with: when (seconds of the epoch), and what became of it."""

    at_s: float
    ruling: Ruling
    verdict: str
    fault: str | None


class Columns(NamedTuple):
    """An indicator as it is shown on one line."""

    measure: str
    start_date: str
    value: str
    groups: tuple[str, ...]


def line(handled: Handled) -> str:
    """Give time, measure, start date, value, groups and verdict, and the stack if one is named."""
    columns = columns_of(handled.ruling.indicator or {})
    return "  ".join(
        (
            time.strftime("%H:%M:%S", time.localtime(handled.at_s)),
            columns.measure.ljust(30),
            columns.start_date.ljust(10),
            columns.value.rjust(8),
            " ".join(columns.groups) or "-",
            shown(handled.verdict, 300) + _marks(handled),
        )
    )


def columns_of(indicator: JsonObject) -> Columns:
    """Give the fields of an indicator, cut where they are long; ``-`` is what it has not."""
    return Columns(
        _field(indicator, "measureName", 40),
        _field(indicator, "startDate", 40),
        _field(indicator, "value", 40),
        tuple(_group(indicator[name]) for name in _GROUPS if name in indicator),
    )


def _marks(handled: Handled) -> str:
    """Say whose stack it came through, and which fault a stored indicator met."""
    marks = [f"stack {shown(handled.ruling.stack, 60)}"] if handled.ruling.stack else []
    if handled.fault and handled.ruling.stored:
        marks.append(f"fault {handled.fault}")
    return f" ({', '.join(marks)})" if marks else ""


def raw_line(handled: Handled) -> str:
    """Give the line that the original echo script printed; without a body, the usual line."""
    if handled.ruling.text is None:
        return line(handled)
    return f"data: '{shown(handled.ruling.text, 4000)}'"


def _field(indicator: JsonObject, name: str, longest: int) -> str:
    if name not in indicator:
        return "-"
    value = indicator[name]
    if isinstance(value, str) and name != "value":
        return shown(value, longest)
    return shown(_brief(value), longest)


def _group(group: object) -> str:
    if not isinstance(group, dict):
        return shown(_brief(group), 60)
    pairs = (
        f"{shown(key, 40)}={shown(value if isinstance(value, str) else _brief(value), 60)}"
        for key, value in list(group.items())[:3]
    )
    return ",".join(pairs) or "{}"


def _brief(value: object) -> str:
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    return written(value)
