"""The outbox: every indicator made, until it is known what became of it.

`pending` rows are drawn at random among those due, by `store.draw`. A claimed row is `in_flight`;
what an earlier process left in flight is put back at the start, as possibly delivered, because
nobody knows.
"""

import hmac
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.indicators import Indicator
from ecolyo_worker.store import attempts, destinations, totals
from ecolyo_worker.store.attempts import Attempt
from ecolyo_worker.store.ladder import Ladder

__all__ = [
    "STATES",
    "Claimed",
    "Mark",
    "NewRow",
    "OutboxRow",
    "Settlement",
    "Sink",
    "body_hmac",
    "discard",
    "doubt",
    "get",
    "ids_of",
    "insert",
    "interrupt",
    "known_keys",
    "mark",
    "of_key",
    "release",
    "release_strays",
    "remove_unsent",
    "rescue",
    "retry",
    "waits",
]

STATES = ("pending", "in_flight", "sent", "sent?", "dead", "local", "discarded")
"""What a row can be. Each is exactly one of them."""

_WAITING = frozenset({"pending", "in_flight"})
_FINISHED = frozenset({"sent", "sent?", "discarded"})

_NEW = Ladder(
    "outbox",
    [
        "key",
        "instance",
        "destination",
        "measure",
        "start_date",
        "body",
        "body_hmac",
        "state",
        "waits",
        "due",
        "shuffle",
        "created",
    ],
)
_ROW = (
    "id, destination, measure, start_date, body, state, due, attempts, tries, maybe_delivered,"
    " failing_since, answer, created, attempted"
)


class Sink(Struct, frozen=True):
    """Where a run's rows go, and how they begin."""

    per_instance: bool
    """Whether each instance has a destination of its own, as with a Cozy target."""
    state: str
    now: int
    hmac_key: bytes
    random: random.Random
    due: int = 0
    """When they are due, in ms of UTC; 0 is at once."""
    retrying: bool = True
    """Whether a row is sent that may have been delivered already."""


class OutboxRow(Struct, frozen=True):
    """A row as it stands. Instants are ms of UTC; `body` is None once it is not needed any more."""

    id: int
    destination: int | None
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
    instance_name: str | None = None
    """Whose stack it goes to; None with the native target, which must not know."""
    is_probe: bool = False
    """Whether it goes to a destination that is held back, to find out how that is now."""


class Settlement(Struct, frozen=True):
    """What becomes of a row in flight after an attempt."""

    state: str
    outcome: str
    due: int = 0
    counted: bool = False
    maybe_delivered: bool = False
    failing_since: int | None = None
    answer: str | None = None


class Mark(Struct, frozen=True):
    """What became of a row in flight, and when, until that is on disk."""

    row: int
    settlement: Settlement
    at: int
    shuffle: int
    """Its next random place in the draw."""
    status: int | None = None
    """The HTTP status of the attempt; None where no answer came."""
    answer: str | None = None
    """What was answered, or what went wrong, in at most 200 bytes."""


class NewRow(Struct, frozen=True, gc=False):
    """A checked indicator of an instance, and the key that makes it unique."""

    instance: int
    key: bytes
    indicator: Indicator
    is_doubtful: bool = False
    """Whether an equal row may have been made before, and delivered, that is not known here."""


def body_hmac(key: bytes, body: bytes) -> bytes:
    """Give what a body is known by once it is gone."""
    return hmac.digest(key, body, "sha256")


def waits(state: str) -> int | None:
    """Give the mark of rows of which it is not known yet what becomes of them; others have none."""
    return 1 if state in _WAITING else None


def insert(connection: sqlite3.Connection, rows: Sequence[NewRow], sink: Sink) -> None:
    """Put checked indicators into the outbox, each under its key, which is new."""
    if not rows:
        return
    owners = {row.instance for row in rows} if sink.per_instance else [None]
    homes = destinations.identify_all(connection, owners)
    # One draw for all: each one alone asks the system.
    shuffles = memoryview(sink.random.randbytes(8 * len(rows))).cast("Q")
    values: list[Any] = []
    for row, shuffle in zip(rows, shuffles, strict=True):
        indicator = row.indicator
        body = indicator.encode()
        values += (
            row.key,
            row.instance,
            homes[row.instance if sink.per_instance else None],
            indicator.measure_name,
            indicator.start_date,
            body,
            body_hmac(sink.hmac_key, body),
            sink.state,
            waits(sink.state),
            sink.due,
            shuffle >> 2,  # SQLite's integers have a sign
            sink.now,
        )
    _, last = _NEW.insert(connection, values)
    totals.add(connection, {f"outbox.{sink.state}": len(rows)})
    first = last - len(rows) + 1  # AUTOINCREMENT has numbered them one by one
    if doubtful := [first + n for n, row in enumerate(rows) if row.is_doubtful]:
        doubt(connection, doubtful, retrying=sink.retrying)


