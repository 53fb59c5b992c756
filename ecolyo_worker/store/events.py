"""Usage events as they are stored, and what became of each."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, compress
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from ecolyo_worker.clock import DAY_MS
from ecolyo_worker.events import END_TYPES, ORDER, Event
from ecolyo_worker.store import totals
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "EVER_TYPES",
    "STATES",
    "Range",
    "StoredEvent",
    "ever",
    "find",
    "first_day",
    "insert",
    "of_day",
    "of_days",
    "of_ranges",
    "owners",
    "page",
    "remove_all",
    "remove_day",
    "select_with_state",
]

STATES = ("waiting", "counted", "imported", "expired", "unconsented", "failed")
"""What an event can be. Each is exactly one of them."""

_COLUMNS = (
    "e.id, e.type, e.time, e.target, e.context, e.result, e.start_text, e.start, e.aggregated,"
    " e.seq"
)

# Many as one text of JSON: every row that is fetched gives Python's lock away.
_AS_JSON = (
    "json_array(e.id, e.type, e.time, e.target, e.context, e.result, e.start_text, e.start,"
    " json(iif(e.aggregated, 'true', 'false')), e.seq)"
)
_OF_RANGES = f"""
    WITH range AS MATERIALIZED (
        SELECT key AS place, json_extract(value, '$[0]') AS instance,
               json_extract(value, '$[1]') AS day, json_extract(value, '$[2]') AS after_seq,
               json_extract(value, '$[3]') AS upto_seq FROM json_each(?))
    SELECT place, json_group_array({_AS_JSON}) FROM range AS r
     CROSS JOIN events AS e ON e.instance = r.instance AND e.day = r.day
       AND e.seq > r.after_seq AND e.seq <= r.upto_seq
     GROUP BY place
"""  # noqa: S608  a statement of ours
_PAGE: Final = 2_000
"""The most events that are read as one text."""

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


EVER_TYPES = frozenset({"ProfileSetEvent", "KonnectorAttemptEvent"})
"""The events that are counted over a whole life."""

_KEPT = END_TYPES | EVER_TYPES | {"ConnectionEvent", "ChallengeLaunchEvent"}
"""The events that facts are derived from."""

_EVENTS_OF = msgspec.json.Decoder(list[Event])

_FIELDS = [name for name in Event.__struct_fields__ if name != "seq"]
_EVENTS = Ladder("events", ["instance", "day", *_FIELDS], "DO NOTHING")
_WAITING_DAYS = Ladder("waiting_days", ["instance", "day"], "DO NOTHING")
_EVER = Ladder("ever", ["instance", "id", "seq", "time", "type", "target", "result"], "DO NOTHING")
_ENDS = Ladder(
    "ends",
    ["instance", "type", "target", "start", "first_time", "first_seq"],
    "DO UPDATE SET first_time = excluded.first_time, first_seq = excluded.first_seq"
    " WHERE excluded.first_time < first_time",
)


class Range(Struct, frozen=True):
    """The events of an instance's day that arrived within after_seq < seq <= upto_seq."""

    instance: int
    day: int
    after_seq: int
    upto_seq: int


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


