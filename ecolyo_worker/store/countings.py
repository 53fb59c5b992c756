"""Countings: which events a run passes over, what it made of them, and what is still waiting.

All of it is read and written for many instances at once, so that what a night costs grows with its
events, and not with the people who have them.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.indicators import OTHER
from ecolyo_worker.measures import Counted, End, EndKey, Fate, Row, Rules, end_key
from ecolyo_worker.store import events, outbox, totals
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "DayCounting",
    "WaitingDay",
    "begin_run",
    "connected_key",
    "latest_as_of",
    "new_rows",
    "note_connected",
    "oldest_days",
    "remove",
    "row_key",
    "runs",
    "store",
    "waiting",
    "with_events",
]

_AT_ONCE: Final = 500
"""The most events of several days that are read together."""

_COUNTINGS = Ladder(
    "countings",
    [
        "instance",
        "day",
        "n",
        "after_seq",
        "upto_seq",
        "run",
        "fate",
        "acceptance",
        "first_connection",
        "events",
        "rows",
    ],
)
_FAILURES = Ladder("failures", ["seq", "error"])
_ENDS = Ladder(
    "ends",
    [
        "instance",
        "type",
        "target",
        "start",
        "first_time",
        "first_seq",
        "counted_seq",
        "row_seq",
    ],
    "DO UPDATE SET counted_seq = excluded.counted_seq, row_seq = excluded.row_seq",
)

# One text, for every row that is fetched gives Python's lock away.
_WAITING = """
    SELECT json_group_array(json_array(instance, day, n, after_seq, upto_seq, events)) FROM (
        SELECT w.instance, w.day, n, after_seq, max(e.seq) AS upto_seq, count(*) AS events
          FROM (SELECT w.instance, w.day, count(c.n) AS n,
                       coalesce(max(c.upto_seq), 0) AS after_seq
                  FROM json_each(?) AS j CROSS JOIN waiting_days AS w ON w.instance = j.value
                  LEFT JOIN countings AS c ON c.instance = w.instance AND c.day = w.day
                 WHERE w.day < ? GROUP BY w.instance, w.day) AS w
         CROSS JOIN events AS e
            ON e.instance = w.instance AND e.day = w.day AND e.seq > after_seq
         GROUP BY w.instance, w.day)
"""


class WaitingDay(Struct, frozen=True):
    """A day of an instance with events that no counting has passed over.

    Its next counting passes over those with after_seq < seq <= upto_seq.
    """

    instance: int
    day: int
    n: int
    """How often the day was counted before."""
    after_seq: int
    upto_seq: int
    events: int
    """How many there are of them."""


class DayCounting(Struct, frozen=True):
    """One counting of an instance: the events of a day with after_seq < seq <= upto_seq."""

    day: int
    n: int
    after_seq: int
    upto_seq: int
    aggregated: int
    """How many of the events came as counted already."""
    first_connection: int | None
    counted: Counted


def begin_run(connection: sqlite3.Connection, now: int, as_of: int, rules: Rules, mode: str) -> int:
    """Note that a run begins, and by which rules, and give its id."""
    cursor = connection.execute(
        "INSERT INTO runs (started, as_of, definitions, max_age_days, not_before, mode)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (now, as_of, rules.definitions.digest, rules.max_age_days, rules.not_before, mode),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def runs(connection: sqlite3.Connection) -> int:
    """Give how many runs were ever begun."""
    count: int = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    return count


def latest_as_of(connection: sqlite3.Connection) -> int:
    """Give the latest civil time that a run was as of, in ms; 0 if there was none."""
    as_of: int = connection.execute("SELECT coalesce(max(as_of), 0) FROM runs").fetchone()[0]
    return as_of


def oldest_days(
    connection: sqlite3.Connection, instance: int, before: int, limit: int
) -> list[int]:
    """Give the civil day of each of an instance's first countings, of days before one, in order."""
    query = "SELECT day FROM countings WHERE instance = ? AND day < ? ORDER BY day LIMIT ?"
    return [day for (day,) in connection.execute(query, (instance, before, limit))]


def remove(connection: sqlite3.Connection, instance: int, through: int) -> int:
    """Delete an instance's countings up to a civil day; give how many indicators they made."""
    query = "DELETE FROM countings WHERE instance = ? AND day <= ? RETURNING rows"
    return sum(rows for (rows,) in connection.execute(query, (instance, through)).fetchall())


def waiting(
    connection: sqlite3.Connection, instances: Sequence[int], before: int
) -> dict[int, list[WaitingDay]]:
    """Give the waiting days before a civil day of those instances that have any, oldest first."""
    (text,) = connection.execute(_WAITING, (json.dumps(instances), before)).fetchone()
    found: dict[int, list[WaitingDay]] = {}
    for fields in sorted(json.loads(text)):
        day = WaitingDay(*fields)
        found.setdefault(day.instance, []).append(day)
    return found


def with_events(
    connection: sqlite3.Connection, days: Iterable[WaitingDay]
) -> Iterator[tuple[WaitingDay, list[Event], dict[EndKey, End]]]:
    """Give days, in their order, each with its events and what is known of equal ends.

    The events of a few days are read at once, when the first of them is asked for.
    """
    for group in _groups(days):
        found = _events(connection, group)
        enders = [
            [one for one in mine if one.start is not None and one.type in END_TYPES]
            for mine in found
        ]
        known = _ends(connection, [one.seq for some in enders for one in some])
        for day, mine, some in zip(group, found, enders, strict=True):
            yield day, mine, {(key := end_key(one)): known[day.instance, *key] for one in some}


