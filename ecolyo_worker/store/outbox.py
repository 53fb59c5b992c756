"""The outbox: every indicator made, until it is known what became of it.

`pending` rows are drawn at random among those due. A claimed row is `in_flight`; what an earlier
process left in flight is put back at the start, as possibly delivered, because nobody knows.
"""

import hmac
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from ecolyo_worker.indicators import Indicator
from ecolyo_worker.store import totals

__all__ = [
    "STATES",
    "Claimed",
    "OutboxRow",
    "Settlement",
    "Sink",
    "body_hmac",
    "claim",
    "discard",
    "get",
    "has_key",
    "insert",
    "next_due",
    "oldest_waiting",
    "page",
    "release",
    "remove_unsent",
    "rescue",
    "retry",
    "settle",
]

STATES = ("pending", "in_flight", "sent", "sent?", "dead", "local", "discarded")
"""What a row can be. Each is exactly one of them."""

_ROW = (
    "id, destination, measure, start_date, body, state, due, attempts, maybe_delivered,"
    " failing_since, answer, created, attempted"
)


class Sink(Struct, frozen=True):
    """Where a run's rows go: their destination, and how they begin."""

    destination: int
    state: str
    now: int
    hmac_key: bytes
    random: random.Random


class OutboxRow(Struct, frozen=True):
    """A row as it stands. Instants are ms of UTC; `body` is None once it is not needed any more."""

    id: int
    destination: int
    measure: str
    start_date: str
    body: bytes | None
    state: str
    due: int
    attempts: int
    maybe_delivered: int
    failing_since: int | None
    answer: str | None
    created: int
    attempted: int | None


class Claimed(Struct, frozen=True):
    """A row in flight: what is needed to send it and to decide on its answer."""

    id: int
    destination: int
    body: bytes
    attempts: int
    failing_since: int | None
    last_delivered: int | None
    """When its destination last delivered a row."""


class Settlement(Struct, frozen=True):
    """What becomes of a row in flight after an attempt."""

    state: str
    outcome: str
    due: int = 0
    counted: bool = False
    maybe_delivered: bool = False
    failing_since: int | None = None
    answer: str | None = None


def body_hmac(key: bytes, body: bytes) -> bytes:
    """Give what a body is known by once it is gone."""
    return hmac.digest(key, body, "sha256")


