"""Backups: the whole state in one file.

A copy is written by `VACUUM INTO`: it holds what the database held at one moment, and nothing that
was deleted before. That takes long and must hold up nobody, so a second connection does it, in a
thread of its own. It is the one exception to the rule of one connection: it is of the same process
and SQLite, and can only read, so that it neither writes to the log nor empties it.

A backup also holds `outbox.key`, in a mark by which one that was put back is known.
"""

import os
import sqlite3
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

from anyio import CancelScope, to_thread
from msgspec import Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StateRefused, StoreUnavailable
from ecolyo_worker.store import restoring
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.migrations import copy_size, version_of
from ecolyo_worker.store.restoring import Mark

__all__ = [
    "Backup",
    "Piece",
    "check",
    "pieces",
    "remove_leftovers",
]

_PREFIX, _SUFFIX = "backup-", ".part"
_PIECE = 128 * 1024
_LOOK_S = 0.2


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
    for path in directory.glob(f"{_PREFIX}*{_SUFFIX}*"):  # and what SQLite had beside them
        path.unlink(missing_ok=True)


def check(path: Path) -> Backup:
    """Check that a file is a whole backup; raises `StateRefused` if it is not."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            schema, mark = version_of(connection), restoring.mark_of(connection)
    except sqlite3.DatabaseError as error:
        raise StateRefused(f"{path}: is damaged: {error}") from None
    if found != "ok" or mark is None:
        raise StateRefused(f"{path}: is no whole backup: {found if mark else 'it has no mark'}")
    return Backup(path.stat().st_size, schema, mark.made)


class _Copy:
    """A copy of a state's database beside it, from the first byte on for its owner's eyes alone."""

    def __init__(self, directory: Path) -> None:
        import tempfile  # it brings along what reads archives

        uri = f"{(directory / DATABASE).absolute().as_uri()}?mode=ro"
        self._source = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        self._total = copy_size(self._source)
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
        with closing(sqlite3.connect(self.path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")  # whoever keeps the bytes sees to that
            restoring.put_mark(copy, mark)

    def close(self) -> None:
        """Break off what is not done, and remove the copy."""
        self._source.interrupt()
        self._pool.shutdown()
        self._source.close()
        self.path.unlink(missing_ok=True)
