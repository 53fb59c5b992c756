"""A database whose file is deleted or replaced under a service: nothing is taken in and lost."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from structlog.testing import CapturingLogger

from ecolyo_worker import Settings, StoreUnavailable, Worker
from ecolyo_worker.checks.doctor import diagnose
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.configuration import read
from ecolyo_worker.service.http import http_app
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.status import LEAST_FREE, make_status
from ecolyo_worker.testing.clock import SteppedClock
from tests.integration.conftest import commands_of, service
from tests.nights import asleep

pytestmark = pytest.mark.fault(27)

EVENT = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}

Loss = Callable[[Path], None]


def delete(state_dir: Path) -> None:
    (state_dir / DATABASE).unlink()


def replace(state_dir: Path) -> None:
    copy = state_dir / "copy"
    shutil.copyfile(state_dir / DATABASE, copy)
    copy.replace(state_dir / DATABASE)


losses = pytest.mark.parametrize(
    ("lose", "words"), [(delete, "its file was deleted"), (replace, "another file was put")]
)


def client_of(worker: Worker) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(http_app(worker, None))
    return httpx.AsyncClient(transport=transport, base_url="http://host")


@losses
async def test_no_event_is_taken_into_it(state_dir: Path, lose: Loss, words: str) -> None:
    """Events are refused with what to do, the service is not ready, and its status says why."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker, client_of(worker) as http:
        await worker.record("alice.example", EVENT)
        lose(state_dir)
        assert words in worker.status().advice[0]
        with pytest.raises(StoreUnavailable, match=words):
            await worker.record("alice.example", EVENT)
        body = {"instance": "alice.example", **EVENT}
        done = await http.post("/v1/events", json=[body])
        assert (done.status_code, "restore a backup" in done.text) == (503, True)
        done = await http.get("/readyz")
        assert (done.status_code, done.json()["error"]["code"]) == (503, "database_failing")
        assert words in done.text


async def test_a_directory_that_is_deleted_takes_no_event(state_dir: Path) -> None:
    """Without its directory, the service refuses events as well."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        await anyio.to_thread.run_sync(shutil.rmtree, state_dir)
        with pytest.raises(StoreUnavailable, match="its file was deleted"):
            await worker.record("alice.example", EVENT)


async def test_what_is_put_back_works_again(state_dir: Path) -> None:
    """Once the file is back at its place all goes on; the log says once that it began and ended."""
    logger: Any = CapturingLogger()
    path = state_dir / DATABASE
    async with Worker(Settings(state_dir=state_dir), logger=logger).opened() as worker:
        path.rename(state_dir / "aside")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await worker.record("alice.example", EVENT)
        (state_dir / "aside").rename(path)
        assert (await worker.record("alice.example", EVENT)).accepted == 1
        assert worker.status().advice == []
    told = [(call.method_name, call.args[0]) for call in logger.calls]
    assert told == [
        ("error", "the database does not work"),
        ("info", "the database works again"),
    ]


@pytest.mark.fault(20)
async def test_a_disk_with_little_room_shows_in_the_status(state_dir: Path) -> None:
    """Where the service is not ready for lack of space, the status says so as well."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        snapshot, sizes = worker.database.snapshot, worker.status().sizes
    for free, count in ((LEAST_FREE - 1, 1), (LEAST_FREE, 0), (None, 0)):
        found = make_status(snapshot, "1", "on", "http://dacc", sizes, [], free=free)
        assert [words.startswith("the disk has 15 MiB left") for words in found.advice] == (
            [True] * count
        )


@losses
async def test_the_commands_say_so(state_dir: Path, lose: Loss, words: str) -> None:
    """`doctor` and `backup` beside the service say what is wrong, and copy nothing."""
    logger: Any = CapturingLogger()
    async with service(Settings(state_dir=state_dir)), commands_of(state_dir) as commands:
        lose(state_dir)
        with pytest.raises(StoreUnavailable, match=words):
            [piece async for piece in commands.backup()]
        reading = read(None, {}, {"worker.state_dir": str(state_dir)})
        found = [one async for one in diagnose(reading, SystemClock(), logger, online=False)]
        failures = [one.found for one in found if one.result == "failed"]
        assert [words in text for text in failures if "the database" in text] == [True]


@pytest.mark.parametrize("mode", ["on", "off"])
async def test_nobody_asks_anything_meanwhile(state_dir: Path, mode: Any) -> None:
    """It is noticed within a minute by itself, and the log says so once; what is put back, too."""
    logger: Any = CapturingLogger()
    clock = SteppedClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    settings, path = Settings(state_dir=state_dir, mode=mode), state_dir / DATABASE
    async with Worker(settings, clock=clock, logger=logger) as worker:
        await asleep(worker, clock)
        path.rename(state_dir / "aside")
        for _ in range(2):
            await clock.step(clock.now() + timedelta(seconds=30))
        (state_dir / "aside").rename(path)
        for _ in range(2):
            await clock.step(clock.now() + timedelta(seconds=30))
    told = [call.args[0] for call in logger.calls if "the database" in call.args[0]]
    assert told == ["the database does not work", "the database works again"]