def insert(
    connection: sqlite3.Connection, instances: Sequence[int], found: Sequence[Event]
) -> list[bool]:
    """Store events, each with its instance's id; False for those that were known before.

    The facts that rest on "ever stored" are kept in the same breath, so that deleting old events
    never changes a value.
    """
    highest = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
    places = [
        (instance, event.time // DAY_MS) for instance, event in zip(instances, found, strict=True)
    ]
    stored, last = _EVENTS.insert(connection, _values(places, found))
    if stored == len(found):  # all are new, and AUTOINCREMENT has numbered them one by one
        _keep(connection, places, found, range(last - stored + 1, last + 1))
        return [True] * stored
    seqs = _new_seqs(connection, instances, found, highest or 0)
    are_new = [seq is not None for seq in seqs]
    _keep(
        connection,
        list(compress(places, are_new)),
        list(compress(found, are_new)),
        [seq for seq in seqs if seq is not None],
    )
    return are_new


def of_ranges(connection: sqlite3.Connection, ranges: Sequence[Range]) -> list[list[Event]]:
    """Give the events of each of some ranges, in the order of events; for a few small ranges."""
    rows = connection.execute(_OF_RANGES, (json.dumps([astuple(item) for item in ranges]),))
    # They come in their order, but no one promises it.
    found = {place: sorted(_EVENTS_OF.decode(text), key=ORDER) for place, text in rows.fetchall()}
    return [found.get(place, []) for place in range(len(ranges))]


def of_day(
    connection: sqlite3.Connection, instance: int, day: int, after_seq: int, upto_seq: int
) -> list[Event]:
    """Give the events of one day that arrived within a range, in the order of events."""
    values = {"after": after_seq, "upto": upto_seq}
    condition = "+seq > :after AND +seq <= :upto"  # +: the index serves the place of a page
    return list(_of_days(connection, instance, range(day, day + 1), condition, values))


def of_days(connection: sqlite3.Connection, instance: int, days: range, since: int) -> list[Event]:
    """Give the events of some days from a civil time on, whatever became of them, in order."""
    return list(_of_days(connection, instance, days, "time >= :since", {"since": since}))


def ever(connection: sqlite3.Connection, instance: int, since: int, before: int) -> list[Event]:
    """Give the events that are counted over a whole life, of the civil times since <= t < before.

    The events themselves may be gone; what is not kept of them is None.
    """
    rows = connection.execute(
        "SELECT id, type, time, target, NULL, result, NULL, NULL, 0, seq FROM ever"
        " WHERE instance = ? AND time >= ? AND time < ? ORDER BY time, seq",
        (instance, since, before),
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


def find(connection: sqlite3.Connection, instance: int, ident: str) -> StoredEvent | None:
    """Give an instance's event by its `_id`, or None."""
    query = select_with_state(f"{_COLUMNS}, i.name, f.error") + (
        " JOIN instances AS i ON i.id = e.instance WHERE e.instance = ? AND e.id = ?"
    )
    row = connection.execute(query, (instance, ident)).fetchone()
    if row is None:
        return None
    *found, name, error, state = row
    return StoredEvent(instance=name, event=_event(found), state=state, error=error)


def owners(
    connection: sqlite3.Connection, ident: str, after: int, limit: int
) -> tuple[list[tuple[str, int]], int | None]:
    """Look for an event's `_id` among some instances behind an id, and tell how far that is.

    Gives the name of each that has it, with the event's civil day, and the id of the last instance
    that was looked at, None at the end.
    """
    found = connection.execute(
        "SELECT i.id, i.name, e.day FROM (SELECT id, name FROM instances WHERE id > ?"
        " ORDER BY id LIMIT ?) AS i LEFT JOIN events AS e ON e.instance = i.id AND e.id = ?",
        (after, limit, ident),
    ).fetchall()
    owning = [(name, day) for _, name, day in found if day is not None]
    return owning, max(row[0] for row in found) if len(found) == limit else None


def first_day(connection: sqlite3.Connection, instance: int) -> int | None:
    """Give the oldest civil day of which an instance has an event, or None."""
    query = "SELECT min(day) FROM events WHERE instance = ?"
    day: int | None = connection.execute(query, (instance,)).fetchone()[0]
    return day


def remove_day(connection: sqlite3.Connection, instance: int, day: int) -> Counter[str]:
    """Delete an instance's events of one day; give how many, by total.

    The facts that were derived from them stay.
    """
    removed = _remove(connection, "e.instance = ? AND e.day = ?", (instance, day))
    connection.execute("DELETE FROM waiting_days WHERE instance = ? AND day = ?", (instance, day))
    return removed


def remove_all(connection: sqlite3.Connection, instance: int) -> Counter[str]:
    """Delete an instance's events and what was derived from them; give how many, by total."""
    removed = _remove(connection, "e.instance = ?", (instance,))
    for table in ("waiting_days", "ends", "ever"):
        connection.execute(f"DELETE FROM {table} WHERE instance = ?", (instance,))  # noqa: S608
    return removed


def _remove(connection: sqlite3.Connection, which: str, values: Sequence[int]) -> Counter[str]:
    """Delete events, and why they failed; `which` is SQL about events `e`."""
    query = select_with_state("e.seq") + f" WHERE {which}"
    states = Counter(f"events.{state}" for _, state in connection.execute(query, values))
    connection.execute(
        f"DELETE FROM failures WHERE seq IN (SELECT e.seq FROM events AS e WHERE {which})",  # noqa: S608
        values,
    )
    connection.execute(f"DELETE FROM events AS e WHERE {which}", values)  # noqa: S608  SQL of ours
    return states


def _values(places: Sequence[tuple[int, int]], found: Sequence[Event]) -> list[Any]:
    """Give the values of all rows, one behind the other; a place is an instance and a day."""
    values: list[Any] = []
    for place, event in zip(places, found, strict=True):
        values += place
        values += astuple(event)[:-1]  # all but `seq`
    return values


def _new_seqs(
    connection: sqlite3.Connection, instances: Sequence[int], found: Sequence[Event], highest: int
) -> list[int | None]:
    """Give the place of each event that is behind the highest before; of equal ones, the first."""
    rows = connection.execute("SELECT instance, id, seq FROM events WHERE seq > ?", (highest,))
    places = {(instance, ident): seq for instance, ident, seq in rows}
    return [
        places.pop((instance, event.id), None)
        for instance, event in zip(instances, found, strict=True)
    ]


def _keep(
    connection: sqlite3.Connection,
    places: Sequence[tuple[int, int]],
    taken: Sequence[Event],
    seqs: Sequence[int],
) -> None:
    """Keep what is known of new events beside their rows."""
    _keep_days(connection, places, taken)
    kept = [
        (seq, instance, event)
        for seq, (instance, _), event in zip(seqs, places, taken, strict=True)
        if event.type in _KEPT
    ]
    _keep_facts(connection, kept)


def _keep_days(
    connection: sqlite3.Connection, places: Sequence[tuple[int, int]], taken: Sequence[Event]
) -> None:
    """Keep on which days something waits, and how much that is."""
    waiting = list(compress(places, [not event.aggregated for event in taken]))
    _WAITING_DAYS.insert(connection, list(chain.from_iterable(dict.fromkeys(waiting))))
    totals.add(
        connection,
        {
            "events.accepted": len(taken),
            "events.waiting": len(waiting),
            "events.imported": len(taken) - len(waiting),
        },
    )


def _keep_facts(connection: sqlite3.Connection, kept: Sequence[tuple[int, int, Event]]) -> None:
    """Keep first connections and launches, the first of equal ends, and what counts ever."""
    ends: list[Any] = []
    ever: list[Any] = []
    for seq, instance, event in kept:
        if event.type in EVER_TYPES:
            ever += (instance, event.id, seq, event.time, event.type, event.target, event.result)
        elif event.type in END_TYPES:
            if event.start is not None:
                ends += (instance, event.type, event.target or "", event.start, event.time, seq)
        elif event.type == "ChallengeLaunchEvent":
            connection.execute(
                "UPDATE instances SET first_launch_time = :time, first_launch_seq = :seq"
                " WHERE id = :instance"
                " AND (first_launch_time IS NULL OR first_launch_time > :time)",
                {"time": event.time, "seq": seq, "instance": instance},
            )
        elif event.type == "ConnectionEvent" and event.outcome == "firstconnection":
            connection.execute(
                "UPDATE instances SET first_connection_seen ="
                " min(coalesce(first_connection_seen, :time), :time) WHERE id = :instance",
                {"time": event.time, "instance": instance},
            )
    _ENDS.insert(connection, ends)
    _EVER.insert(connection, ever)


def _of_days(
    connection: sqlite3.Connection,
    instance: int,
    days: range,
    condition: str,
    values: dict[str, int],
) -> Iterator[Event]:
    """Give the events of some days that meet a condition, in their order, day by day."""
    day = days.start
    while True:
        query = "SELECT min(day) FROM events WHERE instance = ? AND day >= ? AND day < ?"
        day = connection.execute(query, (instance, day, days.stop)).fetchone()[0]
        if day is None:
            return
        yield from _of_one_day(connection, instance, day, condition, values)
        day += 1


def _of_one_day(
    connection: sqlite3.Connection,
    instance: int,
    day: int,
    condition: str,
    values: dict[str, int],
) -> Iterator[Event]:
    """Give the events of a day that meet a condition, in their order, page by page."""
    # Not `(day, time, seq) > …`: of that, the index would serve the day alone, and each page would
    # begin with the first event of the day again.
    of_day = f"SELECT * FROM events WHERE instance = :instance AND day = :day AND {condition}"  # noqa: S608
    query = (
        f"SELECT json_group_array({_AS_JSON}) FROM ("  # noqa: S608  SQL of ours
        f"{of_day} AND time = :time AND seq > :seq UNION ALL {of_day} AND time > :time"
        f" ORDER BY time, seq LIMIT {_PAGE}) AS e"
    )
    place = {"instance": instance, "day": day, "time": -(2**63), "seq": 0}
    while True:
        (text,) = connection.execute(query, place | values).fetchone()
        page = sorted(_EVENTS_OF.decode(text), key=ORDER)
        yield from page
        if len(page) < _PAGE:
            return
        place |= {"time": page[-1].time, "seq": page[-1].seq}


def _event(row: Sequence[int | str | None]) -> Event:
    return Event(*row[:8], bool(row[8]), row[9])  # type: ignore[call-arg,arg-type]
