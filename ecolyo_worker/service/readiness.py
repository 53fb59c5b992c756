"""Whether the service can do what it is asked for, and if not, why."""

import sqlite3
from collections.abc import Callable, Iterator

import anyio
from msgspec import Struct

from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import ErrorCode
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.store.status import free_bytes
from ecolyo_worker.worker import Worker

__all__ = ["Problem", "Readiness"]

# More than an import of many lines takes, so that one that was refused for lack of space would fit.
_PROBE_BYTES = 64 * 1024


class Problem(Struct, frozen=True):
    """What stands in the way: a code for programs, a sentence for people. It names nobody."""

    code: ErrorCode
    message: str


class Readiness:
    """Looks whether a worker can take events in and answer."""

    def __init__(self, worker: Worker, bounds: Bounds, is_stopping: Callable[[], bool]) -> None:
        """`is_stopping` tells whether whoever asks is being stopped, before the worker is."""
        self._worker = worker
        self._bounds = bounds
        self._is_stopping = is_stopping

    async def problems(self) -> list[Problem]:
        """Give what stands in the way now; nothing is written unless the last writing failed."""
        if self._worker.is_stopping or self._is_stopping():
            return [Problem(codes.STOPPING, "the service is stopping")]
        if not self._worker.is_ready:
            return [Problem(codes.STARTING, "the service has not started yet")]
        return [*self._of_actors(), *self._of_the_disk(), *await self._of_the_database()]

    def _of_actors(self) -> Iterator[Problem]:
        for actor in self._worker.health():
            if not actor.alive:
                state = "shows no life" if actor.state == "working" else f"is {actor.state}"
                yield Problem(codes.ACTOR_DEAD, f"the part {actor.name} {state}")

    def _of_the_disk(self) -> Iterator[Problem]:
        free = free_bytes(self._worker.settings.directory)
        if free is None:
            yield Problem(codes.STATE_MISSING, "the state directory cannot be reached")
        elif free < self._bounds.free_bytes:
            least = self._bounds.free_bytes
            yield Problem(
                codes.DISK_FULL, f"the disk has {free} bytes left; needed: {least} at least"
            )

    async def _of_the_database(self) -> list[Problem]:
        database = self._worker.database
        try:
            with anyio.fail_after(self._bounds.ready_s):
                if database.trouble is None:
                    await database.read(_read)
                else:  # only who writes can learn that it is over
                    await database.run(_write)
        except TimeoutError:
            seconds = f"{self._bounds.ready_s:g} s"
            return [Problem(codes.DATABASE_BUSY, f"the database did not answer within {seconds}")]
        except EcolyoError:
            words = database.trouble or "nothing can be read"
            return [Problem(codes.DATABASE_FAILING, f"the database does not work now: {words}")]
        return []


def _read(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM meta").fetchone()


def _write(connection: sqlite3.Connection) -> None:
    """Take some space and give it back, so that a full disk or database fails it."""
    connection.execute(
        "INSERT OR REPLACE INTO meta VALUES ('probe', replace(hex(zeroblob(?)), '00', 'x'))",
        (_PROBE_BYTES,),
    )
    connection.execute("DELETE FROM meta WHERE key = 'probe'")
