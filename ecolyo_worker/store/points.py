"""Points: what is known of an interval of a series, and what a better answer makes of it."""

import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS
from ecolyo_worker.energy.points import Point
from ecolyo_worker.store.ladder import Ladder

__all__ = ["Change", "Series", "between", "put", "series_of"]


_POINTS = Ladder(
    "points",
    ["series", "start", "minutes", "amount", "quality"],
    "DO UPDATE SET minutes = excluded.minutes, amount = excluded.amount,"
    " quality = excluded.quality",
)
_DETAILS = Ladder(
    "gas_details",
    ["series", "start", "volume", "coefficient"],
    "DO UPDATE SET volume = excluded.volume, coefficient = excluded.coefficient",
)


class Series(Struct, frozen=True):
    """Whose points they are: of an instance's fluid, in steps of one kind, from one source.

    `meter` is empty where there is none.
    """

    instance: int
    fluid: str
    step: Literal["half-hour", "day", "published"]
    meter: str
    source: Literal["import", "enedis", "grdf"]


class Change(Struct, frozen=True):
    """What storing some points changed."""

    new: int
    replaced: int
    starts: tuple[int, ...]
    """Where a value is another one now, as instants in ms of UTC, in order."""


def series_of(connection: sqlite3.Connection, series: Series) -> int:
    """Give the id of a series; one that is not there yet is made."""
    kind = (series.instance, series.fluid, series.step, series.meter, series.source)
    connection.execute(
        "INSERT INTO series (instance, fluid, step, meter, source) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        kind,
    )
    ident: int = connection.execute(
        "SELECT id FROM series WHERE instance = ? AND fluid = ? AND step = ? AND meter = ?"
        " AND source = ?",
        kind,
    ).fetchone()[0]
    return ident


def put(connection: sqlite3.Connection, series: int, points: Sequence[Point]) -> Change:
    """Store points of a series, in the order of time, each start once.

    One replaces what is known of its interval, also where the steps changed, unless that is of a
    higher quality; an equal one changes nothing.
    """
    if not points:
        return Change(0, 0, ())
    known = _known(connection, series, points[0].start, _end(points[-1]))
    better = [point for point in points if _is_better(point, known.get(point.start))]
    others = known.keys() - {point.start for point in points} if known else ()
    gone = _overlapped(others, known, better)
    for start in gone:
        connection.execute("DELETE FROM points WHERE series = ? AND start = ?", (series, start))
    values: list[int] = []
    for point in better:
        values += (series, point.start, point.minutes, point.amount, point.quality)
    _POINTS.insert(connection, values)
    _put_details(connection, series, better)
    new = sum(point.start not in known for point in better)
    starts = sorted([*gone, *(point.start for point in better)])
    return Change(new, len(starts) - new, tuple(starts))


def between(
    connection: sqlite3.Connection, series: int, begin: int, end: int
) -> Iterator[tuple[int, int, int, int]]:
    """Give start, minutes, amount and quality of each point that begins in begin <= start < end."""
    return connection.execute(
        "SELECT start, minutes, amount, quality FROM points"
        " WHERE series = ? AND start >= ? AND start < ? ORDER BY start",
        (series, begin, end),
    )


def _known(
    connection: sqlite3.Connection, series: int, begin: int, end: int
) -> dict[int, tuple[int, int, int]]:
    return {start: rest for start, *rest in between(connection, series, begin, end)}  # type: ignore[misc]


def _is_better(point: Point, known: tuple[int, int, int] | None) -> bool:
    """Tell whether a point says something new, and is not worth less than what is known."""
    if known is None:
        return True
    found = [point.minutes, point.amount, point.quality]
    return point.quality >= known[2] and found != list(known)


def _overlapped(
    others: Collection[int], known: dict[int, tuple[int, int, int]], points: Sequence[Point]
) -> list[int]:
    """Give which of the other starts stand in an interval that is known anew."""
    begins = [point.start for point in points]
    gone = []
    for start in others:
        # The last interval that begins before the other one ends is the only one to look at.
        place = bisect_left(begins, start + known[start][0] * MINUTE_MS) - 1
        if place >= 0 and start < _end(points[place]):
            gone.append(start)
    return gone


def _put_details(connection: sqlite3.Connection, series: int, points: Iterable[Point]) -> None:
    values: list[int | float | None] = []
    for point in points:
        if point.gas is not None:
            values += (series, point.start, point.gas.volume, point.gas.coefficient)
    _DETAILS.insert(connection, values)


def _end(point: Point) -> int:
    return point.start + point.minutes * MINUTE_MS
