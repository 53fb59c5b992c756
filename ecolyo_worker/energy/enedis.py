"""The answers of Enedis as points: of v4 and v5 (`meter_reading`) and of 2026 (`grandeur`).

Which of them it is shows in the answer itself. A label of the load curve is the end of its interval
by the clocks of Paris, and its value the mean power over it, so Wh = W x minutes / 60.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS, day_interval
from ecolyo_worker.energy.decoding import described, whole
from ecolyo_worker.energy.labels import ZONE, Ends, end_text, label_text, read_day
from ecolyo_worker.energy.points import BadPoint, Decoded, Point
from ecolyo_worker.errors import AnswerUnreadable

__all__ = ["is_of_enedis", "read_curve", "read_daily"]

_LENGTHS = {
    **{f"PT{minutes}M": minutes for minutes in (5, 10, 15, 20, 30, 60)},
    "PT1H": 60,
}


class _Keys(Struct, frozen=True):
    """What the fields of a point are called."""

    value: str
    time: str
    length: str


class _Measures(Struct, frozen=True):
    """What of an answer is read."""

    items: list[object]
    keys: _Keys
    step: object = None
    """The length of all intervals of an answer of 2026, where it says one (`pas`)."""


class _Wanted(Struct, frozen=True):
    """What a series is told by."""

    unit: str
    kind: str
    """The `grandeurPhysique` of 2026."""


_OLD = _Keys("value", "date", "interval_length")
_NEW = _Keys("v", "d", "p")
_STEP = "pas"
_DAILY = _Wanted("Wh", "EA")
_CURVE = _Wanted("W", "PA")

_Item = Mapping[str, Any]


def is_of_enedis(found: object) -> bool:
    """Tell whether it looks like measures of any generation."""
    return isinstance(found, dict) and not found.keys().isdisjoint(
        ("meter_reading", "interval_reading", "grandeur")
    )


def read_daily(answer: object, meter: str, days: range) -> Decoded:
    """Read Wh of whole civil days.

    `answer` is its JSON; `days` are those asked for, as days since 1970. What is no point is left
    out and told. Raises `AnswerUnreadable` where the answer as a whole is not one for this meter
    and series.
    """
    measures = _measures(answer, meter, _DAILY)
    keys = measures.keys
    found = _Found(keys.time)

    def take(item: _Item) -> None:
        day = read_day(item.get(keys.time), days)
        value = item.get(keys.value)
        if found.speaks_of(day, value):
            begin, minutes = day_interval(day, ZONE)
            found.field = keys.value
            found.points[begin] = Point(begin, minutes, whole(value))

    return found.of(measures.items, take)


def read_curve(answer: object, meter: str, days: range) -> Decoded:
    """Read the load curve, each point with its own length; otherwise like `read_daily`.

    In 2026 a point need not have one where the answer says it for all.
    """
    measures = _measures(answer, meter, _CURVE)
    keys, step = measures.keys, measures.step
    found = _Found(keys.time)
    ends = Ends(days)

    def take(item: _Item) -> None:
        end = ends.read(item.get(keys.time))
        value = item.get(keys.value)
        if found.speaks_of(end.day, value):
            own = item.get(keys.length)
            is_own = own is not None or step is None
            found.field = keys.length if is_own else _STEP
            minutes = _length(own if is_own else step, end.minute)
            start = end.instant - minutes * MINUTE_MS
            found.field = keys.value
            found.points[start] = Point(start, minutes, _energy(value, minutes))

    return found.of(measures.items, take)


class _Found:
    """What is found while the points of an answer are gone through, in their order."""

    def __init__(self, time: str) -> None:
        self.points: dict[int, Point] = {}
        self.field = time
        """The one that is being read."""
        self._time = time
        self._refused: list[BadPoint] = []
        self._null: set[int] = set()
        self._spoken: set[int] = set()

    def speaks_of(self, day: int, value: object) -> bool:
        """Remember that something was said of a day; tell whether it is more than a null."""
        (self._null if value is None else self._spoken).add(day)
        return value is not None

    def of(self, items: list[object], take: Callable[[_Item], None]) -> Decoded:
        """Take all points, those that cannot be taken as refused."""
        for place, item in enumerate(items, 1):
            if not isinstance(item, dict):
                reason = f"found {described(item)}; allowed: an object"
                self._refused.append(BadPoint(label_text(None, place), reason))
                continue
            self.field = self._time
            try:
                take(item)
            except ValueError as error:
                label = label_text(item.get(self._time), place)
                self._refused.append(BadPoint(label, f"{self.field}: {error}"))
        points = self._without_overlap()
        return Decoded(points, tuple(self._refused), tuple(sorted(self._null - self._spoken)))

    def _without_overlap(self) -> tuple[Point, ...]:
        """Give the points in the order of time; of two that overlap the earlier one is kept."""
        kept: list[Point] = []
        end = 0
        for start in sorted(self.points):
            point = self.points[start]
            its_end = start + point.minutes * MINUTE_MS
            if kept and start < end:
                reason = f"{self._time}: it overlaps the interval before it; allowed: no overlap"
                self._refused.append(BadPoint(end_text(its_end), reason))
            else:
                kept.append(point)
                end = its_end
        return tuple(kept)


def _length(found: object, minute: int) -> int:
    """Give the length of an interval, in minutes, that ends at such a minute of an hour."""
    minutes = _LENGTHS.get(found) if isinstance(found, str) else None
    if minutes is None:
        raise ValueError(f"found {described(found)}; allowed: {', '.join(_LENGTHS)}")
    if minute % minutes:
        raise ValueError(f"found {described(found)} that ends at minute {minute} of an hour")
    return minutes


def _energy(found: object, minutes: int) -> int:
    """Give the Wh of so many W over so many minutes."""
    energy, rest = divmod(whole(found) * minutes, 60)
    if rest:
        raise ValueError(f"found {described(found)}, in W; allowed: what makes whole Wh")
    return energy


def _measures(found: object, meter: str, wanted: _Wanted) -> _Measures:
    """Find the points of an answer, and what their fields are called."""
    if isinstance(found, dict) and "grandeur" in found:
        _check_meter(found.get("idPrm"), "idPrm", meter)
        points = _of_2026(_list(found["grandeur"], "grandeur"), wanted)
        return _Measures(points, _NEW, found.get(_STEP))
    inner = found.get("meter_reading", found) if isinstance(found, dict) else found
    if not isinstance(inner, dict) or "interval_reading" not in inner:
        allowed = "allowed: an object with meter_reading, interval_reading or grandeur"
        raise AnswerUnreadable(f"found {described(inner)} without measures; {allowed}")
    _check_meter(inner.get("usage_point_id"), "usage_point_id", meter)
    told = inner.get("reading_type")
    if told is not None:  # the agreed shape has it, and does not demand it
        unit = told.get("unit") if isinstance(told, dict) else told
        _check_unit(unit, "reading_type.unit", wanted)
    return _Measures(_list(inner["interval_reading"], "interval_reading"), _OLD)


def _of_2026(quantities: list[object], wanted: _Wanted) -> list[object]:
    """Find the points of the one quantity that was asked for."""
    if not quantities:
        return []
    mine = [
        quantity
        for quantity in quantities
        if isinstance(quantity, dict)
        and quantity.get("grandeurMetier") == "CONS"
        and quantity.get("grandeurPhysique") == wanted.kind
    ]
    if len(mine) != 1:
        what = f"found {len(mine)} with CONS and {wanted.kind} of {len(quantities)}"
        raise AnswerUnreadable(f"grandeur: {what}; allowed: one")
    _check_unit(mine[0].get("unite"), "unite", wanted)
    return _list(mine[0].get("points"), "points")


def _list(found: object, field: str) -> list[object]:
    if not isinstance(found, list):
        raise AnswerUnreadable(f"{field}: found {described(found)}; allowed: a list")
    return found


def _check_unit(found: object, field: str, wanted: _Wanted) -> None:
    if found != wanted.unit:
        raise AnswerUnreadable(f"{field}: found {described(found)}; allowed: {wanted.unit}")


def _check_meter(found: object, field: str, meter: str) -> None:
    if found != meter:
        what = "none" if found is None else "another"
        raise AnswerUnreadable(f"{field}: found {what}; allowed: the meter that was asked for")
