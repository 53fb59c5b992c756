"""A disk that is full, or cannot be written: nothing is half stored, and all goes on afterwards."""

import os
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import CapturingLogger

from ecolyo_worker import Settings, StateRefused, StoreUnavailable, Worker
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.callers import ALICE, calling
from tests.nights import asleep

Fill = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Run = Any

NIGHT = datetime(2026, 11, 21, 1)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


class Disk:
    """A disk of its own for a state directory, of a megabyte."""

    def __init__(self, place: Path) -> None:
        self.state_dir = place / "state"
        self._place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """Take all the room that there is."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink()

    def refuse_writing(self) -> None:
        """Let nobody write to it, not even root."""
        subprocess.run(["mount", "-o", "remount,ro", self._place], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk, in memory; mounting one takes root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount a small disk here")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def room(connection: sqlite3.Connection, pages: int) -> None:
    """Let the database grow by so many pages."""
    (size,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {size + pages}")


def visits(first: int, count: int) -> list[dict[str, str]]:
    at = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
    return [{**at, "_id": f"{number:0100}"} for number in range(first, first + count)]


@pytest.mark.fault(20)
async def test_a_full_disk_refuses_events(disk: Disk, agree: Callable[..., Any]) -> None:
    """The caller is told, nothing of a batch is stored, and it works again once there is room."""
    async with Worker(Settings(state_dir=disk.state_dir)) as worker:
        await agree(worker)
        await worker.record(ALICE, visits(0, 1))
        disk.fill()
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="full"):
                await worker.record(ALICE, visits(1, 500))
        await worker.database.run(lambda _: None)  # a full disk takes what writes nothing
        assert worker.status().events["waiting"] == 1
        assert "database or disk is full" in worker.status().advice[0]
        disk.free()
        assert (await worker.record(ALICE, visits(0, 501))).accepted == 500
        assert {task.restarts for task in worker.health()} == {0}
    assert (await assert_balanced(disk.state_dir)).events == 501


@pytest.mark.fault(20)
async def test_a_file_that_may_not_grow_refuses_events(settings: Settings) -> None:
    """Each of those who share a commit is told; once there is room again, all are taken."""
    async with Worker(settings).opened() as worker:
        await worker.record(ALICE, visits(0, 1))
        before = worker.status().events
        await worker.database.run(room, 0)
        async with calling(worker) as callers:
            for n in range(3):
                callers.record(*(f"{n}-{m:060}" for m in range(200)))
        assert [type(error) for error in callers.errors.values()] == [StoreUnavailable] * 3
        assert all("full" in str(error) for error in callers.errors.values())
        assert worker.status().events == before
        await worker.database.run(room, 1000)
        async with calling(worker) as callers:
            for n in range(3):
                callers.record(*(f"{n}-{m:060}" for m in range(200)))
        assert list(callers.accepted.values()) == [200] * 3
        assert [task.restarts for task in worker.health()] == [0]
    assert (await assert_balanced(settings.directory)).events == 601


@pytest.mark.fault(20)
async def test_room_is_noticed_while_nothing_comes_in(settings: Settings) -> None:
    """Within a minute the log and `status` say that the database works again."""
    clock = SteppedClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    logger: Any = CapturingLogger()
    async with Worker(settings, clock=clock, logger=logger) as worker:
        await worker.database.run(room, 0)
        with pytest.raises(StoreUnavailable, match="full"):
            await worker.record(ALICE, visits(0, 500))
        assert "database or disk is full" in worker.status().advice[0]
        await worker.database.run(room, 1000)
        await asleep(worker, clock)
        for _ in range(2):
            await clock.step(clock.now() + timedelta(seconds=30))
        assert worker.status().advice == []
    told = [call.args[0] for call in logger.calls if "the database" in call.args[0]]
    assert told == ["the database does not work", "the database works again"]


@pytest.mark.fault(21)
async def test_a_full_disk_counts_nothing_by_halves(disk: Disk, agree: Callable[..., Any]) -> None:
    """A night that finds no room stores nothing of a person; the next run counts her once."""
    async with Worker(Settings(state_dir=disk.state_dir)).opened() as worker:
        await agree(worker)
        await worker.record(
            ALICE, [{**one, "target": PAGES[n]} for n, one in enumerate(visits(0, 6))]
        )
        before = worker.status()
        disk.fill()
        with pytest.raises(StoreUnavailable, match="full"):
            await worker.run_once(NIGHT)
        assert (worker.status().events, worker.status().outbox) == (before.events, before.outbox)
        disk.free()
        assert (await worker.run_once(NIGHT)).indicators == {"navigation-count-daily": 6}
    assert (await assert_balanced(disk.state_dir)).indicators == 6


FULL = (
    # A row that is sent, or marked at all, needs more room than there is.
    "CREATE TEMP TRIGGER greedy AFTER UPDATE ON main.outbox WHEN NEW.state = 'sent' BEGIN"
    " INSERT INTO meta VALUES (hex(randomblob(16)), hex(zeroblob(200000))); END"
)


@pytest.mark.fault(21)
async def test_a_full_disk_forgets_no_answer(fill: Fill, quick: Quick, wire: Any) -> None:
    """While marks cannot be written nothing else leaves; then they are, and nothing left twice.

    The log says once that the database does not work and once that it does again; `status` says so
    meanwhile.
    """
    await fill()
    logger: Any = CapturingLogger()
    settings = quick(wire.url, concurrency=1, rate=50.0)
    async with Worker(settings, logger=logger).opened() as worker:
        await worker.database.run(lambda connection: connection.execute(FULL))
        await worker.database.run(room, 2)
        async with anyio.create_task_group() as running:
            running.start_soon(worker.sender.run)
            with anyio.fail_after(30):
                while not worker.sender._hands.is_stuck:
                    await anyio.lowlevel.checkpoint()
                assert len(wire.requests) == 1
                assert worker.status().outbox["in_flight"] == 1
                assert "database or disk is full" in worker.status().advice[0]
                await worker.database.run(room, 100_000)
                while worker.status().outbox["sent"] < 6:
                    await anyio.lowlevel.checkpoint()
            worker.sender.stop()
        assert len(wire.requests) == 6
        assert worker.status().maybe_delivered == 0
        assert worker.status().advice == []
    told = [(call.method_name, call.args[0]) for call in logger.calls]
    assert [one for one in told if "the database" in one[1]] == [
        ("error", "the database does not work"),
        ("info", "the database works again"),
    ]


@pytest.mark.fault(21)
async def test_asking_ends_where_a_disk_stays_full(fill: Fill, quick: Quick, wire: Any) -> None:
    """`send` gives up after a minute; the answer is kept, and written by the next one."""
    await fill("alice.example", PAGES[:2])
    clock = FakeClock(datetime(2026, 11, 21, 2, tzinfo=UTC))
    async with Worker(quick(wire.url, concurrency=1, rate=50.0), clock=clock).opened() as worker:
        await worker.database.run(lambda connection: connection.execute(FULL))
        await worker.database.run(room, 2)
        with pytest.raises(StoreUnavailable, match="full"):
            await worker.send()
        assert 60 <= clock.monotonic() < 90
        await worker.database.run(room, 100_000)
        assert (await worker.send()).outcomes == {"delivered": 1}
        assert worker.status().outbox["sent"] == 2
    assert len(wire.requests) == 2


@pytest.mark.fault(23)
async def test_a_start_where_nothing_can_be_written_is_refused(
    run: Run, disk: Disk, state_dir: Path
) -> None:
    """A service whose state directory cannot be written ends with 78, and says what must be."""
    async with Worker(Settings(state_dir=disk.state_dir)).opened():
        pass
    disk.refuse_writing()
    await anyio.Path(state_dir).symlink_to(disk.state_dir)
    async with run(ready=False) as service:
        assert await service.end() == 78
        said = await service.rest()
    assert "Read-only file system; the state must be where it can be written" in said
    with pytest.raises(StateRefused, match="must be where it can be written"):
        async with Worker(Settings(state_dir=disk.state_dir)).reading():
            pass


@pytest.mark.fault(23)
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", ["", DATABASE])
async def test_a_start_without_a_permission_is_refused(state_dir: Path, name: str) -> None:
    """A start is refused as well where its user may not write the directory, or the file in it."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    place = state_dir / name
    mode = place.stat().st_mode
    place.chmod(mode & 0o500)
    with pytest.raises(StateRefused, match="must be where it can be written"):
        async with Worker(Settings(state_dir=state_dir)).opened():
            pass
    place.chmod(mode)
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass


