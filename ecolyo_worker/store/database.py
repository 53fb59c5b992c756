"""The database: one thread, one connection, one owner; one function is one transaction.

`await database.run(function, …)` runs a plain function with the `sqlite3` connection in the
database's thread, inside `BEGIN IMMEDIATE … COMMIT`. Nothing is ever awaited inside a transaction,
so a cancelled caller stops waiting, and the transaction still happens whole or not at all.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite
from anyio import CancelScope, to_thread

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import (
    CommandRefused,
    StateDamaged,
    StateRefused,
    StoreBroken,
    StoreUnavailable,
)
from ecolyo_worker.store.migrations import (
    latest_version,
    migrate,
    version_of,
)
from ecolyo_worker.store.owner import LOCK, Owner
from ecolyo_worker.store.place import LOST_ADVICE, Place
from ecolyo_worker.store.refusing import (
    identity,
    no_database,
    refuse_foreign_log,
    refuse_lost_log,
    refuse_missing,
    refuse_other,
    refuse_unreachable,
    refuse_unwritable,
)
from ecolyo_worker.store.tampering import DATABASE, refuse_strange_files
from ecolyo_worker.store.troubles import is_disk_failure, is_trouble, translated

__all__ = ["DATABASE", "Database"]

P = ParamSpec("P")
R = TypeVar("R")

_BUSY_TIMEOUT_MS = 5000
# So many steps of SQLite's machine take some milliseconds.
_LOOK_STEPS = 100_000
# Pragma, what to set, what reading it back must give. auto_vacuum must come before the first page
# is written; secure_delete overwrites what is deleted. What is as it must be is not set again: for
# the first two, that would write to the file. The cache, in KiB, is for a night, which writes all
# over an index.
_PRAGMAS = (
    ("auto_vacuum", "INCREMENTAL", 2),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("foreign_keys", "ON", 1),
    ("secure_delete", "ON", 1),
    ("busy_timeout", str(_BUSY_TIMEOUT_MS), _BUSY_TIMEOUT_MS),
    ("trusted_schema", "OFF", 0),
    ("cache_size", "-16000", -16000),
)


class Database:
    """An open database. `snapshot` is what `observe` last gave, after a commit."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        place: Place,
        observe: Callable[[sqlite3.Connection], Any] | None,
    ) -> None:
        """Use `Database.open`, which also takes the lock and brings the schema up to date."""
        self._connection = connection
        self._place = place
        self._observe = observe
        self._tell: Callable[[str | None], None] | None = None
        self._told = (False, False)
        self.loop = _running_loop()
        """The event loop that it was opened in."""
        self.is_closed = False
        self.calls = 0
        """How often it was asked for something, by which one may know that others need it too."""
        self.snapshot: Any = None
        self._seen: tuple[int, object] | None = None
        """How much was written, and how many pages are free, when the snapshot was taken."""
        self._unwritten: str | None = None
        self._lost: str | None = None
        self.broken: StoreBroken | StateDamaged | None = None
        """Why it does nothing any more, once the disk failed under it, or the file is damaged."""
        self.migrated = (0, 0)
        """The schema's version as it was found, and as it is."""

    @property
    def trouble(self) -> str | None:
        """Why nothing can be stored: what became of the file, else what the last writing met.

        None if that worked. Only writing can show that it works again; SQLite's words.
        """
        lost = self._lost if self.is_closed else self._place.trouble()
        return lost or self._unwritten

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        *,
        observe: Callable[[sqlite3.Connection], Any] | None = None,
        tell: Callable[[str | None], None] | None = None,
        migrating: bool = True,
    ) -> AsyncIterator["Database"]:
        """Open the database of a state directory as its only owner, and close it when left.

        `tell` is told in the event loop when it begins not to work, and why, and by None when that
        ends. Once `broken` is set, that never ends. With `migrating` off nothing is made or
        changed, and a missing or older database is refused.
        Raises `StoreOwned`, `StateRefused`, `StoreUnavailable`, `CommandRefused`.
        """
        _running_loop()
        path = directory / DATABASE
        refuse_unreachable(directory)
        if migrating:
            _make_directory(directory)
        elif not (path.exists() or (directory / LOCK).exists()):
            raise no_database(directory)
        refuse_strange_files(directory)
        owner = Owner(directory)
        try:
            refuse_unwritable(path)
            refuse_missing(path, owner)
            if not (migrating or path.exists()):
                raise no_database(directory)
            refuse_foreign_log(path)
            refuse_lost_log(path, owner)
            async with _connected(path) as connection:
                database = cls(connection, Place(path), observe)
                try:
                    database.migrated = await database._prepared(path, owner, migrating)
                    database._tell = tell  # before, whoever opens it is told
                    if observe is not None:
                        database.snapshot = await database.read(observe)
                    yield database
                finally:
                    database.is_closed = True
                    with CancelScope(shield=True):
                        await database._settle(owner)
        finally:
            owner.release()

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function in one transaction; when this returns, what it did is on disk.

        What the function raises is raised, with nothing done. `StoreUnavailable`: the database
        does not work now, and nothing was done; but for `StoreBroken`, which does not know that,
        and after which nothing more is done. A caller cancelled while waiting cannot know
        whether it was done; that it was done half is impossible.
        """

        def work(connection: sqlite3.Connection) -> R:
            return function(connection, *args, **kwargs)

        return await self._in_thread(self._written, work)

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function that only reads, on one consistent state.

        `RuntimeError`: it wrote, and nothing of that was done.
        """

        def work(connection: sqlite3.Connection) -> R:
            # With `PRAGMA query_only` SQLite would prepare every statement anew that is used next.
            before = connection.total_changes
            result = function(connection, *args, **kwargs)
            if connection.total_changes != before:
                raise RuntimeError(f"{function!r} writes: it must be run by `run`")
            return result

        return await self._in_thread(self._transaction, "BEGIN", work)

    def check_file(self) -> None:
        """Raise `StoreUnavailable` if its file was deleted or replaced while it was open."""
        self._lost = words = self._place.trouble()
        if words is not None:
            raise StoreUnavailable(f"the database does not work now: {words}; {LOST_ADVICE}")

    async def probe(self) -> None:
        """Notice that its file is gone or back, or can be written again, while nobody uses it."""
        if self.broken is not None:
            return
        with suppress(StoreUnavailable):
            if self._unwritten is None:
                await self._in_thread(lambda _: self.check_file())
            else:
                await self.run(_touch)

    def check_loop(self) -> None:
        """Refuse a caller in another event loop than the one it was opened in.

        Such a caller is in another thread, or in a forked process. Raises `CommandRefused`.
        """
        if _running_loop() is not self.loop:
            raise CommandRefused(
                "the worker was entered in another event loop: call it there, from another thread"
                " by asyncio.run_coroutine_threadsafe; a forked process cannot use it"
            )

    def condemn(self, error: StateDamaged) -> None:
        """Do nothing any more: it was looked through, and is damaged."""
        self.broken, self._unwritten = error, str(error)
        self._tell_trouble()

    async def truncate_log(self) -> bool:
        """Move all of the write-ahead log into the database and empty it.

        What was deleted is in no file then. False if that cannot be, while another process reads
        the database or the disk is full: then the log keeps it for a while.
        """
        return await self._in_thread(_truncate_log)

    async def rewrite(self) -> bool:
        """Write the whole database anew, and empty the write-ahead log.

        Pages hold shreds of rows that were moved and then deleted; this takes them away. It takes a
        second for some 40 MB and as much space again, and all else waits. False if that cannot be,
        while another process reads the database or the disk is full.
        """
        return await self._in_thread(_rewrite)

    async def _settle(self, owner: Owner) -> None:
        """Be done with the file, which closing takes the log away from.

        Where the disk failed, or the file was refused, the log is left as it is, for the next.
        """
        raw = self._connection._conn  # noqa: SLF001
        if self.broken is not None or not owner.is_claimed:
            await self._connection._execute(_leave_log, raw, self._place.path)  # type: ignore[no-untyped-call]  # noqa: SLF001
            return
        with suppress(sqlite3.Error):
            await self._connection._execute(_truncate_log, raw)  # type: ignore[no-untyped-call]  # noqa: SLF001
        owner.note_clean()

    async def _prepared(
        self,
        path: Path,
        owner: Owner,
        migrating: bool,  # noqa: FBT001
    ) -> tuple[int, int]:
        """Bring the schema up to date; whoever is cancelled meanwhile has it broken off."""
        is_left = False

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            connection.set_progress_handler(lambda: is_left, _LOOK_STEPS)
            try:
                return _prepare(connection, path, owner, migrating)
            finally:
                connection.set_progress_handler(None, 0)

        try:
            return await self._in_thread(work)
        except asyncio.CancelledError:
            is_left = True
            raise

    def _written(
        self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], R]
    ) -> R:
        before = connection.total_changes
        try:
            result = self._transaction(connection, "BEGIN IMMEDIATE", work)
        except sqlite3.DatabaseError as error:
            if is_trouble(error):
                self._unwritten = str(error)
            raise
        # A full disk takes what writes nothing.
        if connection.total_changes != before:
            self._unwritten = None
        return result

    def _transaction(
        self,
        connection: sqlite3.Connection,
        begin: str,
        work: Callable[[sqlite3.Connection], R],
    ) -> R:
        self.check_file()
        try:
            return _whole(connection, begin, work)
        finally:
            self._look(connection)

    def _tell_trouble(self) -> None:
        """Tell when trouble begins, is beyond help, and ends; of all it is, only the first."""
        trouble = self._lost or self._unwritten
        state = (trouble is not None, self.broken is not None)
        if self._tell is not None and state != self._told:
            self._told = state
            self._tell(trouble)

    def _look(self, connection: sqlite3.Connection) -> None:
        """Take the snapshot if something changed: whoever wrote sees it when it hears of it."""
        if self._observe is not None:
            # A commit has happened, whether or not it can be looked at now.
            with suppress(sqlite3.Error):
                # To give space back changes no row.
                changes = connection.total_changes, _pragma(connection, "freelist_count")
                if changes != self._seen:
                    self.snapshot = self._observe(connection)
                    self._seen = changes

    async def _in_thread(self, function: Callable[..., R], *args: object) -> R:
        """Run a function with the raw connection in aiosqlite's thread.

        This is the one call into a part of aiosqlite that is not documented; a contract test
        holds it: `_execute` runs one function after the other, and runs one whose caller has gone.
        """

        def work(connection: sqlite3.Connection) -> R:
            if self.broken is not None:
                raise type(self.broken)(*self.broken.args)
            try:
                return translated(function, connection, *args)
            except (StoreBroken, StateDamaged) as error:
                self.broken, self._unwritten = error, str(error.__cause__)
                raise

        if self.is_closed:
            raise StoreUnavailable("the database is closed: the worker was left")
        self.check_loop()
        self.calls += 1
        raw = self._connection._conn  # noqa: SLF001
        execute: Callable[..., Awaitable[R]] = self._connection._execute  # noqa: SLF001
        try:
            return await execute(work, raw)
        finally:
            self._tell_trouble()