def known_keys(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Give those of some keys under which a row was ever made and is still known."""
    # JSON holds no bytes, so the keys come in one piece, and their places beside it.
    (text,) = connection.execute(
        "SELECT json_group_array(hex(key)) FROM outbox"
        " WHERE key IN (SELECT substr(?, value, 16) FROM json_each(?))",
        (b"".join(keys), json.dumps([1 + 16 * n for n in range(len(keys))])),
    ).fetchone()
    return set(map(bytes.fromhex, json.loads(text)))


def mark(connection: sqlite3.Connection, marks: Sequence[Mark]) -> None:
    """Store what became of rows in flight; one that is not in flight any more is passed over.

    Their attempts are kept. A row whose person withdrew meanwhile (it has no instance any more) is
    not tried again.
    """
    delivered = [one for one in marks if one.settlement.outcome == "delivered"]
    others = [one for one in marks if one.settlement.outcome != "delivered"]
    changes = _mark_delivered(connection, delivered) if delivered else Counter()
    attempts.note(
        connection,
        [Attempt(m.row, m.at, m.settlement.outcome, m.status, m.answer) for m in others],
    )
    for one in others:
        if _is_in_flight(connection, one.row):
            changes.update(_settle(connection, one))
    totals.add(connection, changes)


def _mark_delivered(connection: sqlite3.Connection, marks: Sequence[Mark]) -> Counter[str]:
    """Mark all that was delivered in one statement. No order stays, no owner and no answer."""
    at, ids = max(one.at for one in marks), [one.row for one in marks]
    attempts.blank(connection, ids)
    attempts.note(connection, [Attempt(one.row, at, "delivered", one.status) for one in marks])
    rows = connection.execute(
        "UPDATE outbox SET state = 'sent', waits = NULL, body = NULL, instance = NULL,"
        " destination = NULL, due = 0, failing_since = NULL, answer = NULL, shuffle = 0,"
        " attempted = ?"
        " WHERE state = 'in_flight' AND id IN (SELECT value FROM json_each(?))",
        (at, json.dumps(ids)),
    ).rowcount
    counts = {"attempts": rows, "outcomes.delivered": rows, "outbox.sent": rows}
    return Counter(counts | {"outbox.in_flight": -rows})


def _settle(connection: sqlite3.Connection, one: Mark) -> dict[str, int]:
    result = one.settlement
    connection.execute(
        "UPDATE outbox SET due = ?, tries = tries + 1, attempts = attempts + ?,"
        " maybe_delivered = maybe_delivered + ?, failing_since = ?,"
        " answer = iif(instance IS NULL, NULL, ?), attempted = ?, shuffle = ? WHERE id = ?",
        (
            result.due,
            result.counted,
            result.maybe_delivered,
            result.failing_since,
            result.answer,
            one.at,
            one.shuffle,
            one.row,
        ),
    )
    _land(connection, one.row, result.state)
    changes = {"attempts": 1, f"outcomes.{result.outcome}": 1}
    return changes | {"outbox.maybe_delivered": int(result.maybe_delivered)}


def release(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Put rows in flight back that were not tried, as if nothing had been."""
    for ident in ids:
        if _is_in_flight(connection, ident):
            _land(connection, ident, "pending")


def interrupt(connection: sqlite3.Connection, ended: Mapping[int, int], *, retrying: bool) -> None:
    """Put rows in flight back of whose attempt nobody knows the end, each with its instant.

    With `retrying` off such a row is `sent?`, as it may have been delivered, and not tried again.
    """
    here = {row: at for row, at in ended.items() if _is_in_flight(connection, row)}
    attempts.note(connection, [Attempt(row, at, "interrupted") for row, at in here.items()])
    for row, at in here.items():
        connection.execute(
            "UPDATE outbox SET maybe_delivered = maybe_delivered + 1, attempted = ? WHERE id = ?",
            (at, row),
        )
        _land(connection, row, "pending" if retrying else "sent?")
    counted = ("attempts", "outcomes.interrupted", "outbox.maybe_delivered")
    totals.add(connection, dict.fromkeys(counted, len(here)))


def release_strays(connection: sqlite3.Connection, known: Collection[int]) -> None:
    """Put back rows in flight that nobody has in hand, because their claim was cut off."""
    release(connection, [row for row in _in_flight(connection) if row not in known])


def rescue(connection: sqlite3.Connection, now: int, *, retrying: bool) -> int:
    """Take back what an earlier process left in flight; nobody knows whether it was delivered.

    It becomes pending, or `sent?` where a possible double is worse than a possible loss. `now`, in
    ms of UTC, stands for when its attempt ended.
    """
    rows = _in_flight(connection)
    interrupt(connection, dict.fromkeys(rows, now), retrying=retrying)
    if rows:
        reach("start.rescuing")
    return len(rows)


def doubt(
    connection: sqlite3.Connection, ids: Sequence[int] | None = None, *, retrying: bool
) -> int:
    """Note that rows which wait, or are dead, may have been delivered already; give how many.

    Without ids, that all may. With `retrying` off, those that wait are `sent?` and not sent.
    """
    which = "true" if ids is None else "id IN (SELECT value FROM json_each(?))"
    values = () if ids is None else (json.dumps(ids),)
    rows = connection.execute(
        "UPDATE outbox SET maybe_delivered = maybe_delivered + 1"  # noqa: S608  a condition of ours
        f" WHERE {which} AND state IN ('pending', 'dead')",
        values,
    ).rowcount
    totals.add(connection, {"outbox.maybe_delivered": rows})
    if not retrying:
        kept = connection.execute(
            "UPDATE outbox SET state = 'sent?', waits = NULL, body = NULL, instance = NULL,"  # noqa: S608
            " destination = NULL, due = 0, shuffle = 0, answer = NULL"
            f" WHERE {which} AND state = 'pending' RETURNING id",
            values,
        ).fetchall()
        attempts.blank(connection, [row for (row,) in kept])
        totals.add(connection, {"outbox.pending": -len(kept), "outbox.sent?": len(kept)})
    return rows


def get(connection: sqlite3.Connection, ident: int) -> OutboxRow | None:
    """Give a row by its id, or None."""
    row = connection.execute(
        f"SELECT {_ROW} FROM outbox WHERE id = ?",  # noqa: S608  columns of ours
        (ident,),
    ).fetchone()
    return None if row is None else OutboxRow(*row)


def of_key(connection: sqlite3.Connection, key: bytes) -> tuple[OutboxRow, bytes] | None:
    """Give a row by its key, and what its body is known by; None if it is not there."""
    row = connection.execute(
        f"SELECT {_ROW}, body_hmac FROM outbox WHERE key = ?",  # noqa: S608  columns of ours
        (key,),
    ).fetchone()
    return None if row is None else (OutboxRow(*row[:-1]), row[-1])


def ids_of(connection: sqlite3.Connection, instance: int) -> list[int]:
    """Give the ids of an instance's rows that are not finished."""
    query = "SELECT id FROM outbox WHERE instance = ?"
    return [ident for (ident,) in connection.execute(query, (instance,))]


def retry(connection: sqlite3.Connection, ident: int | None) -> int:
    """Make one dead row, or all of them, pending again, as if never tried; give how many."""
    cursor = connection.execute(
        "UPDATE outbox SET state = 'pending', waits = 1, due = 0, attempts = 0, tries = 0,"
        " failing_since = NULL WHERE state = 'dead' AND (:id IS NULL OR id = :id)",
        {"id": ident},
    )
    totals.add(connection, {"outbox.dead": -cursor.rowcount, "outbox.pending": cursor.rowcount})
    if cursor.rowcount:
        reach("outbox.moving")
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
    attempts.blank(connection, [ident for ident, _ in rows])
    destinations.blank(connection, instance)
    # Those in flight lose their destination too: with a Cozy target it says whose they are.
    # And what was answered: it may hold a name, as that of a file.
    gone = "instance = NULL, destination = iif(?, NULL, destination), answer = NULL"
    gone += ", body = x''" if forgotten else ""
    for ident, state in rows:
        values = (state == "in_flight", ident)
        connection.execute(f"UPDATE outbox SET {gone} WHERE id = ?", values)  # noqa: S608
        if state != "in_flight":
            _land(connection, ident, state)
    return [ident for ident, state in rows if state == "in_flight"]


def _in_flight(connection: sqlite3.Connection) -> list[int]:
    return [row for (row,) in connection.execute("SELECT id FROM outbox WHERE state = 'in_flight'")]


def _is_in_flight(connection: sqlite3.Connection, ident: int) -> bool:
    query = "SELECT 1 FROM outbox WHERE id = ? AND state = 'in_flight'"
    return connection.execute(query, (ident,)).fetchone() is not None


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
        attempts.blank(connection, [ident])
        connection.execute(
            "UPDATE outbox SET state = ?, waits = NULL, body = NULL, instance = NULL,"
            " destination = NULL, answer = NULL WHERE id = ?",
            (state, ident),
        )
    else:
        values = (state, waits(state), ident)
        connection.execute("UPDATE outbox SET state = ?, waits = ? WHERE id = ?", values)