@pytest.mark.fault(23)
async def test_a_file_that_cannot_be_written_later_refuses_events(state_dir: Path) -> None:
    """Where the file can be written no more the caller is told, and all goes on once it can be."""

    def set_(connection: sqlite3.Connection, value: str) -> None:
        connection.execute(f"PRAGMA query_only = {value}")

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(set_, "ON")
        with pytest.raises(StoreUnavailable, match="readonly database"):
            await worker.record(ALICE, visits(0, 1))
        assert "readonly database" in worker.status().advice[0]
        await worker.database.read(set_, "OFF")
        assert (await worker.record(ALICE, visits(0, 1))).accepted == 1


@pytest.mark.fault(29)
async def test_the_file_shrinks_at_once(state_dir: Path) -> None:
    """However much was deleted, a round of the janitor gives the space back, but a little of it."""

    def churn(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('ballast', hex(zeroblob(3000000)))")
        connection.execute("DELETE FROM meta WHERE key = 'ballast'")

    settings, database = Settings(state_dir=state_dir), state_dir / DATABASE
    async with Worker(settings).opened() as worker:
        await worker.database.run(churn)
        await worker.database.truncate_log()
        assert database.stat().st_size > 6_000_000
    async with Worker(settings.replace(mode="off")) as worker:
        with anyio.fail_after(60):
            while worker.janitor.last_success is None:
                await anyio.lowlevel.checkpoint()
    assert database.stat().st_size < 3_000_000
