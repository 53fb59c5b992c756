"""Memory is used up: what was acknowledged is there; and little of it is taken at a time."""

import resource
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGSEGV
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.testing import echo_server
from ecolyo_worker.testing.ledger import assert_balanced
from tests.faults.test_stopping import FAST, Run, drain, fill
from tests.fundamentals.test_night_cost import NIGHT, still
from tests.fundamentals.test_night_cost import fill as fill_nights

CLIENTS = 8
SPARE = 8 * 1024 * 1024
"""So many bytes more than it has the process may take."""


def limit(pid: int) -> None:
    """Let a process have hardly more memory than it has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + SPARE
    resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


async def post(service: Any, number: int, acknowledged: list[tuple[str, str]]) -> None:
    """Post half a megabyte at a time, until it is refused or nobody is there; note what it took."""
    async with service.client() as client:
        for batch in range(1000):
            posted = large(number, batch)
            try:
                answer = await client.post("/v1/events", json=posted)
            except httpx.TransportError:
                return
            if answer.status_code != 200:
                return
            acknowledged += [(event["instance"], event["_id"]) for event in posted]


def large(number: int, batch: int) -> Sequence[dict[str, str]]:
    """Give events with texts as long as they may be."""
    return [
        {
            "instance": f"p{number}.example",
            "_id": f"large-{batch}-{n}",
            "type": "NavigationEvent",
            "eventDate": "2026-11-20T10:00:00",
            "target": "gas",
            "context": "x" * 256,
        }
        for n in range(1500)
    ]


@pytest.mark.fault(19)
async def test_memory_is_used_up(run: Run, state_dir: Path) -> None:
    """It refuses what it has no room for, or is ended; it has all that it acknowledged.

    A stack that cannot grow is no error to a program: the system ends it. Else it is killed here.
    """
    acknowledged: list[tuple[str, str]] = []
    async with echo_server() as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:
            async with service.client() as client:
                await fill(client, people=CLIENTS)
            limit(service.process.pid)
            with anyio.move_on_after(30):
                async with anyio.create_task_group() as clients:
                    for number in range(CLIENTS):
                        clients.start_soon(post, service, number, acknowledged)
            is_ended = service.process.returncode == -SIGSEGV
            if not is_ended:
                service.process.send_signal(SIGKILL)
            await service.end()
            assert is_ended or "MemoryError" in await service.rest()
        await drain(state_dir, echo)
        ledger = await assert_balanced(state_dir, echo.url, acknowledged)
        assert ledger.events >= len(acknowledged) + CLIENTS * 50


@pytest.mark.fault(19)
async def test_memory_does_not_grow_with_the_night(tmp_path: Path) -> None:
    """A night is stored in batches: one of three times as many people takes no more memory."""
    peaks = []
    for people in (300, 900):  # with a clock that stands still, batches become as large as may be
        settings = Settings(state_dir=tmp_path / str(people))
        async with Worker(settings, clock=still()).opened() as worker:
            await fill_nights(worker, people, 40)
            tracemalloc.start()
            await worker.run_once(NIGHT)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
