"""Usage events as they are stored, and what became of each."""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.store import totals

__all__ = [
    "STATES",
    "StoredEvent",
    "insert",
    "of_day",
    "page",
    "remove_all",
    "select_with_state",
]

STATES = ("waiting", "counted", "imported", "expired", "unconsented", "failed")
"""What an event can be. Each is exactly one of them."""

_COLUMNS = (
    "e.id, e.type, e.time, e.target, e.context, e.result, e.start_text, e.start, e.aggregated,"
    " e.seq"
)

# The state of an event: the fate of the counting whose range holds it, with three exceptions.
_WITH_STATE = """
    SELECT {columns},
        CASE WHEN e.aggregated THEN 'imported'
             WHEN c.n IS NULL THEN 'waiting'
             WHEN c.fate = 'imported' THEN 'imported'
             WHEN e.time < c.acceptance THEN 'unconsented'
             WHEN f.seq IS NOT NULL THEN 'failed'
             ELSE c.fate END AS state
      FROM events AS e
      LEFT JOIN countings AS c ON c.instance = e.instance AND c.day = e.day
                              AND e.seq > c.after_seq AND e.seq <= c.upto_seq
      LEFT JOIN failures AS f ON f.seq = e.seq
"""


class StoredEvent(Struct, frozen=True):
    """An event with its instance and what became of it."""

    instance: str
    event: Event
    state: str
    error: str | None = None
    """Why it failed, if it did."""


def select_with_state(columns: str) -> str:
    """Give the SQL that selects columns of events `e`, and `state` behind them."""
    return _WITH_STATE.format(columns=columns)


def insert(connection: sqlite3.Connection, batch: Sequence[tuple[int, Event]]) -> list[bool]:
    """Store events, each with its instance's id; False for those that were known before.

    The facts that rest on "ever stored" are kept in the same breath, so that deleting old events
    never changes a value.
    """
    accepted = [_insert_one(connection, instance, event) for instance, event in batch]
    taken = [item for item, is_new in zip(batch, accepted, strict=True) if is_new]
    waiting = [(instance, event) for instance, event in taken if not event.aggregated]
    connection.executemany(
        "INSERT OR IGNORE INTO waiting_days (instance, day) VALUES (?, ?)",
        {(instance, event.day) for instance, event in waiting},
    )
    totals.add(
        connection,
        {
            "events.accepted": len(taken),
            "events.waiting": len(waiting),
            "events.imported": len(taken) - len(waiting),
        },
    )
    return accepted


def of_day(
    connection: sqlite3.Connection, instance: int, day: int, after_seq: int, upto_seq: int
) -> list[Event]:
    """Give the events of one day that arrived within a range, in the order of events."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM events AS e WHERE instance = ? AND day = ?"  # noqa: S608
        " AND seq > ? AND seq <= ? ORDER BY time, seq",
        (instance, day, after_seq, upto_seq),
    )
    return [_event(row) for row in rows]


def page(
    connection: sqlite3.Connection,
    after_seq: int,
    limit: int,
    instance: str | None = None,
    day: int | None = None,
) -> list[StoredEvent]:
    """Give the next stored events behind `after_seq`, in the order of arrival."""
    query = select_with_state(f"{_COLUMNS}, i.name, f.error") + (
        " JOIN instances AS i ON i.id = e.instance"
        " WHERE e.seq > :after AND (:instance IS NULL OR i.name = :instance)"
        " AND (:day IS NULL OR e.day = :day) ORDER BY e.seq LIMIT :limit"
    )
    arguments = {"after": after_seq, "limit": limit, "instance": instance, "day": day}
    return [
        StoredEvent(instance=name, event=_event(row), state=state, error=error)
        for *row, name, error, state in connection.execute(query, arguments)
    ]


def remove_all(connection: sqlite3.Connection, instance: int) -> dict[str, int]:
    """Delete an instance's events and what was derived from them; give how many, by total."""
    query = select_with_state("e.seq") + " WHERE e.instance = ?"
    states = Counter(state for _, state in connection.execute(query, (instance,)))
    connection.execute(
        "DELETE FROM failures WHERE seq IN (SELECT seq FROM events WHERE instance = ?)", (instance,)
    )
    for table in ("events", "waiting_days", "ends"):
        connection.execute(f"DELETE FROM {table} WHERE instance = ?", (instance,))  # noqa: S608
    return {f"events.{state}": count for state, count in states.items()}


def _insert_one(connection: sqlite3.Connection, instance: int, event: Event) -> bool:
    cursor = connection.execute(
        "INSERT INTO events (instance, id, day, time, type, target, context, result, start_text,"
        " start, aggregated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            instance,
            event.id,
            event.day,
            event.time,
            event.type,
            event.target,
            event.context,
            event.result,
            event.start_text,
            event.start,
            event.aggregated,
        ),
    )
    if cursor.rowcount == 0:
        return False
    assert cursor.lastrowid is not None
    _keep_facts(connection, instance, event, cursor.lastrowid)
    return True


def _keep_facts(connection: sqlite3.Connection, instance: int, event: Event, seq: int) -> None:
    if event.type == "ConnectionEvent" and event.outcome == "firstconnection":
        connection.execute(
            "UPDATE instances SET first_connection_seen ="
            " min(coalesce(first_connection_seen, ?1), ?1) WHERE id = ?2",
            (event.time, instance),
        )
    elif event.type == "ChallengeLaunchEvent":
        connection.execute(
            "UPDATE instances SET first_launch_time = ?1, first_launch_seq = ?2 WHERE id = ?3"
            " AND (first_launch_time IS NULL OR first_launch_time > ?1)",
            (event.time, seq, instance),
        )
    elif event.type in END_TYPES and event.start is not None:
        connection.execute(
            "INSERT INTO ends (instance, type, target, start, first_time, first_seq)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET first_time = excluded.first_time, first_seq = excluded.first_seq"
            " WHERE excluded.first_time < first_time",
            (instance, event.type, event.target or "", event.start, event.time, seq),
        )


def _event(row: Sequence[int | str | None]) -> Event:
    return Event(*row[:8], bool(row[8]), row[9])  # type: ignore[call-arg,arg-type]
