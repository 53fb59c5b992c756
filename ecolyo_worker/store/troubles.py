"""What SQLite raises, as the errors that callers know: locked or full, failing, damaged."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from ecolyo_worker.errors import StateDamaged, StoreBroken, StoreUnavailable

__all__ = ["damaged", "is_disk_failure", "is_trouble", "translated"]

R = TypeVar("R")


def damaged(words: str) -> StateDamaged:
    """Say that a database is damaged, and what to do; `words` are SQLite's."""
    words = " ".join(words.split())
    return StateDamaged(
        f"the database is damaged ({words}): stop here, keep the file, restore a backup;"
        " `outbox export` may still give what was not delivered"
    )


def translated(function: Callable[..., R], connection: sqlite3.Connection, *args: object) -> R:
    """Run a function and turn the database's troubles into ours, so that callers know one error."""
    try:
        return function(connection, *args)
    except sqlite3.ProgrammingError as error:
        if "closed database" not in str(error):
            raise
        raise StoreUnavailable("the database is closed: the worker was left") from error
    except sqlite3.OperationalError as error:
        if is_disk_failure(error):
            raise StoreBroken(
                f"the disk failed under the database ({error}): whether what was under way is"
                " stored is not known, and nothing more is until it is opened anew; look at the"
                " disk, and start again"
            ) from error
        raise StoreUnavailable(f"the database does not work now: {error}") from error
    except sqlite3.DatabaseError as error:
        if is_trouble(error):
            raise damaged(str(error)) from error
        raise


def is_disk_failure(error: sqlite3.Error) -> bool:
    """Tell whether reading, writing or syncing failed, but for a disk that is only full.

    The kernel may have dropped what it could not write, so that a second try would prove nothing.
    """
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def is_trouble(error: sqlite3.DatabaseError) -> bool:
    """Tell whether the database does not work, and not only refuses what was asked of it."""
    return type(error) in {sqlite3.OperationalError, sqlite3.DatabaseError}
