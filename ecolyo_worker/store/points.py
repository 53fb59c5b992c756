"""Points: what is known of an interval of a series, and what a better answer makes of it."""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice, takewhile
from operator import attrgetter
from typing import Literal

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS
from ecolyo_worker.energy.points import Point
from ecolyo_worker.store.ladder import Ladder

__all__ = ["Change", "Series", "put", "series_of"]


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
_Row = tuple[int, int, int, int]
"""Of a point that is stored: its start, minutes, amount and quality."""


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


def put(connection: sqlite3.Connection, series: int, points: Iterable[Point]) -> Change:
    """Store points of a series, which never overlap.

    A new one takes the place of all that it overlaps, also where the steps changed, unless one of
    these is of a higher quality; an equal one changes nothing. Of two new ones that overlap the
    surer one is stored, else the earlier one.
    """
    points = _without_overlap(points)
    if not points:
        return Change(0, 0, ())
    known = _known(connection, series, points[0].start, _end(points[-1]))
    better, starts = _weigh(points, known)
    for start in starts.difference(point.start for point in better):
        for table in ("points", "gas_details"):
            connection.execute(
                f"DELETE FROM {table} WHERE series = ? AND start = ?",  # noqa: S608  names of ours
                (series, start),
            )
    values: list[int] = []
    for point in better:
        values += (series, point.start, point.minutes, point.amount, point.quality)
    _POINTS.insert(connection, values)
    _put_details(connection, series, better)
    new = {point.start for point in better}.difference(start for start, *_ in known)
    starts.update(new)
    return Change(len(new), len(starts) - len(new), tuple(sorted(starts)))


def _without_overlap(points: Iterable[Point]) -> list[Point]:
    """Give those of some points that do not overlap, in the order of time."""
    kept: list[Point] = []
    end = 0
    for point in sorted(points, key=attrgetter("start")):
        if kept and point.start < end:
            # What is kept does not overlap, so that this one lies over the last one at most.
            if point.quality <= kept[-1].quality:
                continue
            kept.pop()
        kept.append(point)
        end = _end(point)
    return kept


def _known(connection: sqlite3.Connection, series: int, begin: int, end: int) -> list[_Row]:
    """Give what is known of a while, in order; the first of it may have ended before."""
    return connection.execute(
        "SELECT start, minutes, amount, quality FROM points"
        " WHERE series = :series AND start < :end AND start >= coalesce("
        "(SELECT max(start) FROM points WHERE series = :series AND start <= :begin), :begin)"
        " ORDER BY start",
        {"series": series, "begin": begin, "end": end},
    ).fetchall()


def _weigh(points: Sequence[Point], known: Sequence[_Row]) -> tuple[Sequence[Point], set[int]]:
    """Give which points say something new, and the starts of those whose place they take."""
    if not known:
        return points, set()
    better: list[Point] = []
    gone: set[int] = set()
    place = 0
    for point in points:
        while place < len(known) and _end_of(known[place]) <= point.start:
            place += 1
        over = list(takewhile(partial(_begins_before, _end(point)), islice(known, place, None)))
        is_surer = all(point.quality >= quality for *_, quality in over)
        found = (point.start, point.minutes, point.amount, point.quality)
        if is_surer and over != [found]:
            better.append(point)
            gone.update(start for start, *_ in over)
    return better, gone


def _put_details(connection: sqlite3.Connection, series: int, points: Iterable[Point]) -> None:
    values: list[int | float | None] = []
    for point in points:
        if point.gas is not None:
            values += (series, point.start, point.gas.volume, point.gas.coefficient)
    _DETAILS.insert(connection, values)


def _end(point: Point) -> int:
    return point.start + point.minutes * MINUTE_MS


def _end_of(row: _Row) -> int:
    return row[0] + row[1] * MINUTE_MS


def _begins_before(end: int, row: _Row) -> bool:
    return row[0] < end
