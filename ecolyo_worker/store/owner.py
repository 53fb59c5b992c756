"""The lock that makes one process the only owner of a state directory."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from ecolyo_worker.errors import StateRefused, StoreOwned

__all__ = ["LOCK", "Owner", "last_owner"]

LOCK: Final = "owner.lock"


class _Record(msgspec.Struct):
    """What the lock file says; the lock itself is the kernel's, so that none stays behind."""

    pid: int = 0
    database: str | None = None
    clean: bool = True


class Owner:
    """Holds `owner.lock`, which also remembers the database's id and how the last owner stopped.

    A database that is missing or another one is therefore noticed, and never silently begun anew.
    """

    def __init__(self, directory: Path, *, looking: bool = False) -> None:
        """Take the lock; raises `StoreOwned`, naming the owner, if another process has it.

        With `looking` the file is there already, and nothing is written to it.
        """
        self._path = directory / LOCK
        self._pid = os.getpid()
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if looking else os.O_CREAT)
        try:
            self._file = os.open(self._path, flags, 0o600)
        except OSError as error:
            advice = "; the state must be where it can be written" * (error.errno == errno.EROFS)
            raise StateRefused(
                f"{self._path}: cannot be opened: {error.strerror}{advice}"
            ) from None
        try:
            self._last = self._take(directory)
            if not looking:
                # Whoever comes while this process still starts is told the right one.
                self._write(_Record(os.getpid(), self._last.database, self._last.clean))
        except BaseException:
            os.close(self._file)
            raise
        self._own: _Record | None = None

    @property
    def known_database(self) -> str | None:
        """The id of the database that the last owner had."""
        return self._last.database

    @property
    def last_stop_was_clean(self) -> bool:
        """Whether the last owner said that it was done with the database."""
        return self._last.clean

    @property
    def is_claimed(self) -> bool:
        """Whether it was noted which database this process works on."""
        return self._own is not None

    def claim(self, database: str) -> None:
        """Note which database this process works on."""
        self._own = _Record(os.getpid(), database, clean=False)
        self._write(self._own)

    def note_clean(self) -> None:
        """Note that nothing is lost if the database's log goes now: nothing more is written.

        Where that cannot be noted, the stop counts as an unclean one.
        """
        if self._own is not None and os.getpid() == self._pid:
            self._own.clean = True
            with suppress(OSError):
                self._write(self._own)

    def release(self) -> None:
        """Give the lock back; the database is closed by now.

        Forked children have the lock's file too: it is unlocked for all of them, by its owner only.
        """
        if os.getpid() == self._pid:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _take(self, directory: Path) -> _Record:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreOwned(
                f"{directory} is owned by {self._owner()}; one worker at a time may use it"
            ) from None
        return self._read()

    def _owner(self) -> str:
        try:
            pid = self._read().pid
        except StateRefused:  # it may be writing just now; "remove this file" would be bad advice
            pid = 0
        if pid == self._pid:
            return f"another worker of this process ({pid})"
        return f"process {pid}" if pid else "another process"

    def _read(self) -> _Record:
        text = os.pread(self._file, 4096, 0)
        if not text:
            return _Record()
        try:
            # Only the first line: behind it the rest of a longer record may stand, if the writer
            # was killed before it cut that off.
            return msgspec.json.decode(text.partition(b"\n")[0], type=_Record)
        except msgspec.MsgspecError:
            raise StateRefused(
                f"{self._path}: is damaged; if the database beside it is the right one, remove "
                "this file and start again"
            ) from None

    def _write(self, record: _Record) -> None:
        text = msgspec.json.encode(record) + b"\n"
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)


def last_owner(directory: Path) -> int | None:
    """Give the process that has the lock, or had it last; None if it cannot be told."""
    try:
        text = (directory / "owner.lock").read_bytes()
        return msgspec.json.decode(text.partition(b"\n")[0], type=_Record).pid or None
    except (OSError, msgspec.MsgspecError):
        return None
