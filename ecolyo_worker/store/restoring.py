"""Restoring: what becomes of a backup that was put in the place of a database.

It is known by the mark that a backup has. What waited in it may have been delivered since it was
made, and so may an equal row of what is counted again.
"""

import sqlite3

import msgspec
from msgspec import Struct

from ecolyo_worker.store import outbox

__all__ = ["Mark", "Restored", "mark_of", "put_mark", "restored_on", "settle"]

_MARK = "backup"
_RESTORED = "restored"


class Mark(Struct, frozen=True):
    """What makes a database a backup."""

    made: int
    """When it was made, in ms of UTC."""
    key: str
    """`outbox.key`, in hexadecimal digits."""


class Restored(Struct, frozen=True):
    """What became of a backup that was put back."""

    made: int
    """When it was made, in ms of UTC."""
    rows: int
    """How many rows waited in it or were dead, and may have been delivered since."""


def put_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    """Make a database a backup."""
    text = msgspec.json.encode(mark).decode()
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MARK, text))


def mark_of(connection: sqlite3.Connection) -> Mark | None:
    """Give what says that a database is a backup that was put back; None for any other."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_MARK,)).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Mark)


def settle(connection: sqlite3.Connection, today: int, *, retrying: bool) -> Restored:
    """Make a backup that was put back the state of here, on a civil day.

    What waited in it may have been delivered since. With `retrying` off it is not sent again.
    """
    mark = mark_of(connection)
    assert mark is not None, "it is no backup"
    rows = outbox.doubt(connection, retrying=retrying)
    connection.execute("DELETE FROM meta WHERE key = ?", (_MARK,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_RESTORED, str(today)))
    return Restored(mark.made, rows)


def restored_on(connection: sqlite3.Connection) -> int:
    """Give the civil day on which a backup was last put back; 0, which is no such day, for never.

    What could be counted before that day may have been, and sent, after the backup was made.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_RESTORED,)).fetchone()
    return 0 if row is None else int(row[0])
