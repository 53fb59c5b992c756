"""The lives of one service, one after the other on one state, and what must hold after each."""

import resource
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import Any

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.exits import BUG, CONFIGURATION, OK, UNAVAILABLE
from ecolyo_worker.ledger import Ledger
from ecolyo_worker.store.migrations import MIGRATIONS, latest_version
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.testing.ledger import check
from tests.soak.disk import Disk
from tests.soak.faults import Disturbance, End, Plan
from tests.soak.host import METERS, Host
from tests.soak.service import SPEED, SetClock, settings

__all__ = ["Life", "Lives"]

_LOOK_S = 0.02
_START_S = 60.0
_STOP_S = 60.0
_DRAIN_S = 120.0
_KILLED = -signal.SIGKILL
_LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
sys.stdin.read()
"""


class Life(Struct, frozen=True, kw_only=True):
    """What became of a life."""

    code: int | None
    ledger: Ledger | None
    """None where there is no database of this program's schema yet."""
    problems: list[str]


def _is_unread(end: ask.PolledAccount) -> bool:
    """Tell whether all that is left are days that could not be read: they come another day."""
    return end.outcome == "partial" and (end.reason or "").startswith("Days that could not be read")


class Lives:
    """A state, the echo server and the twin beside it, and one service after the other."""

    def __init__(self, root: Path, disk: Disk, echo: Echo, twin: Twin, begin: datetime) -> None:
        """`root` holds the logs, and the disk with the state."""
        self._root = root
        self._disk = disk
        self._echo = echo
        self._twin = twin
        self._clock = SetClock.made(root / "clock", begin)
        self._settings = settings(root, echo.url, twin.url)
        self.host = Host(self._settings, self._clock, twin)
        self._count = 0
        self._was_clean = True
        self._has_schema = False

    @property
    def database(self) -> Path:
        """The file that all lives share."""
        return self._settings.directory / "ecolyo.db"

    async def live(self, plan: Plan, seed: str) -> Life:
        """Let a service live as it was planned."""
        refusal = await self._refused() if plan.refuses and self._was_clean else []
        await self._set_faults(plan.echo, plan.twin, plan.place)
        async with self._process() as process:
            if plan.end == "kill while starting":
                await _sleep_beside(process, plan.lasts_s)
                await _end(process, plan.end)
            else:
                await self._ready(process)
                await self._work(process, plan, seed)
            code = process.poll()
        return await self._judged(code, _allowed(plan, self._disk), refusal)

    async def drain(self) -> Life:
        """Let a service live without any fault until it has nothing left to do."""
        await self._set_faults("ok", "ok", "")
        for place in ("daily", "curve", "informative", "published", "token"):
            await self._twin.set_fault("", place)
        for meter in METERS:
            await self._twin.consent(meter)
        problems: list[str] = []
        async with self._process() as process:
            await self._ready(process)
            async with anyio.create_task_group() as beside:
                beside.start_soon(self.host.keep_time)
                problems += await self._drained()
                beside.cancel_scope.cancel()
            await _end(process, "term")
            code = process.poll()
        life = await self._judged(code, {OK}, problems)
        ledger = life.ledger
        if ledger is None or ledger.missing or ledger.received is None:
            life.problems.append("not all was received")
        return life

    def make_older(self) -> None:
        """Bring the database back to the first schema, with what that can hold.

        Later schemas only add tables. The service has ended in good order.
        """
        with closing(sqlite3.connect(":memory:")) as first:
            first.executescript(next(iter(sorted(MIGRATIONS.glob("*.sql")))).read_text())
            known = set(first.execute("SELECT name FROM sqlite_schema"))
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for (name,) in set(tables) - known:
                connection.execute(f'DROP TABLE "{name}"')
            connection.execute("PRAGMA user_version = 1")
        self._has_schema = False

    async def _refused(self) -> list[str]:
        """Let the schema be a newer one, which must be refused without any change."""
        if not self.database.exists():
            return []
        with closing(sqlite3.connect(self.database)) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {latest_version() + 1}")
        before = self.database.read_bytes()
        async with self._process() as process:
            await _sleep_beside(process, _START_S)
            code = process.poll()
        is_same = self.database.read_bytes() == before
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        if code == CONFIGURATION and is_same:
            return []
        changed = "did not change" if is_same else "changed"
        return [f"a newer schema: it ended with {code} and {changed} the file"]

    async def _set_faults(self, echo: str, twin: str, place: str) -> None:
        await self._echo.set_fault(echo)
        await self._twin.set_fault(twin, place)

    @asynccontextmanager
    async def _process(self) -> AsyncIterator["Popen[bytes]"]:
        """Start a service; whatever happens, it has ended at the end."""
        self._count += 1
        self._clock.set_again()
        await self.host.stand()
        command = [
            *(sys.executable, "-m", "tests.soak.service"),
            *(str(self._root), self._echo.url, self._twin.url),
        ]
        with self._log.open("wb") as log:
            process = _started(command, stdin=DEVNULL, stdout=DEVNULL, stderr=log)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    @property
    def _log(self) -> Path:
        return self._root / f"log-{self._count}.ndjson"

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self._log.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line)
            except msgspec.DecodeError:  # cut by a kill, or no line of the log
                yield {"event": line.decode(errors="replace"), "level": "none"}

    async def _ready(self, process: "Popen[bytes]") -> None:
        with anyio.move_on_after(_START_S):
            while process.poll() is None:
                if any(line["event"] == "ready" for line in self._lines()):
                    self._has_schema = True
                    return
                await anyio.sleep(_LOOK_S)

    async def _drained(self) -> list[str]:
        """Wait until all is sent and all readings are there; say what is not."""
        owed = ["nothing was asked yet"]
        async with self.host.commands() as commands:
            assert commands is not None, "it is ready, and has no control socket"
            with anyio.move_on_after(_DRAIN_S):
                while owed:
                    owed = [one async for one in self._owed(commands)]
        return owed

    async def _owed(self, commands: Commands) -> AsyncIterator[str]:
        """Let it do what it can do now, and say what is left."""
        report = await commands.send(ask.Send(until_empty=True, timeout=5 * SPEED))
        if report.waiting:
            yield f"{report.waiting} indicators are not sent"
        if not self.host.has_accounts:
            return
        await self.host.keep_accounts(commands)
        async for step in commands.poll(ask.Poll(forced=True)):
            end = step.account
            if end is not None and end.outcome not in {"done", "later"} and not _is_unread(end):
                yield f"account {end.account} ended with {end.outcome}: {end.reason}"

    async def _work(self, process: "Popen[bytes]", plan: Plan, seed: str) -> None:
        """Let it work under load and what disturbs it, until it has ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.host.live, seed)
            for one in plan.disturbances:
                tasks.start_soon(self._disturb, process, one, plan)
            await _sleep_beside(process, plan.lasts_s)
            await _end(process, plan.end)
            tasks.cancel_scope.cancel()

    async def _judged(self, code: int | None, allowed: set[int], problems: list[str]) -> Life:
        found = [*problems, *self.host.problems, *self._crashes()]
        self.host.problems.clear()
        if code not in allowed:
            said = [str(line) for line in self._lines()][-3:]
            found.append(f"it ended with {code}: {' '.join(said)}")
        self._was_clean = code == OK
        ledger = None
        if self._has_schema:
            ledger = await check(self._settings.directory, self._echo.url, self.host.accepted)
            found += ledger.problems
        return Life(code=code, ledger=ledger, problems=found)

    def _crashes(self) -> Iterator[str]:
        """Say which part of the service crashed, for another reason than a disk that does not work.

        Whatever the fault, errors of that kind are ours.
        """
        for line in self._lines():
            is_crash = line["event"].startswith(("actor crashed", "ended by a bug"))
            by_disk = str(line.get("error")).startswith(("StoreUnavailable", "StoreBroken"))
            if is_crash and not by_disk:
                yield f"it logged: {line}"

    async def _disturb(self, process: "Popen[bytes]", what: Disturbance, plan: Plan) -> None:
        """Let something go wrong in the midst of a life, and right again if it lasts so long."""
        acts: dict[Disturbance, Callable[..., AbstractAsyncContextManager[None]]] = {
            "clock": self._wrong_clock,
            "full disk": self._full_disk,
            "file limit": self._file_limit,
            "slow": self._slow,
            "tokens end": self._no_tokens,
            "consent ends": self._no_consent,
            "write lock": self._write_lock,
        }
        await anyio.sleep(plan.lasts_s / 4)
        if process.poll() is None:
            async with acts[what](process, plan):
                await anyio.sleep(plan.lasts_s / 4)

    @asynccontextmanager
    async def _wrong_clock(self, process: "Popen[bytes]", plan: Plan) -> AsyncIterator[None]:
        before = self._clock.ahead_s
        self._clock.set_ahead(before + plan.jump_s)
        process.send_signal(signal.SIGUSR1)
        try:
            yield
        finally:
            if plan.is_mended:
                self._clock.set_ahead(before)
                process.send_signal(signal.SIGUSR1)

    @asynccontextmanager
    async def _full_disk(self, process: "Popen[bytes]", plan: Plan) -> AsyncIterator[None]:
        if not self._disk.is_small:  # the nearest to it
            async with self._file_limit(process, plan):
                yield
            return
        try:
            self._disk.fill()
            yield
        finally:
            self._disk.empty()

    @asynccontextmanager
    async def _file_limit(self, process: "Popen[bytes]", _: Plan) -> AsyncIterator[None]:
        """Let no file grow any more, which SQLite is told as an I/O error."""
        log = self.database.with_name(f"{self.database.name}-wal")
        most = log.stat().st_size if log.exists() else 0
        endless = resource.RLIM_INFINITY
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, endless))
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (endless, endless))

    @asynccontextmanager
    async def _slow(self, process: "Popen[bytes]", plan: Plan) -> AsyncIterator[None]:
        """Give it little of the processors: it is stopped for most of the time."""
        try:
            for _ in range(4):
                process.send_signal(signal.SIGSTOP)
                await anyio.sleep(plan.lasts_s / 20)
                process.send_signal(signal.SIGCONT)
                await anyio.sleep(plan.lasts_s / 80)
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def _no_tokens(self, _: "Popen[bytes]", __: Plan) -> AsyncIterator[None]:
        await self._twin.end_tokens()
        yield

    @asynccontextmanager
    async def _no_consent(self, _: "Popen[bytes]", plan: Plan) -> AsyncIterator[None]:
        meter = METERS[plan.jump_s % len(METERS)]
        await self._twin.revoke(meter)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._twin.consent(meter)

    @asynccontextmanager
    async def _write_lock(self, _: "Popen[bytes]", __: Plan) -> AsyncIterator[None]:
        """Let another process hold the lock. It is killed, and so touches nothing at its end."""
        command = [sys.executable, "-c", _LOCKER, str(self.database)]
        with _started(command, stdin=PIPE, stderr=DEVNULL) as locker:
            try:
                yield
            finally:
                locker.kill()


def _started(command: list[str], **streams: Any) -> "Popen[bytes]":
    """Start a process that is looked at again and again, also after it has ended."""
    return Popen(command, **streams)


async def _sleep_beside(process: "Popen[bytes]", seconds: float) -> None:
    """Wait for so long, or until the process has ended."""
    await anyio.to_thread.run_sync(_wait, process, seconds)


def _wait(process: "Popen[bytes]", seconds: float) -> None:
    with suppress(TimeoutExpired):
        process.wait(seconds)


async def _end(process: "Popen[bytes]", end: End) -> None:
    """End a process in this way, and wait until it has."""
    if end.startswith("term"):
        process.send_signal(signal.SIGTERM)
        if end != "term":
            await _sleep_beside(process, 0.1)
            process.send_signal(signal.SIGTERM if end == "term twice" else signal.SIGKILL)
        await _sleep_beside(process, _STOP_S)
    else:
        process.kill()
        process.wait()


def _allowed(plan: Plan, disk: Disk) -> set[int]:
    """Give the exit codes that a life may end with."""
    codes = {OK} if plan.end.startswith("term") else {_KILLED}
    if plan.end == "term then kill":
        codes.add(_KILLED)
    if plan.end == "term twice":  # all may be closed by then, and nobody listens any more
        codes.add(-signal.SIGTERM)
    if "file limit" in plan.disturbances or (
        "full disk" in plan.disturbances and not disk.is_small
    ):
        codes |= {UNAVAILABLE, BUG}
    return codes