def _touch(connection: sqlite3.Connection) -> None:
    """Write, and leave all as it was."""
    connection.execute("INSERT INTO meta VALUES ('probe', '')")
    connection.execute("DELETE FROM meta WHERE key = 'probe'")


def _whole(
    connection: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], R]
) -> R:
    _begin(connection, begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _begin(connection: sqlite3.Connection, begin: str) -> None:
    """Begin a transaction, for which SQLite tries again for as long as `busy_timeout` says.

    So it is tried as a whole: nothing of it was done before.
    """
    try:
        connection.execute(begin)
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise sqlite3.OperationalError(
            f"{error}: something else writes to it, and does not end; `fuser {DATABASE}` names it"
        ) from error


@asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    opened: Future[sqlite3.Connection] = Future()

    def connect() -> sqlite3.Connection:
        # Any thread may close it; all else is done in one.
        connection = sqlite3.connect(
            path, isolation_level=None, cached_statements=256, check_same_thread=False
        )
        opened.set_result(connection)
        return connection

    connecting = aiosqlite.Connection(connect, iter_chunk_size=64)
    try:
        connection = await connecting
    except sqlite3.Error as error:
        # Its thread has been told to end, and still answers to this event loop.
        await to_thread.run_sync(connecting._thread.join)  # noqa: SLF001
        raise StateRefused(f"{path}: cannot be opened: {error}") from None
    except BaseException:
        # Cancelled: aiosqlite forgets the connection that its thread opens, or has just opened.
        opened.add_done_callback(lambda done: done.result().close())
        raise
    try:
        yield connection
    finally:
        # Its thread is not a daemon: whatever happens here, it must be told to end.
        with CancelScope(shield=True):
            await connection.close()


def _running_loop() -> asyncio.AbstractEventLoop:
    """Give the event loop of the caller; raises `CommandRefused` if it is not one of asyncio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise CommandRefused(
            "the worker found no event loop of asyncio; enter it under asyncio.run, or anyio.run"
            " with its backend asyncio (trio cannot run it)"
        ) from None


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateRefused(f"{directory}: cannot be made: {error.strerror}") from None


def _prepare(
    connection: sqlite3.Connection,
    path: Path,
    owner: Owner,
    migrating: bool,  # noqa: FBT001
) -> tuple[int, int]:
    """Refuse a wrong database before anything is written to it; then set it up."""
    before = version_of(connection)
    refuse_other(connection, path, owner)
    if not migrating and before < latest_version():
        raise StateRefused(
            f"{path}: has an older schema; run `ecolyo-worker migrate` first, or start the service"
        )
    path.chmod(0o600)
    for name, value, expected in _PRAGMAS:
        if _pragma(connection, name) != expected:
            connection.execute(f"PRAGMA {name} = {value}")
        if (found := _pragma(connection, name)) != expected:
            raise StateRefused(f"{path}: {name} is {found!r} and must be {expected!r}")
    if migrating:
        migrate(connection, path)
    owner.claim(identity(connection))
    return before, latest_version()


def _rewrite(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if is_disk_failure(error):
            raise
        return False
    reach("erasing.written")
    return _truncate_log(connection)


def _truncate_log(connection: sqlite3.Connection) -> bool:
    connection.execute("PRAGMA busy_timeout = 0")  # others need this thread meanwhile
    try:
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if is_disk_failure(error):
            raise
        return False  # what was committed is committed
    finally:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    return not is_busy


def _leave_log(connection: sqlite3.Connection, path: Path) -> None:
    """Close a connection without moving its log into the database, as the last one would."""
    log = path.with_name(f"{path.name}-wal")
    if not (log.exists() and log.stat().st_size):
        return
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM sqlite_schema").fetchone()
        connection.close()


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
