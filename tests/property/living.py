"""A worker that lives from crash to crash on files of its own, beside real servers."""

import random
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

import httpx
import msgspec
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxDocument, OutboxList
from ecolyo_worker.settings import Dacc, Retention
from ecolyo_worker.testing import Echo, Twin, echo_server, energy_server
from ecolyo_worker.testing.clock import FakeClock
from tests import energy_accounts
from tests.property.delivery import KEPT
from tests.property.model import line

__all__ = ["Around", "Living", "surroundings"]

MARCH = datetime(2027, 3, 1, 10, tzinfo=UTC)
FOREVER = 3650
FAST = Path("/dev/shm")
# What is answered is marked after so many turns of the loop and the database, at most.
_ROUNDS = 8
T = TypeVar("T")


class Half(random.Random):
    """Draws the middle of every wait."""

    def random(self) -> float:
        return 0.5


class Around(NamedTuple):
    """What all lives share: an event loop, the servers, and a state in which nothing happened."""

    portal: BlockingPortal
    echo: Echo
    twin: Twin
    settings: Settings
    """Those of every worker, but for its files; as they are, those of the new state."""


@contextmanager
def surroundings() -> Iterator[Around]:
    """Run the servers; files are kept in memory where the machine lets them."""
    kept = FAST if FAST.is_dir() else None
    with (
        start_blocking_portal() as portal,
        echo_server() as echo,
        energy_server("--quota", "off") as twin,
        TemporaryDirectory(dir=kept) as directory,
    ):
        base = energy_accounts.settings(Path(directory, "new"), twin)
        chosen = base.replace(
            dacc=Dacc(url=echo.url, rate=10_000.0, concurrency=1, max_attempts=1000),
            retention=Retention(events_days=FOREVER, sent_days=KEPT.days),
            enedis=msgspec.structs.replace(base.enedis, history_days=14, curve_days=7),
        )
        with portal.wrap_async_context_manager(Worker(chosen, clock=FakeClock(MARCH)).opened()):
            pass
        yield Around(portal, echo, twin, chosen)


class Crash:
    """What a process leaves that ends at some moment; what it does afterwards is of no account."""

    def __init__(self, state_dir: Path, copy: Path) -> None:
        self._state_dir = state_dir
        self._copy = copy
        self._left: int | None = None
        self._is_answered = False
        self.worker: Worker
        self.passed: list[str] = []
        """The rows that the DACC took, from the arming on."""

    @property
    def has_come(self) -> bool:
        """Whether it is over with this process."""
        return self._copy.exists()

    def arm(self, requests: int, *, answered: bool) -> None:
        """Let it come at a request behind so many others: before it leaves, or when it is answered.

        If there are fewer, it comes when it is told to.
        """
        self._left, self._is_answered = requests, answered
        self.passed.clear()

    async def reach(self, *, answered: bool) -> None:
        """Say that a request is there; raises `ConnectError` where the process has ended."""
        if self._left is not None and answered is self._is_answered and not self.has_come:
            self._left -= 1
            if self._left < 0:
                await self._settle()
                self.come()
        if self.has_come and not answered:
            raise httpx.ConnectError("the process has ended")

    async def _settle(self) -> None:
        """Let what is under way in the database end, so that the same history leaves the same."""
        for _ in range(_ROUNDS):
            await self.worker.database.read(lambda _: None)

    def come(self) -> None:
        """Copy the files, under a reader that lets the log not be begun anew meanwhile."""
        self._copy.mkdir()
        with closing(sqlite3.connect(self._state_dir / "ecolyo.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM meta").fetchone()
            # The database stands before its log in this order, and must.
            for file in sorted(self._state_dir.iterdir()):
                if file.is_file() and not file.name.endswith("-shm"):
                    shutil.copy(file, self._copy)


class Wire(httpx.AsyncBaseTransport):
    """A real connection, and a place at which a crash may come."""

    def __init__(self, crash: Crash) -> None:
        # The certificates that nobody needs here take longer to read than a row to send.
        self._inner = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
        self._crash = crash

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._crash.reach(answered=False)
        answer = await self._inner.handle_async_request(request)
        if answer.status_code < 300:
            self._crash.passed.append(line(request.content))
        await self._crash.reach(answered=True)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class Living:
    """A worker, opened again after each crash on what that left."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._directory = TemporaryDirectory(dir=around.settings.directory.parent)
        self._lives = self.age = 0
        self.clock = FakeClock(MARCH)
        self.call(around.echo.clear)
        self.call(around.echo.set_fault, "")
        shutil.copytree(around.settings.directory, self._state_dir)
        self._open()

    @property
    def _state_dir(self) -> Path:
        return Path(self._directory.name, f"life-{self._lives}")

    def _open(self) -> None:
        after = Path(self._directory.name, f"life-{self._lives + 1}")
        self.crashing = Crash(self._state_dir, after)
        self.worker = self.crashing.worker = Worker(
            self._around.settings.replace(state_dir=self._state_dir),
            clock=self.clock,
            random=Half(1),
            http=lambda: httpx.AsyncClient(transport=Wire(self.crashing)),
        )
        self._opened = self._around.portal.wrap_async_context_manager(self.worker.opened())
        self._opened.__enter__()
        self.commands = Commands(self.worker)
        self.age = 0

    def call(self, act: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Run something on the event loop; how often is the worker's age."""
        self.age += 1
        return self._around.portal.call(act, *arguments)

    def rows(self) -> dict[int, OutboxDocument]:
        """Give all rows, as they are told."""

        async def listed() -> dict[int, OutboxDocument]:
            return {row.id: row async for row in self.commands.outbox_list(OutboxList())}

        return self.call(listed)

    def crash(self) -> None:
        """End the worker, now if not earlier, and open another one on what that left."""
        if not self.crashing.has_come:
            self.crashing.come()
        self._opened.__exit__(None, None, None)
        self._lives += 1
        self._open()

    def close(self) -> None:
        """Stop the worker, and remove its files."""
        self._opened.__exit__(None, None, None)
        self._directory.cleanup()
