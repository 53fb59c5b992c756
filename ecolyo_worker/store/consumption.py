"""What a household consumed: series of points, imported or polled."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from ecolyo_worker.clock import utc_ms
from ecolyo_worker.measures import Consumption
from ecolyo_worker.readings import Reading
from ecolyo_worker.store import instances
from ecolyo_worker.store.ladder import Ladder

__all__ = ["Held", "has_half_hours", "held", "of_days", "store_imported"]

_POINTS = Ladder(
    "points",
    ["series", "start", "minutes", "amount"],
    "DO UPDATE SET minutes = excluded.minutes, amount = excluded.amount"
    " WHERE (minutes, amount) != (excluded.minutes, excluded.amount)",
)


class Held(Struct, frozen=True):
    """What is held of one series. `first` and `last` are where intervals begin, in ms of UTC."""

    fluid: str
    step: str
    source: str
    points: int
    first: int
    last: int


def store_imported(connection: sqlite3.Connection, readings: Sequence[Reading]) -> None:
    """Store readings that came in a file, for no meter; a later value replaces an earlier one.

    An instance that is not known yet is made.
    """
    ids = instances.identify_all(connection, (reading.instance for reading in readings))
    series: dict[tuple[str, str, str], int] = {}
    values: list[int] = []
    for reading in readings:
        kind = (reading.instance, reading.fluid, reading.step)
        if kind not in series:
            series[kind] = _series(connection, ids[reading.instance], reading.fluid, reading.step)
        values += (series[kind], reading.start, reading.minutes, reading.amount)
    _POINTS.insert(connection, values)


def of_days(
    connection: sqlite3.Connection, instance: int, begin: datetime, end: datetime
) -> Mapping[str, Consumption]:
    """Add up the days that begin in begin <= start < end, aware instants, by fluid.

    Of a day that was polled and imported the polled value goes before; meters add up.
    """
    rows = connection.execute(
        "SELECT fluid, count(*), sum(amount) FROM ("
        " SELECT s.fluid, coalesce(sum(p.amount) FILTER (WHERE s.source != 'import'),"
        " sum(p.amount)) AS amount"
        " FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.step = 'day' AND p.start >= ? AND p.start < ?"
        " GROUP BY s.fluid, p.start) GROUP BY fluid",
        (instance, utc_ms(begin), utc_ms(end)),
    )
    return {fluid: Consumption(days, total) for fluid, days, total in rows}


def has_half_hours(
    connection: sqlite3.Connection, instance: int, fluid: str, begin: datetime, end: datetime
) -> bool:
    """Tell whether a half-hour of a fluid begins in begin <= start < end, aware instants."""
    query = (
        "SELECT 1 FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.fluid = ? AND s.step = 'half-hour'"
        " AND p.start >= ? AND p.start < ? LIMIT 1"
    )
    values = (instance, fluid, utc_ms(begin), utc_ms(end))
    return connection.execute(query, values).fetchone() is not None


def held(connection: sqlite3.Connection, instance: int) -> list[Held]:
    """Tell what is held of an instance, series by series; those without a point are left out."""
    rows = connection.execute(
        "SELECT s.fluid, s.step, s.source, count(*), min(p.start), max(p.start)"
        " FROM series AS s JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? GROUP BY s.id ORDER BY s.fluid, s.step, s.source, s.meter",
        (instance,),
    )
    return [Held(*row) for row in rows]


def _series(connection: sqlite3.Connection, instance: int, fluid: str, step: str) -> int:
    """Give the id of an imported series; one that is not there yet is made."""
    kind = (instance, fluid, step)
    connection.execute(
        "INSERT INTO series (instance, fluid, step, meter, source) VALUES (?, ?, ?, '', 'import')"
        " ON CONFLICT DO NOTHING",
        kind,
    )
    ident: int = connection.execute(
        "SELECT id FROM series WHERE instance = ? AND fluid = ? AND step = ? AND meter = ''"
        " AND source = 'import'",
        kind,
    ).fetchone()[0]
    return ident
