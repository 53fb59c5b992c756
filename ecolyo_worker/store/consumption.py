"""What a household consumed: series of points, imported or polled."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from ecolyo_worker.clock import utc_ms
from ecolyo_worker.measures import Consumption

__all__ = ["has_half_hours", "of_days"]


def of_days(
    connection: sqlite3.Connection, instance: int, begin: datetime, end: datetime
) -> Mapping[str, Consumption]:
    """Add up the days that begin in begin <= start < end, aware instants, by fluid."""
    rows = connection.execute(
        "SELECT s.fluid, count(*), sum(p.amount) FROM series AS s"
        " JOIN points AS p ON p.series = s.id"
        " WHERE s.instance = ? AND s.step = 'day' AND p.start >= ? AND p.start < ?"
        " GROUP BY s.fluid",
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
