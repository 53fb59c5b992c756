"""Restoring: what becomes of a backup that was put in the place of a database.

It is known by the mark that a backup has. What waited in it may have been delivered since it was
made, and so may an equal row of what is counted again.
"""

import sqlite3
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from ecolyo_worker.errors import StateRefused
from ecolyo_worker.store import outbox

__all__ = ["Mark", "Restored", "mark_of", "put_mark", "restored_on", "settle"]

_MARK = "backup"
_RESTORED = "restored"
_END_MS: Final = 253_402_300_800_000
"""The first instant that no calendar here has: of the year 10000."""


class Mark(Struct, frozen=True):
    """What makes a database a backup."""

    made: Annotated[int, Meta(ge=0, lt=_END_MS)]
    """When it was made, in ms of UTC."""
    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
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
    """Give what says that a database is a backup that was put back; None for any other.

    Raises `StateRefused` where that cannot be read.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_MARK,)).fetchone()
    if row is None:
        return None
    try:
        mark = msgspec.json.decode(row[0], type=Mark)
    except msgspec.MsgspecError:
        raise StateRefused("the mark of the backup cannot be read: take another backup") from None
    return mark


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
