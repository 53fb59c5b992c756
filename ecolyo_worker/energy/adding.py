"""What the meters of a home come to: meters add up, what was polled goes before what was imported.

A value is whole if every meter that the home has on the day is known for all of it, or if it was
imported as one. What was imported is the home's, and of no meter.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

__all__ = ["IMPORTED", "Interval", "Known", "MeterReading", "day", "half_hours", "hours"]

IMPORTED = ""
"""Stands for the meter of what was imported."""

_HOUR = 60
_HALF_HOUR = 30
_MINUTE_MS = 60_000

MeterReading = tuple[str, int, int, int]
"""Of a meter: the start of an interval in ms of UTC, its minutes, and the Wh (of water ml)."""


class Interval(Struct, frozen=True):
    """What a household consumed in an interval: Wh, of water ml.

    `start` is, of half an hour and an hour, its instant in ms of UTC; of a day, month or year, the
    civil one. `is_whole` tells whether all of the interval is known.
    """

    start: int
    amount: int
    is_whole: bool
    minutes: int | None = None
    """How long it is, where that is not what its step says."""


class Known(Struct, frozen=True):
    """What is known of a while: Wh, of water ml, and how many of its minutes."""

    amount: int
    minutes: int


def hours(curve: Iterable[MeterReading], begin: int, meters: Collection[str]) -> Iterator[Interval]:
    """Give the hours of a civil day that something is known of, in order.

    `begin` is when the day begins, in ms of UTC; `meters` are those that the home has on it.
    """
    for start, readings in _cut(curve, begin, _HOUR):
        metered = _metered(readings, meters, _HOUR)
        if metered is not None:
            yield Interval(start, metered, is_whole=True)
            continue
        parts = list(_parts(readings, start, meters))
        minutes = sum(part.minutes or _HALF_HOUR for part in parts if part.is_whole)
        yield Interval(start, sum(part.amount for part in parts), minutes == _HOUR)


def half_hours(
    curve: Iterable[MeterReading], begin: int, meters: Collection[str]
) -> Iterator[Interval]:
    """Give the half-hours of a civil day that something is known of, like `hours`.

    Where a meter says nothing of the halves of an hour, the hour stays one.
    """
    for start, readings in _cut(curve, begin, _HOUR):
        yield from _parts(readings, start, meters)


def day(
    daily: Mapping[str, int],
    curve: Mapping[str, Known],
    hours: Known,
    meters: Collection[str],
    minutes: int,
) -> tuple[int, bool]:
    """Give what a civil day of so many minutes comes to, and whether it is whole.

    It is the daily value, else the sum of its half-hours: of each meter by itself. Where one of
    them is known in part an imported day stands for all, before imported half-hours that stand for
    what is missing. `daily` and `curve` are by meter; `hours` is what the home's whole hours have,
    and the `curve` need not be told of meters in `daily`, or where there is no `daily` at all.
    """
    is_whole = hours.minutes == minutes
    if not daily:
        return hours.amount, is_whole
    nothing = Known(0, 0)
    lacking = [curve.get(meter, nothing) for meter in meters if meter not in daily]
    metered = sum(daily.get(meter, 0) for meter in meters) + sum(one.amount for one in lacking)
    if meters and all(one.minutes >= minutes for one in lacking):
        return metered, True
    if IMPORTED in daily:
        return daily[IMPORTED], True
    return (hours.amount, True) if is_whole else (max(metered, hours.amount), False)


def _cut(
    readings: Iterable[MeterReading], begin: int, minutes: int
) -> Iterator[tuple[int, list[MeterReading]]]:
    """Put the readings together that begin in the same interval of so many minutes, in order."""
    length = minutes * _MINUTE_MS
    found: dict[int, list[MeterReading]] = {}
    for reading in readings:
        found.setdefault((reading[1] - begin) // length, []).append(reading)
    for place in sorted(found):
        yield begin + place * length, found[place]


def _parts(
    readings: Sequence[MeterReading], begin: int, meters: Collection[str]
) -> Iterator[Interval]:
    """Give the halves of an hour, or the hour where a reading lies in both of them."""
    if any(_HALF_HOUR % minutes for _, _, minutes, _ in readings):
        yield Interval(begin, *_best(readings, meters, _HOUR), _HOUR)
        return
    for start, half in _cut(readings, begin, _HALF_HOUR):
        yield Interval(start, *_best(half, meters, _HALF_HOUR))


def _metered(readings: Iterable[MeterReading], meters: Collection[str], minutes: int) -> int | None:
    """Add up what the meters say of so many minutes; None unless each of them is known."""
    amounts, lengths = _sums(readings)
    if not meters or any(lengths.get(meter, 0) < minutes for meter in meters):
        return None
    return sum(amounts[meter] for meter in meters)


def _best(
    readings: Sequence[MeterReading], meters: Collection[str], minutes: int
) -> tuple[int, bool]:
    """Give what is known of so many minutes, and whether it is all of them."""
    metered = _metered(readings, meters, minutes)
    if metered is not None:
        return metered, True
    amounts, lengths = _sums(readings)
    imported = amounts.pop(IMPORTED, 0)
    if lengths.get(IMPORTED, 0) >= minutes:
        return imported, True
    return sum(amounts.values()) if amounts else imported, False


def _sums(readings: Iterable[MeterReading]) -> tuple[dict[str, int], dict[str, int]]:
    """Give the Wh and the minutes of each meter."""
    amounts: dict[str, int] = {}
    lengths: dict[str, int] = {}
    for meter, _, minutes, amount in readings:
        amounts[meter] = amounts.get(meter, 0) + amount
        lengths[meter] = lengths.get(meter, 0) + minutes
    return amounts, lengths
