"""The outbox: every indicator made, until it is known what became of it.

`pending` rows are drawn at random among those due. A claimed row is `in_flight`; what an earlier
process left in flight is put back at the start, as possibly delivered, because nobody knows.
"""

import hmac
import random
import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from ecolyo_worker.indicators import Indicator
from ecolyo_worker.store import totals

__all__ = [
    "STATES",
    "Claimed",
    "Draw",
    "Drawn",
    "OutboxRow",
    "Settlement",
    "Sink",
    "Verdict",
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

_FINISHED = frozenset({"sent", "sent?", "discarded"})

# One transaction looks at no more than so many times the rows that are wanted.
_MOST_DRAWS = 100

_ROW = (
    "id, destination, measure, start_date, body, state, due, attempts, tries, maybe_delivered,"
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
    tries: int
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
    tries: int = 0
    """Failed attempts, those that do not count too."""


class Drawn(Struct, frozen=True):
    """A row that was drawn, before it is known whether it may be sent."""

    claimed: Claimed
    instance: int
    start_date: str
    body_hmac: bytes


class Draw(Struct, frozen=True):
    """From which destination rows are drawn, and when."""

    destination: int
    now: int
    latest: int
    """No due time is later than this, unless the clock was: such a row is drawn as well."""


class Verdict(Struct, frozen=True):
    """What becomes of a drawn row: `in_flight`, `dead`, or `pending` until it is due again."""

    state: str
    answer: str | None = None
    due: int = 0


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
    connection: sqlite3.Connection, draw: Draw, limit: int, judge: Callable[[Drawn], Verdict]
) -> tuple[list[Claimed], bool]:
    """Draw up to `limit` due rows at random and mark them as in flight.

    `judge` says what each is good for. Gives the claimed rows, and whether more may be found: one
    transaction looks at a bounded number of rows.
    """
    # Two statements, for the index finds either range, and would pass over every row for both.
    for due in ("due BETWEEN 1 AND :now", "due > :latest"):
        connection.execute(
            "UPDATE outbox SET due = 0"  # noqa: S608  a condition of ours
            f" WHERE destination = :destination AND state = 'pending' AND {due}",
            msgspec.structs.asdict(draw),
        )
    claimed: list[Claimed] = []
    for _ in range(_MOST_DRAWS):
        drawn = _draw(connection, draw.destination, limit - len(claimed))
        for row in drawn:
            verdict = judge(row)
            if verdict.state == "in_flight":
                claimed.append(row.claimed)
            _judge(connection, row.claimed.id, verdict)
        if not drawn or len(claimed) == limit:
            return claimed, bool(drawn)
    return claimed, True


def settle(
    connection: sqlite3.Connection, row: Claimed, result: Settlement, now: int, shuffle: int
) -> None:
    """Store what became of a row after an attempt.

    A row whose person withdrew meanwhile (it has no instance any more) is not tried again.
    """
    connection.execute(
        "UPDATE outbox SET due = ?, tries = tries + ?, attempts = attempts + ?,"
        " maybe_delivered = maybe_delivered + ?, failing_since = ?, answer = ?, attempted = ?,"
        " shuffle = ? WHERE id = ?",
        (
            result.due,
            result.outcome != "delivered",
            result.counted,
            result.maybe_delivered,
            result.failing_since,
            result.answer,
            now,
            shuffle,
            row.id,
        ),
    )
    changes = {"attempts": 1, f"outcomes.{result.outcome}": 1}
    changes["outbox.maybe_delivered"] = int(result.maybe_delivered)
    totals.add(connection, changes)
    _land(connection, row.id, result.state)


def release(
    connection: sqlite3.Connection,
    ids: Iterable[int],
    *,
    maybe_delivered: bool,
    retrying: bool = True,
) -> None:
    """Put rows in flight back that were not tried, or whose attempt was interrupted.

    With `retrying` off, one that may have been delivered is `sent?` and not tried again.
    """
    for ident in ids:
        if maybe_delivered:
            connection.execute(
                "UPDATE outbox SET maybe_delivered = maybe_delivered + 1 WHERE id = ?", (ident,)
            )
            totals.add(connection, {"outbox.maybe_delivered": 1})
        _land(connection, ident, "pending" if retrying or not maybe_delivered else "sent?")


def rescue(connection: sqlite3.Connection, *, retrying: bool) -> int:
    """Take back what an earlier process left in flight; nobody knows whether it was delivered.

    It becomes pending, or `sent?` where a possible double is worse than a possible loss.
    """
    rows = connection.execute("SELECT id FROM outbox WHERE state = 'in_flight'").fetchall()
    release(connection, [row[0] for row in rows], maybe_delivered=True, retrying=retrying)
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
        "UPDATE outbox SET state = 'pending', due = 0, attempts = 0, tries = 0,"
        " failing_since = NULL WHERE state = 'dead' AND (?1 IS NULL OR id = ?1)",
        (ident,),
    )
    totals.add(connection, {"outbox.dead": -cursor.rowcount, "outbox.pending": cursor.rowcount})
    return cursor.rowcount