def store(
    connection: sqlite3.Connection, made: Sequence[tuple[Instance, DayCounting]], run: int
) -> None:
    """Store countings: the fates of their events, and the facts after them; the rows apart.

    Those of one instance come in the order in which they were counted.
    """
    changes: Counter[str] = Counter()
    values: list[Any] = []
    errors: dict[int, str] = {}
    ends: dict[tuple[int, str, str, int], End] = {}
    for instance, counting in made:
        counted = counting.counted
        fates = Counter(counted.fates.values())
        fates["imported"] -= counting.aggregated
        changes.update({f"events.{name}": number for name, number in fates.items()})
        changes["events.waiting"] -= fates.total()
        changes.update(totals.of_values(counted.others, counted.too_large))
        values += _counting(instance, counting, fates, run)
        errors.update(counted.errors)
        ends.update({(instance.id, *key): end for key, end in counted.facts.ends.items()})
    _COUNTINGS.insert(connection, values)
    _FAILURES.insert(connection, [value for item in errors.items() for value in item])
    _ENDS.insert(
        connection,
        [v for key, end in ends.items() for v in (*key, *end.first, end.counted, end.row)],
    )
    connection.execute(
        "DELETE FROM waiting_days WHERE (instance, day) IN (SELECT"
        " json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))",
        (json.dumps([(instance.id, counting.day) for instance, counting in made]),),
    )
    totals.add(connection, changes)


def note_connected(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Note in the counters that the connected rows of some days were made."""
    others = Counter(
        f"{row.indicator.measure_name}.{key}"
        for row in rows
        for group in row.indicator.groups
        for key, value in group.items()
        if value == OTHER
    )
    totals.add(connection, {"rows.connected": len(rows), **totals.of_values(others)})


def row_key(salt: bytes, measure: str, start_date: str, n: int, ordinal: int) -> bytes:
    """Give the key that makes a row unique: a hash, with a salt that only the instance has.

    Keys of one instance and start date begin alike, so that they lie together in the index: a night
    that wrote to it all over would write most of it anew in every transaction.
    """
    text = f"{measure}|{start_date}|{n}|{ordinal}"
    key = hashlib.blake2b(text.encode(), key=salt, digest_size=10).digest()
    return _place(salt, start_date) + key


def connected_key(instance: Instance, start_date: str) -> bytes:
    """Give the key of the one connected row of a day."""
    return row_key(instance.salt, "konnector-connected-daily", start_date, 0, 0)


def new_rows(
    instance: Instance, rows: Iterable[Row], n: int, *, is_doubtful: bool = False
) -> Iterator[outbox.NewRow]:
    """Give rows as the outbox takes them; `n` is how often their period was counted before."""
    for row in rows:
        indicator = row.indicator
        key = row_key(instance.salt, indicator.measure_name, indicator.start_date, n, row.ordinal)
        yield outbox.NewRow(instance.id, key, indicator, is_doubtful)


@lru_cache(1)  # the rows of a day follow each other
def _place(salt: bytes, start_date: str) -> bytes:
    return hashlib.blake2b(start_date.encode(), key=salt, digest_size=6).digest()


def _counting(
    instance: Instance, counting: DayCounting, fates: Counter[Fate], run: int
) -> tuple[object, ...]:
    whole: tuple[Fate, ...] = ("imported", "expired")
    fate = next((name for name in whole if fates[name] > 0), "counted")
    return (
        instance.id,
        counting.day,
        counting.n,
        counting.after_seq,
        counting.upto_seq,
        run,
        fate,
        counting.counted.facts.acceptance,
        counting.first_connection,
        fates.total(),
        len(counting.counted.rows),
    )


def _groups(days: Iterable[WaitingDay]) -> Iterator[list[WaitingDay]]:
    """Cut days into pieces of a few events; one with more is a piece by itself."""
    group: list[WaitingDay] = []
    size = 0
    for day in days:
        if group and size + day.events > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(day)
        size += day.events
    if group:
        yield group


def _events(connection: sqlite3.Connection, group: Sequence[WaitingDay]) -> list[list[Event]]:
    ranges = [events.Range(day.instance, day.day, day.after_seq, day.upto_seq) for day in group]
    if len(ranges) > 1:
        return events.of_ranges(connection, ranges)
    return [events.of_day(connection, *msgspec.structs.astuple(one)) for one in ranges]


def _ends(
    connection: sqlite3.Connection, seqs: Sequence[int]
) -> dict[tuple[int, str, str, int], End]:
    """Give what is known of the ends that are equal to one of these events, by instance too."""
    if not seqs:
        return {}
    (text,) = connection.execute(
        "SELECT json_group_array(json_array(n.instance, n.type, n.target, n.start, first_time,"
        " first_seq, counted_seq, row_seq)) FROM json_each(?) AS j"
        " CROSS JOIN events AS e ON e.seq = j.value"
        " CROSS JOIN ends AS n ON n.instance = e.instance AND n.type = e.type"
        " AND n.target = coalesce(e.target, '') AND n.start = e.start",
        (json.dumps(seqs),),
    ).fetchone()
    return {
        (instance, kind, target, start): End((time, seq), counted, row)
        for instance, kind, target, start, time, seq, counted, row in json.loads(text)
    }
