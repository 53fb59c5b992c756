"""Erasing: what was deleted of people who left is overwritten in the files, too.

`secure_delete` overwrites each row that is deleted, but not the shreds of it that stayed behind
when SQLite moved it to another page before. Only writing the whole database anew takes them away,
and meanwhile nothing else is written: beside a service, a large one is done at night. Until then it
is owed.
"""

import sqlite3

from ecolyo_worker.errors import StoreUnavailable
from ecolyo_worker.store.database import DATABASE, Database

__all__ = ["erase", "is_owed", "owe", "size_if_large"]

_AT_ONCE = 32 * 1024 * 1024
"""The size in bytes up to which a database is written anew within a second."""


def owe(connection: sqlite3.Connection) -> None:
    """Note, in the transaction that deletes, that shreds of what it deletes may stay behind."""
    connection.execute(
        "INSERT INTO meta VALUES ('erasure', '1')"
        " ON CONFLICT DO UPDATE SET value = CAST(value + 1 AS TEXT)"
    )


def is_owed(connection: sqlite3.Connection) -> bool:
    """Tell whether something may have stayed behind."""
    return _owed(connection) is not None


def size_if_large(connection: sqlite3.Connection) -> int:
    """Give the size of a database in bytes, if writing it anew takes longer than a second; else 0.

    All else waits meanwhile.
    """
    query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    size: int = connection.execute(query).fetchone()[0]
    return size if size > _AT_ONCE else 0


async def erase(database: Database, *, however_large: bool = False) -> list[str]:
    """Overwrite what stayed behind, unless the database is large; the log is emptied at any rate.

    Gives the names of the files that may hold something still. It never raises `StoreUnavailable`:
    what was deleted is deleted, and the rest stays owed.
    """
    try:
        if however_large or not await database.read(size_if_large):
            owed = await database.read(_owed)
            if await database.rewrite():
                await database.run(_settle, owed)
                return []
        elif await database.truncate_log():
            return [DATABASE]
    except StoreUnavailable:
        pass
    return [DATABASE, f"{DATABASE}-wal"]


def _owed(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'erasure'").fetchone()
    return None if row is None else row[0]


def _settle(connection: sqlite3.Connection, owed: str | None) -> None:
    """Note that nothing is owed, unless somebody left meanwhile."""
    connection.execute("DELETE FROM meta WHERE key = 'erasure' AND value = ?", (owed,))