def discard(connection: sqlite3.Connection, ident: int) -> bool:
    """Give a dead row up for good; False if it is not dead."""
    row = get(connection, ident)
    if row is None or row.state != "dead":
        return False
    _land(connection, ident, "discarded")
    return True


def remove_unsent(
    connection: sqlite3.Connection, instance: int, *, forgotten: bool = False
) -> list[int]:
    """Delete an instance's rows that were not sent, as withdrawn or as forgotten.

    One that may have been delivered already is kept without all that is personal, because the other
    side may hold it. Gives the ids of those in flight, which are let go of when they land; of
    someone forgotten, their text goes at once.
    """
    query = "SELECT id, state FROM outbox WHERE instance = ?"
    rows = connection.execute(query, (instance,)).fetchall()
    gone = "instance = NULL, body = x'', answer = NULL" if forgotten else "instance = NULL"
    for ident, state in rows:
        connection.execute(f"UPDATE outbox SET {gone} WHERE id = ?", (ident,))  # noqa: S608
        if state != "in_flight":
            _land(connection, ident, state)
    return [ident for ident, state in rows if state == "in_flight"]


def _draw(connection: sqlite3.Connection, destination: int, limit: int) -> list[Drawn]:
    rows = connection.execute(
        "SELECT o.id, o.destination, o.body, o.attempts, o.failing_since, d.last_delivered,"
        " o.tries, o.instance, o.start_date, o.body_hmac FROM outbox AS o"
        " JOIN destinations AS d ON d.id = o.destination"
        " WHERE o.destination = ? AND o.state = 'pending' AND o.due = 0 ORDER BY o.shuffle LIMIT ?",
        (destination, limit),
    )
    return [Drawn(Claimed(*row[:7]), *row[7:]) for row in rows.fetchall()]


def _judge(connection: sqlite3.Connection, ident: int, verdict: Verdict) -> None:
    connection.execute(
        "UPDATE outbox SET state = ?, due = ?, answer = coalesce(?, answer) WHERE id = ?",
        (verdict.state, verdict.due, verdict.answer, ident),
    )
    if verdict.state != "pending":
        totals.add(connection, {"outbox.pending": -1, f"outbox.{verdict.state}": 1})


def _land(connection: sqlite3.Connection, ident: int, state: str) -> None:
    """Bring a row to a state; one whose person withdrew or was forgotten is not kept as it was.

    It is deleted and counted, unless it is finished, or may have been delivered.
    """
    before, instance, maybe_delivered, is_blank = connection.execute(
        "SELECT state, instance, maybe_delivered, body = x'' FROM outbox WHERE id = ?", (ident,)
    ).fetchone()
    if instance is None and state not in _FINISHED:
        if not maybe_delivered:
            connection.execute("DELETE FROM outbox WHERE id = ?", (ident,))
            reason = "forgotten" if is_blank else "withdrawn"
            totals.note_removed(connection, reason, {f"outbox.{before}": 1})
            return
        state = "sent?"
    _move(connection, ident, state)
    if state != before:
        totals.add(connection, {f"outbox.{before}": -1, f"outbox.{state}": 1})


def _move(connection: sqlite3.Connection, ident: int, state: str) -> None:
    """Set a row's state; one that is finished loses its text and whose it was."""
    if state in _FINISHED:
        connection.execute(
            "UPDATE outbox SET state = ?, body = NULL, instance = NULL WHERE id = ?", (state, ident)
        )
    else:
        connection.execute("UPDATE outbox SET state = ? WHERE id = ?", (state, ident))
