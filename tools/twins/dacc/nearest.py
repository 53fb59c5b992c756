"""Which indicators are waited for, and which of those that came are nearest to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .definitions import GROUPS
from .indicator import written
from .lines import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .indicator import JsonObject
    from .record import Record

__all__ = ["Miss", "Wanted", "found_in", "nearest"]

MOST_MISSES = 3
# From so much likeness on, one name of a measure may be a misspelling of another.
LIKE_ENOUGH = 0.9


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an indicator must have, as text; empty means any.

    A group is told by its value, and by its key where that is named too. A value is JSON, and
    ``without`` names what it must not have.
    """

    measure: str = ""
    start_date: str = ""
    stack: str = ""
    value: str = ""
    group1: str = ""
    group2: str = ""
    group3: str = ""
    group1_key: str = ""
    group2_key: str = ""
    group3_key: str = ""
    without: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def beyond_measure(self) -> bool:
        """Whether more than the measure is wanted."""
        return bool(self.fields.keys() - {"measure"})

    @property
    def fields(self) -> Mapping[str, str]:
        """What is wanted, by the names that the API has for it."""
        all_fields = {
            "measure": self.measure,
            "startDate": self.start_date,
            "stack": self.stack,
            "value": self.value,
            "group1": self.group1,
            "group2": self.group2,
            "group3": self.group3,
            "group1Key": self.group1_key,
            "group2Key": self.group2_key,
            "group3Key": self.group3_key,
        }
        absent = dict.fromkeys(self.without, "absent")
        return {name: text for name, text in all_fields.items() if text} | absent

    def is_met_by(self, record: Record) -> bool:
        """Say whether a request carries such an indicator."""
        return not self.differences(record)

    def differences(self, record: Record) -> dict[str, str]:
        """Give the fields of a request that are not as wanted, and what they are."""
        if not self.fields:
            return {}
        found = found_in(record)
        return {
            name: found[name]
            for name, text in self.fields.items()
            if not self._fits(name, text, found[name])
        }

    def _fits(self, name: str, text: str, found: str) -> bool:
        if name in self.without:
            return not found
        return text == found or (name == "value" and _equal_numbers(text, found))


class Miss(NamedTuple):
    """A request that is near to what is wanted, and the fields in which it is not that."""

    record: Record
    differences: Mapping[str, str]

    def is_near(self, wanted: Wanted) -> bool:
        """Say whether it is of the wanted measure, or of one that is spelled much like it."""
        found = self.differences.get("measure")
        return found is None or _likeness(wanted.measure, found) >= LIKE_ENOUGH

    def sentence(self, wanted: Wanted) -> str:
        """Tell what came, and why it is not what was wanted."""
        columns = columns_of(self.record.indicator or {})
        shown = " ".join((columns.measure, columns.start_date, columns.value, *columns.groups))
        why = [
            f"{name} is {found or 'absent'}, not {wanted.fields[name]}"
            for name, found in self.differences.items()
        ]
        if not self.record.stored:
            why.append(self.record.verdict)
        return f"{shown} ({'; '.join(why)})"

    def as_json(self) -> JsonObject:
        """Give the request's number, what was said of it, and where it differs."""
        return {
            "seq": self.record.seq,
            "n": self.record.n or None,
            "verdict": self.record.verdict,
            "differs": dict(self.differences),
            "indicator": self.record.body,
        }


def nearest(wanted: Wanted, records: Iterable[Record]) -> list[Miss]:
    """Give the requests that come nearest and are not what is wanted, the nearest first.

    Whatever else fits, another measure is farther away than the wanted one, or than one that is
    spelled much like it. Among equals the latest is first, and what is alike in all that matters is
    given once. A refused request is near however well it fits: that it was refused is why it is
    missed.
    """
    misses: dict[tuple[object, ...], Miss] = {}
    for record in records:
        differences = wanted.differences(record)
        if (differences or not record.stored) and record.subject.measure:
            alike = (record.subject, record.stored, *differences.items())
            misses.pop(alike, None)
            misses[alike] = Miss(record, differences)
    latest_first = reversed(misses.values())
    return sorted(latest_first, key=lambda miss: _distance(wanted, miss))[:MOST_MISSES]


def _distance(wanted: Wanted, miss: Miss) -> tuple[bool, float]:
    texts = wanted.fields
    apart = sum(1.5 - _likeness(texts[name], text) for name, text in miss.differences.items())
    return not miss.is_near(wanted), apart


def _likeness(one: str, other: str) -> float:
    return _likeness_of_short(one[:100], other[:100])


@lru_cache(maxsize=4096)
def _likeness_of_short(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def found_in(record: Record) -> Mapping[str, str]:
    """Give what a request has of all that may be wanted, as text; empty is what it has not."""
    indicator = record.indicator or {}
    return {
        "measure": record.subject.measure,
        "startDate": record.subject.start_date,
        "stack": record.subject.stack,
        "value": written(indicator["value"]) if "value" in indicator else "",
        **{name: _group(indicator, name)[1] for name in GROUPS},
        **{f"{name}Key": _group(indicator, name)[0] for name in GROUPS},
    }


def _group(indicator: JsonObject, name: str) -> tuple[str, str]:
    """Give the key and the value of a group, as text."""
    group = indicator.get(name)
    if not isinstance(group, dict) or not group:
        return "", "" if group is None else f"{written(group)} (no group)"
    key, value = next(iter(group.items()))
    if isinstance(value, str):
        return key, value or '""'
    return key, f"{written(value)} (no text)"  # Of 1 and "1" the DACC makes two buckets.


def _equal_numbers(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False
