"""What a state directory must not hold: what others may have put there, to be followed or run."""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from ecolyo_worker.errors import StateRefused, quote

__all__ = ["DATABASE", "refuse_code", "refuse_strange_files"]

DATABASE: Final = "ecolyo.db"

_FILES = tuple(f"{DATABASE}{end}" for end in ("", "-wal", "-shm", "-journal"))
_ADVICE = "look who did that; then put a backup that you trust in its place"


def refuse_strange_files(directory: Path) -> None:
    """Refuse a directory that everybody may write to, and a database that is a link or another's.

    SQLite follows links, and what is written through one is written elsewhere. Nothing need be
    there. Raises `StateRefused`.
    """
    try:
        status = directory.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateRefused(f"{directory} cannot be looked at: {error.strerror}") from None
    if status.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(status.st_mode)
        raise StateRefused(
            f"{directory} can be written by everybody (mode {mode:04o}), so that nobody knows what"
            f" is in it; look at its files, then: chmod 700 {directory}"
        )
    # Root, who works as the owner of the directory elsewhere, may look into it.
    users = {os.geteuid(), status.st_uid} if os.geteuid() == 0 else {os.geteuid()}
    for name in _FILES:
        _refuse_strange(directory / name, users)


def _refuse_strange(path: Path, users: set[int]) -> None:
    try:
        status = path.lstat()
    except OSError:
        return  # whoever opens it says what is wrong
    if stat.S_ISLNK(status.st_mode):
        raise StateRefused(
            f"{path} is a link; put the file itself there, or let the directory be a link:"
            " what SQLite keeps beside it must be in the same place"
        )
    if not stat.S_ISREG(status.st_mode):
        raise StateRefused(f"{path} is no plain file; move it away")
    if status.st_uid not in users:
        raise StateRefused(
            f"{path} belongs to another user (number {status.st_uid}); if it is the right one:"
            f" chown {os.geteuid()} {path}"
        )


def refuse_code(connection: sqlite3.Connection) -> None:
    """Refuse a database that does something by itself; this program makes none that does.

    A trigger, a view or a virtual table of whoever made the file would run at our next statement.
    Raises `StateRefused`.
    """
    row = connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE type NOT IN ('table', 'index')"
        " OR (type = 'table' AND coalesce(rootpage, 0) = 0) LIMIT 1"
    ).fetchone()
    if row is not None:
        kind, name = ("virtual table" if row[0] == "table" else row[0]), quote(str(row[1]))
        raise StateRefused(
            f"the database holds the {kind} {name}, which no version of this program makes:"
            f" {_ADVICE}"
        )
