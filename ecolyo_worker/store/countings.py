"""Countings: which events a run passed over, what it made of them, and what is still waiting."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.indicators import OTHER
from ecolyo_worker.measures import Counted, End, EndKey, Facts, Row, end_key
from ecolyo_worker.store import outbox, totals
from ecolyo_worker.store.instances import Instance

__all__ = [
    "DayCounting",
    "begin_run",
    "connected_key",
    "facts_of",
    "open_range",
    "put_rows",
    "row_key",
    "store_connected",
    "store_counting",
    "waiting_days",
]


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


def begin_run(
    connection: sqlite3.Connection, now: int, as_of: int, definitions: str, mode: str
) -> int:
    """Note that a run begins, and give its id; `definitions` is their digest."""
    cursor = connection.execute(
        "INSERT INTO runs (started, as_of, definitions, mode) VALUES (?, ?, ?, ?)",
        (now, as_of, definitions, mode),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def waiting_days(connection: sqlite3.Connection, instance: int, before: int) -> list[int]:
    """Give an instance's days before a day that have events no counting has passed over."""
    query = "SELECT day FROM waiting_days WHERE instance = ? AND day < ? ORDER BY day"
    return [row[0] for row in connection.execute(query, (instance, before))]


def open_range(connection: sqlite3.Connection, instance: int, day: int) -> tuple[int, int, int]:
    """Give n, after_seq and upto_seq of the next counting of a day that has events."""
    n, after_seq = connection.execute(
        "SELECT count(*), coalesce(max(upto_seq), 0) FROM countings WHERE instance = ? AND day = ?",
        (instance, day),
    ).fetchone()
    upto_seq = connection.execute(
        "SELECT max(seq) FROM events WHERE instance = ? AND day = ?", (instance, day)
    ).fetchone()[0]
    return n, after_seq, upto_seq


def facts_of(
    connection: sqlite3.Connection,
    instance: Instance,
    acceptance: int,
    as_of: int,
    events: Iterable[Event],
) -> Facts:
    """Give what must be known of an instance to count these events."""
    return Facts(
        acceptance=acceptance,
        first_connection=instance.first_connection(as_of),
        first_launch=instance.first_launch,
        launch_row=instance.launch_row,
        pruned_through=instance.pruned_through,
        ends=_ends(connection, instance.id, events),
    )


def store_counting(
    connection: sqlite3.Connection,
    instance: Instance,
    counting: DayCounting,
    run: int,
    sink: outbox.Sink,
) -> None:
    """Store all of a counting: its rows, the fates of its events, the facts after it."""
    counted = counting.counted
    put_rows(connection, instance, counted.rows, counting.n, sink)
    _store_range(connection, instance, counting, run)
    connection.executemany(
        "INSERT INTO failures (seq, error) VALUES (?, ?)", list(counted.errors.items())
    )
    connection.executemany(
        "UPDATE ends SET counted_seq = ?, row_seq = ? WHERE instance = ? AND type = ?"
        " AND target = ? AND start = ?",
        [(end.counted, end.row, instance.id, *key) for key, end in counted.facts.ends.items()],
    )
    connection.execute(
        "UPDATE instances SET launch_row_seq = ? WHERE id = ?",
        (counted.facts.launch_row, instance.id),
    )
    connection.execute(
        "DELETE FROM waiting_days WHERE instance = ? AND day = ?",
        (instance.id, counting.day),
    )


def store_connected(
    connection: sqlite3.Connection,
    instance: Instance,
    made: Sequence[tuple[int, Sequence[Row]]],
    through: int | None,
    sink: outbox.Sink,
) -> None:
    """Store the connected rows of some days, and up to which day all of them are made."""
    for _, rows in made:
        put_rows(connection, instance, rows, 0, sink)
        others = sum(
            list(group.values()) == [OTHER] for row in rows for group in row.indicator.groups
        )
        totals.add(connection, {"rows.connected": len(rows), "values.other": others})
    if through is not None:
        connection.execute(
            "UPDATE instances SET connected_through = max(coalesce(connected_through, ?1), ?1)"
            " WHERE id = ?2",
            (through, instance.id),
        )


def row_key(salt: bytes, measure: str, start_date: str, n: int, ordinal: int) -> bytes:
    """Give the key that makes a row unique: a hash, with a salt that only the instance has."""
    text = f"{measure}|{start_date}|{n}|{ordinal}"
    return hashlib.blake2b(text.encode(), key=salt, digest_size=16).digest()


def connected_key(instance: Instance, start_date: str) -> bytes:
    """Give the key of the one connected row of a day."""
    return row_key(instance.salt, "konnector-connected-daily", start_date, 0, 0)


def put_rows(
    connection: sqlite3.Connection,
    instance: Instance,
    rows: Iterable[Row],
    n: int,
    sink: outbox.Sink,
) -> None:
    """Put rows into the outbox, each under its key; `n` is how often their period was counted."""
    keyed = []
    for row in rows:
        measure, start_date = row.indicator.measure_name, row.indicator.start_date
        keyed.append((row_key(instance.salt, measure, start_date, n, row.ordinal), row.indicator))
    outbox.insert(connection, instance.id, keyed, sink)


def _store_range(
    connection: sqlite3.Connection, instance: Instance, counting: DayCounting, run: int
) -> None:
    counted = counting.counted
    fates: Counter[str] = Counter(counted.fates.values())
    fates["imported"] -= counting.aggregated
    fate = next((name for name in ("imported", "expired") if fates[name] > 0), "counted")
    passed_over = sum(fates.values())
    connection.execute(
        "INSERT INTO countings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            instance.id,
            counting.day,
            counting.n,
            counting.after_seq,
            counting.upto_seq,
            run,
            fate,
            counted.facts.acceptance,
            counting.first_connection,
            passed_over,
            len(counted.rows),
        ),
    )
    changes = {f"events.{name}": number for name, number in fates.items()}
    changes["events.waiting"] = -passed_over
    changes["values.other"] = counted.others
    changes["values.too_large"] = len(counted.too_large)
    totals.add(connection, changes)


def _ends(
    connection: sqlite3.Connection, instance: int, events: Iterable[Event]
) -> dict[EndKey, End]:
    """Give what is known of the ends that are equal to one of these events."""
    keys = {
        end_key(event) for event in events if event.type in END_TYPES and event.start is not None
    }
    ends: dict[EndKey, End] = {}
    for key in keys:
        time, seq, counted, row = connection.execute(
            "SELECT first_time, first_seq, counted_seq, row_seq FROM ends"
            " WHERE instance = ? AND type = ? AND target = ? AND start = ?",
            (instance, *key),
        ).fetchone()
        ends[key] = End((time, seq), counted, row)
    return ends
