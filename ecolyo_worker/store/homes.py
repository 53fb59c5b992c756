"""Homes: which meters one has, on which civil days, and by whose clocks these go.

A provider's day has a name, that of a civil day of Paris, and keeps it wherever the worker runs;
its half-hours are instants. So that these come to their day everywhere, the civil days of a fluid
that is fetched are those of Paris; of one that was imported only, those of the worker's zone.
"""

import sqlite3
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import civil_days
from ecolyo_worker.energy.adding import IMPORTED
from ecolyo_worker.energy.labels import ZONE

__all__ = ["Meter", "gained", "meters", "meters_on", "recut", "zone_of"]

_METERS = """
    SELECT meter, min(first), max(last), max(is_kept)
      FROM (SELECT s.meter,
                   (SELECT min(start) FROM points WHERE series = s.id) AS first,
                   (SELECT max(start) FROM points WHERE series = s.id) AS last,
                   EXISTS (SELECT 1 FROM accounts AS a WHERE a.instance = s.instance
                           AND a.provider = s.source AND a.meter = s.meter) AS is_kept
              FROM series AS s
             WHERE s.instance = ? AND s.fluid = ? AND s.step != 'published')
     WHERE first IS NOT NULL GROUP BY meter
"""


class Meter(Struct, frozen=True):
    """On which civil days a home has a meter.

    It has it from the first day of which something is known on; while there is an account of it,
    without an end, which is after the last day of which anything is known; else to its own last.
    """

    days: range
    last: int
    """The last day of which something is known of this meter."""


def meters(
    connection: sqlite3.Connection, instance: int, fluid: str, zone: ZoneInfo
) -> dict[str, Meter]:
    """Give the meters of a home's fluid by their names; what was imported has none.

    `zone` is the worker's.
    """
    known = {}
    for meter, first, last, is_kept in connection.execute(_METERS, (instance, fluid)):
        clocks = zone if meter == IMPORTED else ZONE
        known[meter] = (*civil_days((first, last), clocks), is_kept)
    end = max((last for _, last, _ in known.values()), default=0) + 1
    return {
        meter: Meter(range(first, end if is_kept else last + 1), last)
        for meter, (first, last, is_kept) in known.items()
        if meter != IMPORTED
    }


def meters_on(known: Mapping[str, Meter], day: int) -> list[str]:
    """Give those of a home's meters that it has on a civil day."""
    return [name for name, meter in known.items() if day in meter.days]


def zone_of(known: Mapping[str, Meter], zone: ZoneInfo) -> ZoneInfo:
    """Give by whose clocks the civil days of a home's fluid go; `zone` is the worker's."""
    return ZONE if known else zone


def recut(
    connection: sqlite3.Connection,
    household: tuple[int, str],
    before: Mapping[str, Meter],
    after: Mapping[str, Meter],
    zone: ZoneInfo,
) -> range:
    """Give the days that begin at other moments since a home's meters are others: all, or none."""
    if zone_of(before, zone) == zone_of(after, zone):
        return range(0)
    first, last = connection.execute(
        "SELECT min(start), max(start) FROM rollups"
        " WHERE instance = ? AND fluid = ? AND step = 'day'",
        household,
    ).fetchone()
    # What was in one day may be in the next one now, or in that before.
    return range(0) if first is None else range(first - 1, last + 2)


def gained(before: Meter | None, after: Meter | None) -> set[int]:
    """Give the days that a meter may have come to have by new points of it."""
    if after is None:
        return set()
    if before is None:
        return set(after.days)
    # Whether there was an account when the days after its last one were added up is not known.
    return {*range(after.days.start, before.days.start), *range(before.last + 1, after.days.stop)}
