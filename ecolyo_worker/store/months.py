"""Months: which are due and not done, what is known of one, and what was made of it."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import count, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.clock import (
    day_of,
    day_start,
    month_days,
    month_of,
)
from ecolyo_worker.measures import CountedMonth, Facts, Month, Rules
from ecolyo_worker.store import consumption, events, totals
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "MonthCounting",
    "StoredMonth",
    "done",
    "due",
    "farthest",
    "first",
    "first_open",
    "month_of_instance",
    "months_done",
    "store",
    "stored_month",
]

_FARTHEST = 3
"""How many months back a run looks, however long none was made."""

_COUNTINGS = Ladder(
    "month_countings",
    ["instance", "month", "run", "acceptance", "first_connection", "rows", "upto_seq"],
)


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


def done(
    connection: sqlite3.Connection, instances: Sequence[int], as_of: int
) -> dict[int, set[int]]:
    """Give which of the months that a run may look at are done, by instance."""
    (text,) = connection.execute(
        "SELECT json_group_array(json_array(c.instance, c.month)) FROM json_each(?) AS j"
        " CROSS JOIN month_countings AS c ON c.instance = j.value AND c.month >= ?",
        (json.dumps(instances), farthest(as_of)),
    ).fetchone()
    found: dict[int, set[int]] = {}
    for instance, month in json.loads(text):
        found.setdefault(instance, set()).add(month)
    return found


def due(instance: Instance, done: Collection[int], as_of: int, rules: Rules) -> Iterator[int]:
    """Give an instance's months that are due as of a civil time and not done, oldest first.

    An instance's first run looks at the month before its own only, later ones three back.
    """
    today = day_of(as_of)
    this = month_of(today)
    is_month_old_enough = today - month_days(this).start + 1 >= rules.monthly_day
    last = this - 1 if is_month_old_enough else this - 2
    return takewhile(lambda month: month <= last, _open(instance, done, this, rules))


def first_open(instance: Instance, done: Collection[int], as_of: int, rules: Rules) -> int:
    """Give the first month that a run as of a civil time, or a later one, may still count."""
    return next(_open(instance, done, month_of(day_of(as_of)), rules))


def farthest(as_of: int) -> int:
    """Give the first month that any run as of a civil time looks at."""
    return month_of(day_of(as_of)) - _FARTHEST


def first(as_of: int) -> int:
    """Give the first month that an instance's first run looks at."""
    return month_of(day_of(as_of)) - 1


def _open(instance: Instance, done: Collection[int], this: int, rules: Rules) -> Iterator[int]:
    """Give the months from which a run in the month `this` chooses, without an end.

    One of which events were removed is not among them: what is left would make another value.
    """
    begin = this - 1 if instance.months_from is None else instance.months_from
    for month in count(max(begin, this - _FARTHEST)):
        days = month_days(month)
        is_before = rules.not_before is not None and days.stop <= rules.not_before
        is_pruned = instance.pruned_through is not None and days.start <= instance.pruned_through
        if not (month in done or is_before or is_pruned):
            yield month


def month_of_instance(
    connection: sqlite3.Connection, instance: Instance, facts: Facts, month: int, zone: ZoneInfo
) -> Month:
    """Give all that is to be known of an instance's month."""
    days, before = month_days(month), month_days(month - 1)
    return Month(
        facts=facts,
        number=month,
        events=tuple(events.of_days(connection, instance.id, days, facts.acceptance)),
        ever=tuple(events.ever(connection, instance.id, facts.acceptance, day_start(days.stop))),
        subscribed=instance.subscribed(day_start(days.stop)),
        profile=instance.profile,
        consumption=consumption.of_days(connection, instance.id, days),
        consumption_before=consumption.of_days(connection, instance.id, before),
        has_half_hours=consumption.has_half_hours(
            connection, instance.id, "electricity", days, zone
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


def store(
    connection: sqlite3.Connection, made: Sequence[tuple[Instance, MonthCounting]], run: int
) -> None:
    """Store that months are done, and how; the rows apart."""
    if not made:
        return
    (upto_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    changes: Counter[str] = Counter()
    values: list[Any] = []
    for instance, item in made:
        facts, counted = item.facts, item.counted
        values += (instance.id, item.month, run, facts.acceptance, facts.first_connection)
        values += (len(counted.rows), upto_seq)
        changes.update(totals.of_values(counted.others, counted.too_large))
    _COUNTINGS.insert(connection, values)
    totals.add(connection, changes)
