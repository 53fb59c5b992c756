"""Destinations: where rows are sent, and why one of them is held back."""

import sqlite3

from msgspec import Struct

__all__ = [
    "FORGOTTEN",
    "Destination",
    "all_of",
    "allow_probes",
    "dissolve",
    "get",
    "hold",
    "identify",
    "mark_delivered",
    "note_failure",
    "pause",
    "resume",
]

FORGOTTEN = " forgotten"
"""Where those rows belong that were sent to the own destination of someone forgotten."""

_COLUMNS = "id, name, state, not_before, reason, secret_time, last_delivered"


class Destination(Struct, frozen=True):
    """One URL with one credential. Instants are ms of UTC."""

    id: int
    name: str
    state: str
    not_before: int
    reason: str | None
    secret_time: int | None
    last_delivered: int | None


def identify(connection: sqlite3.Connection, name: str) -> Destination:
    """Give a destination by its name; one that is not known yet is made."""
    connection.execute("INSERT OR IGNORE INTO destinations (name) VALUES (?)", (name,))
    destination = get(connection, name)
    assert destination is not None
    return destination


def get(connection: sqlite3.Connection, name: str) -> Destination | None:
    """Give a destination by its name, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM destinations WHERE name = ?",  # noqa: S608  columns of ours
        (name,),
    ).fetchone()
    return None if row is None else Destination(*row)


def all_of(connection: sqlite3.Connection) -> list[Destination]:
    """Give all destinations that rows are sent to."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM destinations WHERE name <> ? ORDER BY id",  # noqa: S608
        (FORGOTTEN,),
    )
    return [Destination(*row) for row in rows]


def dissolve(connection: sqlite3.Connection, name: str) -> int:
    """Delete a person's own destination, if there is one, and give how many that were.

    What was sent there keeps no sign of whose it was.
    """
    own = get(connection, name)
    if own is None:
        return 0
    connection.execute(
        "UPDATE outbox SET destination = ?, answer = NULL WHERE destination = ?",
        (identify(connection, FORGOTTEN).id, own.id),
    )
    connection.execute("DELETE FROM destinations WHERE id = ?", (own.id,))
    return 1


def pause(
    connection: sqlite3.Connection,
    ident: int,
    not_before: int,
    reason: str,
    secret_time: int | None,
) -> None:
    """Hold back all rows of a destination until then, or until its secret changes."""
    connection.execute(
        "UPDATE destinations SET state = 'paused', not_before = ?, reason = ?, secret_time = ?"
        " WHERE id = ?",
        (not_before, reason, secret_time, ident),
    )


def note_failure(connection: sqlite3.Connection, ident: int, reason: str) -> None:
    """Note why the last attempt failed, for a destination that is not held back for a reason."""
    connection.execute(
        "UPDATE destinations SET reason = ? WHERE id = ? AND state = 'ready'", (reason, ident)
    )


def hold(
    connection: sqlite3.Connection, ident: int, not_before: int, secret_time: int | None
) -> None:
    """Let no other row of a paused destination through while one is being tried."""
    connection.execute(
        "UPDATE destinations SET not_before = ?, secret_time = ? WHERE id = ?",
        (not_before, secret_time, ident),
    )


def allow_probes(connection: sqlite3.Connection) -> None:
    """Let one row of each paused destination be tried at once."""
    connection.execute("UPDATE destinations SET not_before = 0 WHERE state = 'paused'")


def resume(connection: sqlite3.Connection, ident: int) -> None:
    """Let the rows of a destination go again."""
    connection.execute(
        "UPDATE destinations SET state = 'ready', not_before = 0, reason = NULL, secret_time = NULL"
        " WHERE id = ?",
        (ident,),
    )


def mark_delivered(connection: sqlite3.Connection, ident: int, now: int) -> None:
    """Note that a destination took a row just now, which also ends a pause."""
    resume(connection, ident)
    connection.execute("UPDATE destinations SET last_delivered = ? WHERE id = ?", (now, ident))
