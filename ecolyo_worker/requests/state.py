"""Requests about the state and the program as a whole."""

from msgspec import Struct

from ecolyo_worker.store.restoring import Restored

__all__ = [
    "Examine",
    "Migrated",
    "Version",
]


class Examine(Struct, frozen=True):
    """Look through the database, for so many seconds at most."""

    seconds: float


class Migrated(Struct, frozen=True):
    """The schema's version as it was found and as it is now, and the file."""

    before: int
    after: int
    database: str
    restored: Restored | None
    """What became of a backup that was found in the place of the database."""


class Version(Struct, frozen=True):
    """The versions of the program, of its database schema, of Python and of SQLite."""

    ecolyo_worker: str
    schema: int
    python: str
    sqlite: str
