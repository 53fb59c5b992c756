"""Backups: the whole state in one file, and what becomes of one that was put back.

A copy is written by `VACUUM INTO`: it holds what the database held at one moment, and nothing that
was deleted before. That takes long and must hold up nobody, so a second connection does it, in a
thread of its own. It is the one exception to the rule of one connection: it is of the same process
and SQLite, and can only read, so that it neither writes to the log nor empties it.

A backup also holds `outbox.key`, and a mark. Where the mark is found, a backup was put back: what
waited in it may have been delivered since.
"""

import os
import sqlite3
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import msgspec
from anyio import CancelScope, to_thread
from msgspec import Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StateRefused, StoreUnavailable
from ecolyo_worker.store import outbox
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.migrations import version_of

__all__ = [
    "Backup",
    "Mark",
    "Piece",
    "Restored",
    "check",
    "mark_of",
    "pieces",
    "remove_leftovers",
    "restored_on",
    "settle",
]

_MARK = "backup"
_RESTORED = "restored"
_PREFIX, _SUFFIX = "backup-", ".part"
_PIECE = 128 * 1024
_LOOK_S = 0.2


class Mark(Struct, frozen=True):
    """What makes a database a backup."""

    made: int
    """When it was made, in ms of UTC."""
    key: str
    """`outbox.key`, in hexadecimal digits."""


class Piece(Struct, frozen=True):
    """How far a backup is, in bytes, and the bytes that come next.

    First the state is copied, and no bytes come; then they come, and `done` begins anew.
    """

    done: int
    total: int
    data: bytes = b""


class Backup(Struct, frozen=True):
    """What a backup is, as it was found when it was checked."""

    bytes: int
    schema: int
    made: int
    """When it was made, in ms of UTC."""


class Restored(Struct, frozen=True):
    """What became of a backup that was put back."""

    made: int
    """When it was made, in ms of UTC."""
    rows: int
    """How many rows waited in it or were dead, and may have been delivered since."""


async def pieces(directory: Path, key: bytes, made: int) -> AsyncGenerator[Piece, None]:
    """Give a backup of a state directory piece by piece; others go on using the state meanwhile.

    It needs as much space again in the directory until all is given. Raises `StoreUnavailable`.
    """
    copy = _Copy(directory)
    try:
        while not await to_thread.run_sync(copy.is_done, _LOOK_S):
            yield copy.progress()
        await to_thread.run_sync(copy.seal, Mark(made, key.hex()))
        reach("backup.copied")
        done, total = 0, copy.path.stat().st_size
        with copy.path.open("rb") as file:
            while data := await to_thread.run_sync(file.read, _PIECE):
                done += len(data)
                yield Piece(done, total, data)
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(copy.close)


def remove_leftovers(directory: Path) -> None:
    """Remove what backups left behind that were cut off; none is under way."""
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def check(path: Path) -> Backup:
    """Check that a file is a whole backup; raises `StateRefused` if it is not."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            schema, mark = version_of(connection), mark_of(connection)
    except sqlite3.DatabaseError as error:
        raise StateRefused(f"{path}: is damaged: {error}") from None
    if found != "ok" or mark is None:
        raise StateRefused(f"{path}: is no whole backup: {found if mark else 'it has no mark'}")
    return Backup(path.stat().st_size, schema, mark.made)


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


class _Copy:
    """A copy of a state's database beside it, from the first byte on for its owner's eyes alone."""

    def __init__(self, directory: Path) -> None:
        uri = f"{(directory / DATABASE).absolute().as_uri()}?mode=ro"
        self._source = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        (self._total,) = self._source.execute(
            "SELECT (page_count - freelist_count) * page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
        try:
            file, name = tempfile.mkstemp(_SUFFIX, _PREFIX, directory)
        except OSError as error:
            self._source.close()
            raise StoreUnavailable(f"{directory}: cannot be written: {error.strerror}") from None
        os.close(file)
        self.path = Path(name)
        self._pool = ThreadPoolExecutor(1, "backup")
        self._copying = self._pool.submit(
            self._source.execute, "VACUUM INTO ?", (str(self.path.absolute()),)
        )

    def is_done(self, patience_s: float) -> bool:
        """Tell whether all is copied, after waiting so long at most; raises `StoreUnavailable`."""
        if not wait([self._copying], patience_s).done:
            return False
        try:
            self._copying.result()
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(f"{self.path}: cannot be written: {error}") from None
        return True

    def progress(self) -> Piece:
        """Tell how far it is."""
        return Piece(min(self.path.stat().st_size, self._total), self._total)

    def seal(self, mark: Mark) -> None:
        """Put into the copy what belongs to the state beside the database."""
        text = msgspec.json.encode(mark).decode()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")  # whoever keeps the bytes sees to that
            copy.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MARK, text))

    def close(self) -> None:
        """Break off what is not done, and remove the copy."""
        self._source.interrupt()
        self._pool.shutdown()
        self._source.close()
        self.path.unlink(missing_ok=True)
