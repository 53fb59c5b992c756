"""Which state directories and databases are refused, before a byte of them is changed."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from ecolyo_worker.clock import instant_text
from ecolyo_worker.errors import CommandRefused, StateRefused
from ecolyo_worker.store.migrations import MIGRATIONS, MigrationPlan, plan, version_of
from ecolyo_worker.store.owner import LOCK, Owner
from ecolyo_worker.store.tampering import DATABASE, refuse_strange_files
from ecolyo_worker.store.troubles import translated

__all__ = [
    "identity",
    "look",
    "no_database",
    "opened_to",
    "refuse_foreign_log",
    "refuse_lost_log",
    "refuse_missing",
    "refuse_other",
    "refuse_unreachable",
    "refuse_unwritable",
    "unreachable",
]

# What is in the log already may have been moved in before the last one looked.
_MOVED_IN_S = 60


def look(directory: Path, migrations: Path = MIGRATIONS) -> MigrationPlan:
    """Tell what opening a state directory would do to its database; no byte of it is changed.

    Raises `StoreOwned` while a process uses it, and `StateRefused` where opening it would, too.
    """
    path = directory / DATABASE
    refuse_unreachable(directory)
    refuse_strange_files(directory)
    owner = Owner(directory, looking=True) if (directory / LOCK).exists() else None
    try:
        if owner is not None:
            refuse_missing(path, owner)
        if not path.exists():
            return plan(None, path, migrations)
        refuse_foreign_log(path)
        if owner is not None:
            refuse_lost_log(path, owner)
        # Without a log nothing else is read, and nothing made beside it.
        log = path.with_name(f"{path.name}-wal")
        mode = "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
            if owner is not None:
                translated(refuse_other, connection, path, owner)
            return translated(plan, connection, path, migrations)
    finally:
        if owner is not None:
            owner.release()


def unreachable(directory: Path) -> str | None:
    """Say why this user cannot get at what is in a state directory; None if nothing is in the way.

    One that is not there is not in the way.
    """
    try:
        (directory / DATABASE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{directory} cannot be looked into: {error.strerror}"
    return None


def refuse_unwritable(path: Path) -> None:
    """Refuse a database that this user may not write, or make files beside."""
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK, effective_ids=True):
            raise StateRefused(
                f"{place}: cannot be written by user number {os.geteuid()}; the state must be where"
                " it can be written"
            )


def opened_to(directory: Path) -> str | None:
    """Say that others than its owner can get at a state directory; None if nobody can."""
    mode = stat.S_IMODE(directory.stat().st_mode)
    return f"{directory} is open to others (mode {mode:04o})" if mode & 0o077 else None


def refuse_unreachable(directory: Path) -> None:
    """Raise `StateRefused` where this user cannot look into a state directory."""
    if (words := unreachable(directory)) is not None:
        raise StateRefused(
            f"{words}; do it as the user that the service runs as, or as root, who then works as"
            " that user"
        )


def no_database(directory: Path) -> CommandRefused:
    """Say that a state directory holds nothing yet."""
    return CommandRefused(f"{directory} holds no database yet: import something first")


def refuse_missing(path: Path, owner: Owner) -> None:
    """Refuse to begin anew where the lock file knows of a database that is gone."""
    if owner.known_database is not None and not path.exists():
        raise StateRefused(
            f"{path} is missing, and what it held with it. Restore it from a backup; or, to begin "
            f"anew without it, remove {path.parent / LOCK} as well"
        )


def refuse_other(connection: sqlite3.Connection, path: Path, owner: Owner) -> None:
    """Refuse another database than the one that the lock file knows."""
    found = identity(connection) if version_of(connection) else ""
    if owner.known_database not in {None, found}:
        raise StateRefused(
            f"{path} is not the database that was here before. Put the right one back; or, to go "
            f"on with this one, remove {path.parent / LOCK}"
        )


def refuse_foreign_log(path: Path) -> None:
    """Refuse a backup beside the log of the database that was there before.

    SQLite would write the one into the other. A database of ours has said that it has a log before
    it has one, and a backup says that it has none.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size and not _has_log(path):
        raise StateRefused(
            f"{log} belongs to the database that was here before, not to {path}: move it away,"
            f" and {path.name}-shm with it"
        )


def refuse_lost_log(path: Path, owner: Owner) -> None:
    """Refuse a database whose log is gone though nobody was done with it: it may hold the end.

    As long as a process has the database there is a log, if an empty one.
    """
    log = path.with_name(f"{path.name}-wal")
    if owner.last_stop_was_clean or log.exists() or not (path.exists() and _has_log(path)):
        return
    if _was_moved_in(path):
        return
    since = instant_text(path.stat().st_mtime_ns // 1_000_000)
    raise StateRefused(
        f"{log} is missing, and whoever used it was ended without warning: what was stored after"
        f" {since} may be lost with it. Put it back; or, to go on without it, remove"
        f" {path.parent / LOCK}"
    )


def _was_moved_in(path: Path) -> bool:
    """Tell whether another program looked into a database meanwhile, and so took its log away.

    The last one moves the log into the database and then removes it, with the index beside it: so
    the database was written when the directory was. Who only removes the log writes nothing.
    """
    since_s = path.parent.stat().st_mtime - path.stat().st_mtime
    return since_s <= _MOVED_IN_S and not path.with_name(f"{path.name}-shm").exists()


def _has_log(path: Path) -> bool:
    """Tell whether a database says of itself that it has a log, and is no backup."""
    with path.open("rb") as file:
        return file.read(20)[18:] != b"\x01\x01"


def identity(connection: sqlite3.Connection) -> str:
    """Give what a database is known by; raises `StateRefused` if it does not say."""
    query = "SELECT value FROM meta WHERE key = 'database_id'"
    row = connection.execute(query).fetchone()
    if row is None:
        raise StateRefused("the database does not say which one it is: restore a backup")
    return str(row[0])
