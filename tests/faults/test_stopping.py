"""The service is stopped or killed at a bad moment, and nothing it acknowledged is lost."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

CONSENT = {"consent": {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:00"}}
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")
LANES = 4
FAST = {"ECOLYO_DACC__RATE": "1000", "ECOLYO_DACC__UNKNOWN_RETRY": "1ms"}
IN_FLIGHT = "SELECT count(*) FROM outbox WHERE state = 'in_flight'"


def events(client: int, batch: int) -> list[dict[str, Any]]:
    """Give fifty events of a client's person, on days that have ended."""
    return [
        {
            "instance": f"p{client}.example",
            "_id": f"{client}-{batch}-{n}",
            "type": "NavigationEvent",
            "eventDate": f"2026-11-{1 + (batch + n) % 20:02}T{n % 24:02}:{batch % 60:02}:00",
            "target": PAGES[n % len(PAGES)],
        }
        for n in range(50)
    ]


async def fill(client: httpx.AsyncClient, people: int = 1, batches: int = 1) -> None:
    """Let people agree and do something over HTTP."""
    for person in range(people):
        answer = await client.put(f"/v1/instances/p{person}.example", json=CONSENT)
        assert answer.status_code == 200, answer.text
        for batch in range(batches):
            answer = await client.post("/v1/events", json=events(person, batch))
            assert answer.json()["accepted"] == 50


async def aggregate(cli: Cli) -> None:
    """Count what there is, through the control socket."""
    result = await cli("aggregate", "--as-of", "2026-11-21T01:00:00")
    assert result.returncode == 0, result.stderr


async def drain(state_dir: Path, echo: Echo) -> None:
    """Count and send the rest, as the next start would, on a worker of our own."""
    dacc = Dacc(url=echo.url, rate=5000)
    async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
        await worker.run_once()
        report = await worker.send(until_empty=True, timeout_s=60)
        assert (report.waiting, worker.status().outbox["dead"]) == (0, 0)


def count(state_dir: Path, query: str) -> int:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        found: int = connection.execute(query).fetchone()[0]
        return found


@pytest.mark.fault(14)
@pytest.mark.parametrize("signal", [SIGTERM, SIGINT, SIGHUP])
async def test_a_signal_stops_it(run: Run, signal: Signals) -> None:
    """Idle, it ends with 0 at once."""
    async with run() as service:
        service.process.send_signal(signal)
        await service.log("stopped")
        assert await service.end() == 0


@pytest.mark.fault(6)
async def test_killed_while_answers_are_awaited(run: Run, cli: Cli, state_dir: Path) -> None:
    """What was on its way is sent again with the same bytes: no more doubles than such rows.

    Four clients post events meanwhile; what was acknowledged to them is all there.
    """
    acknowledged: list[tuple[str, str]] = []
    async with echo_server("--fault", "ok*20,slow-body=1h*4") as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:
            async with service.client() as client:
                await fill(client, people=4)
            async with anyio.create_task_group() as clients:
                for number in range(4):
                    clients.start_soon(_post, service, number, acknowledged)
                await aggregate(cli)
                await echo.wait(24)
                service.process.send_signal(SIGKILL)
            assert await service.end() == -SIGKILL
        flying = count(state_dir, IN_FLIGHT)
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:  # its lock holds nobody up
            service.process.send_signal(SIGTERM)
            assert await service.end() == 0
        await drain(state_dir, echo)
        ledger = await assert_balanced(state_dir, echo.url, acknowledged)
        assert ledger.missing == 0
        assert LANES <= (ledger.duplicates or 0) <= flying
        assert acknowledged
        assert len(acknowledged) + 200 <= ledger.events


async def _post(service: Any, number: int, acknowledged: list[tuple[str, str]]) -> None:
    """Post events, fifty at a time, until the service is gone; note what it took."""
    async with service.client() as client:
        for batch in range(1, 10_000):
            posted = events(number, batch)
            try:
                answer = await client.post("/v1/events", json=posted)
            except httpx.TransportError:
                return
            assert answer.json() == {"accepted": 50, "known": 0, "refused": []}
            acknowledged += [(event["instance"], event["_id"]) for event in posted]


@pytest.mark.fault(14)
async def test_stopped_under_load_with_a_slow_dacc(run: Run, cli: Cli, state_dir: Path) -> None:
    """With a DACC slower than the grace it ends with 0 in time; no attempt counts, none is lost."""
    async with echo_server("--fault", "latency=1h*4") as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url, ECOLYO_WORKER__GRACE="300ms") as service:
            async with service.client() as client:
                await fill(client)
                await aggregate(cli)
                await echo.wait(4)
                service.process.send_signal(SIGTERM)
                await service.log("stopped before all was finished")
                assert await service.end() == 0
        assert count(state_dir, IN_FLIGHT) == 0
        assert count(state_dir, "SELECT max(attempts) FROM outbox") == 0
        assert count(state_dir, "SELECT sum(maybe_delivered) FROM outbox") == 4
        await echo.set_fault("ok")
        await drain(state_dir, echo)
        await assert_balanced(state_dir, echo.url)


async def _refused(service: Any) -> None:
    """Post events until the service takes none any more."""
    async with service.client() as client:
        with anyio.fail_after(30):
            for batch in range(1, 10_000):
                try:
                    answer = await client.post("/v1/events", json=events(0, batch))
                except httpx.TransportError:
                    return
                if answer.status_code == 503:
                    return
                assert answer.json()["accepted"] == 50


@pytest.mark.fault(14, 15)
@pytest.mark.parametrize("second", [SIGTERM, SIGINT, SIGKILL])
async def test_a_second_signal_waits_for_nothing(
    run: Run, cli: Cli, state_dir: Path, second: Signals
) -> None:
    """Told to stop, it takes no event more; told twice, it ends at once; what hung is sent again.

    A kill is no worse than a second signal.
    """
    async with echo_server("--fault", "latency=1h*4") as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url, ECOLYO_WORKER__GRACE="1h") as service:
            async with service.client() as client:
                await fill(client)
            await aggregate(cli)
            await echo.wait(4)
            service.process.send_signal(SIGTERM)
            await service.log("stopping")
            await _refused(service)
            assert count(state_dir, IN_FLIGHT) >= LANES
            service.process.send_signal(second)
            assert await service.end() == (-SIGKILL if second == SIGKILL else 0)
        await echo.set_fault("ok")
        await drain(state_dir, echo)
        await assert_balanced(state_dir, echo.url)
