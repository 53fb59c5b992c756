"""Others who hold the database: for writing, for reading, as its owner, by another library."""

import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import anyio
import pytest
import structlog
from anyio import to_thread

from ecolyo_worker import Settings, StoreUnavailable, Worker
from ecolyo_worker.checks.directory import check_directory
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.fundamentals.conftest import NIGHT
from tests.nights import asleep
from tests.process.conftest import Run

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]

DOCS = Path(__file__).parents[2] / "docs"
ALICE = "alice.example"
HOUR = timedelta(hours=1)
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO meta VALUES ('of another', '')")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("free", flush=True)
"""


class Writer:
    """Another process that has begun to write to a database."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        assert self._said() == "locked\n"

    async def let_go(self) -> None:
        """Let it give the database free."""
        self._process.stdin.write("\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]
        assert await to_thread.run_sync(self._said) == "free\n"

    def _said(self) -> str:
        return self._process.stdout.readline()  # type: ignore[union-attr]


@contextmanager
def writer(state_dir: Path) -> Iterator[Writer]:
    """Hold the write lock, by a process of its own."""
    command = [sys.executable, "-c", WRITER, str(state_dir / "ecolyo.db")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield Writer(process)
        process.kill()


async def shorten(worker: Worker) -> None:
    """Let a lock be waited for only briefly."""
    await worker.database.read(lambda c: c.execute("PRAGMA busy_timeout = 50").fetchall())


@pytest.mark.fault(30)
async def test_a_writer_that_ends_in_time(worker: Worker, state_dir: Path, event: Event) -> None:
    """A transaction waits up to 5 s to begin, in its own thread; the event loop goes on meanwhile.

    It is the loop that lets the writer end here.
    """
    with writer(state_dir) as other:
        async with anyio.create_task_group() as calling:
            calling.start_soon(worker.record, ALICE, event("NavigationEvent", "2026-11-20T10:00"))
            await anyio.wait_all_tasks_blocked()
            assert worker.status().events["waiting"] == 0
            await other.let_go()
    assert worker.status().events["waiting"] == 1


@pytest.mark.fault(30)
async def test_a_writer_that_does_not_end(state_dir: Path, agree: Agree, event: Event) -> None:
    """Then it is `StoreUnavailable`, with nothing done of it; reading goes on, and no part ends.

    What is handed over again is stored once, and the night is counted once.
    """
    early, late = (event("NavigationEvent", f"2026-11-20T1{n}:00", target="gas") for n in (0, 1))
    log = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[log])
    async with Worker(Settings(state_dir=state_dir), logger=logger) as worker:
        await agree(worker)
        await worker.record(ALICE, early)
        await shorten(worker)
        with writer(state_dir) as other:
            for call in (worker.record(ALICE, [early, late]), worker.run_once(NIGHT)):
                with pytest.raises(
                    StoreUnavailable, match=r"locked: something else writes .* names it"
                ):
                    await call
            assert "database is locked" in str(worker.database.trouble)
            assert await worker.database.read(_runs) == 0
            await other.let_go()
        receipt = await worker.record(ALICE, [early, late])
        assert (receipt.accepted, receipt.known) == (1, 1)
        assert (await worker.run_once(NIGHT)).events == {"counted": 2}
        assert {one.restarts for one in worker.health()} == {0}
    told = [line["event"] for line in log.entries if line["event"].startswith("the database")]
    assert told == ["the database does not work", "the database works again"]
    await assert_balanced(state_dir)


def _runs(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    return count


@contextmanager
def reader(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """Read the database for long, so that its log cannot be emptied."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM events").fetchone()
        yield connection


@pytest.mark.fault(31)
async def test_a_reader_that_does_not_end(state_dir: Path, agree: Agree, event: Event) -> None:
    """All goes on. Once the log is large, `status` and a line of the log each hour tell why.

    `ecolyo_database_log_bytes` has its size; it is emptied within the hour after the reader ends.
    """
    log = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[log])
    clock = SteppedClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
    written = state_dir / "ecolyo.db-wal"

    def warned() -> list[int]:
        events = [line for line in log.entries if line["log_level"] == "warning"]
        assert {line["event"] for line in events} <= {"the write-ahead log is not emptied"}
        return [line["bytes"] for line in events]

    async with Worker(Settings(state_dir=state_dir), clock=clock, logger=logger) as worker:
        await agree(worker)
        await asleep(worker, clock)
        with reader(state_dir) as other:
            await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00"))
            await clock.step(clock.now() + HOUR)
            assert warned() == []
            with written.open("r+b") as file:  # as large as after days, of which nothing is on disk
                file.truncate(2**28)
            await clock.step(clock.now() + HOUR)
            assert warned() == [2**28]
            (advice,) = [one for one in worker.status().advice if "ecolyo.db-wal" in one]
            assert "holds 256 MiB: something reads the database for long" in advice
            await worker.record(ALICE, event("NavigationEvent", "2026-11-20T11:00"))
            query = "SELECT count(*) FROM events"
            assert other.execute(query).fetchone() == (0,)
        await clock.step(clock.now() + HOUR)
        assert worker.status().sizes.log < 2**20
        assert len(warned()) == 1
        assert not [one for one in worker.status().advice if "ecolyo.db-wal" in one]
    await assert_balanced(state_dir)


@pytest.mark.fault(32)
async def test_two_services_on_one_directory(run: Run) -> None:
    """The second one ends with 73 and names the owner's process.

    Once that one is killed by SIGKILL, the next one starts: the lock is the kernel's.
    """
    async with run() as first:
        async with run(ready=False) as second:
            assert await second.end() == 73
            said = await second.rest()
        assert f"is owned by process {first.process.pid}" in said
        first.process.send_signal(SIGKILL)
        await first.end()
    async with run() as third:
        assert third.process.returncode is None


def said(page: str, begin: str) -> str:
    """Give the point of a list on a page of the documentation that begins so."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = [one for one in text.split("\n- ") if one.startswith(begin)]
    return " ".join(found.split())


@pytest.mark.fault(33)
async def test_a_second_library_is_warned_of() -> None:
    """The pages for hosts and of promises say what would happen, and what to do instead."""
    embedding = said("how-to/embed.md", "A second SQLite library in the same process")
    assert "rows would be lost without a word. Read the state through the worker" in embedding
    promises = said("promises.md", "**Several processes on one state.**")
    assert "within the same process cannot be noticed, and may lose rows" in promises


@pytest.mark.fault(34)
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_told(tmp_path: Path, kind: str) -> None:
    """`doctor` fails, and says that data can be lost there; the page of promises says so too."""
    tmp_path.chmod(0o700)
    mounts = (
        f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:40 / {tmp_path} rw - {kind} host:/x rw\n"
    )
    (found,) = [one for one in check_directory(tmp_path, mounts) if one.check == "disk"][:1]
    assert (found.result, found.found) == (
        "failed",
        f"{kind}: over a network SQLite's locks do not hold, and data can be lost",
    )
    assert found.advice == "let worker.state_dir be on a disk of this machine"
    assert "`ecolyo-worker doctor` says if" in said("promises.md", "**Network file systems.**")