def insert(
    connection: sqlite3.Connection,
    instance: int,
    rows: Sequence[tuple[bytes, Indicator]],
    sink: Sink,
) -> None:
    """Put checked indicators into the outbox, each under its key."""
    values = []
    for key, indicator in rows:
        body = indicator.encode()
        values.append(
            (
                key,
                instance,
                sink.destination,
                indicator.measure_name,
                indicator.start_date,
                body,
                body_hmac(sink.hmac_key, body),
                sink.state,
                sink.random.getrandbits(62),
                sink.now,
            )
        )
    connection.executemany(
        "INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac,"
        " state, shuffle, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    totals.add(connection, {f"outbox.{sink.state}": len(values)})


def has_key(connection: sqlite3.Connection, key: bytes) -> bool:
    """Tell whether a row with this key was ever made and is still known."""
    return connection.execute("SELECT 1 FROM outbox WHERE key = ?", (key,)).fetchone() is not None


def claim(
    connection: sqlite3.Connection,
    destination: int,
    now: int,
    limit: int,
    hmac_key: bytes,
    refusal: Callable[[bytes], str | None],
) -> list[Claimed]:
    """Draw up to `limit` due rows at random and mark them as in flight.

    A row that is damaged, or that `refusal` has a sentence against, becomes dead instead.
    """
    connection.execute(
        "UPDATE outbox SET due = 0"
        " WHERE destination = ? AND state = 'pending' AND due > 0 AND due <= ?",
        (destination, now),
    )
    claimed, dead = [], []
    query = (
        "SELECT o.id, o.destination, o.body, o.attempts, o.failing_since, d.last_delivered,"
        " o.body_hmac FROM outbox AS o JOIN destinations AS d ON d.id = o.destination"
        " WHERE o.destination = ? AND o.state = 'pending' AND o.due = 0 ORDER BY o.shuffle LIMIT ?"
    )
    for *row, seal in connection.execute(query, (destination, limit)).fetchall():
        taken = Claimed(*row)
        if not hmac.compare_digest(seal, body_hmac(hmac_key, taken.body)):
            dead.append((taken.id, "the stored text is damaged: its HMAC does not fit"))
        elif sentence := refusal(taken.body):
            dead.append((taken.id, f"no longer in the definitions: {sentence}"))
        else:
            claimed.append(taken)
    connection.executemany(
        "UPDATE outbox SET state = 'in_flight' WHERE id = ?", [(row.id,) for row in claimed]
    )
    connection.executemany("UPDATE outbox SET state = 'dead', answer = ?2 WHERE id = ?1", dead)
    totals.add(
        connection,
        {
            "outbox.pending": -len(claimed) - len(dead),
            "outbox.in_flight": len(claimed),
            "outbox.dead": len(dead),
        },
    )
    if dead and not claimed:
        return claim(connection, destination, now, limit, hmac_key, refusal)
    return claimed


def settle(
    connection: sqlite3.Connection, row: Claimed, result: Settlement, now: int, shuffle: int
) -> None:
    """Store what became of a row after an attempt.

    A row whose person withdrew meanwhile (it has no instance any more) is not tried again.
    """
    query = "SELECT instance IS NULL FROM outbox WHERE id = ?"
    orphaned = connection.execute(query, (row.id,)).fetchone()[0]
    state = "sent?" if orphaned and result.state != "sent" else result.state
    connection.execute(
        "UPDATE outbox SET due = ?, attempts = attempts + ?,"
        " maybe_delivered = maybe_delivered + ?, failing_since = ?, answer = ?, attempted = ?,"
        " shuffle = ? WHERE id = ?",
        (
            result.due,
            result.counted,
            result.maybe_delivered,
            result.failing_since,
            result.answer,
            now,
            shuffle,
            row.id,
        ),
    )
    _move(connection, row.id, state)
    totals.add(
        connection,
        {
            "attempts": 1,
            f"outcomes.{result.outcome}": 1,
            "outbox.in_flight": -1,
            f"outbox.{state}": 1,
            "outbox.maybe_delivered": int(result.maybe_delivered),
        },
    )


def release(connection: sqlite3.Connection, ids: Iterable[int], *, maybe_delivered: bool) -> None:
    """Put rows in flight back that were not tried, or whose attempt was interrupted."""
    rows = [(maybe_delivered, ident) for ident in ids]
    connection.executemany(
        "UPDATE outbox SET state = 'pending', maybe_delivered = maybe_delivered + ? WHERE id = ?",
        rows,
    )
    totals.add(
        connection,
        {
            "outbox.in_flight": -len(rows),
            "outbox.pending": len(rows),
            "outbox.maybe_delivered": len(rows) if maybe_delivered else 0,
        },
    )


def rescue(connection: sqlite3.Connection, *, retrying: bool) -> int:
    """Take back what an earlier process left in flight; nobody knows whether it was delivered.

    It becomes pending, or `sent?` where a possible double is worse than a possible loss.
    """
    rows = connection.execute(
        "SELECT id, instance FROM outbox WHERE state = 'in_flight'"
    ).fetchall()
    release(connection, [ident for ident, _ in rows], maybe_delivered=True)
    for ident, instance in rows:
        if instance is None or not retrying:
            _move(connection, ident, "sent?")
            totals.add(connection, {"outbox.pending": -1, "outbox.sent?": 1})
    return len(rows)


def next_due(connection: sqlite3.Connection, destination: int) -> int | None:
    """Give when the next pending row of a destination is due, 0 for at once, None for never."""
    row = connection.execute(
        "SELECT min(due) FROM outbox WHERE destination = ? AND state = 'pending'", (destination,)
    ).fetchone()
    due: int | None = row[0]
    return due


def oldest_waiting(connection: sqlite3.Connection) -> int | None:
    """Give when the oldest row was made that waits to be sent."""
    row = connection.execute("SELECT min(created) FROM outbox WHERE state = 'pending'").fetchone()
    created: int | None = row[0]
    return created


def page(
    connection: sqlite3.Connection, after: int, limit: int, state: str | None = None
) -> list[OutboxRow]:
    """Give the next rows behind an id, of one state or of all."""
    rows = connection.execute(
        f"SELECT {_ROW} FROM outbox WHERE id > :after"  # noqa: S608  columns of ours
        " AND (:state IS NULL OR state = :state) ORDER BY id LIMIT :limit",
        {"after": after, "limit": limit, "state": state},
    )
    return [OutboxRow(*row) for row in rows]


def get(connection: sqlite3.Connection, ident: int) -> OutboxRow | None:
    """Give a row by its id, or None."""
    row = connection.execute(
        f"SELECT {_ROW} FROM outbox WHERE id = ?",  # noqa: S608  columns of ours
        (ident,),
    ).fetchone()
    return None if row is None else OutboxRow(*row)


def retry(connection: sqlite3.Connection, ident: int | None) -> int:
    """Make one dead row, or all of them, pending again, as if never tried; give how many."""
    cursor = connection.execute(
        "UPDATE outbox SET state = 'pending', due = 0, attempts = 0, failing_since = NULL"
        " WHERE state = 'dead' AND (?1 IS NULL OR id = ?1)",
        (ident,),
    )
    totals.add(connection, {"outbox.dead": -cursor.rowcount, "outbox.pending": cursor.rowcount})
    return cursor.rowcount


def discard(connection: sqlite3.Connection, ident: int) -> bool:
    """Give a dead row up for good; False if it is not dead."""
    row = get(connection, ident)
    if row is None or row.state != "dead":
        return False
    _move(connection, ident, "discarded")
    totals.add(connection, {"outbox.dead": -1, "outbox.discarded": 1})
    return True


def remove_unsent(connection: sqlite3.Connection, instance: int) -> dict[str, int]:
    """Delete an instance's rows that were not sent; give how many, by total.

    One that may have been delivered already, or is on its way, is kept without all that is
    personal, because the other side may hold it.
    """
    for ident, state in connection.execute(
        "SELECT id, state FROM outbox WHERE instance = ? AND maybe_delivered > 0"
        " AND state IN ('pending', 'dead')",
        (instance,),
    ).fetchall():
        _move(connection, ident, "sent?")
        totals.add(connection, {f"outbox.{state}": -1, "outbox.sent?": 1})
    connection.execute(
        "UPDATE outbox SET instance = NULL WHERE instance = ? AND state = 'in_flight'", (instance,)
    )
    query = "SELECT state FROM outbox WHERE instance = ?"
    states = Counter(row[0] for row in connection.execute(query, (instance,)))
    connection.execute("DELETE FROM outbox WHERE instance = ?", (instance,))
    return {f"outbox.{state}": count for state, count in states.items()}


def _move(connection: sqlite3.Connection, ident: int, state: str) -> None:
    """Set a row's state; one that is finished loses its text and whose it was."""
    if state in {"sent", "sent?", "discarded"}:
        connection.execute(
            "UPDATE outbox SET state = ?, body = NULL, instance = NULL WHERE id = ?", (state, ident)
        )
    else:
        connection.execute("UPDATE outbox SET state = ? WHERE id = ?", (state, ident))
