"""Months: which are due and not done, what is known of one, and what was made of it."""

import sqlite3
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import (
    civil_datetime,
    day_of,
    day_start,
    instant_of_civil,
    month_days,
    month_of,
)
from ecolyo_worker.measures import CountedMonth, Facts, Month, Rules
from ecolyo_worker.store import consumption, events, outbox, totals
from ecolyo_worker.store.countings import put_rows
from ecolyo_worker.store.instances import Instance

__all__ = [
    "MonthCounting",
    "StoredMonth",
    "begin_months",
    "due",
    "month_of_instance",
    "months_done",
    "store_month",
    "stored_month",
]

_FARTHEST = 3
"""How many months back a run looks, however long none was made."""


class MonthCounting(Struct, frozen=True):
    """One civil month of an instance, counted. `facts` are those it was counted with."""

    month: int
    facts: Facts
    counted: CountedMonth


class StoredMonth(Struct, frozen=True):
    """A month that is done: what was known then, and how many indicators came of it."""

    month: int
    facts: Facts
    upto_seq: int
    """The last event that had arrived by then."""
    rows: int
    as_of: int
    """The civil time of its run, in ms."""
    started: int
    """When its run began, in ms of UTC."""
    definitions: str
    """The digest of the definitions it went by."""


def due(
    connection: sqlite3.Connection, instance: Instance, as_of: int, rules: Rules
) -> Iterator[int]:
    """Give an instance's months that are due as of a civil time and not done, oldest first.

    An instance's first run looks at the month before its own only, later ones three back.
    """
    today = day_of(as_of)
    this = month_of(today)
    is_month_old_enough = today - month_days(this).start + 1 >= rules.monthly_day
    last = this - 1 if is_month_old_enough else this - 2
    begin = this - 1 if instance.months_from is None else instance.months_from
    rows = connection.execute(
        "SELECT month FROM month_countings WHERE instance = ?", (instance.id,)
    )
    done = {row[0] for row in rows}
    for month in range(max(begin, this - _FARTHEST), last + 1):
        is_before = rules.not_before is not None and month_days(month).stop <= rules.not_before
        if month not in done and not is_before:
            yield month


def month_of_instance(
    connection: sqlite3.Connection, instance: Instance, facts: Facts, month: int, zone: ZoneInfo
) -> Month:
    """Give all that is to be known of an instance's month."""
    days, before = month_days(month), month_days(month - 1)
    begins = [
        instant_of_civil(civil_datetime(day_start(day)), zone)
        for day in (before.start, days.start, days.stop)
    ]
    return Month(
        facts=facts,
        number=month,
        events=tuple(events.of_days(connection, instance.id, days, facts.acceptance)),
        ever=tuple(events.ever(connection, instance.id, facts.acceptance, day_start(days.stop))),
        subscribed=instance.subscribed(day_start(days.stop)),
        profile=instance.profile,
        consumption=consumption.of_days(connection, instance.id, *begins[1:]),
        consumption_before=consumption.of_days(connection, instance.id, *begins[:2]),
        has_half_hours=consumption.has_half_hours(
            connection, instance.id, "electricity", *begins[1:]
        ),
    )


def stored_month(
    connection: sqlite3.Connection, instance: Instance, month: int
) -> StoredMonth | None:
    """Give what is known of a month that is done, or None."""
    row = connection.execute(
        "SELECT m.month, m.acceptance, m.first_connection, m.upto_seq, m.rows, r.as_of, r.started,"
        " r.definitions FROM month_countings AS m JOIN runs AS r ON r.id = m.run"
        " WHERE m.instance = ? AND m.month = ?",
        (instance.id, month),
    ).fetchone()
    return None if row is None else StoredMonth(row[0], Facts(row[1], row[2]), *row[3:])


def months_done(connection: sqlite3.Connection, instance: Instance, since: int) -> list[int]:
    """Give the months of an instance that are done, from one on, in order."""
    query = "SELECT month FROM month_countings WHERE instance = ? AND month >= ? ORDER BY month"
    return [row[0] for row in connection.execute(query, (instance.id, since))]


def store_month(
    connection: sqlite3.Connection,
    instance: Instance,
    counting: MonthCounting,
    run: int,
    sink: outbox.Sink,
) -> None:
    """Store all of a month's counting: its rows, and that it is done."""
    counted = counting.counted
    put_rows(connection, instance, counted.rows, 0, sink)
    connection.execute(
        "INSERT INTO month_countings"
        " VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(seq), 0) FROM events))",
        (
            instance.id,
            counting.month,
            run,
            counting.facts.acceptance,
            counting.facts.first_connection,
            len(counted.rows),
        ),
    )
    totals.add(
        connection,
        {"values.other": counted.others, "values.too_large": len(counted.too_large)},
    )


def begin_months(connection: sqlite3.Connection, instance: int, as_of: int) -> None:
    """Note at an instance's first run that no month before the last one is looked at."""
    connection.execute(
        "UPDATE instances SET months_from = ? WHERE id = ? AND months_from IS NULL",
        (month_of(day_of(as_of)) - 1, instance),
    )
